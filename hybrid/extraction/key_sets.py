"""Content keys of all readable posters of each item of a frame, packed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.columns import POSTER
from hybrid.catalogue.poster_paths import split_paths
from hybrid.extraction.texts import ROWS
from hybrid.images.hashes import hash_posters
from hybrid.utils.key_index import PackedKeys


class KeySets(Sequence[list[bytes]]):
    """A list of lists of keys, in about 40 bytes a key.

    Parameters
    ----------
    packed : PackedKeys
        The keys of all, one after another.
    bounds : ndarray of shape (n + 1,), int64
        Where those of each of n lists begin, and where the last end.

    Examples
    --------
    >>> sets = KeySets(PackedKeys.collect([b"a" * 32, b"b" * 32]), np.array([0, 0, 2]))
    >>> len(sets), sets[0], [len(each) for each in sets], [len(each) for each in sets[np.array([1, 0])]]
    (2, [], [0, 2], [2, 0])
    """

    def __init__(self, packed: PackedKeys, bounds: NDArray[np.int64]) -> None:
        self.packed, self.bounds = packed, bounds

    @classmethod
    def of_sizes(cls, packed: PackedKeys, sizes: NDArray[np.int64]) -> KeySets:
        """With the length of each list, shape (n,)."""
        return cls(packed, np.concatenate([[0], np.cumsum(sizes)]))

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @overload
    def __getitem__(self, place: int) -> list[bytes]: ...

    @overload
    def __getitem__(self, place: slice | NDArray[Any]) -> KeySets: ...

    def __getitem__(self, place: Any) -> Any:
        """One list; or some of them, packed, by a slice or numbers."""
        if isinstance(place, slice | np.ndarray):
            starts, ends = self.bounds[:-1][place], self.bounds[1:][place]
            bounds = np.concatenate([[0], np.cumsum(ends - starts)])
            rows = np.arange(bounds[-1]) + np.repeat(starts - bounds[:-1], ends - starts)
            return KeySets(self.packed[rows], bounds)
        place = range(len(self))[place]
        return list(filter(None, self.packed[slice(*self.bounds[place : place + 2].tolist())]))

    def __iter__(self) -> Iterator[list[bytes]]:
        """Each list in turn."""
        keys = filter(None, self.packed)
        return (list(islice(keys, count)) for count in np.diff(self.bounds).tolist())


def frame_key_sets(frame: pd.DataFrame, cache: str, workers: int) -> KeySets:
    """The content keys of the readable poster files of each item.

    Parameters
    ----------
    frame : DataFrame of n items
        With the column ``poster``, as `hybrid.catalogue.catalogue.Catalogue.frame` has it.
    cache : str
        Folder of the cache, which remembers the hashes of the posters.
    workers : int

    Returns
    -------
    KeySets of length n
    """
    counts = np.zeros(len(frame), dtype=np.int64)

    def paths() -> Iterator[str]:
        for start in range(0, len(frame), ROWS):
            cells = frame[POSTER].iloc[start : start + ROWS].tolist()
            for i, cell in enumerate(cells, start):
                each = split_paths(cell)
                counts[i] = len(each)
                yield from each

    found = hash_posters(cache, paths(), workers, len(frame))
    packed = PackedKeys.collect(key if isinstance(key, bytes) else None for key in found)
    owner = np.repeat(np.arange(len(frame)), counts)[packed.named]
    sizes = np.bincount(owner, minlength=len(frame))
    return KeySets.of_sizes(packed[packed.named], sizes)
