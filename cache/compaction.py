"""Writing small parts together as large ones, with a snapshot that opens without reading them."""

from __future__ import annotations

import numpy as np

from hybrid.cache.generations import Generation, next_number, small_parts, write_generation
from hybrid.cache.leases import Leases
from hybrid.cache.parts import PART_ROWS, write_part
from hybrid.cache.store import EmbeddingStore
from hybrid.errors import CacheError
from hybrid.utils.key_index import Index, index_part, merge

COMPACTION = "compaction"
MANY_SMALL = 8
MANY_UNINDEXED = 64


def is_worth_compacting(store: EmbeddingStore) -> bool:
    """Whether so many parts are small, or not in the snapshot, that opening takes longer than it need."""
    view = store.view
    return (
        len(small_parts(view.index)) >= MANY_SMALL
        or len(view.parts - view.in_snapshot) >= MANY_UNINDEXED
    )


def compact(store: EmbeddingStore) -> bool:
    """Compact a store.

    New parts are written, then a new generation, then in one step the pointer to it. The small parts
    stay until `hybrid.cache.gc.collect`. Nothing is done while another process compacts.

    Returns
    -------
    bool
        Whether it was done.

    Raises
    ------
    CacheError
        If the disk refuses; nothing is lost then.
    """
    with Leases(store.folder) as leases:
        if not leases.acquire(COMPACTION):
            return False
        store.refresh()
        contents = store.contents
        contents.prove_all(store.view.parts)
        old, index = contents.generation(), store.view.index
        if not len(index):
            return False
        try:
            small = small_parts(index)
            new = _rewrite(store, index, small, leases) if len(small) > 1 else index
            before = {*index.parts, *(old.superseded if old else ())}
            superseded = tuple(sorted(before & contents.present() - set(new.parts)))
            leases.renew()
            write_generation(store.folder, Generation(next_number(store.folder), new, superseded))
        except (
            FileExistsError
        ):  # two processes took over the lease of a dead one: the other was faster
            contents.look()
            return False
        except OSError as error:
            raise CacheError(
                f"cannot compact {store.folder}: {error.strerror}. Nothing is lost."
            ) from error
        contents.trust()
        contents.look()
    return True


def _rewrite(store: EmbeddingStore, index: Index, small: list[str], leases: Leases) -> Index:
    """Write the rows of some parts as new parts; the index with these in their place."""
    rows = np.flatnonzero(np.isin(np.array(index.parts), small)[index.part])
    rows = rows[np.lexsort((index.row[rows], index.part[rows]))]
    indexes = [index.without(small)]
    for start in range(0, len(rows), PART_ROWS):
        leases.renew()
        keys = index.keys[rows[start : start + PART_ROWS]]
        embeddings = store.read([key.tobytes() for key in keys])
        if np.isnan(embeddings).any():
            raise CacheError(f"{store.folder}: parts vanished during compaction. Nothing is lost.")
        stored = embeddings.astype(store.dtype)
        name = write_part(store.folder / "parts", store.contents.layout, keys, stored)
        indexes.append(index_part(name, keys))
    return merge(indexes)
