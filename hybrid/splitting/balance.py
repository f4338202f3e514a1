"""Local search that brings the labels and sizes of the parts of a split within their tolerance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

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
    counts : sparse array of shape (groups, L), int
        Items of each group with each label.
    sizes : ndarray of shape (groups,), int
    part : ndarray of shape (groups,), int
        Changed in place.
    shares : sequence of P int
        In the ratio of the shares. All counts are times their sum, so that they are whole numbers.
    """

    def __init__(
        self,
        counts: Any,
        sizes: NDArray[np.int64],
        part: NDArray[np.int64],
        shares: Sequence[int],
    ) -> None:
        self.part, self.unit = part, sum(shares)
        self.open = [p for p, share in enumerate(shares) if share > 0]
        # The number of items is balanced as a label is that all items have.
        self.rows = sp.hstack([counts, sizes[:, None]], format="csr", dtype=np.int64)
        self.columns = self.rows.tocsc()
        totals = np.asarray(self.rows.sum(axis=0)).ravel()
        largest = int(sizes.max(initial=1))
        self.allowed = self.unit * GROUPS * largest + self.unit * PERCENT * totals // 100
        there = sp.csr_array(
            (np.ones(len(part), dtype=np.int64), (part, np.arange(len(part)))),
            shape=(len(shares), len(part)),
        )
        self.off = self.unit * (there @ self.rows).toarray() - np.outer(shares, totals)
        self.have = (there @ (self.rows > 0).astype(np.int64)).toarray()

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
        holders = self._holders(label)
        best, moves = 0, list[tuple[int, int]]()
        for q in (q for q in self.open if q != p):
            source, target = (p, q) if self.off[p, label] > 0 else (q, p)
            leave = holders[self.part[holders] == source][:CANDIDATES]
            back = np.flatnonzero(self.part == target)[:CANDIDATES]
            returned = self.rows[back]
            change = self._changes(self.rows[leave], source, target)
            for at in change.argsort(kind="stable")[:PARTNERS].tolist():
                group, total = int(leave[at]), int(change[at])
                if total < best:
                    best, moves = total, [(group, target)]
                self._move(group, target)
                changes = self._changes(returned, target, source)
                self._move(group, source)
                partner = int(changes.argmin()) if len(back) else -1
                if len(back) and total + changes[partner] < best:
                    best = total + int(changes[partner])
                    moves = [(group, target), (int(back[partner]), source)]
        for group, target in moves:
            self._move(group, target)
        return bool(moves)

    def _changes(self, some: Any, source: int, target: int) -> NDArray[np.int64]:
        """By how much the excess would change if each of these groups, rows, were moved alone."""
        if not some.shape[0]:
            return np.zeros(0, dtype=np.int64)
        j, moved = some.indices, self.unit * some.data
        lost = self._excess(self.off[source, j] - moved, j) - self._excess(self.off[source, j], j)
        won = self._excess(self.off[target, j] + moved, j) - self._excess(self.off[target, j], j)
        return np.asarray(np.add.reduceat(lost + won, some.indptr[:-1]), dtype=np.int64)

    def _excess(self, off: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.maximum(np.abs(off) - self.allowed[j], 0)

    def _move(self, group: int, target: int) -> None:
        a, b = self.rows.indptr[group : group + 2]
        j, moved, source = self.rows.indices[a:b], self.rows.data[a:b], self.part[group]
        self.off[source, j] -= self.unit * moved
        self.off[target, j] += self.unit * moved
        self.have[source, j] -= 1
        self.have[target, j] += 1
        self.part[group] = target

    def _holders(self, label: int) -> NDArray[np.int64]:
        return np.asarray(self.columns.indices[slice(*self.columns.indptr[label : label + 2])])

    def spread_rare(self) -> None:
        """Move single groups so that each label is in every part.

        A label is missing from a part only if no single group can be moved without removing a label from
        another part, or taking something out of its tolerance.
        """
        holders = np.diff(self.columns.indptr)
        missing = (self.have[self.open] == 0).any(axis=0) & (holders >= len(self.open))
        for label in np.argsort(holders, kind="stable").tolist():
            if missing[label]:
                for lacking in (p for p in self.open if self.have[p, label] == 0):
                    self._give_one(label, lacking)

    def _give_one(self, label: int, lacking: int) -> None:
        for group in self._holders(label).tolist():
            source = int(self.part[group])
            a, b = self.rows.indptr[group : group + 2]
            if not (self.have[source, self.rows.indices[a:b]] >= 2).all():
                continue
            if self._changes(self.rows[[group]], source, lacking)[0] <= 0:
                self._move(group, lacking)
                return

    def fill_empty(self) -> None:
        """Give each part a group, the smallest of the part that has most beyond its share."""
        sizes = self.rows[:, [-1]].toarray().ravel()
        for p in self.open:
            counts = np.bincount(self.part, minlength=len(self.off))
            if counts[p] or counts.max(initial=0) < 2:
                continue
            source = max(
                (q for q in self.open if counts[q] > 1), key=lambda q: (self.off[q, -1], -q)
            )
            groups = np.flatnonzero(self.part == source)
            self._move(int(groups[sizes[groups].argmin()]), p)
