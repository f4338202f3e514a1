"""Local search that brings the labels and sizes of the parts of a split within their tolerance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hybrid.splitting.group_counts import GroupCounts

# The tolerance, see docs/splits.md: so many times the largest group, and so much of a label's items.
GROUPS, PERCENT = 3, 2
CANDIDATES = 2000  # groups that are looked at in one step, from each side
PARTNERS = 8  # groups that are tried for a swap
STEPS = 2  # moves and swaps, times the number of groups


def tolerance(totals: NDArray[np.int64], largest: int) -> NDArray[np.float64]:
    """By how many items a label may miss its share of a part.

    Parameters
    ----------
    totals : ndarray of shape (L,)
        Items that have each label.
    largest : int
        Size of the largest group.

    Examples
    --------
    >>> tolerance(np.array([100]), 1).tolist()
    [5.0]
    """
    return np.asarray(GROUPS * largest + PERCENT / 100 * totals, dtype=np.float64)


class Balance:
    """Parts of groups, and by how much each label, and the number of items, misses its share.

    Parameters
    ----------
    counts : GroupCounts
        Of L labels; the number of items is balanced as a label is that all items have.
    part : ndarray of shape (groups,), int64
        Changed in place.
    shares : sequence of P int
        In the ratio of the shares. All counts are times their sum, so that they are whole numbers.
    """

    def __init__(self, counts: GroupCounts, part: NDArray[np.int64], shares: Sequence[int]) -> None:
        from hybrid.splitting import dealing as loops

        self.loops = loops
        self.counts, self.part, self.unit = counts, part, sum(shares)
        self.open = [p for p, share in enumerate(shares) if share > 0]
        self.off = np.zeros((len(shares), len(counts.holders)), dtype=np.int64)
        self.have = np.zeros_like(self.off)
        loops.add_up(counts, part, self.off, self.have)
        totals = self.off.sum(axis=0)
        largest = int(counts.sizes.max(initial=1))
        self.allowed = self.unit * GROUPS * largest + self.unit * PERCENT * totals // 100
        self.off = self.unit * self.off - np.outer(shares, totals)

    def reduce_excess(self) -> None:
        """Move and swap groups until nothing is out of its tolerance, or no step helps."""
        stuck: set[tuple[int, int]] = set()
        for _ in range(STEPS * len(self.part)):
            beyond = np.abs(self.off) - self.allowed
            if stuck:
                beyond[tuple(np.array(sorted(stuck)).T)] = 0
            if beyond.max(initial=0) <= 0:
                break
            p, label = map(int, np.unravel_index(beyond.argmax(), beyond.shape))
            if self._mend(p, label):
                stuck.clear()
            else:
                stuck.add((p, label))

    def _mend(self, p: int, label: int) -> bool:
        """Move or swap groups so that a part has more, or less, of a label and the excess shrinks."""
        holders, everyone = (
            self.counts.groups_of(label),
            self.counts.groups_of(len(self.allowed) - 1),
        )
        best, moves = 0, list[tuple[int, int]]()
        for q in (q for q in self.open if q != p):
            source, target = (p, q) if self.off[p, label] > 0 else (q, p)
            leave = self.loops.first_of(holders, self.part, source, CANDIDATES)
            back = self.loops.first_of(everyone, self.part, target, CANDIDATES)
            change = self._changes(leave, source, target)
            for at in change.argsort(kind="stable")[:PARTNERS].tolist():
                group, total = int(leave[at]), int(change[at])
                if total < best:
                    best, moves = total, [(group, target)]
                self._move(group, target)
                changes = self._changes(back, target, source)
                self._move(group, source)
                partner = int(changes.argmin()) if len(back) else -1
                if len(back) and total + changes[partner] < best:
                    best = total + int(changes[partner])
                    moves = [(group, target), (int(back[partner]), source)]
        for group, target in moves:
            self._move(group, target)
        return bool(moves)

    def _changes(self, groups: NDArray[np.int32], source: int, target: int) -> NDArray[np.int64]:
        """By how much the excess would change if each of these groups were moved alone."""
        off = self.off[[source, target]]
        return np.asarray(self.loops.changes(self.counts, groups, off, self.allowed, self.unit))

    def _move(self, group: int, target: int) -> None:
        (j, items), source = self.counts.of_group(group), self.part[group]
        moved = self.unit * items.astype(np.int64)
        self.off[source, j] -= moved
        self.off[target, j] += moved
        self.have[source, j] -= 1
        self.have[target, j] += 1
        self.part[group] = target

    def spread_rare(self) -> None:
        """Move single groups so that each label is in every part.

        A label is missing from a part only if no single group can be moved without removing a label from
        another part, or taking something out of its tolerance.
        """
        holders = self.counts.holders
        missing = (self.have[self.open] == 0).any(axis=0) & (holders >= len(self.open))
        for label in np.argsort(holders, kind="stable").tolist():
            if missing[label]:
                for lacking in (p for p in self.open if self.have[p, label] == 0):
                    self._give_one(label, lacking)

    def _give_one(self, label: int, lacking: int) -> None:
        groups = self.counts.groups_of(label)
        for at, group in enumerate(groups.tolist()):
            source = int(self.part[group])
            if not (self.have[source, self.counts.of_group(group)[0]] >= 2).all():
                continue
            if self._changes(groups[at : at + 1], source, lacking)[0] <= 0:
                self._move(group, lacking)
                return

    def fill_empty(self) -> None:
        """Give each part a group, the smallest of the part that has most beyond its share."""
        for p in self.open:
            counts = np.bincount(self.part, minlength=len(self.off))
            if counts[p] or counts.max(initial=0) < 2:
                continue
            source = max(
                (q for q in self.open if counts[q] > 1), key=lambda q: (self.off[q, -1], -q)
            )
            groups = np.flatnonzero(self.part == source)
            self._move(int(groups[self.counts.sizes[groups].argmin()]), p)
