"""Which items have each of some values, packed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from hybrid.utils.key_index import PackedKeys, index_part


class Members(Sequence[tuple[str, ...]]):
    """The ids of the items that have each of some values; no Python object for each.

    Parameters
    ----------
    ids : ndarray of shape (n,), str
    items : ndarray of shape (k,), int64
        Positions in `ids`, those of a value together.
    starts : ndarray of shape (m + 1,), int64
        Where those of each value begin in `items`, and where the last end.

    Examples
    --------
    >>> members = Members.of([["f1", "f3"], ["f2"]])
    >>> len(members), members[0], members.sizes.tolist(), list(members.shared())
    (2, ('f1', 'f3'), [2, 1], [('f1', 'f3')])
    """

    def __init__(
        self, ids: NDArray[np.str_], items: NDArray[np.int64], starts: NDArray[np.int64]
    ) -> None:
        self.ids, self.items, self.starts = ids, items, starts

    @classmethod
    def of(cls, groups: Iterable[Sequence[str]]) -> Members:
        """Pack the ids of each value."""
        each = list(groups)
        ids = np.array([name for group in each for name in group], dtype=str)
        starts = np.cumsum([0, *map(len, each)], dtype=np.int64)
        return cls(ids, np.arange(len(ids)), starts)

    @classmethod
    def collect(
        cls,
        ids: Sequence[str] | NDArray[np.str_],
        keys: PackedKeys,
        items: NDArray[np.int64] | None = None,
    ) -> tuple[PackedKeys, Members]:
        """Find the different keys, in the order in which they come first, and who has each.

        Parameters
        ----------
        ids : sequence of n str
        keys : PackedKeys of length k
            None is left out.
        items : ndarray of shape (k,), int64, optional
            Position in `ids` of the item that has each key; by default there is a key an item.

        Examples
        --------
        >>> keys = PackedKeys.collect([b"b" * 32, None, b"a" * 32, b"b" * 32])
        >>> different, members = Members.collect(["f1", "f2", "f3", "f4"], keys)
        >>> [key[:1] for key in different], list(members)
        ([b'b', b'a'], [('f1', 'f4'), ('f3',)])
        """
        items = np.arange(len(keys)) if items is None else items
        keys, items = keys[keys.named], items[keys.named]
        index = index_part("", keys.array)
        first = np.sort(index.row)
        number = np.empty(len(index), dtype=np.int64)
        number[np.argsort(index.row, kind="stable")] = np.arange(len(index))
        value = number[index.find(keys.array)]
        starts = np.zeros(len(index) + 1, dtype=np.int64)
        np.cumsum(np.bincount(value, minlength=len(index)), out=starts[1:])
        order = np.argsort(value, kind="stable")
        return keys[first], cls(np.asarray(ids, dtype=str), items[order], starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    @overload
    def __getitem__(self, place: int) -> tuple[str, ...]: ...

    @overload
    def __getitem__(self, place: slice) -> list[tuple[str, ...]]: ...

    def __getitem__(self, place: Any) -> Any:
        """The ids of one value; or of some."""
        if isinstance(place, slice):
            return [self[i] for i in range(len(self))[place]]
        place = range(len(self))[place]
        return tuple(self.ids[self.items[self.starts[place] : self.starts[place + 1]]].tolist())

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """How many items have each value; shape (m,)."""
        return np.diff(self.starts)

    @property
    def first(self) -> NDArray[np.int64]:
        """Position in `ids` of the first item that has each value; shape (m,)."""
        return self.items[self.starts[:-1]]

    def shared(self) -> Iterable[tuple[str, ...]]:
        """The ids of each value that several items have."""
        return (self[i] for i in np.flatnonzero(self.sizes > 1).tolist())
