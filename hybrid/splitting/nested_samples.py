"""Nested samples of items: stratified by labels, groups whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.splitting.stratification import assign_parts

Rows = NDArray[np.int64]


def sample_sizes(items: int, start: int) -> tuple[int, ...]:
    """Sizes of the samples: `start`, then twice as many each time, and all items last.

    Parameters
    ----------
    items : int
        Number of items, 1 or more.
    start : int
        Items of the first sample, 1 or more.

    Returns
    -------
    tuple of int
        Increasing; a last step of less than a quarter is part of the one before it.

    Examples
    --------
    >>> sample_sizes(2_000, 250)
    (250, 500, 1000, 2000)
    >>> sample_sizes(1_100, 250), sample_sizes(90, 250)
    ((250, 500, 1100), (90,))
    """
    sizes, size = [], start
    while size * 1.25 < items:
        sizes.append(size)
        size *= 2
    return (*sizes, items)


def nested_samples(
    ids: NDArray[Any],
    labels: NDArray[Any],
    groups: NDArray[Any],
    sizes: Sequence[int],
    seed: int,
) -> tuple[Rows, ...]:
    """Draw nested samples of about these sizes by iterative stratification; groups are never divided.

    Parameters
    ----------
    ids : ndarray of shape (n,), str
        Unique.
    labels : ndarray of shape (n, L)
        1 where the item has the label.
    groups : ndarray of shape (n,)
    sizes : sequence of int
        Increasing, n last.
    seed : int

    Returns
    -------
    tuple of ndarray
        Row numbers, sorted; each sample is a part of the next, and the last has all rows. Those that would be
        empty, or the same as the one before, as with few groups, are left out.

    Examples
    --------
    >>> ids, groups = np.arange(8).astype(str), np.array(list("aabbcdef"))
    >>> small, whole = nested_samples(ids, np.ones((8, 1)), groups, (4, 8), seed=0)
    >>> len(small), len(whole), bool(set(small) <= set(whole))
    (4, 8, True)
    """
    total = sizes[-1]
    shares = [(size - before) / total for before, size in zip((0, *sizes[:-1]), sizes, strict=True)]
    part = assign_parts(ids.astype(str), labels, groups.astype(str), shares, seed)
    found: list[Rows] = []
    for last in range(len(sizes)):
        rows = np.flatnonzero(part <= last)
        if len(rows) > (len(found[-1]) if found else 0):
            found.append(rows)
    return tuple(found)
