"""Cache report of a catalogue's texts: hits, misses and their reasons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid.cache import EmbeddingCache, EmbeddingStore, differences, fingerprint_of
from hybrid.catalogue import Catalogue
from hybrid.extraction.text_lookup import (
    catalogue_text_keys,
    describe_text_store,
    text_stores,
)
from hybrid.extraction.text_plan import configured_encoder, known_precision
from hybrid.extraction.texts import item_texts, text_keys
from hybrid.types import TextEmbeddingOptions
from hybrid.utils.context import Context, limited_by_context
from hybrid.utils.read_only import reads_only


@dataclass(frozen=True)
class OtherTextStore:
    """A store that has some of the texts that the wanted one lacks; `differs` is as in `OtherStore`."""

    store: str
    fingerprint: str
    texts: int
    differs: dict[str, tuple[Any, Any]]


@dataclass(frozen=True)
class TextCacheExplanation:
    """What the cache has of a catalogue's texts for one encoder.

    `items` counts the rows of the catalogue, `missing` those without a text; the others have `texts`
    different texts: `hits` are in the store, `misses` are to be computed. `tried` and `others` are as in
    `CacheExplanation`.
    """

    text_encoder: str
    fingerprint: str
    precision: str
    tried: bool
    items: int
    missing: int
    texts: int
    hits: int
    misses: int
    others: tuple[OtherTextStore, ...]


@reads_only
@limited_by_context
def explain_text_cache(
    catalogue: Catalogue,
    text_encoder: str,
    *,
    options: TextEmbeddingOptions | None = None,
    engine: str = "auto",
    context: Context | None = None,
) -> TextCacheExplanation:
    """Report hits and misses of the cache for `extract_texts`, and the reasons of the misses.

    Nothing is downloaded: the encoder's files must be on this machine.

    Parameters
    ----------
    catalogue : Catalogue
    text_encoder, options, context
        As for `extract_texts`.
    engine : {"keras", "openvino", "auto"}, default="auto"
        As in `ExtractSettings`.

    Returns
    -------
    TextCacheExplanation

    Raises
    ------
    WeightsError
        If the encoder is not on this machine; the message says how it gets there.

    Examples
    --------
    >>> from hybrid import load_catalogue
    >>> films = load_catalogue("catalogue.csv")  # doctest: +SKIP
    >>> explain_text_cache(films, "all-MiniLM-L6-v2").misses  # doctest: +SKIP
    594
    """
    options, context = options or TextEmbeddingOptions(), context or Context()
    spec = configured_encoder(text_encoder, options, download=False)
    choice = spec.choose_engine(engine, options.precision)
    sure = known_precision(spec, choice, options, context)
    precision = (sure or choice).precision
    wanted = spec.fingerprint_fields(
        chunks=options.chunks, precision=precision, dtype=options.dtype
    )
    keys = text_keys(item_texts(catalogue.frame, catalogue.columns.text), spec.prefix)
    rows = {key: i for i, key in enumerate(keys) if key is not None}
    store = EmbeddingCache(context.cache).look_up(wanted)
    hits = np.zeros(len(rows), dtype=bool) if store is None else store.has(list(rows))
    missed = [row for row, hit in zip(rows.values(), hits.tolist(), strict=True) if not hit]
    return TextCacheExplanation(
        text_encoder=spec.name,
        fingerprint=fingerprint_of(wanted),
        precision=precision,
        tried=sure is not None,
        items=len(catalogue),
        missing=keys.count(None),
        texts=len(rows),
        hits=int(hits.sum()),
        misses=len(missed),
        others=tuple(_others(catalogue, text_stores(context), missed, wanted)),
    )


def _others(
    catalogue: Catalogue, stores: list[EmbeddingStore], missed: list[int], wanted: dict[str, Any]
) -> Iterator[OtherTextStore]:
    """Stores that have the texts of some rows, each with the prefix of its own encoder."""
    for store in stores:
        keys = catalogue_text_keys(catalogue, store)
        texts = int(store.has([keys[row] for row in missed]).sum())
        if texts and store.stands_for != wanted:
            differs = differences(wanted, store.stands_for)
            yield OtherTextStore(describe_text_store(store), store.fingerprint, texts, differs)
