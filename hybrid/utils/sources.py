"""What many keys stand for, paths or texts, which are made when they are asked for."""

from __future__ import annotations

from collections.abc import (
    Callable,
    ItemsView,
    Iterator,
    Mapping,
    ValuesView,
)
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.utils.key_index import Index, PackedKeys, index_part, key_array


class Sources(Mapping[bytes, str]):
    """Key → path or text that has it, which is made when it is asked for.

    Parameters
    ----------
    keys : PackedKeys of length m
        Each once; none is None.
    numbers : ndarray of shape (m,), int
        What `read` takes for each.
    read : callable
        Number → path or text.

    Examples
    --------
    >>> found = Sources.collect(PackedKeys.collect([b"b" * 32, b"a" * 32, b"b" * 32]), np.arange(3), str)
    >>> list(found.values()), found[b"a" * 32], found.by_key(1), list(found.take(np.array([1])).values())
    (['2', '1'], '1', ['1'], ['1'])
    """

    def __init__(
        self, keys: PackedKeys, numbers: NDArray[np.int64], read: Callable[[int], str]
    ) -> None:
        self.packed, self.numbers, self.read = keys, numbers, read

    @classmethod
    def collect(
        cls, keys: PackedKeys, numbers: NDArray[np.int64], read: Callable[[int], str]
    ) -> Sources:
        """As a dict of the pairs is: in the order in which keys come first, with what they have last."""
        if not keys.named.all():
            keys, numbers = keys[keys.named], numbers[keys.named]
        index = index_part("", keys.array)
        if len(index) < len(keys):
            last = np.empty(len(index), dtype=np.int64)
            last[index.find(keys.array)] = np.arange(len(keys))
            order = np.argsort(index.row)
            keys, numbers = keys[index.row[order]], numbers[last[order]]
        return cls(keys, numbers, read)

    @classmethod
    def of(cls, found: Mapping[bytes, str]) -> Sources:
        """The same of any mapping."""
        if isinstance(found, Sources):
            return found
        sources = list(found.values())
        return cls(PackedKeys.collect(found), np.arange(len(sources)), sources.__getitem__)

    def take(self, rows: NDArray[Any]) -> Sources:
        """Some of them, by numbers or a mask."""
        return Sources(self.packed[rows], self.numbers[rows], self.read)

    def only(self, keys: PackedKeys) -> Sources:
        """Those of some keys, in their order; each must be there."""
        return self.take(self._index.row[self._index.find(keys.array)])

    def by_key(self, most: int) -> list[str]:
        """The first paths or texts in the order of their keys, which is as good as random."""
        return list(self.take(self._index.row[:most]).values())

    def __len__(self) -> int:
        return len(self.packed)

    def __iter__(self) -> Iterator[bytes]:
        return filter(None, self.packed)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and self._place(key) >= 0

    def __getitem__(self, key: bytes) -> str:
        if (place := self._place(key)) < 0:
            raise KeyError(key)
        return self.read(int(self.numbers[self._index.row[place]]))

    def values(self) -> ValuesView[str]:
        """Paths or texts in the order of the keys."""
        return _Values(self)

    def items(self) -> ItemsView[bytes, str]:
        """Each key with its path or text."""
        return _Items(self)

    def _place(self, key: bytes) -> int:
        return int(self._index.find(key_array([key]))[0])

    @cached_property
    def _index(self) -> Index:
        return index_part("", self.packed.array)


class _Values(ValuesView[str]):
    _mapping: Sources

    def __iter__(self) -> Iterator[str]:
        return map(self._mapping.read, self._mapping.numbers.tolist())


class _Items(ItemsView[bytes, str]):
    _mapping: Sources

    def __iter__(self) -> Iterator[tuple[bytes, str]]:
        return zip(self._mapping, self._mapping.values(), strict=True)
