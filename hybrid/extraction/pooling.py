"""Pooling of the embeddings of items that have several posters: mean, maximum, or the first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hybrid.cache import EmbeddingStore
from hybrid.catalogue import Catalogue
from hybrid.errors import SettingError, unknown_name
from hybrid.types import POSTER_POOLINGS
from hybrid.utils.options import Rule, given_options, list_unused


def pooling_problems(pooling: str) -> list[str]:
    """One message if it is no pooling of posters.

    Examples
    --------
    >>> pooling_problems("maxi")
    ["--poster-pooling: unknown pooling 'maxi'. Did you mean max or mean? Known: first, max, mean."]
    """
    if pooling in POSTER_POOLINGS:
        return []
    return [f"--poster-pooling: {unknown_name('pooling', pooling, POSTER_POOLINGS)}"]


def pooling_rule(catalogue: Catalogue) -> Rule:
    """The pooling of posters has an effect where an item has several."""
    several = bool(catalogue.several_posters)
    return Rule(
        ("poster-pooling",), several, f"no item of {catalogue.path} has more than one poster"
    )


def check_pooling_used(catalogue: Catalogue, pooling: str, command: str) -> None:
    """Raise a `SettingError` where the pooling is unknown, or would have no effect in a command."""
    given = given_options({"poster-pooling": (pooling, "mean")}, command)
    problems = [*pooling_problems(pooling), *list_unused([pooling_rule(catalogue)], given)]
    if problems:
        raise SettingError("\n".join(problems))


def check_pooling(pooling: str) -> None:
    """Raise a `SettingError` unless it is a pooling of posters."""
    if problems := pooling_problems(pooling):
        raise SettingError(problems[0])


def pool_rows(
    rows: NDArray[np.float32], counts: Sequence[int], pooling: str = "mean"
) -> NDArray[np.float32]:
    """Pool the embeddings of each item's posters.

    Parameters
    ----------
    rows : ndarray of shape (m, d), float32
        One for each poster, those of an item one after another; NaN where a poster has no embedding.
    counts : sequence of n int
        Number of posters of each item, 1 or more; their sum is m.
    pooling : {"mean", "max", "first"}, default="mean"
        Mean or maximum of each dimension, or the embedding of the first poster that has one.

    Returns
    -------
    ndarray of shape (n, d), float32
        NaN where no poster of an item has an embedding.

    Examples
    --------
    >>> rows = np.array([[1, 6], [3, 2], [np.nan, np.nan], [5, 5]], dtype=np.float32)
    >>> pool_rows(rows, [2, 2]).tolist(), pool_rows(rows, [2, 2], "max").tolist()
    ([[2.0, 4.0], [5.0, 5.0]], [[3.0, 6.0], [5.0, 5.0]])
    """
    check_pooling(pooling)
    bounds = np.concatenate([[0], np.cumsum(counts)]).astype(int).tolist()
    found = rows[bounds[:-1]]
    for i, (start, end) in enumerate(pairwise(bounds)):
        if end - start > 1:
            some = rows[start:end]
            usable = some[~np.isnan(some[:, 0])]
            if len(usable):
                found[i] = _pool(usable, pooling)
    return found


def _pool(rows: NDArray[np.float32], pooling: str) -> NDArray[np.float32]:
    if pooling == "first":
        return rows[0]
    return np.asarray(rows.max(axis=0) if pooling == "max" else rows.mean(axis=0))


def read_pooled(
    store: EmbeddingStore, sets: Sequence[Sequence[bytes]], pooling: str = "mean"
) -> NDArray[np.float32]:
    """Read one embedding for each item: that of its poster, or those of several, pooled.

    Parameters
    ----------
    store : EmbeddingStore
    sets : sequence of n sequences of bytes
        The content keys of each item's posters.
    pooling : {"mean", "max", "first"}, default="mean"
        See `pool_rows`.

    Returns
    -------
    ndarray of shape (n, d), float32
        Posters without an embedding are left out, equal ones count once; NaN where an item has none with
        one.

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
    >>> read_pooled(store, [[a, b], [c, b]], "first").tolist()
    [[1.0, 2.0], [3.0, 6.0]]
    >>> folder.cleanup()
    """
    check_pooling(pooling)
    sets = [list(dict.fromkeys(each)) if len(each) > 1 else each for each in sets]
    found = store.read([each[0] if each else None for each in sets])
    several = [i for i, each in enumerate(sets) if len(each) > 1]
    if several:
        rows = store.read([key for i in several for key in sets[i]])
        found[several] = pool_rows(rows, [len(sets[i]) for i in several], pooling)
    return found
