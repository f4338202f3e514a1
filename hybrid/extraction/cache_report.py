"""Cache report of a catalogue: hits, misses and their reasons; export of its embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hybrid.backbones import BackboneSpec, Weights, get_backbone, resolve_weights
from hybrid.backbones.hub_presets import without_download
from hybrid.backbones.weights import fingerprint_fields, must_download
from hybrid.cache import EmbeddingCache, EmbeddingStore, differences, fingerprint_of
from hybrid.cache.costs import RowCosts
from hybrid.cache.export import check_target, export
from hybrid.catalogue import Catalogue
from hybrid.extraction.configured_spec import configured_spec
from hybrid.extraction.embeddings_frame import Selector, as_selector, find_embeddings
from hybrid.extraction.lookup import describe_store, hash_catalogue, named_as_stored
from hybrid.extraction.plan import announce_verification, choose_for
from hybrid.extraction.pooling import check_pooling_used
from hybrid.extraction.poster_keys import image_files
from hybrid.extraction.precision_check import resolve_precision
from hybrid.extraction.text_lookup import encoder_name, is_text_store
from hybrid.images.decode import BadPoster
from hybrid.types import EmbeddingOptions, EmbeddingSelector
from hybrid.utils.context import Context, limited_by_context
from hybrid.utils.read_only import reads_only


@dataclass(frozen=True)
class StoreSummary:
    """One set of embeddings in a cache: what its fingerprint stands for, its size and its cost.

    `seconds` is what the embeddings cost whose cost is known (None if that of none is), `cost_unknown` the
    number of the others, and `devices` what the known ones were computed on. Of a text encoder `backbone` is
    None, of a backbone `text_encoder`, of imported embeddings both; theirs are `imported`, the name, and
    `file`, `file_sha256` and `imported_at`. `licence` is that of the weights; None where it was not kept.
    """

    description: str
    fingerprint: str
    backbone: str | None
    text_encoder: str | None
    imported: str | None
    weights: str | None
    licence: str | None
    file: str | None
    file_sha256: str | None
    imported_at: str | None
    stands_for: dict[str, Any]
    dimension: int
    embeddings: int
    failures: int
    bytes: int
    seconds: float | None
    cost_unknown: int
    devices: tuple[str, ...]


@reads_only
def list_stores(context: Context | None = None) -> tuple[StoreSummary, ...]:
    """List the sets of embeddings in a cache.

    Parameters
    ----------
    context : Context, optional
        Its cache is read.

    Examples
    --------
    >>> from hybrid.extraction.cache_report import list_stores
    >>> from hybrid.utils.context import Context
    >>> list_stores(Context(cache="nowhere"))
    ()
    """
    context = context or Context()
    return tuple(_summarise(store, context) for store in EmbeddingCache(context.cache).stores())


def _summarise(store: EmbeddingStore, context: Context) -> StoreSummary:
    size = store.bytes_on_disk()
    announce_verification(size, context.progress)
    store.contents.verify_parts(store.view.parts)  # what is damaged is left out, with a warning
    cost = store.cost([key.tobytes() for key in store.view.index.keys])
    return StoreSummary(
        describe_store(store),
        store.fingerprint,
        backbone=store.stands_for.get("architecture"),
        text_encoder=encoder_name(store) if is_text_store(store) else None,
        imported=store.stands_for.get("block"),
        weights=store.recorded.get("weights"),
        licence=store.recorded.get("licence"),
        file=store.recorded.get("file"),
        file_sha256=store.recorded.get("file_sha256"),
        imported_at=store.recorded.get("imported"),
        stands_for=store.stands_for,
        dimension=store.dimension,
        embeddings=cost.embeddings,
        failures=len(store.failures()),
        bytes=size,
        seconds=None if cost.unknown == cost.embeddings else cost.seconds,
        cost_unknown=cost.unknown,
        devices=cost.devices,
    )


@dataclass(frozen=True)
class OtherStore:
    """A store that has some of the images that the wanted one lacks.

    `differs` lists the differences of their fingerprints: key → (wanted, found).
    """

    store: str
    fingerprint: str
    images: int
    differs: dict[str, tuple[Any, Any]]


@dataclass(frozen=True)
class CacheExplanation:
    """What the cache has of a catalogue for one backbone.

    `items` counts the rows of the catalogue, `unreadable` those without a readable poster file; the
    others name `images` different images: `hits` are in the store, `failures` are known not to decode,
    `misses` are to be computed. `others` are the stores that have some of the misses, or all there is.
    `tried` is false where the first extraction will try whether `precision` may be taken, or only float32.
    """

    backbone: str
    fingerprint: str
    precision: str
    tried: bool
    items: int
    unreadable: int
    images: int
    hits: int
    failures: int
    misses: int
    others: tuple[OtherStore, ...]


@dataclass(frozen=True)
class ExportSummary:
    """What was exported: items with an embedding, items without, dimension, file."""

    items: int
    missing: int
    dimension: int
    out: Path


@reads_only
@limited_by_context
def explain_cache(
    catalogue: Catalogue,
    backbone: str,
    *,
    weights: str = "imagenet",
    options: EmbeddingOptions | None = None,
    engine: str = "keras",
    context: Context | None = None,
) -> CacheExplanation:
    """Report hits and misses of the cache for `extract_embeddings`, and the reasons of the misses.

    Nothing is downloaded: ImageNet weights that are not on this machine count as unknown.

    Parameters
    ----------
    catalogue : Catalogue
    backbone, weights, options, context
        As for `extract_embeddings`.
    engine : {"keras", "openvino", "auto"}, default="keras"
        As in `ExtractSettings`.

    Returns
    -------
    CacheExplanation

    Examples
    --------
    >>> from hybrid import load_catalogue, write_sample
    >>> _ = write_sample("films", n_items=60)
    >>> films = load_catalogue("films/catalogue.csv")
    >>> report = explain_cache(films, "mobilenet-075", weights="random")
    >>> report.hits, report.misses == report.images
    (0, True)
    """
    options, context = options or EmbeddingOptions(), context or Context()
    spec = configured_spec(without_download(get_backbone(backbone)), options, weights)
    known = _known_weights(spec, weights, context.seed)
    spec = named_as_stored(spec, known, context)
    choice = choose_for(spec, engine, options.precision)
    sure = resolve_precision(choice, options, context.cache, spec, known)
    precision = (sure or choice).precision
    wanted = fingerprint_fields(spec, known, options.dtype, precision)
    found = hash_catalogue(catalogue, context)
    keys = list(image_files(catalogue, found, context))
    cache = EmbeddingCache(context.cache)
    store, others = cache.look_up(wanted), cache.stores()
    hits = np.zeros(len(keys), dtype=bool)
    failures = 0
    if store is not None:
        hits = store.has(keys)
        failures = len(store.failures().keys() & set(keys))
    missed = [key for key, hit in zip(keys, hits.tolist(), strict=True) if not hit]
    return CacheExplanation(
        backbone=spec.name,
        fingerprint=fingerprint_of(wanted),
        precision=precision,
        tried=sure is not None,
        items=len(catalogue),
        unreadable=sum(isinstance(key, BadPoster) for key in found),
        images=len(keys),
        hits=int(hits.sum()),
        failures=failures,
        misses=len(missed) - failures,
        others=tuple(_others([s for s in others if s.stands_for != wanted], missed, wanted)),
    )


def _others(
    stores: list[EmbeddingStore], missed: list[bytes], wanted: dict[str, Any]
) -> Iterator[OtherStore]:
    for store in stores:
        images = int(store.has(missed).sum())
        if images:
            differs = differences(wanted, store.stands_for)
            yield OtherStore(describe_store(store), store.fingerprint, images, differs)


def _known_weights(spec: BackboneSpec, weights: str, seed: int) -> Weights:
    if weights == "imagenet" and must_download(spec):
        return Weights("imagenet", "unknown: not on this machine", None)
    return resolve_weights(spec, weights, seed)


@reads_only
@limited_by_context
def export_embeddings(
    catalogue: Catalogue,
    out: str | Path,
    select: Selector | str | None = None,
    context: Context | None = None,
    pooling: str = "mean",
) -> ExportSummary:
    """Export any embeddings of a catalogue to a NumPy, HDF5, Parquet or CSV file.

    Parameters
    ----------
    catalogue : Catalogue
    out : str or Path
        ``.npz`` (arrays ``ids``, ``embeddings``, ``seconds`` and ``device``), ``.h5`` or ``.hdf5`` (the same
        as data sets), ``.parquet`` (columns ``id``, ``embedding``, ``seconds`` and ``device``) or ``.csv``
        (a column for each number). ``seconds`` is what computing an embedding cost, NaN where that is not
        known; of an item with several posters the sum, and the device of the first. Items without an
        embedding are left out.
    select, context
        As for `hybrid.extraction.embeddings_frame.embeddings`: of posters, of texts, or imported ones.
    pooling : {"mean", "max", "first"}, default="mean"
        How the embeddings of several posters of an item become one.

    Raises
    ------
    ExtractionError, SettingError
        If there is no such store or several, `out` cannot be written so, or the pooling would have no effect.

    Examples
    --------
    >>> from hybrid import load_catalogue
    >>> films = load_catalogue("catalogue.csv")  # doctest: +SKIP
    >>> export_embeddings(films, "embeddings.npz").dimension  # doctest: +SKIP
    768
    """
    out = Path(out)
    check_target(out)
    if isinstance(as_selector(select), EmbeddingSelector):
        check_pooling_used(catalogue, pooling, "export")
    found = find_embeddings(catalogue, select, context, pooling)
    store, there = found.store, found.there
    costs = _item_costs(store, [found.keys[i] for i in there])
    export(out, catalogue.ids[there], store.dimension, found.blocks(there), costs)
    return ExportSummary(len(there), len(found.keys) - len(there), store.dimension, out)


def _item_costs(store: EmbeddingStore, sets: list[list[bytes]]) -> RowCosts:
    """Seconds of all posters of each item, and the device of the first."""
    costs = store.row_costs([key for each in sets for key in each])
    starts = np.cumsum([0, *map(len, sets)])[:-1]
    if not len(starts):
        return costs
    seconds = np.add.reduceat(costs.seconds, starts, dtype=np.float32)
    return RowCosts(seconds, costs.device[starts], costs.devices)
