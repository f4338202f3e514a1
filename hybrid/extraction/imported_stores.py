"""Find the stores of imported embeddings, and the keys of items in them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import pandas as pd

from hybrid.cache import EmbeddingCache, EmbeddingStore
from hybrid.catalogue import Catalogue
from hybrid.errors import ExtractionError, SettingError, did_you_mean
from hybrid.extraction.key_sets import frame_key_sets
from hybrid.extraction.texts import ROWS, frame_text_keys
from hybrid.types import ImportedSelector
from hybrid.utils.context import Context
from hybrid.utils.counts import counted
from hybrid.utils.key_index import PackedKeys

KIND = "imported"
OF = ("item", "poster", "text")
NAME = re.compile(r"[a-z][a-z0-9_.-]*")
TAKEN = ("poster", "text", "metadata", "text-embedding", "embeddings")


def name_problems(block: str) -> list[str]:
    """One message if it cannot be the name of an imported block.

    Examples
    --------
    >>> name_problems("clip"), name_problems("text")
    ([], ["--block: expected a name of its own, found 'text', which is another block."])
    """
    if block in TAKEN:
        return [f"--block: expected a name of its own, found {block!r}, which is another block."]
    if not NAME.fullmatch(block):
        return [
            f"--block: expected a name such as clip: letters a to z, digits, . _ -, found {block!r}."
        ]
    return []


def item_key(name: str) -> bytes | None:
    """The key of what belongs to an item itself: SHA-256 of its id; None where it has none.

    Examples
    --------
    >>> item_key("862").hex()[:8], item_key("")
    ('ee9d527a', None)
    """
    if not name:
        return None
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()


def frame_keys(
    frame: pd.DataFrame,
    of: str,
    columns: Sequence[str],
    cache: str,
    workers: int,
) -> PackedKeys:
    """The key of each item of a frame: of its id, its text, or its first readable poster.

    Parameters
    ----------
    frame : DataFrame of n items
        As `Catalogue.frame` is: indexed by id.
    of : {"item", "poster", "text"}
    columns : sequence of str
        Text columns.
    cache : str
        Folder of the cache, which remembers the hashes of the posters.
    workers : int

    Raises
    ------
    SettingError
        If the rows are numbered instead of indexed by id.
    """
    if of == "text":
        return frame_text_keys(frame, columns)
    if of == "poster":
        sets = frame_key_sets(frame, cache, workers)
        return PackedKeys.collect(each[0] if each else None for each in sets)
    if isinstance(frame.index, pd.RangeIndex):
        raise SettingError(
            "expected a frame indexed by the ids of the items, as load_catalogue(...).frame is, found "
            "numbered rows."
        )
    parts = (frame.index[start : start + ROWS] for start in range(0, len(frame), ROWS))
    return PackedKeys.collect(item_key(str(name)) for part in parts for name in part.tolist())


def catalogue_keys(catalogue: Catalogue, store: EmbeddingStore, context: Context) -> PackedKeys:
    """The key of each item of a catalogue in a store of imported embeddings; None where it has none."""
    return frame_keys(
        catalogue.frame,
        str(store.stands_for["of"]),
        catalogue.columns.text,
        context.cache,
        context.workers,
    )


def lacking_ids(catalogue: Catalogue, store: EmbeddingStore, context: Context) -> tuple[str, ...]:
    """Ids of the items of a catalogue that have no embedding in a store of imported ones."""
    there = store.has(catalogue_keys(catalogue, store, context))
    return tuple(catalogue.ids[~there].tolist())


def imported_stores(
    context: Context, select: ImportedSelector | None = None
) -> list[EmbeddingStore]:
    """The stores of imported embeddings in a cache that a selector admits, whatever the catalogue."""
    stores = [
        store
        for store in EmbeddingCache(context.cache).stores()
        if store.stands_for.get("kind") == KIND
    ]
    if select is None:
        return stores
    return [
        store
        for store in stores
        if store.stands_for["block"] == select.block
        and store.fingerprint.startswith(select.fingerprint or "")
    ]


def imported_names(context: Context) -> tuple[str, ...]:
    """The names of the imported blocks in a cache, each once."""
    return tuple(sorted({str(store.stands_for["block"]) for store in imported_stores(context)}))


def find_imported_store(
    catalogue: Catalogue, select: ImportedSelector, context: Context | None = None
) -> EmbeddingStore:
    """The store with the imported embeddings of a catalogue's items.

    Parameters
    ----------
    catalogue : Catalogue
    select : ImportedSelector
    context : Context, optional

    Raises
    ------
    ExtractionError
        If there is none of this name, or none of the items is in it.
    SettingError
        If there are several; the message lists them.
    """
    context = context or Context()
    stores = imported_stores(context, select)
    if not stores:
        known = imported_names(context)
        raise ExtractionError(
            f"expected imported embeddings {select.block!r} in {context.cache}, found none."
            f"{did_you_mean(select.block, known)} Import them with: hybrid import-embeddings FILE --block "
            f"{select.block}"
        )
    counts = {
        store: int(store.has(catalogue_keys(catalogue, store, context)).sum()) for store in stores
    }
    found = [store for store in stores if counts[store]]
    if not found:
        raise ExtractionError(
            f"expected items of {catalogue.path} among the embeddings {select.block!r}, found none of "
            f"{counted(len(catalogue), 'item')} ({describe_imported_store(stores[0])}). Import those of this "
            f"catalogue with: hybrid import-embeddings FILE --block {select.block}"
        )
    if len(found) > 1:
        listed = "\n".join(f"  {describe_imported_store(store)}" for store in found)
        raise SettingError(
            f"expected one set of embeddings {select.block!r} for {catalogue.path}, found {len(found)}:\n"
            f"{listed}\nChoose with the digits in brackets: "
            f"{select.block}#{found[0].fingerprint[:6]}"
        )
    return found[0]


def describe_imported_store(store: EmbeddingStore) -> str:
    """One line about a store: its name, what it was imported from, number of embeddings."""
    said = store.stands_for
    return (
        f"{said.get('block', '?')}, imported from {store.recorded.get('file') or 'a frame'}, of each "
        f"{said.get('of', '?')}, {store.dtype}: {counted(len(store), 'embedding')} of "
        f"{counted(store.dimension, 'number')} ({store.fingerprint[:12]})"
    )
