"""Iterative stratification for multi-label data, with groups.

Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-label Data", ECML PKDD 2011. Here whole
groups are assigned, and their order comes from SHA-256 of the seed and the ids, so that the same seed
gives the same split on any machine and whatever the order of the rows.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray


def assign_parts(
    ids: NDArray[Any],
    labels: NDArray[Any],
    groups: NDArray[Any],
    shares: Sequence[float],
    seed: int,
) -> NDArray[np.int64]:
    """Assign items to parts by iterative stratification; a group is never divided.

    Parameters
    ----------
    ids : ndarray of shape (n,), str
        Unique.
    labels : ndarray of shape (n, L)
        Not 0 where the item has the label; L may be 0.
    groups : ndarray of shape (n,), str
    shares : sequence of P floats
        They add up to 1.
    seed : int

    Returns
    -------
    ndarray of shape (n,), int64
        The part of each item, from 0 to ``P - 1``.

    Examples
    --------
    >>> ids = np.arange(8).astype(str)
    >>> groups = np.array(list("aabbcdef"))
    >>> part = assign_parts(ids, np.ones((8, 1)), groups, (0.5, 0.5), seed=0)
    >>> np.bincount(part).tolist(), bool(part[0] == part[1])
    ([4, 4], True)
    """
    names, member = np.unique(groups, return_inverse=True)
    order = _order(ids, member, len(names), seed)
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    member = rank[member]
    counts = np.zeros((len(names), labels.shape[1]), dtype=np.int64)
    np.add.at(counts, member, (labels != 0).astype(np.int64))
    sizes = np.bincount(member, minlength=len(names))
    part = _stratify(counts, sizes, _whole_shares(shares))
    _spread_rare(part, counts, shares)
    return part[member]


def _order(ids: NDArray[Any], member: NDArray[Any], n_groups: int, seed: int) -> NDArray[np.int64]:
    """The groups in an order that depends on the seed and their ids alone."""
    first: list[str | None] = [None] * n_groups
    for name, group in zip(ids.tolist(), member.tolist(), strict=True):
        known = first[group]
        if known is None or name < known:
            first[group] = name
    keys = [hashlib.sha256(f"{seed}\0{name}".encode()).digest() for name in first]
    return np.array(sorted(range(n_groups), key=keys.__getitem__), dtype=np.int64)


def _whole_shares(shares: Sequence[float]) -> list[int]:
    """Shares as whole numbers in the same ratio: floats round differently from machine to machine."""
    fractions = [Fraction(share).limit_denominator(10**6) for share in shares]
    common = math.lcm(*(fraction.denominator for fraction in fractions))
    return [int(fraction * common) for fraction in fractions]


def _stratify(
    counts: NDArray[np.int64], sizes: NDArray[np.int64], shares: Sequence[int]
) -> NDArray[np.int64]:
    """Assign groups, the rarest label first, each to the part that lacks most of that label."""
    n_groups, unit = len(counts), sum(shares)
    wanted = [
        list(w)
        for w in zip(*(_wanted(c, shares) for c in counts.sum(axis=0).tolist()), strict=True)
    ]
    room = [share * int(sizes.sum()) for share in shares]
    open_parts = [p for p, share in enumerate(shares) if share > 0]
    part = np.full(n_groups, -1, dtype=np.int64)
    holders = (counts > 0).sum(axis=0)
    labels_of = [np.flatnonzero(row).tolist() for row in counts]

    def place(group: int, label: int | None) -> None:
        lack = [0 if label is None else wanted[p][label] for p in range(len(shares))]
        chosen = max(open_parts, key=lambda p: (lack[p], room[p], -p))
        part[group] = chosen
        room[chosen] -= unit * int(sizes[group])
        for j in labels_of[group]:
            wanted[chosen][j] -= unit * int(counts[group, j])
            holders[j] -= 1

    while (holders > 0).any():
        label = int(np.where(holders > 0, holders, np.iinfo(np.int64).max).argmin())
        for group in np.flatnonzero((counts[:, label] > 0) & (part < 0)).tolist():
            place(group, label)
    for group in np.flatnonzero(part < 0).tolist():
        place(group, None)
    return part


def _wanted(count: int, shares: Sequence[int]) -> list[int]:
    """How many items of a label each part wants: its share, but one at least, from the largest.

    All counts are times ``sum(shares)``, so that they are whole numbers.
    """
    unit = sum(shares)
    largest = max(range(len(shares)), key=lambda p: shares[p])
    wanted = [max(share * count, unit) if share > 0 else 0 for share in shares]
    wanted[largest] += unit * count - sum(wanted)
    return wanted


def _spread_rare(
    part: NDArray[np.int64], counts: NDArray[np.int64], shares: Sequence[float]
) -> None:
    """Move single groups, in place, so that each label is in every part.

    A label is missing from a part only if no single group can be moved without removing a label from
    another part, which takes very few items or large groups.
    """
    held = counts > 0
    parts = [p for p, share in enumerate(shares) if share > 0]
    have = np.array([held[part == p].sum(axis=0) for p in range(len(shares))])
    for label in np.argsort(held.sum(axis=0), kind="stable").tolist():
        if held[:, label].sum() < len(parts):
            continue
        for lacking in [p for p in parts if have[p, label] == 0]:
            for group in np.flatnonzero(held[:, label]).tolist():
                source = part[group]
                if (have[source, held[group]] >= 2).all():
                    part[group] = lacking
                    have[source] -= held[group]
                    have[lacking] += held[group]
                    break
