"""Train, validation and test splits: stratified, random, k-fold, temporal; and splits.csv."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid.errors import SettingError
from hybrid.split_types import SplitMethod
from hybrid.splitting.balance import tolerance
from hybrid.splitting.group_counts import number_values
from hybrid.splitting.legacy_2017 import draw_cells
from hybrid.splitting.stratification import assign_parts
from hybrid.types import PARTS, UNUSED, Split
from hybrid.utils.counts import counted

SHARES = (0.7, 0.1, 0.2)
BLOCK = 2**16  # lines that are hashed at a time


def make_split(
    ids: ArrayLike,
    labels: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    stratify: bool = True,
) -> Split:
    """Split items into train, validation and test by iterative stratification with groups.

    Each label, and the number of items, misses its share of a part by no more than `stratification_tolerance`
    gives. A label that fewer groups have than there are parts is in train, as far as the others allow it.

    Parameters
    ----------
    ids : array-like of shape (n,), str
        Unique.
    labels : array-like of shape (n, L)
        1 where the item has the label.
    groups : array-like of shape (n,), str, optional
        Items of one group are in one part. By default each item is its own group.
    shares : sequence of 3 floats, default=(0.7, 0.1, 0.2)
        Shares of train, validation and test; they add up to 1.
    seed : int, default=0
        The same seed gives the same split, whatever the machine and the order of the rows.
    stratify : bool, default=True
        False: at random; labels have their share only by chance.

    Returns
    -------
    Split

    Raises
    ------
    SettingError
        If shapes, shares or ids are wrong.

    Examples
    --------
    >>> ids = [f"f{i}" for i in range(10)]
    >>> labels = [[1, 0], [0, 1]] * 5
    >>> split = make_split(ids, labels, shares=(0.6, 0.2, 0.2))
    >>> [sum(split.parts == part).item() for part in PARTS]
    [6, 2, 2]
    """
    ids = np.asarray(ids).astype(str)
    groups = ids if groups is None else np.asarray(groups).astype(str)
    labels = np.asarray(labels)
    _check_shares(shares)
    _check(ids, labels, groups, shares)
    parts = np.array(PARTS)[
        assign_parts(ids, labels if stratify else labels[:, :0], groups, shares, seed, home=0)
    ]
    method = SplitMethod("iterative" if stratify else "random", seed, tuple(shares))
    return _split(ids, parts, groups, method)


def make_folds(
    ids: ArrayLike,
    labels: ArrayLike,
    n_folds: int,
    *,
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Assign items to folds of equal shares, by iterative stratification with groups.

    Parameters
    ----------
    ids, labels, groups, seed
        As in `make_split`.
    n_folds : int
        1 or more.

    Returns
    -------
    ndarray of shape (n,), int64
        The fold of each item, 0 to ``n_folds - 1``.

    Raises
    ------
    SettingError
        If shapes, ids or `n_folds` are wrong.

    Examples
    --------
    >>> folds = make_folds(["a", "b", "c", "d"], [[1], [1], [0], [0]], 2)
    >>> np.bincount(folds).tolist()
    [2, 2]
    """
    ids = np.asarray(ids).astype(str)
    groups = ids if groups is None else np.asarray(groups).astype(str)
    labels = np.asarray(labels)
    if n_folds < 1:
        raise SettingError(f"n_folds: expected 1 or more, found {n_folds}.")
    shares = [1 / n_folds] * n_folds
    _check(ids, labels, groups, shares)
    return assign_parts(ids, labels, groups, shares, seed)


def make_fold_splits(
    ids: ArrayLike,
    labels: ArrayLike,
    n_folds: int,
    *,
    groups: ArrayLike | None = None,
    validation: float = SHARES[1],
    seed: int = 0,
) -> list[Split]:
    """Make the splits of a k-fold cross-validation: each fold is the test part of one of them.

    Parameters
    ----------
    ids, labels, groups, seed
        As in `make_split`.
    n_folds : int
        At least 2.
    validation : float, default=0.1
        Share of all items; taken from the other folds.

    Returns
    -------
    list of n_folds Split

    Raises
    ------
    SettingError
        If shapes, ids or shares are wrong.

    Examples
    --------
    >>> splits = make_fold_splits(list("abcdef"), [[1], [0]] * 3, 3, validation=0.0)
    >>> [split.ids[split.parts == "test"].size for split in splits]
    [2, 2, 2]
    """
    ids = np.asarray(ids).astype(str)
    groups = ids if groups is None else np.asarray(groups).astype(str)
    labels = np.asarray(labels)
    if n_folds < 2 or not 0 <= validation < 1 - 1 / n_folds:
        raise SettingError(
            "expected 2 folds or more, and a share of validation that leaves something to train on, found "
            f"{counted(n_folds, 'fold')}, validation {validation}."
        )
    folds = make_folds(ids, labels, n_folds, groups=groups, seed=seed)
    inner = validation / (1 - 1 / n_folds)
    splits = []
    for fold in range(n_folds):
        rest = folds != fold
        parts = np.full(len(ids), "test", dtype=object)
        assigned = assign_parts(
            ids[rest], labels[rest], groups[rest], (1 - inner, inner), seed, home=0
        )
        parts[rest] = np.array(PARTS[:2])[assigned]
        shares = 1 - validation - 1 / n_folds, validation, 1 / n_folds
        method = SplitMethod("kfold", seed, shares, folds=n_folds, fold=fold)
        splits.append(_split(ids, parts.astype(str), groups, method))
    return splits


def make_temporal_split(
    ids: ArrayLike,
    times: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    shares: Sequence[float] = SHARES,
) -> Split:
    """Split items by time: the oldest are train, the newest test.

    Nothing in train is as new as anything in validation or test. A group goes where its newest item
    belongs. A cut is between two different times, the nearest to the wanted share that leaves each part with
    a share a time, where there are as many different ones.

    Parameters
    ----------
    ids, groups, shares
        As in `make_split`.
    times : array-like of shape (n,), float
        Any number that grows with time; NaN where unknown. Groups without any time are ``unused``.

    Returns
    -------
    Split

    Raises
    ------
    SettingError
        If shapes, shares or ids are wrong, or there is no time at all.

    Examples
    --------
    >>> make_temporal_split(["a", "b", "c"], [2001, 1990, 2020], shares=(1 / 3, 1 / 3, 1 / 3)).parts.tolist()
    ['validation', 'train', 'test']
    """
    ids = np.asarray(ids).astype(str)
    groups = ids if groups is None else np.asarray(groups).astype(str)
    times = np.asarray(times, dtype=np.float64)
    _check_shares(shares)
    _check(ids, times[:, None], groups, shares)
    when = group_times(times, groups)
    dated = np.sort(when[np.isfinite(when)])
    if not len(dated):
        raise SettingError("times: expected a number for some items, found none.")
    parts = np.full(len(ids), UNUSED, dtype=object)
    parts[np.isfinite(when)] = "train"
    for part, cut in zip(PARTS[1:], _cuts(dated, shares), strict=True):
        parts[when >= cut] = part
    method = SplitMethod("temporal", shares=tuple(shares))
    return _split(ids, parts.astype(str), groups, method)


def group_times(times: NDArray[np.float64], groups: NDArray[Any]) -> NDArray[np.float64]:
    """The newest time in the group of each item; ``-inf`` where the group has none.

    Parameters
    ----------
    times : ndarray of shape (n,)
        NaN where unknown.
    groups : ndarray of shape (n,)

    Examples
    --------
    >>> group_times(np.array([1990.0, np.nan, 2001.0]), np.array(["a", "a", "b"])).tolist()
    [1990.0, 1990.0, 2001.0]
    """
    _, member = np.unique(groups, return_inverse=True)
    newest = np.full(member.max(initial=-1) + 1, -np.inf)
    np.fmax.at(newest, member, times)
    return newest[member]


def _cuts(times: NDArray[np.float64], shares: Sequence[float]) -> list[float]:
    """The oldest time of validation and of test, infinite where none has it; `times` are sorted."""
    starts = np.append(np.flatnonzero(np.diff(times, prepend=-np.inf)), len(times))
    wanted = np.cumsum(shares[:-1])
    nearest = np.abs(starts - wanted[:, None] * len(times)).argmin(axis=1)
    needed = [int(share > 0) for share in shares]
    if sum(needed) < len(
        starts
    ):  # a time for each part: the older cut first, which leaves enough behind it
        low = 0
        for part in range(len(nearest)):
            low += needed[part]
            high = len(starts) - 1 - sum(needed[part + 1 :])
            nearest[part] = low = min(max(nearest[part], low), high)
    return [float(np.append(times, np.inf)[start]) for start in starts[nearest]]


def make_legacy_split(
    ids: ArrayLike, labels: ArrayLike, *, shares: Sequence[float], seed: int = 0
) -> Split:
    """Reproduce the split of April 2017, which leaks: see `hybrid.splitting.legacy_2017`.

    An item that was drawn for both is in it twice, once in train or validation and once in test; one that
    was drawn for neither is ``unused``. Validation is taken, without overlap, from the items drawn for
    train.

    Parameters
    ----------
    ids, labels, shares, seed
        As in `make_split`.

    Returns
    -------
    Split

    Examples
    --------
    >>> labels = np.random.default_rng(0).random((200, 5)) < 0.3
    >>> split = make_legacy_split(np.arange(200), labels, shares=(0.8, 0.1, 0.1))
    >>> len(split.ids) > 200
    True
    """
    ids, labels = np.asarray(ids).astype(str), np.asarray(labels)
    _check_shares(shares)
    _check(ids, labels, ids, shares)
    learn, test = draw_cells(ids.tolist(), labels, shares[2], seed)
    inner = shares[1] / max(shares[0] + shares[1], 1e-12)
    assigned = assign_parts(ids[learn], labels[learn], ids[learn], (1 - inner, inner), seed, home=0)
    neither = ~(learn | test)
    parts = [
        *np.array(PARTS[:2])[assigned].tolist(),
        *["test"] * int(test.sum()),
        *[UNUSED] * int(neither.sum()),
    ]
    names = np.concatenate([ids[learn], ids[test], ids[neither]])
    method = SplitMethod("legacy-2017", seed, tuple(shares))
    return _split(names, np.array(parts), names, method)


def stratification_tolerance(labels: ArrayLike, groups: ArrayLike) -> NDArray[np.float64]:
    """Tolerance of `make_split`: by how many items each label may miss its share of a part.

    Three times the size of the largest group, and 2 % of the label's items. No guarantee can be proved
    for a greedy method with a local search; this is what the tests verify, and `hybrid split` tells where
    it is missed.

    Parameters
    ----------
    labels : array-like of shape (n, L)
    groups : array-like of shape (n,)

    Returns
    -------
    ndarray of shape (L,), float64

    Examples
    --------
    >>> stratification_tolerance([[1, 0]] * 100, range(100)).tolist()
    [5.0, 3.0]
    """
    present = np.asarray(labels) != 0
    _, sizes = np.unique(np.asarray(groups).astype(str), return_counts=True)
    return tolerance(present.sum(axis=0), int(sizes.max(initial=1)))


def _split(
    ids: NDArray[Any], parts: NDArray[Any], groups: NDArray[Any], method: SplitMethod
) -> Split:
    return Split(ids, parts, groups, split_hash(ids, parts), method)


def _check_shares(shares: Sequence[float]) -> None:
    if len(shares) != len(PARTS):
        raise SettingError(
            f"shares: expected {len(PARTS)} ({', '.join(PARTS)}), found {len(shares)}."
        )


def _check(
    ids: NDArray[Any], labels: NDArray[Any], groups: NDArray[Any], shares: Sequence[float]
) -> None:
    problems = []
    if labels.ndim != 2 or len(labels) != len(ids):
        problems.append(f"labels: expected shape ({len(ids)}, L), found {labels.shape}.")
    if groups.shape != ids.shape:
        problems.append(f"groups: expected shape {ids.shape}, found {groups.shape}.")
    if number_values(ids)[1] != len(ids):
        problems.append("ids: expected each once, found some twice.")
    if any(not 0 <= s <= 1 for s in shares) or abs(sum(shares) - 1) > 1e-9:
        problems.append(f"shares: expected numbers from 0 to 1 that add up to 1, found {shares}.")
    if problems:
        raise SettingError("\n".join(problems))


def split_hash(ids: NDArray[Any], parts: NDArray[Any]) -> str:
    """Hash a split: SHA-256 of its ids and parts, whatever the order of its rows.

    Examples
    --------
    >>> one = split_hash(np.array(["a", "b"]), np.array(["train", "test"]))
    >>> one == split_hash(np.array(["b", "a"]), np.array(["test", "train"]))
    True
    """
    order = np.lexsort((parts, ids))  # as the lines below: no id has a NUL
    digest = hashlib.sha256()
    for start in range(0, len(ids), BLOCK):
        rows = order[start : start + BLOCK]
        lines = zip(ids[rows].tolist(), parts[rows].tolist(), strict=True)
        digest.update("".join(f"{name}\0{part}\n" for name, part in lines).encode())
    return digest.hexdigest()
