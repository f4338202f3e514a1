"""Resampling as item weights: group bootstrap, group jackknife and permutations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid.errors import SettingError

CHUNK_CELLS = 8_000_000  # draws x items at once: 64 MB once they are floats
PARTS = 2000  # of the jackknife, at most

Weights = NDArray[np.uint8]


@dataclass(frozen=True)
class Units:
    """Resampling units: each group of items, or each item.

    Parameters
    ----------
    of_item : ndarray of shape (n,), int64
        The unit of each item, below `count`.
    count : int
    """

    of_item: NDArray[np.int64]
    count: int


def make_units(items: int, groups: ArrayLike | None = None) -> Units:
    """Resampling units of items: each group is one; without groups, each item.

    Raises
    ------
    SettingError
        If there is not one group an item.

    Examples
    --------
    >>> make_units(4, ["a", "b", "a", "c"]).count
    3
    """
    if groups is None:
        return Units(np.arange(items), items)
    groups = np.asarray(groups)
    if groups.shape != (items,):
        raise SettingError(f"groups: expected shape ({items},), found {groups.shape}.")
    names, of_item = np.unique(groups, return_inverse=True)
    return Units(of_item.astype(np.int64), len(names))


def unit_weights(items: int) -> Weights:
    """Weights of the items as they are: 1 each, shape (1, n)."""
    return np.ones((1, items), np.uint8)


def bootstrap(units: Units, draws: int, seed: int) -> Iterator[Weights]:
    """Bootstrap weights of the items; units are drawn with replacement.

    Parameters
    ----------
    units : Units
    draws : int
    seed : int

    Yields
    ------
    ndarray of shape (some draws, n), uint8
        How often each draw has each item.

    Examples
    --------
    >>> [chunk] = bootstrap(make_units(3, ["a", "b", "b"]), draws=100, seed=0)
    >>> chunk.shape, bool((chunk[:, 1] == chunk[:, 2]).all())
    ((100, 3), True)
    """
    random = np.random.default_rng(seed)
    for size in _sizes(draws, units):
        picks = random.integers(0, units.count, size=(size, units.count))
        # No unit is drawn more than 255 times: the chance of it is below 1 in 10^500.
        counts = [np.bincount(pick, minlength=units.count).astype(np.uint8) for pick in picks]
        yield np.stack(counts)[:, units.of_item]


def jackknife(units: Units, seed: int = 0) -> Iterator[Weights]:
    """Jackknife weights: 0 for the items of one unit in turn, 1 for the others.

    Where there are more than `PARTS` units, that many random lots of units are left out instead. The
    influences of units add up, and so do the sums of squares and cubes over lots, in expectation: the
    acceleration that is computed from them stays the same.

    Examples
    --------
    >>> [weights] = jackknife(make_units(3))
    >>> weights.sum(axis=1).tolist()
    [2, 2, 2]
    """
    lots = min(units.count, PARTS)
    lot = np.random.default_rng(seed).permutation(units.count) % lots
    of_item = lot[units.of_item]
    start = 0
    for size in _sizes(lots, units):
        left_out = np.arange(start, start + size)
        yield (of_item != left_out[:, None]).astype(np.uint8)
        start += size


def swaps(units: Units, draws: int, seed: int) -> Iterator[Weights]:
    """Random weights of a permutation test: 1 where two models keep their outputs, 0 where they swap."""
    random = np.random.default_rng(seed)
    for size in _sizes(draws, units):
        yield random.integers(0, 2, size=(size, units.count), dtype=np.uint8)[:, units.of_item]


def _sizes(draws: int, units: Units) -> Iterator[int]:
    """How many draws each chunk has."""
    size = max(1, CHUNK_CELLS // max(len(units.of_item), 1))
    for start in range(0, draws, size):
        yield min(size, draws - start)
