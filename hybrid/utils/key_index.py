"""Index of keys: which row of which part holds a key; sorted arrays, 48 bytes per key. Pure."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

KEY_BYTES = 32
SOME = 2**16  # keys that are Python objects at once
Keys = NDArray[np.uint8]  # of shape (n, 32)


class PackedKeys(Sequence["bytes | None"]):
    """A sequence of keys of 32 bytes, or None, in 33 bytes each.

    Parameters
    ----------
    array : ndarray of shape (n, 32), uint8
    named : ndarray of shape (n,), bool, optional
        False where there is None instead of a key; by default nowhere.

    Examples
    --------
    >>> keys = PackedKeys.collect([b"k" * 32, None])
    >>> len(keys), keys[1], keys[:1][0] == b"k" * 32, keys.named.tolist()
    (2, None, True, [True, False])
    """

    def __init__(self, array: Keys, named: NDArray[np.bool_] | None = None) -> None:
        self.array = array
        self.named = np.ones(len(array), dtype=bool) if named is None else named

    @classmethod
    def collect(cls, keys: Iterable[bytes | None]) -> PackedKeys:
        """Pack keys as they come."""
        packed, named, nothing = bytearray(), bytearray(), bytes(KEY_BYTES)
        for key in keys:
            packed += nothing if key is None else key
            named.append(key is not None)
        array = np.frombuffer(packed, dtype=np.uint8).reshape(-1, KEY_BYTES)
        return cls(array, np.frombuffer(named, dtype=bool))

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, place: int) -> bytes | None: ...

    @overload
    def __getitem__(self, place: slice | NDArray[Any]) -> PackedKeys: ...

    def __getitem__(self, place: Any) -> Any:
        """One key; or some of them, packed, by a slice, numbers or a mask."""
        if isinstance(place, slice | np.ndarray):
            return PackedKeys(self.array[place], self.named[place])
        return self.array[place].tobytes() if self.named[place] else None

    def append(self, more: PackedKeys) -> PackedKeys:
        """These and further ones."""
        return PackedKeys(
            np.concatenate([self.array, more.array]), np.concatenate([self.named, more.named])
        )

    def __iter__(self) -> Iterator[bytes | None]:
        """Each key in turn."""
        for start in range(0, len(self), SOME):
            data = self.array[start : start + SOME].tobytes()
            for i, named in enumerate(self.named[start : start + SOME].tolist()):
                yield data[KEY_BYTES * i : KEY_BYTES * (i + 1)] if named else None


def are_named(keys: Sequence[bytes | None]) -> NDArray[np.bool_]:
    """Tell which keys are not None; shape (n,).

    Examples
    --------
    >>> are_named([b"k" * 32, None]).tolist()
    [True, False]
    """
    if isinstance(keys, PackedKeys):
        return keys.named
    return np.fromiter((key is not None for key in keys), bool, len(keys))


def key_array(keys: Sequence[bytes | None]) -> Keys:
    """Put keys in one array.

    Parameters
    ----------
    keys : sequence of n bytes or None
        32 bytes each; None becomes zeros.

    Returns
    -------
    ndarray of shape (n, 32), uint8

    Examples
    --------
    >>> key_array([b"k" * 32, None]).shape
    (2, 32)
    """
    if isinstance(keys, PackedKeys):
        return keys.array
    joined = b"".join(bytes(KEY_BYTES) if key is None else key for key in keys)
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(keys), KEY_BYTES)


@dataclass(frozen=True, eq=False)
class Index:
    """Sorted keys, each once, and the part and row of each.

    Parameters
    ----------
    parts : tuple of str
        Names of the parts, ascending.
    keys : ndarray of shape (n, 32), uint8
        Ascending by their first 8 bytes.
    part, row : ndarray of shape (n,), uint32
        Number of the part in `parts`, and of the row in it.

    Examples
    --------
    >>> index = index_part("part-1", key_array([b"b" * 32, b"a" * 32]))
    >>> index.row[index.find(key_array([b"b" * 32]))].tolist()
    [0]
    """

    parts: tuple[str, ...]
    keys: Keys
    part: NDArray[np.uint32]
    row: NDArray[np.uint32]
    # SHA-256 is uniform, so its first 8 bytes nearly always decide.
    heads: NDArray[np.uint64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", np.ascontiguousarray(self.keys))
        object.__setattr__(self, "heads", _heads(self.keys))

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def _by_part(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The places sorted by part, and where each part begins among them."""
        order = np.argsort(self.part, kind="stable")
        return order, np.searchsorted(self.part[order], np.arange(len(self.parts) + 1))

    def agrees(self, name: str, keys: Keys) -> bool:
        """Tell whether the index agrees with the keys of a part.

        Parameters
        ----------
        name : str
            Name of the part; True if the index does not have it.
        keys : ndarray of shape (n, 32), uint8
            Of the part, in the order of its rows.

        Returns
        -------
        bool
        """
        if name not in self.parts:
            return True
        number, (order, starts) = self.parts.index(name), self._by_part
        places = order[starts[number] : starts[number + 1]]
        rows = self.row[places]
        return bool((rows < len(keys)).all() and (keys[rows] == self.keys[places]).all())

    def find(self, keys: Keys) -> NDArray[np.int64]:
        """Look keys up.

        Parameters
        ----------
        keys : ndarray of shape (m, 32), uint8

        Returns
        -------
        ndarray of shape (m,), int64
            Their positions in this index; -1 for those that are not in it.
        """
        heads = _heads(keys)
        ours, theirs = self.keys.view(np.uint64), np.ascontiguousarray(keys).view(np.uint64)
        found = np.full(len(keys), -1, dtype=np.int64)
        place = np.searchsorted(self.heads, heads)
        open_ = np.arange(len(keys))
        while len(open_):
            open_ = open_[place[open_] < len(self)]
            open_ = open_[self.heads[place[open_]] == heads[open_]]
            same = (ours[place[open_]] == theirs[open_]).all(axis=1)
            found[open_[same]] = place[open_[same]]
            open_ = open_[~same]  # another key with the same first 8 bytes: try the next
            place[open_] += 1
        return found

    def without(self, names: Iterable[str]) -> Index:
        """Leave out the rows of some parts.

        Parameters
        ----------
        names : iterable of str
            Names of the parts.

        Returns
        -------
        Index
        """
        gone = np.isin(np.array(self.parts, dtype=str), list(names))
        stays = ~gone[self.part] if len(self.parts) else np.zeros(0, dtype=bool)
        number = np.cumsum(~gone, dtype=np.int64) - 1
        return Index(
            tuple(name for name, out in zip(self.parts, gone, strict=True) if not out),
            self.keys[stays],
            number[self.part[stays]].astype(np.uint32),
            self.row[stays],
        )


def index_part(name: str, keys: Keys) -> Index:
    """Index one part.

    Parameters
    ----------
    name : str
    keys : ndarray of shape (n, 32), uint8
        In the order of the rows.

    Returns
    -------
    Index
    """
    rows = np.arange(len(keys), dtype=np.uint32)
    return _ordered((name,), keys, np.zeros(len(keys), dtype=np.uint32), rows)


def merge(indexes: Sequence[Index]) -> Index:
    """Merge the indexes of different parts; of a key in several parts the lowest name wins.

    Parameters
    ----------
    indexes : sequence of Index

    Returns
    -------
    Index

    Examples
    --------
    >>> keys = key_array([b"a" * 32, b"b" * 32])
    >>> merged = merge([index_part("part-2", keys), index_part("part-1", keys[:1])])
    >>> [merged.parts[part] for part in merged.part]
    ['part-1', 'part-2']
    """
    indexes = [index for index in indexes if index.parts]
    if len(indexes) < 2:  # millions of keys are neither sorted again nor copied
        return indexes[0] if indexes else EMPTY
    names = tuple(sorted({name for index in indexes for name in index.parts}))
    number = {name: i for i, name in enumerate(names)}
    renumbered = [
        np.array([number[name] for name in index.parts], dtype=np.uint32)[index.part]
        for index in indexes
        if len(index)
    ]
    return _ordered(
        names,
        np.concatenate([index.keys for index in indexes]),
        np.concatenate([np.empty(0, np.uint32), *renumbered]),
        np.concatenate([index.row for index in indexes]),
    )


def _ordered(
    parts: tuple[str, ...], keys: Keys, part: NDArray[np.uint32], row: NDArray[np.uint32]
) -> Index:
    """Sort by key, and keep of each key the row in the part that comes first."""
    heads = _heads(keys)
    order = np.argsort(heads, kind="stable")  # merges sorted runs in linear time
    heads = heads[order]
    equal = np.flatnonzero(heads[1:] == heads[:-1])
    if len(equal):
        order = _resolve_ties(order, np.union1d(equal, equal + 1), keys, part, row)
    return Index(parts, keys[order], part[order], row[order])


def _resolve_ties(
    order: NDArray[np.int64],
    tied: NDArray[np.int64],
    keys: Keys,
    part: NDArray[np.uint32],
    row: NDArray[np.uint32],
) -> NDArray[np.int64]:
    """Sort the rows whose first 8 bytes are equal by key, part and row; of equal keys keep the first."""
    rows = order[tied]
    rows = rows[np.lexsort((row[rows], part[rows]))]
    inner, again = sort_keys(keys[rows])
    rows = rows[inner]
    resolved = order.copy()
    resolved[tied] = rows
    first = np.ones(len(order), dtype=bool)
    first[tied[again]] = False
    return resolved[first]


def sort_keys(keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Sort keys, stably.

    Parameters
    ----------
    keys : ndarray of shape (n, 32), uint8

    Returns
    -------
    ndarray of shape (n,), int64; ndarray of shape (n,), bool
        The order that sorts them; and whether each sorted key is equal to the one before.

    Examples
    --------
    >>> order, again = sort_keys(key_array([b"b" * 32, b"a" * 32, b"b" * 32]))
    >>> order.tolist(), again.tolist()
    ([1, 0, 2], [False, False, True])
    """
    words = _words(keys)
    order = np.lexsort((words[3], words[2], words[1], words[0]))
    again = np.zeros(len(keys), dtype=bool)
    again[1:] = (keys[order[1:]] == keys[order[:-1]]).all(axis=1)
    return order, again


def _heads(keys: Keys) -> NDArray[np.uint64]:
    """The first 8 bytes of keys as numbers that sort as the bytes do; shape (n,)."""
    heads = keys[:, :8].copy().view(">u8").reshape(len(keys))
    if sys.byteorder == "little":
        heads.byteswap(inplace=True)  # `astype` would make another copy
    return heads.view(np.uint64)


def _words(keys: Keys) -> NDArray[np.uint64]:
    """Keys as four numbers each that sort as their bytes do; shape (4, n)."""
    words = np.ascontiguousarray(keys).view(">u8").reshape(len(keys), 4)
    return words.T.astype(np.uint64, order="C")


EMPTY = Index(
    (), np.empty((0, KEY_BYTES), np.uint8), np.empty(0, np.uint32), np.empty(0, np.uint32)
)
