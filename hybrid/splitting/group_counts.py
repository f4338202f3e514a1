"""Groups as numbers, and the items of each with each label: what stratification is computed from."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_BLOCK = 2**20  # values that are compared at a time


def number_values(values: NDArray[Any]) -> tuple[NDArray[np.int64], int]:
    """Number the different values of an array, in ascending order; `numpy.unique` would copy them twice.

    Parameters
    ----------
    values : ndarray of shape (n,)

    Returns
    -------
    numbers : ndarray of shape (n,), int64
    different : int

    Examples
    --------
    >>> numbers, different = number_values(np.array(["b", "a", "b"]))
    >>> numbers.tolist(), different
    ([1, 0, 1], 2)
    """
    order = np.argsort(values, kind="stable")
    begins = np.ones(len(values), dtype=bool)
    for start in range(0, len(values), _BLOCK):
        some = values[order[start : start + _BLOCK + 1]]
        begins[start + 1 : start + len(some)] = some[1:] != some[:-1]
    numbers = np.empty(len(values), dtype=np.int64)
    numbers[order] = np.cumsum(begins) - 1
    return numbers, int(np.count_nonzero(begins))


class GroupCounts(NamedTuple):
    """How many items of each of G groups have each of L labels; entry L counts all items of the group.

    Parameters
    ----------
    starts : ndarray of shape (G + 1,), int64
        Where the entries of each group begin.
    labels, items : ndarray of shape (m,), int32
        Label, ascending in a group, and number of items, of each entry.
    label_starts : ndarray of shape (L + 2,), int64
        Where the groups of each label begin.
    groups : ndarray of shape (m,), int32
        The groups of each label, ascending.
    """

    starts: NDArray[np.int64]
    labels: NDArray[np.int32]
    items: NDArray[np.int32]
    label_starts: NDArray[np.int64]
    groups: NDArray[np.int32]

    @property
    def sizes(self) -> NDArray[np.int32]:
        """Number of items of each group, shape (G,)."""
        return self.items[self.starts[1:] - 1]

    @property
    def holders(self) -> NDArray[np.int64]:
        """Number of groups that have each label, shape (L + 1,); of all items it is G."""
        return np.diff(self.label_starts)

    def groups_of(self, label: int) -> NDArray[np.int32]:
        """The groups that have a label, ascending; of the label L all groups."""
        return self.groups[self.label_starts[label] : self.label_starts[label + 1]]

    def of_group(self, group: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Labels of a group, the last of them L, and the number of items that have each."""
        entries = slice(self.starts[group], self.starts[group + 1])
        return self.labels[entries], self.items[entries]


def count_labels(labels: NDArray[Any], member: NDArray[np.int64]) -> GroupCounts:
    """Count the items of each group that have each label.

    Parameters
    ----------
    labels : ndarray of shape (n, L)
        Not 0 where the item has the label; L may be 0.
    member : ndarray of shape (n,), int64
        The group of each item, from 0 to G - 1; each has an item.

    Returns
    -------
    GroupCounts

    Examples
    --------
    >>> counts = count_labels(np.array([[1, 0], [1, 1], [0, 1]]), np.array([0, 0, 1]))
    >>> [each.tolist() for each in counts.of_group(0)], counts.groups_of(1).tolist()
    ([[0, 1, 2], [2, 1, 2]], [0, 1])
    """
    from hybrid.splitting import group_loops as loops

    small = labels.dtype == np.uint8 or labels.dtype == np.bool_
    present = np.ascontiguousarray((labels if small else labels != 0).view(np.uint8))
    sizes = np.bincount(member)
    ends = np.append(0, np.cumsum(sizes))
    most = int(np.count_nonzero(present)) + len(sizes)
    starts = np.zeros(len(sizes) + 1, dtype=np.int64)
    found, items = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int32)
    loops.count(present, np.argsort(member, kind="stable"), ends, starts, found, items)
    found, items = found[: starts[-1]], items[: starts[-1]]
    label_starts = np.append(0, np.cumsum(np.bincount(found, minlength=labels.shape[1] + 1)))
    groups = np.empty(len(found), dtype=np.int32)
    loops.turn(starts, found, label_starts[:-1].copy(), groups)
    return GroupCounts(starts, found, items, label_starts, groups)
