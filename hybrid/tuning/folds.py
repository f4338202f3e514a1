"""Folds of the texts that an encoder learns from: equal texts, and groups of the split, in one fold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hybrid.heads.cross_fitting import assign_folds


def join_groups(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.int64]:
    """Group items that share a value of one of two properties, directly or through others.

    Parameters
    ----------
    first, second : ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (n,), int64
        Number of each item's group.

    Examples
    --------
    >>> join_groups(np.array(["a", "a", "b", "c"]), np.array([1, 2, 2, 3])).tolist()
    [0, 0, 0, 1]
    """
    _, one = np.unique(first, return_inverse=True)
    _, two = np.unique(second, return_inverse=True)
    start, n = int(one.max(initial=-1)) + 1, len(one)
    size = start + int(two.max(initial=-1)) + 1
    pairs = coo_array((np.ones(n, dtype=bool), (one, start + two)), shape=(size, size))
    return np.asarray(connected_components(pairs, directed=False)[1][one], dtype=np.int64)


def plan_folds(
    labels: NDArray[np.uint8],
    n_folds: int,
    groups: NDArray[Any],
    numbers: NDArray[np.uint64],
    seed: int,
    ids: NDArray[Any],
) -> NDArray[np.int64]:
    """Assign items to the folds of the encoders, stratified by their labels.

    Parameters
    ----------
    labels : ndarray of shape (n, L), uint8
    n_folds : int
    groups : ndarray of shape (n,)
        Of the split.
    numbers : ndarray of shape (n,), uint64
        Of the items' texts; see `hybrid.text_encoders.tuned.text_numbers`.
    seed : int
    ids : ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (n,), int64
        Numbers from 0.

    Raises
    ------
    SettingError
        If there are fewer groups than folds.

    Examples
    --------
    >>> labels = np.array([[1], [1], [0], [0]], np.uint8)
    >>> ids, texts = np.arange(4), np.array([5, 5, 6, 7], np.uint64)
    >>> fold = plan_folds(labels, 2, ids, texts, 0, ids)
    >>> bool(fold[0] == fold[1])
    True
    """
    return assign_folds(labels, n_folds, join_groups(groups, numbers), seed, ids=ids)
