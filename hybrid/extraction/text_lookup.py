"""Find the stores with the embeddings of a catalogue's texts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from hybrid.backbones.tuned_folder import tuned_digest
from hybrid.cache import EmbeddingCache, EmbeddingStore
from hybrid.catalogue import Catalogue
from hybrid.errors import ExtractionError, SettingError
from hybrid.extraction.texts import frame_text_keys
from hybrid.types import TextSelector
from hybrid.utils.context import Context
from hybrid.utils.counts import agree, counted
from hybrid.utils.key_index import PackedKeys
from hybrid.utils.options import one_or_each

TEXT_EMBEDDING = "text-embedding"  # the first block; others are named after their encoder
KIND = "text"


def text_selectors(
    encoders: Sequence[str] = (), fingerprints: Sequence[str] = ()
) -> tuple[TextSelector, ...]:
    """One selector for each block of text embeddings, of options that can be given several times.

    Parameters
    ----------
    encoders, fingerprints : sequence of str, default=()
        Each has one value for each block, one for all, or none.

    Raises
    ------
    SettingError
        If both have several values, and not as many.

    Examples
    --------
    >>> [each.text_encoder for each in text_selectors(["all-MiniLM-L6-v2", "e5-small-v2"])]
    ['all-MiniLM-L6-v2', 'e5-small-v2']
    >>> text_selectors()
    ()
    """
    count, block = max(len(encoders), len(fingerprints)), "block of text embeddings"
    if not count:
        return ()
    names = one_or_each("--text-encoder", encoders, count, block)
    digits = one_or_each("--text-embeddings", fingerprints, count, block)
    pairs = zip(names, digits, strict=True)
    return tuple(TextSelector(name, fingerprint=some) for name, some in pairs)


def text_stores(context: Context, select: TextSelector | None = None) -> list[EmbeddingStore]:
    """The stores of text encoders in a cache that a selector admits, whatever the catalogue."""
    select = select or TextSelector()
    name = None if select.text_encoder is None else Path(select.text_encoder).name
    # One that was tuned anew has the name of the earlier one.
    digest = None if select.text_encoder is None else tuned_digest(select.text_encoder)
    return [
        store
        for store in EmbeddingCache(context.cache).stores()
        if is_text_store(store)
        and name in (None, encoder_name(store))
        and digest in (None, store.stands_for.get("weights"))
        and select.dtype in (None, store.dtype)
        and store.fingerprint.startswith(select.fingerprint or "")
    ]


def is_text_store(store: EmbeddingStore) -> bool:
    """Whether a store has the embeddings of texts."""
    return bool(store.stands_for.get("kind") == KIND)


def encoder_name(store: EmbeddingStore) -> str:
    """The name of the text encoder of a store."""
    return str(store.recorded.get("text_encoder", "?"))


def maker_name(store: EmbeddingStore) -> str:
    """The name of what made the embeddings of a store: a text encoder, a backbone, or imported ones'."""
    said = {**store.stands_for, **store.recorded}
    return str(said.get("text_encoder") or said.get("architecture") or said.get("block") or "?")


def catalogue_text_keys(catalogue: Catalogue, store: EmbeddingStore) -> PackedKeys:
    """The key of each item's text in a store; None where an item has no text."""
    prefix = str(store.stands_for.get("prefix", ""))
    return frame_text_keys(catalogue.frame, catalogue.columns.text, prefix)


def count_lacking(catalogue: Catalogue, store: EmbeddingStore) -> tuple[int, int]:
    """How many of a catalogue's different texts a store lacks, and how many there are."""
    keys = list({key for key in catalogue_text_keys(catalogue, store) if key is not None})
    return int((~store.has(keys)).sum()), len(keys)


def has_text_embeddings(catalogue: Catalogue, context: Context) -> bool:
    """Whether a cache has embeddings of all texts of a catalogue."""
    if not catalogue.columns.text:
        return False
    found = (count_lacking(catalogue, store) for store in text_stores(context))
    return any(texts and not lacking for lacking, texts in found)


def find_text_store(
    catalogue: Catalogue, select: TextSelector | None = None, context: Context | None = None
) -> EmbeddingStore:
    """The store with the embeddings of a catalogue's texts.

    Parameters
    ----------
    catalogue : Catalogue
        With a text column.
    select : TextSelector, optional
        Which embeddings; needed where the cache has several sets of this catalogue.
    context : Context, optional
        Its cache is used.

    Raises
    ------
    ExtractionError
        If there is none, or it lacks some of the texts.
    SettingError
        If there are several; the message lists them.
    """
    select, context = select or TextSelector(), context or Context()
    stores = text_stores(context, select)
    lacks = {store: count_lacking(catalogue, store) for store in stores}
    whole = [store for store in stores if lacks[store][1] and not lacks[store][0]]
    stores = whole or [store for store in stores if lacks[store][0] < lacks[store][1]]
    if not stores:
        name = select.text_encoder or "NAME"
        raise ExtractionError(
            f"expected text embeddings for {catalogue.path} in {context.cache}, found none. Make them with: "
            f"hybrid extract --text-encoder {name}. hybrid cache ls lists what the cache has."
        )
    if len(stores) > 1:
        listed = "\n".join(f"  {describe_text_store(store)}" for store in stores)
        raise SettingError(
            f"expected one set of text embeddings for {catalogue.path}, found {len(stores)}:\n{listed}\n"
            "Choose with --text-encoder, or by the digits in brackets: with --text-embeddings, where each "
            "that is given is a block of its own; with --embeddings of hybrid cache export."
        )
    lacking, texts = lacks[stores[0]]
    if lacking:
        raise ExtractionError(
            f"{lacking:,} of {counted(texts, 'different text')} {agree(lacking, '{have|has}')} no embedding "
            f"in {context.cache} ({describe_text_store(stores[0])}). Go on with: hybrid extract "
            f"--text-encoder {encoder_name(stores[0])}"
        )
    return stores[0]


def find_text_blocks(
    catalogue: Catalogue, select: Sequence[TextSelector] = (), context: Context | None = None
) -> dict[str, EmbeddingStore]:
    """The stores with the embeddings of a catalogue's texts, one for each block.

    Parameters
    ----------
    catalogue : Catalogue
    select : sequence of TextSelector, default=()
        One for each block. Without any there is one block, of the embeddings that were extracted.
    context : Context, optional

    Returns
    -------
    dict of str to EmbeddingStore
        The first is the block ``text-embedding``. Each other is ``text-embedding:`` and its encoder, with
        ``#`` and digits of its fingerprint where that name is taken.

    Raises
    ------
    ExtractionError
        If there is none, or one lacks some of the texts.
    SettingError
        If there are several for one block, or one for two.
    """
    found: dict[str, EmbeddingStore] = {}
    for each in select or [TextSelector()]:
        store = find_text_store(catalogue, each, context)
        if store.fingerprint in [other.fingerprint for other in found.values()]:
            raise SettingError(
                "expected different text embeddings for each block, found twice: "
                f"{describe_text_store(store)}."
            )
        found[_block_name(store, found)] = store
    return found


def _block_name(store: EmbeddingStore, taken: Collection[str]) -> str:
    if not taken:
        return TEXT_EMBEDDING
    name = f"{TEXT_EMBEDDING}:{encoder_name(store)}"
    return f"{name}#{store.fingerprint[:6]}" if name in taken else name


def describe_text_store(store: EmbeddingStore) -> str:
    """One line about a store: encoder, length, chunks, precision, number of embeddings."""
    said = store.stands_for
    chunks, layers = said.get("chunks", "first"), said.get("last_layers", 1)
    averaged = f", mean of the last {counted(layers, 'layer')}" if layers != 1 else ""
    return (
        f"{encoder_name(store)}, up to {said.get('max_length', '?')} tokens"
        f"{', mean of chunks' if chunks == 'mean' else ''}{averaged}, {said.get('pooling', '?')} pooling, "
        f"computed in {said.get('precision', '?')}, {store.dtype}: {counted(len(store), 'embedding')} of "
        f"{counted(store.dimension, 'number')} ({store.fingerprint[:12]})"
    )
