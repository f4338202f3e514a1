"""Predict the labels of new items with a run: run folder + catalogue → predictions.csv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from hybrid.backbones import resolve_weights
from hybrid.backbones.startup import start_keras
from hybrid.backbones.weights import fingerprint_fields
from hybrid.cache import EmbeddingCache, describe_differences
from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.catalogue.check import check_posters
from hybrid.catalogue.columns import POSTER
from hybrid.catalogue.load import find_id_problems
from hybrid.errors import RunError, SettingError, WeightsError
from hybrid.extraction.configured_spec import configured_spec
from hybrid.extraction.extract import extract_embeddings
from hybrid.extraction.lookup import bad_posters, hash_catalogue
from hybrid.extraction.poster_keys import different_posters, image_files
from hybrid.features.lazy_block import spans
from hybrid.heads import HybridClassifier
from hybrid.heads.make_hybrid import use_context
from hybrid.model_file import load_model
from hybrid.model_file.earlier import require_files
from hybrid.model_file.manifest import check_model_files
from hybrid.runs.folder import MODEL, MODEL_ARRAYS
from hybrid.runs.imported_blocks import lacking_findings, lacking_ids
from hybrid.runs.licences import check_run_licences
from hybrid.runs.predict_texts import check_text_encoders, embed_texts
from hybrid.runs.predicted_rows import Predicted, write_every_row
from hybrid.runs.predictions_file import PREDICTED, read_predictions
from hybrid.runs.record import DEEP, RECORD, RunRecord
from hybrid.runs.record_parts import BackboneRecord
from hybrid.runs.recorded_networks import find_recorded_file, recorded_colours, recorded_spec
from hybrid.runs.recorded_posters import use_recorded_posters
from hybrid.types import BadRow, ColumnOptions, Columns, EmbeddingOptions, Finding, Predictions
from hybrid.utils.context import Context, limited_by_context
from hybrid.utils.options import Rule, list_unused, one_or_each
from hybrid.utils.progress import shows_step
from hybrid.utils.read_only import read_only
from hybrid.utils.writable import check_new_file


@dataclass(frozen=True)
class PredictSummary:
    """Result of `predict_catalogue`.

    Parameters
    ----------
    items : int
        Rows of the catalogue; `out` has a line for each, in this order.
    missing_columns : tuple of str
        Columns that the run uses and the catalogue lacks; their cells count as empty.
    bad : tuple of BadRow
        Rows with something wrong, in their order: not to be read as they are, no id, a repeated one, an
        unusable poster. A row can be listed twice.
    out : Path
        The file written.
    left_out : tuple of BadRow
        Those of `bad` that cannot be read: their lines in `out` have no labels and no probabilities.
    findings : tuple of Finding
        How the table was understood, and what looks wrong about it.
    lacking : dict of str to tuple of str
        Imported block → ids of the items that have no embedding, and are predicted without it.
    """

    items: int
    missing_columns: tuple[str, ...]
    bad: tuple[BadRow, ...]
    out: Path
    left_out: tuple[BadRow, ...] = ()
    findings: tuple[Finding, ...] = ()
    lacking: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def predictions(self) -> Predictions:
        """What `out` holds, read when it is asked for; probabilities have six decimals."""
        return read_predictions(self.out)


@limited_by_context
def predict_catalogue(
    folder: str | Path,
    path: str | Path,
    out: str | Path,
    *,
    weights: str | Sequence[str] | None = None,
    text_encoders: str | Sequence[str] | None = None,
    options: ColumnOptions | None = None,
    licence: str = "any",
    context: Context | None = None,
) -> PredictSummary:
    """Predict the labels of new items: each row of a catalogue by itself.

    A row without an id, or with one that another row has, is predicted, too. Some thousand items are encoded,
    scored and written at a time.

    Parameters
    ----------
    folder : str or Path
        The run folder.
    path : str or Path
        The catalogue; needs no labels, and may lack text, metadata or posters.
    out : str or Path
        ``predictions.csv`` to write.
    weights : str or sequence of str, optional
        Weights file of the backbone; by default the recorded one. For several poster blocks: one for all, or
        one for each.
    text_encoders : str or sequence of str, optional
        Folders or names of the text encoders; by default the recorded ones. For several blocks of text
        embeddings: one for all, or one for each.
    options : ColumnOptions, optional
        By default the recorded column roles.
    licence : {"any", "commercial"}, default="any"
        ``"commercial"``: refuse a run on weights whose licence is not known to permit commercial use.
    context : Context, optional
        Embeddings that its cache lacks are extracted.

    Returns
    -------
    PredictSummary

    Raises
    ------
    RunError
        If the run cannot be read, or was written by an earlier version of hybrid.
    SettingError
        If weights or text encoders are named, but the run or the catalogue needs none; or a licence is
        refused.
    WeightsError
        If embeddings must be extracted and the weights, or the text encoder, are missing; or if those that
        are found, or named, are not those that the run was fitted with.

    Examples
    --------
    >>> summary = predict_catalogue("runs/svm", "new.csv", "predictions.csv")  # doctest: +SKIP
    >>> summary.predictions.probabilities.shape  # doctest: +SKIP
    (40, 8)
    """
    folder, out, context = Path(folder), Path(out), context or Context()
    check_new_file("--out", out, PREDICTED, [Path(path)])
    record = RunRecord.read(folder)
    check_run_licences(folder, record, licence)
    columns = record.require_model(folder)
    catalogue = load_catalogue(path, options, like=columns, every_row=True)
    catalogue = use_recorded_posters(catalogue, record, folder)
    if weights:
        _check_weights(folder, record, catalogue)
    if text_encoders:
        check_text_encoders(folder, record, catalogue)
    frame = catalogue.frame_for(columns)
    bad: tuple[BadRow, ...] = ()
    if record.kind != DEEP and catalogue.columns.poster:
        bad = _extract(folder, record, catalogue, weights, context)
    if record.text_encoders and catalogue.columns.text:
        embed_texts(folder, record, catalogue, frame, text_encoders or (), context)
    if record.kind == DEEP:
        predicted = _predict_deep(folder, catalogue, frame, context)
        if catalogue.columns.poster and "poster" in record.blocks:
            bad = check_posters(catalogue, context)
    else:
        predicted = _predict_head(folder, record, frame, context)
    write_every_row(out, catalogue, record.genres, predicted, context)
    used = _used_columns(record, columns)
    missing = tuple(name for name in used if catalogue.find_column(name) is None)
    wrong = (*catalogue.bad_rows, *_id_problems(catalogue), *bad)
    return PredictSummary(
        len(catalogue) + len(catalogue.left_out),
        missing,
        tuple(sorted(wrong, key=lambda row: row.row)),
        out,
        catalogue.left_out,
        (*catalogue.findings, *lacking_findings(predicted.lacking, len(frame))),
        predicted.lacking,
    )


def _id_problems(catalogue: Catalogue) -> list[BadRow]:
    """Rows that their id does not tell from the others."""
    problems = find_id_problems(catalogue.table[catalogue.columns.id], catalogue.rows)
    return [
        catalogue.bad_row(i, f"{reason}; the row is predicted") for i, reason in problems.items()
    ]


def _check_weights(folder: Path, record: RunRecord, catalogue: Catalogue) -> None:
    """Raise where weights of a backbone would have no effect."""
    embeds = bool(extracted_backbones(record)) and catalogue.columns.poster is not None
    rules = (
        Rule(("weights",), record.kind != DEEP, f"{folder} holds the network's own"),
        Rule(("weights",), embeds, f"{folder} embeds no posters of {catalogue.path}"),
    )
    if problems := list_unused(rules, ["weights"]):
        raise SettingError("\n".join(problems))


def _used_columns(record: RunRecord, columns: Columns) -> tuple[str, ...]:
    blocks = record.blocks
    return (
        ((columns.poster or POSTER,) if "poster" in blocks else ())
        + (columns.text if "text" in blocks or record.text_encoders else ())
        + (columns.metadata if "metadata" in blocks else ())
    )


def _predict_deep(
    folder: Path, catalogue: Catalogue, frame: pd.DataFrame, context: Context
) -> Predicted:
    start_keras()
    from hybrid.deep.items import Items
    from hybrid.deep.saved import load_baseline

    model = load_baseline(folder, context.workers, context.cache)
    fusion = getattr(model, "fusion_", None)
    with read_only():
        paths, _ = different_posters(catalogue, context=context)
        lacking = {} if fusion is None else lacking_ids(fusion, frame)
    items = Items(catalogue.ids.tolist(), paths, frame=frame)
    numbers = np.arange(len(items))
    pieces = (model.predict_proba(items.take(numbers[some])) for some in spans(len(items)))
    return Predicted(pieces, model.label, lacking)


@shows_step("loading the model")
def load_head(folder: Path, record: RunRecord, context: Context | None = None) -> HybridClassifier:
    """Load the model of a head.

    All of it is checked before it is used, and nothing in it is executed.

    Parameters
    ----------
    folder : Path
        The run folder.
    record : RunRecord
        Of the run.
    context : Context, optional
        The model looks embeddings up in its cache, with its workers.

    Raises
    ------
    RunError
        If the folder has no model, one that is damaged, or one of an earlier version.

    Examples
    --------
    >>> folder = Path("runs/svm")
    >>> model = load_head(folder, RunRecord.read(folder))  # doctest: +SKIP
    """
    context = context or Context()
    require_files(folder, MODEL, MODEL_ARRAYS)
    check_model_files(folder)
    model: HybridClassifier = load_model(folder / MODEL, HybridClassifier)
    use_context(model, context)
    # Models of earlier formats say map, and mean map-weighted, as their record says now.
    model.metric = record.settings.get("metric", model.metric)
    return model


def _predict_head(
    folder: Path, record: RunRecord, frame: pd.DataFrame, context: Context
) -> Predicted:
    model = load_head(folder, record, context)
    with read_only():
        lacking = lacking_ids(model.fusion_, frame)
    return Predicted(model.each_proba(frame), model.label, lacking)


def _extract(
    folder: Path,
    record: RunRecord,
    catalogue: Catalogue,
    weights: str | Sequence[str] | None,
    context: Context,
) -> tuple[BadRow, ...]:
    """Extract embeddings that the cache lacks, with the weights that the run was fitted with.

    Where it lacks none, nothing is written to it.
    """
    backbones = list(extracted_backbones(record).values())
    if not backbones:
        return ()
    given = (weights,) if isinstance(weights, str) else tuple(weights or ())
    each = one_or_each("--weights", given, len(backbones))
    # Those that are named are checked even where nothing is left to embed.
    pairs = zip(backbones, each, strict=True)
    found = [find_weights(folder, b, w) if w else None for b, w in pairs]
    with read_only():
        keys = hash_catalogue(catalogue, context)
        present = image_files(catalogue, keys, context).packed
    bad: dict[int, BadRow] = {}
    for backbone, path in zip(backbones, found, strict=True):
        with read_only():
            store = EmbeddingCache(context.cache).make(backbone.key)
            complete = bool(store.knows(present).all())
            rows = tuple(bad_posters(catalogue, keys, store, (), context)) if complete else ()
        if not complete:
            weights_file = path or find_weights(folder, backbone, None)
            rows = extract_embeddings(
                catalogue,
                recorded_spec(backbone, weights_file),
                weights=weights_file,
                options=recorded_options(backbone),
                context=replace(context, seed=backbone.weights.seed),
            ).bad
        bad |= {row.row: row for row in rows}
    return tuple(bad[row] for row in sorted(bad))


def find_weights(folder: Path, backbone: BackboneRecord, weights: str | None) -> str:
    """Find the weights that a run was fitted with, and check their digest.

    Parameters
    ----------
    folder : Path
        The run folder.
    backbone : BackboneRecord
    weights : str or None
        A file; by default the recorded one, by its path or seen from the run folder, if it lies in the
        project of the run or in the current directory.

    Returns
    -------
    str
        ``"random"``, ``"imagenet"`` or the path of a file.

    Raises
    ------
    WeightsError
        If the file is missing, or embeddings made with it are not those that the run was fitted on.
    """
    recorded = backbone.weights
    if recorded.kind in ("random", "imagenet") and weights is None:
        weights = recorded.kind
    if weights is None:
        weights = find_recorded_file(folder, backbone)
    wanted, options = backbone.key, recorded_options(backbone)
    spec = recorded_spec(backbone, weights)
    found = resolve_weights(spec, weights, recorded.seed)
    chosen = configured_spec(spec, options)
    fields = fingerprint_fields(chosen, found, options.dtype, options.precision)
    if other := describe_differences(wanted, fields):
        raise WeightsError(
            f"{folder}: the run's embeddings cannot be made with {found.description}: {other}. "
            "If the weights differ, name the right file with --weights PATH; else fit the run again."
        )
    return weights


def recorded_options(backbone: BackboneRecord) -> EmbeddingOptions:
    """Options that the embeddings of a run were extracted with.

    Raises
    ------
    RunError
        If the record lacks one.
    """
    key = backbone.key
    try:
        return EmbeddingOptions(
            layer=key.get("layer", "last"),
            pooling=key["pooling"],
            input_size=tuple(key["input_size"]),
            fit=key["image_rules"].get("fit", "squash"),
            **recorded_colours(key.get("preprocessing", "")),
            precision=key.get("precision", "float32"),
            dtype=key.get("dtype", "float32"),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{RECORD}: expected the options of an embedding at stands_for of the backbone {backbone.name}, "
            f"found: {error}. The record is damaged: fit the run again."
        ) from error


def extracted_backbones(record: RunRecord) -> dict[str, BackboneRecord]:
    """Backbones whose embeddings a head uses, by poster block; none for a deep baseline.

    Examples
    --------
    >>> extracted_backbones(RunRecord(backbone=BackboneRecord(name="vgg16")))["poster"].name
    'vgg16'
    """
    found = record.backbones.items()
    return {block: each for block, each in found if isinstance(each, BackboneRecord)}
