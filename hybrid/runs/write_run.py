"""A fitted model's predictions and its half of the record → a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid._version import __version__
from hybrid.audit.leak_cost import leakage_cost
from hybrid.datasets.sample import is_sample
from hybrid.evaluation import Outputs
from hybrid.evaluation.metrics import genres_without_items
from hybrid.runs.cost import Spending, describe_cost
from hybrid.runs.experiment import Experiment
from hybrid.runs.folder import PREDICTIONS, Run
from hybrid.runs.json_dataclass import convert
from hybrid.runs.predictions_file import write_predictions
from hybrid.runs.provenance import count_missing, describe_catalogue
from hybrid.runs.record import RunRecord
from hybrid.runs.record_metrics import evaluate_test_items, grouped_ids
from hybrid.runs.record_parts import (
    AuditRecord,
    EnvironmentRecord,
    SplitRecord,
    StageRecord,
)
from hybrid.types import PARTS, Audit, Predictions
from hybrid.utils.environment import hardware, library_versions
from hybrid.utils.resources import CostRecorder

# Positions of items in the catalogue, their probabilities and predicted labels.
Predicted = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.uint8]]


def gather_predictions(experiment: Experiment, found: Sequence[Predicted]) -> Predictions:
    """Concatenate predictions; those of the test items must come last."""
    rows, probabilities, labels = (np.concatenate(part) for part in zip(*found, strict=True))
    # In a split that leaks, an item may be test, too; it is listed once for each.
    listed = zip(experiment.split.ids.tolist(), experiment.split.parts.tolist(), strict=True)
    parts = {name: part for name, part in listed if part != "test"}
    ids = experiment.catalogue.ids[rows]
    n_test = len(found[-1][0])
    splits = [parts[name] for name in ids[:-n_test].tolist()] + ["test"] * n_test
    genres = experiment.catalogue.genres
    return Predictions(ids, np.array(splits), genres, labels, probabilities)


def write_run(
    experiment: Experiment,
    folder: Path,
    record: RunRecord,
    predictions: Predictions,
    audit: Audit,
    costs: CostRecorder,
    spending: Spending,
) -> Run:
    """Evaluate the test items, complete the record, write predictions and record.

    Parameters
    ----------
    experiment : Experiment
    folder : Path
        The temporary folder of the run; holds the model.
    record : RunRecord
        As far as the model says it.
    predictions : Predictions
    audit : Audit
    costs : CostRecorder
        Gets the stage ``evaluate``.
    spending : Spending
    """
    catalogue = experiment.catalogue
    with costs.stage("evaluate"):
        test = predictions.splits == "test"
        truth = catalogue.labels[experiment.rows("test")]
        outputs = Outputs(predictions.labels[test], predictions.probabilities[test])
        groups, seed = experiment.groups("test"), experiment.context.seed
        metrics, reliability = evaluate_test_items(
            truth, outputs, catalogue.genres, groups, seed, experiment.task.multiclass
        )
        audited = _describe_audit(audit, truth, outputs, predictions.ids[test], groups, seed)
    write_predictions(folder / PREDICTIONS, predictions)
    parts = {part: experiment.rows(part) for part in PARTS}
    record = replace(
        record,
        name=experiment.folder.name,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        command=experiment.command,
        hybrid=__version__,
        catalogue=describe_catalogue(experiment.whole.catalogue),
        sample=is_sample(catalogue.path.parent),
        split=_describe_split(experiment, predictions.ids[test]),
        task=experiment.task,
        untested=genres_without_items(catalogue.genres, truth),
        untrained=_untrained(experiment, record),
        sampled=experiment.sampled,
        seed=seed,
        genres=catalogue.genres,
        missing={
            **count_missing(catalogue, experiment.keys, parts, record.blocks),
            **record.missing,
        },
        audit=audited,
        metrics=metrics,
        reliability=reliability,
        cost=describe_cost(costs, spending, record, folder),
        stages=tuple(convert(StageRecord, stage) for stage in costs.stages),
        environment=EnvironmentRecord(library_versions(), hardware()),
    )
    record.write(folder)
    return Run(experiment.folder, RunRecord.read(folder), predictions)


def _untrained(experiment: Experiment, record: RunRecord) -> tuple[str, ...]:
    """Genres of test items that no item has that the model was fitted on."""
    catalogue = experiment.catalogue
    parts = record.fitted_on.get("preprocessing", ("train",))
    learnt, test = (catalogue.labels[experiment.rows(*names)] for names in (parts, ("test",)))
    unseen = set(genres_without_items(catalogue.genres, test))
    return tuple(g for g in genres_without_items(catalogue.genres, learnt) if g not in unseen)


def _describe_split(experiment: Experiment, test: NDArray[Any]) -> SplitRecord:
    split = experiment.split
    return SplitRecord(
        path=str(experiment.split_path),
        sha256=split.sha256,
        counts={part: int((split.parts == part).sum()) for part in PARTS},
        test_groups=grouped_ids(test, experiment.groups("test")),
        method=split.method,
    )


def _describe_audit(
    audit: Audit,
    truth: NDArray[np.uint8],
    outputs: Outputs,
    ids: NDArray[Any],
    groups: NDArray[Any],
    seed: int,
) -> AuditRecord:
    """The audit, and each metric with the test items that leak and without them."""
    leaked = np.array([name in audit.leaked for name in ids.tolist()])
    costs = leakage_cost(truth, outputs, leaked, groups=groups, seed=seed)
    return convert(
        AuditRecord,
        {
            "clean": audit.clean,
            **vars(audit),
            "cost": costs,
        },
    )
