"""Folds of the texts that an encoder learns from: equal texts, and groups of the split, in one fold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hybrid.heads.cross_fitting import assign_folds

CARVED = 10  # one part of so many stops a training where no validation items can


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
    labels: NDArray[np.uint8], n_folds: int, groups: NDArray[Any], seed: int, ids: NDArray[Any]
) -> NDArray[np.int64]:
    """Assign items to the folds of the encoders, stratified by their labels.

    Parameters
    ----------
    labels : ndarray of shape (n, L), uint8
    n_folds : int
    groups : ndarray of shape (n,)
        Kept whole: see `join_groups`.
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
    >>> fold = plan_folds(labels, 2, np.array([5, 5, 6, 7]), 0, np.arange(4))
    >>> bool(fold[0] == fold[1])
    True
    """
    return assign_folds(labels, n_folds, groups, seed, ids=ids)


def carve_watched(
    rows: NDArray[np.int64],
    validation: NDArray[np.bool_],
    labels: NDArray[np.uint8],
    groups: NDArray[Any],
    seed: int,
    ids: NDArray[Any],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide the items of one encoder into those that it learns from and those that stop its training.

    The latter are the validation items of the split, without those in a group with items that are learnt
    from; where there are none, a tenth of the items. Those of the encoder's own fold are neither: their
    scores would be those of the epoch that suits them.

    Parameters
    ----------
    rows : ndarray of int
        Numbers of the items outside the encoder's fold.
    validation : ndarray of shape (n,), bool
    labels : ndarray of shape (n, L), uint8
    groups : ndarray of shape (n,)
        Kept whole: see `join_groups`.
    seed : int
    ids : ndarray of shape (n,)

    Returns
    -------
    learnt, watched : ndarray of int
        Parts of `rows`.

    Raises
    ------
    SettingError
        If the items are all in one group.

    Examples
    --------
    >>> validation, labels = np.array([False, False, True, True]), np.ones((4, 1), np.uint8)
    >>> groups = ids = np.arange(4)
    >>> [part.tolist() for part in carve_watched(np.array([0, 1, 3]), validation, labels, groups, 0, ids)]
    [[0, 1], [3]]
    """
    inside = validation[rows]
    watched = inside & ~np.isin(groups[rows], groups[rows[~inside]])
    if watched.any() and not watched.all():
        return rows[~watched], rows[watched]
    part = assign_folds(labels[rows], CARVED, groups[rows], seed, ids=ids[rows], fewer=True)
    return rows[part != 0], rows[part == 0]
