"""Iterative stratification for multi-label data, with groups.

Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-label Data", ECML PKDD 2011. Here whole
groups are assigned, no part takes more than its share of the items, and the order comes from SHA-256 of
the seed and the ids, so that the same seed gives the same split on any machine and whatever the order of the
rows.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from hybrid.splitting.balance import Balance

# How far a part may be filled beyond its share, as a share of all items, and by one largest group more.
OVERFLOW = 0.01
# Share of a part that labels of few items may claim beyond their own share, so that each part has one.
CLAIMS = 0.5


def assign_parts(
    ids: NDArray[Any],
    labels: NDArray[Any],
    groups: NDArray[Any],
    shares: Sequence[float],
    seed: int,
    *,
    home: int | None = None,
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
    home : int, optional
        The part for labels that fewer groups have than there are parts, as far as the other labels and the
        size of the part allow. By default they are spread over the parts.

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
    counts = _count(labels, member, len(names))
    sizes = np.bincount(member, minlength=len(names))
    whole = _whole_shares(shares)
    part = _Dealer(counts, sizes, whole, home).deal()
    balance = Balance(counts, sizes, part, whole)
    balance.reduce_excess()
    balance.spread_rare()
    balance.fill_empty()
    return balance.part[member]


def _count(labels: NDArray[Any], member: NDArray[np.int64], n_groups: int) -> Any:
    """How many items of each group have each label: sparse, shape (groups, L)."""
    rows, columns = np.nonzero(labels)
    shape = (n_groups, labels.shape[1])
    counts = sp.coo_array((np.ones(len(rows), dtype=np.int64), (member[rows], columns)), shape)
    counts = counts.tocsr()  # repeated entries are added
    counts.sort_indices()
    return counts


def _order(
    ids: NDArray[Any], member: NDArray[np.int64], n_groups: int, seed: int
) -> NDArray[np.int64]:
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


class _Dealer:
    """Assign groups, the rarest label first, each to the part that lacks most of that label.

    All counts are times the sum of the shares, so that they are whole numbers.
    """

    def __init__(
        self, counts: Any, sizes: NDArray[np.int64], shares: Sequence[int], home: int | None
    ) -> None:
        self.shares, self.unit = shares, sum(shares)
        self.sizes = sizes.tolist()
        self.open = [p for p, share in enumerate(shares) if share > 0]
        self.home = home if home is None or home in self.open else None
        self.rows = [
            (counts.indices[a:b].tolist(), counts.data[a:b].tolist())
            for a, b in zip(counts.indptr[:-1], counts.indptr[1:], strict=True)
        ]
        by_label = counts.tocsc()
        by_label.sort_indices()
        self.groups_of = (
            np.split(by_label.indices, by_label.indptr[1:-1]) if counts.shape[1] else []
        )
        self.holders = np.diff(by_label.indptr).astype(np.int64)
        self.rare = self.holders < len(self.open)
        n = int(sizes.sum())
        self.room = [share * n for share in shares]
        self.overflow = self.unit * int(sizes.max(initial=0)) + int(OVERFLOW * self.unit * n)
        self.wanted = self._wanted(counts.sum(axis=0).tolist(), n)
        self.part = np.full(len(sizes), -1, dtype=np.int64)

    def _wanted(self, totals: list[int], n: int) -> list[list[int]]:
        """How many items of a label each part wants: its share, and one at least where it can be had.

        The one is taken from the largest part. Labels of few items that claim more than a part has for
        them are not promised it, the rarest first.
        """
        wanted = [[share * total for total in totals] for share in self.shares]
        largest = max(range(len(self.shares)), key=lambda p: self.shares[p])
        for p in (p for p in self.open if p != largest):
            claims = int(CLAIMS * self.shares[p] * n)
            for j in sorted(range(len(totals)), key=lambda j: (-totals[j], j)):
                claim = self.unit - self.shares[p] * totals[j]
                if claim <= 0 or self.rare[j]:
                    continue
                claims -= claim
                if claims < 0:
                    break
                wanted[p][j] += claim
                wanted[largest][j] -= claim
        return wanted

    def deal(self) -> NDArray[np.int64]:
        """The part of each group."""
        if self.home is not None:
            for label in np.flatnonzero(self.rare).tolist():
                self._bring_home(label)
            self.holders[self.rare] = 0  # the others of their groups decide
        done = np.iinfo(np.int64).max
        while (self.holders > 0).any():
            label = int(np.where(self.holders > 0, self.holders, done).argmin())
            for group in self.groups_of[label].tolist():
                if self.part[group] < 0:
                    self._place(group, label)
        for group in np.flatnonzero(self.part < 0).tolist():
            self._place(group, None)
        return self.part

    def _bring_home(self, label: int) -> None:
        """Place the groups of a rare label in the home part, as long as the other labels leave room there."""
        assert self.home is not None
        wanted = self.wanted[self.home]
        for group in self.groups_of[label].tolist():
            if self.part[group] >= 0:
                continue
            fits = self.room[self.home] >= self.unit * self.sizes[group] and all(
                self.rare[j] or wanted[j] >= self.unit * count
                for j, count in zip(*self.rows[group], strict=True)
            )
            if fits:
                self._put(group, self.home)

    def _place(self, group: int, label: int | None) -> None:
        size = self.unit * self.sizes[group]
        fit = [p for p in self.open if self.room[p] + self.overflow >= size] or self.open
        lack = [0 if label is None else self.wanted[p][label] for p in range(len(self.shares))]
        self._put(group, max(fit, key=lambda p: (lack[p], self.room[p], -p)))

    def _put(self, group: int, chosen: int) -> None:
        self.part[group] = chosen
        self.room[chosen] -= self.unit * self.sizes[group]
        wanted = self.wanted[chosen]
        for j, count in zip(*self.rows[group], strict=True):
            wanted[j] -= self.unit * count
        self.holders[self.rows[group][0]] -= 1
