"""The subject of a study: the fitted model of a run, rebuilt with the items that it was fitted on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.errors import RunError
from hybrid.evaluation import Outputs
from hybrid.heads import HybridClassifier
from hybrid.runs.experiment import Experiment
from hybrid.runs.fitted import FittedModel, LabelledItems
from hybrid.runs.folder import PREDICTIONS
from hybrid.runs.predict import load_head
from hybrid.runs.predictions_file import read_predictions
from hybrid.runs.record import HEAD, RunRecord
from hybrid.runs.record_metrics import grouped_ids
from hybrid.runs.recorded_files import find_catalogue, find_split
from hybrid.runs.recorded_posters import use_recorded_posters
from hybrid.splitting.split_file import read_split
from hybrid.splitting.tasks import TRAINING
from hybrid.types import ColumnOptions, Split
from hybrid.utils.context import Context

# By how much a probability may differ from that in predictions.csv, which has six decimals.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Subject:
    """What a study takes.

    Parameters
    ----------
    record : RunRecord
    fitted : FittedModel
    experiment : Experiment
        With the items and labels of the run's task; its `whole` has all of catalogue and split.
    """

    record: RunRecord
    fitted: FittedModel
    experiment: Experiment


def load_subject(
    folder: Path,
    *,
    catalogue: Path | None = None,
    splits: Path | None = None,
    encoding: str = "utf-8",
    context: Context | None = None,
) -> Subject:
    """Rebuild the fitted model of a run with the very items that it was fitted on.

    Parameters
    ----------
    folder : Path
        The run folder.
    catalogue, splits : Path, optional
        By default where the run recorded them.
    encoding : str, default="utf-8"
        Text encoding of the catalogue.
    context : Context, optional
        Its cache has the embeddings.

    Raises
    ------
    RunError
        If the run is no head, or catalogue, split or embeddings are not those that it was fitted on.

    Examples
    --------
    >>> load_subject(Path("runs/svm")).fitted.genres  # doctest: +SKIP
    ('Comedy', 'Drama')
    """
    context = context or Context()
    record = RunRecord.read(folder)
    check_subject(folder, record)
    read = _read_catalogue(folder, record, catalogue, encoding)
    path, split = _read_split(folder, record, splits)
    experiment = Experiment(read, split, folder, path, context=context).narrowed(record.task)
    wanted, found = record.split.sha256, experiment.split.sha256
    if found != wanted:
        raise RunError(
            f"{folder}: expected the split that the run was fitted on (sha256 {_short(wanted)}), found "
            f"another one at {path} ({_short(found)}). Name it with --splits, or fit the run again."
        )
    model = load_head(folder, record, context)
    return Subject(record, _fitted(folder, record, experiment, model), experiment)


def check_subject(folder: Path, record: RunRecord) -> None:
    """Check that a run can be studied.

    Raises
    ------
    RunError
        If it is a deep baseline, was made elsewhere, or was written by an earlier version of hybrid.
    """
    if record.kind not in (HEAD, None):
        raise RunError(
            f"{folder}: expected a run of fit-svm or fit-ovr, found the deep baseline {record.model}. A "
            "study would train the network anew for each point, and is not made. Compare runs instead: "
            "hybrid fit-deep on other blocks, or with --splits on other splits, and hybrid report."
        )
    record.require_model(folder)


def _read_catalogue(
    folder: Path, record: RunRecord, given: Path | None, encoding: str
) -> Catalogue:
    path = given or find_catalogue(folder, record)
    columns = record.require_model(folder)
    found = load_catalogue(path, ColumnOptions(encoding=encoding), like=columns)
    if found.sha256 != record.catalogue.sha256:
        raise RunError(
            f"{folder}: expected the catalogue that the run was fitted on (sha256 "
            f"{_short(record.catalogue.sha256)}), found another one at {path} ({_short(found.sha256)}). Name "
            "it with --catalogue, or fit the run again on this one."
        )
    return use_recorded_posters(replace(found, columns=columns), record, folder)


def _read_split(folder: Path, record: RunRecord, given: Path | None) -> tuple[Path, Split]:
    path = given or find_split(folder, record)
    return path, read_split(path)


def _fitted(
    folder: Path, record: RunRecord, experiment: Experiment, model: HybridClassifier
) -> FittedModel:
    training, test = experiment.items(*TRAINING), experiment.items("test")
    _check_groups(folder, record, experiment, model)
    probabilities = model.predict_proba(test.frame)
    outputs = Outputs(model.label(probabilities), probabilities)
    _check_outputs(folder, test, outputs)
    seconds = record.cost.fit_seconds
    genres = experiment.catalogue.genres
    return FittedModel(
        model, training, test, outputs, genres, math.nan if seconds is None else seconds
    )


def _check_groups(
    folder: Path, record: RunRecord, experiment: Experiment, model: HybridClassifier
) -> None:
    """The hash of a split says nothing of its groups; the run knows those that it was fitted with."""
    ids = experiment.split.ids[experiment.split.parts == "test"]
    found = grouped_ids(ids, experiment.groups("test"))
    same = set(map(frozenset, found)) == set(map(frozenset, record.split.test_groups))
    if not same or not np.array_equal(experiment.groups(*TRAINING), np.asarray(model.groups_)):
        raise RunError(
            f"{folder}: expected the groups that the run was fitted with, found others in the column group "
            f"of {experiment.split_path}. Name the right file with --splits, or fit the run again."
        )


def _check_outputs(folder: Path, items: LabelledItems, outputs: Outputs) -> None:
    """The model on these items must give what it gave when it was fitted."""
    kept = read_predictions(folder / PREDICTIONS)
    test = kept.splits == "test"
    same_items = kept.ids[test].tolist() == items.frame.index.tolist()
    if not same_items or not np.allclose(
        kept.probabilities[test], outputs.scores, rtol=0, atol=TOLERANCE, equal_nan=True
    ):
        raise RunError(
            f"{folder}: expected the probabilities of {PREDICTIONS} from the model, found others: the "
            "posters or the embeddings in the cache are not those that it was fitted on. Name the right "
            "cache with --cache, or fit the run again."
        )


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "unknown"
