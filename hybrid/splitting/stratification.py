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
from numpy.typing import NDArray

from hybrid.splitting.balance import Balance
from hybrid.splitting.group_counts import GroupCounts, count_labels, number_values

# How far a part may be filled beyond its share, as a share of all items, and by one largest group more.
OVERFLOW = 0.01
# Share of a part that labels of few items may claim beyond their own share, so that each part has one.
CLAIMS = 0.5
LARGEST = 2**62  # of the numbers that are computed with
BLOCK = 2**16  # ids that are hashed at a time


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
    member = _number_groups(ids, groups, seed)
    counts = count_labels(labels, member)
    whole = _whole_shares(shares, len(ids) * (labels.shape[1] + 1))
    balance = Balance(counts, _deal(counts, whole, home), whole)
    balance.reduce_excess()
    balance.spread_rare()
    balance.fill_empty()
    return balance.part[member]


def _number_groups(ids: NDArray[Any], groups: NDArray[Any], seed: int) -> NDArray[np.int64]:
    """The number of each item's group, in an order that depends on the seed and the ids alone."""
    member, n_groups = number_values(groups)
    by_id = np.argsort(ids, kind="stable")
    place = np.empty(len(ids), dtype=np.int64)
    place[by_id] = np.arange(len(ids))
    smallest = np.full(n_groups, len(ids), dtype=np.int64)
    np.minimum.at(smallest, member, place)
    order = _order(ids, by_id[smallest], seed)
    rank = np.empty(n_groups, dtype=np.int64)
    rank[order] = np.arange(n_groups)
    return rank[member]


def _order(ids: NDArray[Any], first: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The groups by SHA-256 of the seed and their smallest ids, which are at `first`."""

    def digest(group: int) -> bytes:
        return _digest(seed, ids[first[group]])

    heads = np.empty(len(first), dtype=np.uint64)
    for start in range(0, len(first), BLOCK):
        some = ids[first[start : start + BLOCK]].tolist()
        digests = b"".join(_digest(seed, name)[:8] for name in some)
        heads[start : start + BLOCK] = np.frombuffer(digests, dtype=">u8")
    order = np.argsort(heads, kind="stable")
    tied = np.flatnonzero(heads[order[1:]] == heads[order[:-1]])
    if len(tied):  # a sort of all that are tied leaves those of equal heads where they are
        tied = np.union1d(tied, tied + 1)
        order[tied] = sorted(order[tied].tolist(), key=digest)
    return order


def _digest(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()


def _whole_shares(shares: Sequence[float], most: int) -> list[int]:
    """Shares as whole numbers in the same ratio: floats round differently from machine to machine.

    Times `most`, their sum is a number of 64 bits; where the ratio would need larger ones, it is rounded.
    """
    fractions = [Fraction(share).limit_denominator(10**6) for share in shares]
    common = math.lcm(*(fraction.denominator for fraction in fractions))
    common = min(common, LARGEST // max(most, 1))
    return [int(fraction * common) for fraction in fractions]


def _deal(counts: GroupCounts, shares: Sequence[int], home: int | None) -> NDArray[np.int64]:
    """Assign groups, the rarest label first, each to the part that lacks most of that label."""
    from hybrid.splitting.dealing import Dealt, bring_home, deal

    unit, n = sum(shares), int(counts.sizes.sum())
    open_parts = [p for p, share in enumerate(shares) if share > 0]
    totals, holders = _label_totals(counts), counts.holders[:-1].copy()
    rare = holders < len(open_parts)
    dealt = Dealt(
        part=np.full(len(counts.sizes), -1, dtype=np.int64),
        room=np.array([share * n for share in shares], dtype=np.int64),
        wanted=_wanted(totals, n, shares, rare),
        holders=holders,
    )
    if home is not None and home in open_parts:
        bring_home(counts, dealt, rare, home, unit)
        dealt.holders[rare] = 0  # the others of their groups decide
    overflow = unit * int(counts.sizes.max(initial=0)) + int(OVERFLOW * unit * n)
    deal(counts, dealt, np.array(open_parts, dtype=np.int64), unit, overflow)
    return dealt.part


def _label_totals(counts: GroupCounts) -> list[int]:
    """How many items have each label."""
    totals = np.bincount(counts.labels, counts.items, minlength=len(counts.holders))
    return [int(total) for total in totals[:-1]]


def _wanted(
    totals: list[int], n: int, shares: Sequence[int], rare: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """How many items of a label each part wants: its share, and one at least where it can be had.

    The one is taken from the largest part. Labels of few items that claim more than a part has for
    them are not promised it, the rarest first.
    """
    unit = sum(shares)
    wanted = [[share * total for total in totals] for share in shares]
    largest = max(range(len(shares)), key=lambda p: shares[p])
    for p in (p for p, share in enumerate(shares) if share > 0 and p != largest):
        claims = int(CLAIMS * shares[p] * n)
        for j in sorted(range(len(totals)), key=lambda j: (-totals[j], j)):
            claim = unit - shares[p] * totals[j]
            if claim <= 0 or rare[j]:
                continue
            claims -= claim
            if claims < 0:
                break
            wanted[p][j] += claim
            wanted[largest][j] -= claim
    return np.array(wanted, dtype=np.int64).reshape(len(shares), len(totals))
