"""Wiring: catalogue + split + model → run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
from numpy.typing import NDArray

from hybrid._version import __version__
from hybrid.audit.catalogue_audit import audit_catalogue
from hybrid.audit.leak_cost import leakage_cost
from hybrid.audit.leaks import audit_backbone
from hybrid.backbones.startup import start_keras
from hybrid.catalogue import Catalogue
from hybrid.datasets.sample import is_sample
from hybrid.deep.tasks import Task, narrow
from hybrid.errors import CatalogueError, SplitError
from hybrid.evaluation import Outputs
from hybrid.explain.importance import describe_head
from hybrid.extraction.lookup import hash_catalogue
from hybrid.heads import HybridClassifier
from hybrid.heads.decision_rule import DecisionOptions
from hybrid.images.decode import BadPoster
from hybrid.runs.deep_inputs import deep_items, describe_settings, make_fusion, training_of
from hybrid.runs.fitted import FittedModel, LabelledItems, Study
from hybrid.runs.folder import (
    PREDICTIONS,
    SEPARATOR,
    check_run_folder,
    new_run,
    read_predictions,
    read_record,
    recorded_backbones,
    write_predictions,
    write_record,
)
from hybrid.runs.provenance import (
    count_missing,
    describe_backbones,
    describe_catalogue,
    describe_choice,
    trained_by,
)
from hybrid.runs.test_metrics import describe_cost, describe_decision, group_names, judge
from hybrid.types import LEAK, PARTS, Audit, Predictions, Run, Split
from hybrid.utils.context import Context
from hybrid.utils.environment import hardware, library_versions
from hybrid.utils.resources import CostRecorder

if TYPE_CHECKING:
    from hybrid.deep.options import DeepOptions

MODEL = "model.joblib"


@dataclass(frozen=True)
class Experiment:
    """What every fit needs: the data, where the run goes, and how it was asked for.

    Parameters
    ----------
    catalogue : Catalogue
    split : Split
    split_path : Path
        Named in the record.
    folder : Path
        The run's folder.
    command : str or None
        As the user typed it, for the record.
    context : Context
        Cache, workers, seed and progress.
    """

    catalogue: Catalogue
    split: Split
    folder: Path
    split_path: Path = Path("splits.csv")
    command: str | None = None
    context: Context = field(default_factory=Context)

    def rows(self, *parts: str) -> NDArray[np.int64]:
        """Positions in the catalogue of the items of these parts, in the order of the split."""
        wanted = self.split.ids[np.isin(self.split.parts, parts)].tolist()
        return np.array([self._position[name] for name in wanted], dtype=np.int64)

    def side(self, *parts: str) -> LabelledItems:
        """The items of these parts: frame, labels, groups."""
        rows = self.rows(*parts)
        groups = self.split.groups[np.isin(self.split.parts, parts)]
        return LabelledItems(self.catalogue.frame.iloc[rows], self.catalogue.labels[rows], groups)

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.catalogue.ids.tolist())}

    @cached_property
    def keys(self) -> list[bytes | BadPoster]:
        """The cache key of each item's poster, or why it has none; read once for the whole run."""
        return hash_catalogue(self.catalogue, self.context)

    def check(self) -> None:
        """Raise what would otherwise be found after hours of work.

        Raises
        ------
        CatalogueError, SplitError, RunError, SettingError
        """
        check_run_folder(self.folder)
        self.catalogue.require_labels()
        parted = [genre for genre in self.catalogue.genres if SEPARATOR in genre]
        if parted:
            raise CatalogueError(
                f"{self.catalogue.path}: expected labels without {SEPARATOR!r}, which parts the predicted "
                f"ones in predictions.csv, found {parted[0]!r}."
            )
        known, split = set(self.catalogue.ids.tolist()), set(self.split.ids.tolist())
        strange = sorted(split - known)
        new = sorted(set(self.catalogue.ids[self.catalogue.labelled].tolist()) - split)
        problems = []
        if strange:
            problems.append(
                f"{len(strange)} of its ids are not in the catalogue ({_some(strange)})"
            )
        if new:
            problems.append(f"{len(new)} labelled items are in no part of it ({_some(new)})")
        problems += [f"no item is {part}" for part in PARTS if not (self.split.parts == part).any()]
        if problems:
            raise SplitError(
                f"{self.split_path}: expected a split of {self.catalogue.path}, found that "
                f"{'; '.join(problems)}. Make a new one with: hybrid split"
            )


def fit_head(
    experiment: Experiment,
    model: HybridClassifier,
    settings: dict[str, Any],
    studies: Study | None = None,
) -> Run:
    """Fit a hybrid classifier on train and validation, judge it on test, write the run.

    Parameters
    ----------
    experiment : Experiment
    model : HybridClassifier
        As `make_hybrid` gives it; it is fitted in place.
    settings : dict
        For the record.
    studies : callable, optional
        What else to find out about the model, see `hybrid.studies.study.Studies`; by default nothing.

    Returns
    -------
    Run
        Its predictions are out-of-fold for train and validation items: no item judged itself.
    """
    experiment.check()
    costs, genres = CostRecorder(), experiment.catalogue.genres
    learn, test = experiment.side("train", "validation"), experiment.side("test")
    backbones = describe_backbones(model, experiment.folder)
    trainers = [trained_by(backbone) for backbone in recorded_backbones(backbones).values()]
    audit = _audit(experiment, costs, {trainer for trainer in trainers if trainer is not None})
    experiment.context.progress.say(
        f"cross-fitting on {len(learn.frame)} items, {len(genres)} genres"
    )
    with costs.stage("fit"):
        model.fit(learn.frame, learn.labels, groups=learn.groups)
    with costs.stage("predict"):
        probabilities = model.predict_proba(test.frame)
        answers = Outputs(model.label(probabilities), probabilities)
    with costs.stage("explain"):
        explained = describe_head(model, learn.frame, genres)
    predictions = _predictions(
        experiment,
        [
            (experiment.rows("train", "validation"), model.oof_probabilities_, model.oof_labels_),
            (experiment.rows("test"), answers.scores, answers.labels),
        ],
    )
    record = {
        "kind": "head",
        "blocks": list(model.fusion.names),
        "model": ("chain of " if model.chain else "") + type(model.estimator).__name__,
        "chosen": describe_choice(model),
        "tried": [asdict(tried) for tried in model.search_results_],
        **describe_decision(
            learn.labels, model.oof_scores_, model.decision_, experiment.context.seed
        ),
        "saw": {"preprocessing": ["train", "validation"], "thresholds": ["train", "validation"]},
        **backbones,
        **explained,
    }
    seconds = next(stage.seconds for stage in costs.stages if stage.name == "fit")
    subject = FittedModel(model, learn, test, answers, genres, seconds)
    with new_run(experiment.folder) as folder:
        joblib.dump(model, folder / MODEL, compress=3)
        record["studies"] = []
        if studies is not None:
            whole = experiment.side(*PARTS)
            record |= studies(subject, whole, experiment.split, folder, experiment.context)
        return _write(experiment, folder, record, settings, predictions, audit, costs, model.head_)


def fit_deep(
    experiment: Experiment,
    network: str,
    options: DeepOptions | None = None,
    decision: DecisionOptions | None = None,
    *,
    task: Task | None = None,
    resume: bool = False,
    tensorboard: Path | None = None,
    devices: str = "1",
) -> Run:
    """Train a deep baseline on train, stop and calibrate it on validation, judge it on test.

    Parameters
    ----------
    experiment : Experiment
    network : str
        See `hybrid.deep.registry.network_names`.
    options : DeepOptions, optional
    decision : DecisionOptions, optional
        How scores become labels.
    task : Task, optional
        Of which items and labels; by default all.
    resume : bool
        Go on with a training of this name that was interrupted.
    tensorboard : Path, optional
        Folder for TensorBoard's event files.
    devices : str
        How many share each batch: a number, or ``"all"``.

    Returns
    -------
    Run
        Its predictions are of validation and test items alone; of train items it has no honest ones.
    """
    if task:
        data = narrow(experiment.catalogue, experiment.split, task)
        experiment = replace(experiment, catalogue=data[0], split=data[1])
    experiment.check()
    experiment.context.progress.say("starting Keras")
    start_keras()
    from hybrid.deep.fused import make_baseline
    from hybrid.deep.saved import describe_baseline, save_baseline

    catalogue, costs = experiment.catalogue, CostRecorder()
    fusion = make_fusion(catalogue, network, experiment.context)
    how = (experiment.context.seed, experiment.context.workers, tensorboard, decision)
    model = make_baseline(network, options, *how, fusion, devices)
    weights = model.starting_weights()
    trainer = trained_by({"weights": {"path": weights and weights.path}})
    audit = _audit(experiment, costs, [] if trainer is None else [trainer])
    rows = {part: experiment.rows(part) for part in PARTS}
    checkpoint = training_of(experiment.folder, model, weights, catalogue, experiment.split, task)
    with costs.stage("embed"):
        items = deep_items(catalogue, model, rows, experiment.keys, experiment.context)
    with costs.stage("fit"):
        model.fit(
            items["train"], items["validation"], experiment.context.progress, checkpoint, resume
        )
    with costs.stage("predict"):
        found = []
        for part in ("validation", "test"):
            probabilities = model.predict_proba(items[part])
            found.append((rows[part], probabilities, model.label(probabilities)))
    predictions = _predictions(experiment, found)
    truth = catalogue.labels[rows["validation"]]
    record = {
        **describe_baseline(model, weights),
        **describe_decision(
            truth, model.validation_scores_, model.decision_, experiment.context.seed
        ),
        "saw": {"preprocessing": ["train"], "thresholds": ["validation"]},
    }
    with new_run(experiment.folder) as folder:
        save_baseline(model, folder)
        settings = describe_settings(model, task)
        run = _write(experiment, folder, record, settings, predictions, audit, costs)
    checkpoint.remove()
    return run


def _audit(experiment: Experiment, costs: CostRecorder, trainers: Iterable[Path] = ()) -> Audit:
    """Audit the split, and the runs that trained the backbones."""
    with costs.stage("audit"):
        audit = audit_catalogue(
            experiment.catalogue,
            experiment.split,
            keys=experiment.keys,
            context=experiment.context,
        )
        for trainer in sorted(trainers):
            earlier = read_predictions(trainer / PREDICTIONS)
            unseen = set(earlier.ids[earlier.splits == "test"].tolist())
            audit = audit_backbone(audit, experiment.split, unseen, trainer.name)
    for leak in (*audit.leaks, *audit.warnings):
        says = "the split leaks" if leak.severity == LEAK else "warning of the audit"
        experiment.context.progress.say(
            f"{says}: {leak.kind}, {leak.count}, {leak.share:.1%} of the test items"
        )
    return audit


def _groups(experiment: Experiment, *parts: str) -> NDArray[Any]:
    return experiment.split.groups[np.isin(experiment.split.parts, parts)]


def _predictions(
    experiment: Experiment,
    found: Sequence[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.uint8]]],
) -> Predictions:
    """Put rows, probabilities and labels together, test items last."""
    rows, probabilities, labels = (np.concatenate(part) for part in zip(*found, strict=True))
    # In a split that leaks, an item may be test, too; it is listed once for each.
    listed = zip(experiment.split.ids.tolist(), experiment.split.parts.tolist(), strict=True)
    parts = {name: part for name, part in listed if part != "test"}
    ids = experiment.catalogue.ids[rows]
    n_test = len(found[-1][0])
    splits = [parts[name] for name in ids[:-n_test].tolist()] + ["test"] * n_test
    genres = experiment.catalogue.genres
    return Predictions(ids, np.array(splits), genres, labels, probabilities)


def _write(
    experiment: Experiment,
    folder: Path,
    model: dict[str, Any],
    settings: dict[str, Any],
    predictions: Predictions,
    audit: Audit,
    costs: CostRecorder,
    head: Any = None,
) -> Run:
    """Fill a run's folder; the metrics are of the test items."""
    catalogue = experiment.catalogue
    with costs.stage("evaluate"):
        test = predictions.splits == "test"
        truth = catalogue.labels[experiment.rows("test")]
        answers = Outputs(predictions.labels[test], predictions.probabilities[test])
        groups = _groups(experiment, "test")
        judged = judge(truth, answers, catalogue.genres, groups, experiment.context.seed)
        leaked = np.array([name in audit.leaked for name in predictions.ids[test].tolist()])
        costs_of_leaks = leakage_cost(truth, answers, leaked, seed=experiment.context.seed)
    write_predictions(folder / PREDICTIONS, predictions)
    record = {
        "name": experiment.folder.name,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": experiment.command,
        "hybrid": __version__,
        "catalogue": describe_catalogue(catalogue),
        "sample": is_sample(catalogue.path.parent),
        "split": {
            "path": str(experiment.split_path),
            "sha256": experiment.split.sha256,
            "counts": {part: int((experiment.split.parts == part).sum()) for part in PARTS},
            "test_groups": group_names(predictions.ids[test], groups),
        },
        **model,
        "settings": settings,
        "seed": experiment.context.seed,
        "genres": list(catalogue.genres),
        "missing": count_missing(
            catalogue,
            experiment.keys,
            {part: experiment.rows(part) for part in PARTS},
            model["blocks"],
        ),
        "audit": {
            "clean": audit.clean,
            **asdict(audit),
            "cost": {name: asdict(cost) for name, cost in costs_of_leaks.items()},
        },
        **judged,
        "cost": describe_cost(costs, int(test.sum()), head, model["backbone"], folder),
        "stages": [asdict(stage) for stage in costs.stages],
        "versions": library_versions(),
        "hardware": hardware(),
    }
    write_record(folder, record)
    return Run(experiment.folder, read_record(folder), predictions)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
