"""Pooling of the embeddings of items that have several posters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hybrid.cache import EmbeddingStore


def read_pooled(store: EmbeddingStore, sets: Sequence[Sequence[bytes]]) -> NDArray[np.float32]:
    """Read one embedding for each item: that of its poster, or the mean of those of several.

    Parameters
    ----------
    store : EmbeddingStore
    sets : sequence of n sequences of bytes
        The content keys of each item's posters.

    Returns
    -------
    ndarray of shape (n, d), float32
        Posters without an embedding are left out of the mean, equal ones count once; NaN where an item has
        none with one.

    Examples
    --------
    >>> import tempfile
    >>> from hybrid.cache import EmbeddingCache
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = EmbeddingCache(folder.name).make({"dimension": 2})
    >>> a, b, c = (letter * 32 for letter in (b"a", b"b", b"c"))
    >>> store.append([a, b], np.array([[1, 2], [3, 6]], dtype=np.float32))
    >>> read_pooled(store, [[a], [a, b], [b, c], [c], []]).tolist()
    [[1.0, 2.0], [2.0, 4.0], [3.0, 6.0], [nan, nan], [nan, nan]]
    >>> folder.cleanup()
    """
    sets = [list(dict.fromkeys(each)) if len(each) > 1 else each for each in sets]
    found = store.read([each[0] if each else None for each in sets])
    several = [i for i, each in enumerate(sets) if len(each) > 1]
    if not several:
        return found
    rows = store.read([key for i in several for key in sets[i]])
    start = 0
    for i in several:
        some = rows[start : start + len(sets[i])]
        start += len(sets[i])
        usable = some[~np.isnan(some[:, 0])]
        found[i] = usable.mean(axis=0) if len(usable) else np.nan
    return found
