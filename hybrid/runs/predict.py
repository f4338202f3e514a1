"""Wiring: run + new catalogue → predictions.csv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.backbones import get_backbone, resolve_weights
from hybrid.backbones.startup import start_keras
from hybrid.backbones.weights import fingerprint_fields
from hybrid.cache import EmbeddingCache, differences
from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.catalogue.catalogue import POSTER
from hybrid.catalogue.check import check_posters
from hybrid.errors import RunError, WeightsError
from hybrid.extraction.extract import extract_embeddings
from hybrid.extraction.lookup import bad_posters, hash_catalogue, one_or_each
from hybrid.extraction.plan import chosen_spec
from hybrid.heads import HybridClassifier
from hybrid.heads.make_hybrid import use_context
from hybrid.runs.experiment import MODEL
from hybrid.runs.folder import read_record, recorded_backbones, recorded_columns, write_predictions
from hybrid.types import BadRow, ColumnOptions, Columns, EmbeddingOptions, Predictions
from hybrid.utils.context import Context


@dataclass(frozen=True)
class PredictSummary:
    """What `predict_catalogue` did: items, columns that were missing, bad posters, the file."""

    items: int
    missing_columns: tuple[str, ...]
    bad: tuple[BadRow, ...]
    out: Path
    predictions: Predictions


def predict_catalogue(
    folder: str | Path,
    path: str | Path,
    out: str | Path,
    *,
    weights: str | Sequence[str] | None = None,
    options: ColumnOptions | None = None,
    context: Context | None = None,
) -> PredictSummary:
    """Predict the labels of a catalogue that a run has never seen.

    Parameters
    ----------
    folder : str or Path
        The run.
    path : str or Path
        The catalogue; needs no labels, and may lack text, metadata or posters.
    out : str or Path
        ``predictions.csv`` to write.
    weights : str or sequence of str, optional
        The backbone's weights file; by default the one that the run recorded. For a run with several
        poster blocks one for all, or one for each.
    options : ColumnOptions, optional
        By default the columns that the run recorded.
    context : Context, optional
        Posters that its cache does not hold are extracted.

    Raises
    ------
    RunError
        If the run or its model cannot be read.
    WeightsError
        If posters must be extracted and the weights are not there, or are other ones.
    """
    folder, out, context = Path(folder), Path(out), context or Context()
    if not out.parent.is_dir():
        raise RunError(f"--out: expected a file in a folder that exists, found {out}.")
    record = read_record(folder)
    columns = recorded_columns(record)
    if columns is None:
        raise RunError(
            f"{folder}: expected a run made by hybrid, found no column roles in run.json."
        )
    catalogue = load_catalogue(path, options, like=columns)
    frame = catalogue.frame_for(columns)
    bad: tuple[BadRow, ...] = ()
    if record["kind"] == "deep":
        probabilities, labels = _predict_deep(folder, frame, context)
        if catalogue.columns.poster and "poster" in record["blocks"]:
            bad = check_posters(catalogue, context)
    else:
        if catalogue.columns.poster:
            bad = _extract(folder, record, catalogue, weights, context)
        probabilities, labels = _predict_head(folder, record, frame, context)
    genres = tuple(record["genres"])
    splits = np.full(len(catalogue), "")
    predictions = Predictions(catalogue.ids, splits, genres, labels, probabilities)
    write_predictions(out, predictions)
    used = _used_columns(record, columns)
    missing = tuple(name for name in used if name not in catalogue.table.columns)
    return PredictSummary(len(catalogue), missing, bad, out, predictions)


def _used_columns(record: dict[str, Any], columns: Columns) -> tuple[str, ...]:
    blocks = record["blocks"]
    return (
        ((POSTER,) if "poster" in blocks else ())
        + (columns.text if "text" in blocks else ())
        + (columns.metadata if "metadata" in blocks else ())
    )


def _predict_deep(
    folder: Path, frame: pd.DataFrame, context: Context
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    start_keras()
    from hybrid.deep.saved import load_baseline
    from hybrid.deep.stream import Items

    model = load_baseline(folder, context.workers)
    items = Items(frame.index.tolist(), frame[POSTER].tolist(), frame=frame)
    probabilities = model.predict_proba(items)
    return probabilities, model.label(probabilities)


def load_head(
    folder: Path, record: dict[str, Any], context: Context | None = None
) -> HybridClassifier:
    """Load the classifier of a run, to use the cache and the workers of a context.

    It is a pickle: load only what you trust.

    Raises
    ------
    RunError
        If the run's folder has no model.
    """
    context = context or Context()
    try:
        model: HybridClassifier = joblib.load(folder / MODEL)
    except FileNotFoundError:
        raise RunError(f"{folder}: expected the model {MODEL}, found no such file.") from None
    for backbone in recorded_backbones(record).values():
        # A catalogue without one poster needs no weights, but the block still asks for its store.
        EmbeddingCache(context.cache).make(backbone["stands_for"], _recorded(record, backbone))
    use_context(model, context)
    return model


def _predict_head(
    folder: Path, record: dict[str, Any], frame: pd.DataFrame, context: Context
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    model = load_head(folder, record, context)
    probabilities = model.predict_proba(frame)
    return probabilities, model.label(probabilities)


def _extract(
    folder: Path,
    record: dict[str, Any],
    catalogue: Catalogue,
    weights: str | Sequence[str] | None,
    context: Context,
) -> tuple[BadRow, ...]:
    """Embed what the cache lacks, with the very weights that the run was fitted on."""
    backbones = list(recorded_backbones(record).values())
    if not backbones:
        return ()
    given = (weights,) if isinstance(weights, str) else tuple(weights or ())
    each = one_or_each("--weights", given, len(backbones))
    keys = hash_catalogue(catalogue, context)
    present = [key for key in keys if isinstance(key, bytes)]
    bad: dict[int, BadRow] = {}
    for backbone, path in zip(backbones, each, strict=True):
        store = EmbeddingCache(context.cache).make(
            backbone["stands_for"], _recorded(record, backbone)
        )
        if store.knows(present).all():
            rows = tuple(bad_posters(catalogue, keys, store))
        else:
            rows = extract_embeddings(
                catalogue,
                backbone["name"],
                weights=find_weights(folder, backbone, path),
                options=recorded_options(backbone),
                context=replace(context, seed=backbone["weights"]["seed"]),
            ).bad
        bad |= {row.row: row for row in rows}
    return tuple(bad[row] for row in sorted(bad))


def find_weights(folder: Path, backbone: dict[str, Any], weights: str | None) -> str:
    """The weights that the run recorded, by their digest, wherever they are now."""
    recorded = backbone["weights"]
    spec = get_backbone(backbone["name"])
    if recorded["kind"] in ("random", "imagenet") and weights is None:
        weights = recorded["kind"]
    if weights is None:
        places = [Path(recorded["path"]), folder.absolute() / recorded["relative"]]
        weights = next((str(place) for place in places if place.is_file()), None)
    if weights is None:
        raise WeightsError(
            f"{folder}: expected the weights of {spec.name} at {recorded['path']}, found no such "
            "file. Name it with --weights PATH."
        )
    found = resolve_weights(spec, weights, recorded["seed"])
    wanted, options = backbone["stands_for"], recorded_options(backbone)
    chosen = chosen_spec(spec.name, options)
    other = differences(wanted, fingerprint_fields(chosen, found, options.dtype, options.precision))
    if other:
        listed = "; ".join(f"{key}: expected {a}, found {b}" for key, (a, b) in other.items())
        raise WeightsError(
            f"{folder}: the run's embeddings cannot be made with {found.description}: {listed}. "
            "If the weights differ, name the right file with --weights PATH; else fit the run again."
        )
    return weights


def recorded_options(backbone: dict[str, Any]) -> EmbeddingOptions:
    """What the run's embeddings were made with, so that the new ones are made alike."""
    said = backbone["stands_for"]
    return EmbeddingOptions(
        layer=said.get("layer", "last"),
        pooling=said["pooling"],
        input_size=tuple(said["input_size"]),
        fit=said["image_rules"].get("fit", "squash"),
        precision=said.get("precision", "float32"),
        dtype=said.get("dtype", "float32"),
    )


def _recorded(record: dict[str, Any], backbone: dict[str, Any]) -> dict[str, Any]:
    weights = backbone["weights"]
    kept = {key: weights[key] for key in ("kind", "path", "seed")}
    return {"weights": weights["path"] or weights["kind"], **kept, "versions": record["versions"]}
