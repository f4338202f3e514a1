"""Compaction: small parts merged into large ones, and a snapshot that opens without reading them."""

from __future__ import annotations

import numpy as np

from hybrid.cache.generations import Generation, next_number, small_parts, write_generation
from hybrid.cache.leases import Leases
from hybrid.cache.parts import PART_ROWS, write_part
from hybrid.cache.store import EmbeddingStore
from hybrid.errors import CacheError
from hybrid.utils.key_index import Index, index_part, merge
from hybrid.utils.progress import shows_step

COMPACTION = "compaction"
MANY_SMALL = 8
MANY_UNINDEXED = 64


def is_worth_compacting(store: EmbeddingStore) -> bool:
    """Tell whether many parts are small or not in the snapshot, or it is damaged, so that opening is slow.

    Examples
    --------
    >>> import tempfile
    >>> from hybrid.cache import EmbeddingCache
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     is_worth_compacting(EmbeddingCache(folder).make({"dimension": 2}))
    False
    """
    view = store.view
    return (
        store.contents.snapshot_damaged
        or len(small_parts(view.index)) >= MANY_SMALL
        or len(view.parts - view.in_snapshot) >= MANY_UNINDEXED
    )


@shows_step("compacting the cache")
def compact(store: EmbeddingStore) -> bool:
    """Compact a store: merge its small parts, and write a new snapshot.

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

    Examples
    --------
    >>> import hashlib, tempfile
    >>> from hybrid.cache import EmbeddingCache
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = EmbeddingCache(folder.name).make({"architecture": "test", "dimension": 2})
    >>> for name in (b"one", b"two"):
    ...     store.append([hashlib.sha256(name).digest()], np.ones((1, 2)))
    >>> compact(store), len(store.view.parts), len(store)
    (True, 1, 2)
    >>> folder.cleanup()
    """
    with Leases(store.folder) as leases:
        if not leases.acquire(COMPACTION):
            return False
        store.refresh(max_age=0.0)
        contents = store.contents
        contents.verify_parts(store.view.parts)
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
            contents.reload()
            return False
        except OSError as error:
            raise CacheError(
                f"cannot compact {store.folder}: {error.strerror}. Nothing is lost."
            ) from error
        contents.use_snapshot()
        contents.reload()
    return True


def _rewrite(store: EmbeddingStore, index: Index, small: list[str], leases: Leases) -> Index:
    """Write the rows of small parts as new parts, and index these in their place."""
    rows = np.flatnonzero(np.isin(np.array(index.parts), small)[index.part])
    rows = rows[np.lexsort((index.row[rows], index.part[rows]))]
    indexes = [index.without(small)]
    for start in range(0, len(rows), PART_ROWS):
        leases.renew()
        keys = index.keys[rows[start : start + PART_ROWS]]
        wanted = [key.tobytes() for key in keys]
        embeddings, costs = store.read(wanted), store.row_costs(wanted)
        if np.isnan(embeddings).any():
            raise CacheError(f"{store.folder}: parts vanished during compaction. Nothing is lost.")
        stored = embeddings.astype(store.dtype)
        name = write_part(store.folder / "parts", store.contents.layout, keys, stored, costs)
        indexes.append(index_part(name, keys))
    return merge(indexes)
