"""Wiring: catalogue + split + model → run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
from numpy.typing import NDArray

from hybrid import __version__
from hybrid.audit import audit_backbone
from hybrid.backbones.quiet import quiet_start
from hybrid.backbones.weights import RUN_WEIGHTS
from hybrid.cache import EmbeddingCache, EmbeddingStore
from hybrid.catalogue import Catalogue
from hybrid.cost import Costs
from hybrid.deep.tasks import Task, narrow
from hybrid.errors import CatalogueError, SplitError
from hybrid.evaluation import Answers, evaluate
from hybrid.features import PosterFeatures
from hybrid.heads import HybridClassifier
from hybrid.images import BadPoster
from hybrid.pipeline import BLOCKS
from hybrid.progress import Progress
from hybrid.records import PARTS, Audit, Predictions, Run, Split
from hybrid.runs import (
    PREDICTIONS,
    RECORD,
    SEPARATOR,
    check_run_folder,
    hardware,
    library_versions,
    new_run,
    read_predictions,
    read_record,
    write_predictions,
    write_record,
)
from hybrid.sample import is_sample
from hybrid.splitting import audit_catalogue
from hybrid.stores import hash_catalogue
from hybrid.training import deep_items, make_fusion, training_of

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
    seed : int
    progress : Progress
    cache : str
        Folder of the embedding cache, which remembers the posters' hashes.
    """

    catalogue: Catalogue
    split: Split
    folder: Path
    split_path: Path = Path("splits.csv")
    command: str | None = None
    seed: int = 0
    progress: Progress = field(default_factory=Progress)
    cache: str = ".hybrid-cache"

    def rows(self, *parts: str) -> NDArray[np.int64]:
        """Positions in the catalogue of the items of these parts, in the order of the split."""
        wanted = self.split.ids[np.isin(self.split.parts, parts)].tolist()
        return np.array([self._position[name] for name in wanted], dtype=np.int64)

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.catalogue.ids.tolist())}

    @cached_property
    def keys(self) -> list[bytes | BadPoster]:
        """The cache key of each item's poster, or why it has none; read once for the whole run."""
        return hash_catalogue(self.catalogue, self.cache)

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


def fit_head(experiment: Experiment, model: HybridClassifier, settings: dict[str, Any]) -> Run:
    """Fit a hybrid classifier on train and validation, judge it on test, write the run.

    Parameters
    ----------
    experiment : Experiment
    model : HybridClassifier
        As `make_hybrid` gives it; it is fitted in place.
    settings : dict
        For the record.

    Returns
    -------
    Run
        Its predictions are out-of-fold for train and validation items: no item judged itself.
    """
    experiment.check()
    catalogue, costs = experiment.catalogue, Costs()
    frame, labels = catalogue.frame, catalogue.labels
    learn, test = experiment.rows("train", "validation"), experiment.rows("test")
    backbone = _backbone(experiment, model)
    audit = _audit(experiment, costs, trained_by=_trained_by(backbone))
    experiment.progress.say(f"cross-fitting on {len(learn)} items, {labels.shape[1]} genres")
    with costs.stage("fit"):
        groups = _groups(experiment, "train", "validation")
        model.fit(frame.iloc[learn], labels[learn], groups=groups)
    with costs.stage("predict"):
        probabilities = model.predict_proba(frame.iloc[test])
    predictions = _predictions(
        experiment, model.label, [(learn, model.oof_probabilities_), (test, probabilities)]
    )
    record = {
        "kind": "head",
        "blocks": list(model.fusion.names),
        "model": type(model.estimator).__name__,
        "chosen": {**model.chosen_.parameters, "block_weights": _weights(model)},
        "thresholds": [_or_none(t) for t in model.thresholds_],
        "backbone": backbone,
    }
    with new_run(experiment.folder) as folder:
        joblib.dump(model, folder / MODEL, compress=3)
        return _write(experiment, folder, record, settings, predictions, audit, costs)


def fit_deep(
    experiment: Experiment,
    network: str,
    options: DeepOptions | None = None,
    workers: int = 1,
    *,
    task: Task | None = None,
    resume: bool = False,
    tensorboard: Path | None = None,
) -> Run:
    """Train a deep baseline on train, stop and calibrate it on validation, judge it on test.

    Parameters
    ----------
    experiment : Experiment
    network : str
        See `hybrid.deep.registry.network_names`.
    options : DeepOptions, optional
    workers : int
    task : Task, optional
        Of which items and labels; by default all.
    resume : bool
        Go on with a training of this name that was interrupted.
    tensorboard : Path, optional
        Folder for TensorBoard's event files.

    Returns
    -------
    Run
        Its predictions are of validation and test items alone; of train items it has no honest ones.
    """
    if task:
        data = narrow(experiment.catalogue, experiment.split, task)
        experiment = replace(experiment, catalogue=data[0], split=data[1])
    experiment.check()
    experiment.progress.say("starting Keras")
    with quiet_start():
        from hybrid.deep.fused import make_baseline
        from hybrid.deep.saved import describe_baseline, save_baseline

    catalogue, costs = experiment.catalogue, Costs()
    fusion = make_fusion(catalogue, network)
    model = make_baseline(network, options, experiment.seed, workers, tensorboard, fusion)
    weights = model.starting_weights()
    start = {"weights": {"path": weights and weights.path}}
    audit = _audit(experiment, costs, trained_by=_trained_by(start))
    rows = {part: experiment.rows(part) for part in PARTS}
    checkpoint = training_of(experiment.folder, model, catalogue, experiment.split)
    with costs.stage("embed"):
        items = deep_items(
            catalogue, model, rows, experiment.keys, experiment.cache, experiment.progress
        )
    with costs.stage("fit"):
        model.fit(items["train"], items["validation"], experiment.progress, checkpoint, resume)
    with costs.stage("predict"):
        found = [(rows[part], model.predict_proba(items[part])) for part in ("validation", "test")]
    settings = {**asdict(model.options), **({"narrowed": asdict(task)} if task else {})}
    predictions = _predictions(experiment, model.label, found)
    record = describe_baseline(model, weights)
    with new_run(experiment.folder) as folder:
        save_baseline(model, folder)
        run = _write(experiment, folder, record, settings, predictions, audit, costs)
    checkpoint.remove()
    return run


def _audit(experiment: Experiment, costs: Costs, trained_by: Path | None = None) -> Audit:
    """Audit the split, and the run that trained the backbone, if one did."""
    with costs.stage("audit"):
        audit = audit_catalogue(experiment.catalogue, experiment.split, keys=experiment.keys)
        if trained_by is not None:
            earlier = read_predictions(trained_by / PREDICTIONS)
            unseen = set(earlier.ids[earlier.splits == "test"].tolist())
            audit = audit_backbone(audit, experiment.split, unseen, trained_by.name)
    for leak in audit.leaks:
        experiment.progress.say(
            f"the split leaks: {leak.kind}, {leak.count} pairs, {leak.share:.1%} of the test items"
        )
    return audit


def _groups(experiment: Experiment, *parts: str) -> NDArray[Any]:
    return experiment.split.groups[np.isin(experiment.split.parts, parts)]


def _predictions(
    experiment: Experiment,
    label: Any,
    found: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]],
) -> Predictions:
    """Put rows and probabilities together, test items last."""
    rows = np.concatenate([r for r, _ in found])
    probabilities = np.concatenate([p for _, p in found])
    parts = dict(zip(experiment.split.ids.tolist(), experiment.split.parts.tolist(), strict=True))
    ids = experiment.catalogue.ids[rows]
    n_test = len(found[-1][0])
    splits = [parts[name] for name in ids[:-n_test].tolist()] + ["test"] * n_test
    genres = experiment.catalogue.genres
    return Predictions(ids, np.array(splits), genres, label(probabilities), probabilities)


def _write(
    experiment: Experiment,
    folder: Path,
    model: dict[str, Any],
    settings: dict[str, Any],
    predictions: Predictions,
    audit: Audit,
    costs: Costs,
) -> Run:
    """Fill a run's folder; the metrics are of the test items."""
    catalogue = experiment.catalogue
    with costs.stage("evaluate"):
        test = predictions.splits == "test"
        truth = catalogue.labels[experiment.rows("test")]
        answers = Answers(predictions.labels[test], predictions.probabilities[test])
        evaluation = evaluate(truth, answers, catalogue.genres, seed=experiment.seed)
    write_predictions(folder / PREDICTIONS, predictions)
    record = {
        "name": experiment.folder.name,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": experiment.command,
        "hybrid": __version__,
        "catalogue": _describe_catalogue(catalogue),
        "sample": is_sample(catalogue.path.parent),
        "split": {
            "path": str(experiment.split_path),
            "sha256": experiment.split.sha256,
            "counts": {part: int((experiment.split.parts == part).sum()) for part in PARTS},
        },
        **model,
        "settings": settings,
        "seed": experiment.seed,
        "genres": list(catalogue.genres),
        "missing": _missing(experiment, model["blocks"]),
        "audit": {"clean": audit.clean, **asdict(audit)},
        "metrics": {name: asdict(interval) for name, interval in evaluation.metrics.items()},
        "stages": [asdict(stage) for stage in costs.stages],
        "versions": library_versions(),
        "hardware": hardware(),
    }
    write_record(folder, record)
    return Run(experiment.folder, read_record(folder), predictions)


def _describe_catalogue(catalogue: Catalogue) -> dict[str, Any]:
    return {
        "path": str(catalogue.path),
        "sha256": catalogue.sha256,
        "columns": asdict(catalogue.columns),
        "items": len(catalogue),
        "labelled": int(catalogue.labelled.sum()),
        "bad_rows": len(catalogue.bad_rows),
    }


def _missing(experiment: Experiment, blocks: Iterable[str]) -> dict[str, dict[str, int]]:
    """How many items of each part lack a block: for posters, those that name no readable file."""
    catalogue = experiment.catalogue
    columns = catalogue.columns
    table = catalogue.table
    lacks = {
        "poster": np.array([isinstance(key, BadPoster) for key in experiment.keys]),
        "text": (table[list(columns.text)] == "").all(axis=1).to_numpy(),
        "metadata": (table[list(columns.metadata)] == "").all(axis=1).to_numpy(),
    }
    return {
        block: {part: int(lacks[block][experiment.rows(part)].sum()) for part in PARTS}
        for block in BLOCKS
        if block in blocks
    }


def _backbone(experiment: Experiment, model: HybridClassifier) -> dict[str, Any] | None:
    """Which embeddings a head used, and where their weights are."""
    for _, block in model.fusion.blocks:
        if isinstance(block, PosterFeatures):
            store = EmbeddingCache(block.cache).find(block.fingerprint)
            return _describe_store(store, experiment.folder)
    return None


def _trained_by(backbone: dict[str, Any] | None) -> Path | None:
    """The run folder that the backbone's weights lie in, if a run of ours trained them."""
    path = backbone and backbone["weights"]["path"]
    if not path or Path(path).name != RUN_WEIGHTS or not (Path(path).parent / RECORD).is_file():
        return None
    return Path(path).parent


def _describe_store(store: EmbeddingStore, folder: Path) -> dict[str, Any]:
    path = store.recorded["path"]
    return {
        "name": store.stands_for["architecture"],
        "fingerprint": store.fingerprint,
        "stands_for": store.stands_for,
        "cache": {
            "path": str(store.folder.parent),
            "embeddings": len(store),
            "sha256": store.digest(),
        },
        "weights": {
            "kind": store.recorded["kind"],
            "path": path,
            # Where runs move together, the weights of a trained backbone are found from here.
            "relative": None if path is None else os.path.relpath(path, folder.absolute()),
            "digest": store.stands_for["weights"],
            "seed": store.recorded["seed"],
        },
    }


def _weights(model: HybridClassifier) -> dict[str, float]:
    weights = model.fusion_.weights or {}
    return {name: float(weights.get(name, 1.0)) for name in model.fusion_.names}


def _or_none(threshold: float) -> float | None:
    """None in the record: a threshold that no probability reaches."""
    return float(threshold) if np.isfinite(threshold) else None


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
