"""Compiled loops of the stratification, imported only when needed: numba is slow to load."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid.splitting.group_counts import GroupCounts
from hybrid.utils.jit import jit


class Dealt(NamedTuple):
    """What has been dealt to P parts, and what they lack; all is changed by `deal`.

    Items are counted times the sum of the shares, so that shares of them are whole numbers.

    Parameters
    ----------
    part : ndarray of shape (G,), int64
        The part of each group; -1 where it has none yet.
    room : ndarray of shape (P,), int64
        Items that each part lacks.
    wanted : ndarray of shape (P, L), int64
        Items of each label that each part lacks.
    holders : ndarray of shape (L,), int64
        Groups of each label that have no part; 0 or less for a label that decides nothing.
    """

    part: NDArray[np.int64]
    room: NDArray[np.int64]
    wanted: NDArray[np.int64]
    holders: NDArray[np.int64]


@jit()
def deal(
    counts: GroupCounts, dealt: Dealt, open_parts: NDArray[np.int64], unit: int, overflow: int
) -> None:
    """Give each group a part: the groups of the rarest label first, then those that have none.

    Parameters
    ----------
    counts : GroupCounts
    dealt : Dealt
    open_parts : ndarray of int64
        Parts that have a share, ascending.
    unit : int
        Sum of the shares.
    overflow : int
        How far a part may be filled beyond its share.
    """
    while True:
        label = -1
        for other in range(len(dealt.holders)):
            rarer = label < 0 or dealt.holders[other] < dealt.holders[label]
            if dealt.holders[other] > 0 and rarer:
                label = other
        if label < 0:
            break
        for at in range(counts.label_starts[label], counts.label_starts[label + 1]):
            _place(counts, dealt, open_parts, unit, overflow, counts.groups[at], label)
    for group in range(len(dealt.part)):
        _place(counts, dealt, open_parts, unit, overflow, group, -1)


@jit()
def bring_home(
    counts: GroupCounts, dealt: Dealt, rare: NDArray[np.bool_], home: int, unit: int
) -> None:
    """Give groups of rare labels the home part, as long as the other labels leave room there.

    Parameters
    ----------
    counts : GroupCounts
    dealt : Dealt
    rare : ndarray of shape (L,), bool
    home : int
    unit : int
        Sum of the shares.
    """
    for label in range(len(rare)):
        if rare[label]:
            for at in range(counts.label_starts[label], counts.label_starts[label + 1]):
                group = counts.groups[at]
                if dealt.part[group] < 0 and _fits(counts, dealt, rare, home, unit, group):
                    _put(counts, dealt, unit, group, home)


@jit()
def _fits(
    counts: GroupCounts,
    dealt: Dealt,
    rare: NDArray[np.bool_],
    home: int,
    unit: int,
    group: int,
) -> bool:
    last = counts.starts[group + 1] - 1
    if dealt.room[home] < unit * counts.items[last]:
        return False
    for at in range(counts.starts[group], last):
        label = counts.labels[at]
        if not rare[label] and dealt.wanted[home, label] < unit * counts.items[at]:
            return False
    return True


@jit()
def _place(
    counts: GroupCounts,
    dealt: Dealt,
    open_parts: NDArray[np.int64],
    unit: int,
    overflow: int,
    group: int,
    label: int,
) -> None:
    """Put a group that has no part into the one that lacks most of a label, of those that have room."""
    if dealt.part[group] >= 0:
        return
    size = unit * counts.items[counts.starts[group + 1] - 1]
    none_fits = True
    for p in open_parts:
        if dealt.room[p] + overflow >= size:
            none_fits = False
    best, most = -1, 0
    for p in open_parts:
        if none_fits or dealt.room[p] + overflow >= size:
            lack = dealt.wanted[p, label] if label >= 0 else 0
            if best < 0 or lack > most or (lack == most and dealt.room[p] > dealt.room[best]):
                best, most = p, lack
    _put(counts, dealt, unit, group, best)


@jit()
def _put(counts: GroupCounts, dealt: Dealt, unit: int, group: int, chosen: int) -> None:
    last = counts.starts[group + 1] - 1
    dealt.part[group] = chosen
    dealt.room[chosen] -= unit * counts.items[last]
    for at in range(counts.starts[group], last):
        dealt.wanted[chosen, counts.labels[at]] -= unit * counts.items[at]
        dealt.holders[counts.labels[at]] -= 1


@jit()
def add_up(
    counts: GroupCounts,
    part: NDArray[np.int64],
    items: NDArray[np.int64],
    groups: NDArray[np.int64],
) -> None:
    """Add to `items` and `groups`, of shape (P, L + 1), how many of each label each part has."""
    for group in range(len(part)):
        for at in range(counts.starts[group], counts.starts[group + 1]):
            items[part[group], counts.labels[at]] += counts.items[at]
            groups[part[group], counts.labels[at]] += 1


@jit()
def first_of(
    groups: NDArray[np.int32], part: NDArray[np.int64], wanted: int, most: int
) -> NDArray[np.int32]:
    """The first of some groups that are in a part; at most so many."""
    found, n = np.empty(most, dtype=np.int32), 0
    for group in groups:
        if n == most:
            break
        if part[group] == wanted:
            found[n] = group
            n += 1
    return found[:n]


@jit()
def changes(
    counts: GroupCounts,
    groups: NDArray[np.int32],
    off: NDArray[np.int64],
    allowed: NDArray[np.int64],
    unit: int,
) -> NDArray[np.int64]:
    """See `Balance._changes`; `off`, of shape (2, L + 1), is that of the parts that lose and win a group."""
    found = np.zeros(len(groups), dtype=np.int64)
    for place in range(len(groups)):
        group = groups[place]
        for at in range(counts.starts[group], counts.starts[group + 1]):
            j, moved = counts.labels[at], unit * counts.items[at]
            for side in range(2):
                before = off[side, j]
                after = before - moved if side == 0 else before + moved
                found[place] += max(abs(after) - allowed[j], 0) - max(abs(before) - allowed[j], 0)
    return found
