"""The perceptual hashes that a cache remembers: content key → hash."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybrid.images.memo import HASH_BYTES, PERCEPTUAL_ENTRY, load_entries, save_entries
from hybrid.utils.key_index import Index, PackedKeys, index_part, key_array
from hybrid.utils.local_copy import local_copy


class PerceptualHashes(Mapping[bytes, bytes]):
    """Content key → perceptual hash, 48 bytes each.

    Parameters
    ----------
    entries : ndarray of shape (n,), `PERCEPTUAL_ENTRY`
        Of several entries of a key the first counts.

    Examples
    --------
    >>> hashes = PerceptualHashes.of({b"k" * 32: bytes(16)})
    >>> codes, known = hashes.find(PackedKeys.collect([b"l" * 32, b"k" * 32]))
    >>> codes.shape, known.tolist(), hashes == {b"k" * 32: bytes(16)}
    ((2, 16), [False, True], True)
    """

    def __init__(self, entries: NDArray[np.void]) -> None:
        self.entries = entries

    @classmethod
    def of(cls, hashes: Mapping[bytes, bytes]) -> PerceptualHashes:
        """The same of any mapping."""
        if isinstance(hashes, PerceptualHashes):
            return hashes
        packed = b"".join(map(b"".join, hashes.items()))
        return cls(np.frombuffer(packed, PERCEPTUAL_ENTRY))

    def find(self, keys: PackedKeys) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Look hashes up.

        Parameters
        ----------
        keys : PackedKeys of length m

        Returns
        -------
        ndarray of shape (m, 16), uint8; ndarray of shape (m,), bool
            The hashes, and which of them there are.
        """
        place = self._index.find(keys.array)
        known = (place >= 0) & keys.named
        codes = np.zeros((len(keys), HASH_BYTES), dtype=np.uint8)
        codes[known] = self.entries["hash"][self._index.row[place[known]]]
        return codes, known

    def only(self, keys: PackedKeys) -> PerceptualHashes:
        """Those of some keys, in their order, as far as they are there."""
        place = self._index.find(keys.array)
        return PerceptualHashes(self.entries[self._index.row[place[place >= 0]]])

    def added(self, more: NDArray[np.void]) -> PerceptualHashes:
        """These and further ones, each key once."""
        entries = np.concatenate([self.entries, more])
        return PerceptualHashes(entries[np.sort(index_part("", entries["key"]).row)])

    @cached_property
    def _index(self) -> Index:
        return index_part("", self.entries["key"])

    def __len__(self) -> int:
        return len(self._index)

    def __iter__(self) -> Iterator[bytes]:
        return (key.tobytes() for key in self.entries["key"][np.sort(self._index.row)])

    def __getitem__(self, key: bytes) -> bytes:
        place = int(self._index.find(key_array([key]))[0])
        if place < 0:
            raise KeyError(key)
        return bytes(self.entries["hash"][self._index.row[place]])


def load_perceptual_hashes(cache: str | Path) -> PerceptualHashes:
    """Read the perceptual hashes that a cache remembers."""
    return PerceptualHashes(load_entries(_file(cache)))


def save_perceptual_hashes(cache: str | Path, hashes: Mapping[bytes, bytes]) -> None:
    """Write perceptual hashes, in place of those before; nothing where there is no cache yet.

    Examples
    --------
    >>> import tempfile
    >>> from hybrid.cache import EmbeddingCache
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = EmbeddingCache(folder.name).make({"dimension": 2})
    >>> save_perceptual_hashes(folder.name, {b"k" * 32: bytes(16)})
    >>> load_perceptual_hashes(folder.name) == {b"k" * 32: bytes(16)}
    True
    >>> folder.cleanup()
    """
    if os.path.lexists(local_copy(cache) / "FORMAT"):
        save_entries(_file(cache), PerceptualHashes.of(hashes).entries)


def _file(cache: str | Path) -> Path:
    return local_copy(cache) / "memo" / "looks"  # the name that cache/FORMAT.md gives it
