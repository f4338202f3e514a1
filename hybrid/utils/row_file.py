"""Matrices that may be larger than memory: in a temporary file that is mapped, written and read in blocks."""

from __future__ import annotations

import math
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hybrid.utils.spilled import SPILL, let_pages_go, map_file
from hybrid.utils.temporary import writing_temporary_file

BLOCK = 2**24  # bytes of a block


class RowFile:
    """Collects blocks of rows; those of a large matrix are moved to a temporary file without a name.

    Raises
    ------
    TemporaryFileError
        From `add` and `matrix`, if the disk refuses.

    Examples
    --------
    >>> rows = RowFile()
    >>> rows.add(np.ones((1, 2)))
    >>> rows.add(np.zeros((1, 2)))
    >>> rows.matrix().tolist()
    [[1.0, 1.0], [0.0, 0.0]]
    """

    def __init__(self) -> None:
        self._new: list[NDArray[Any]] = []  # since the last ones that were written
        self._size = self._written = 0
        self._file: Any = None

    def add(self, block: NDArray[Any]) -> None:
        """Add some rows, as wide as the others, and of the same data type."""
        self._new.append(block)
        self._size += block.nbytes
        if self._size >= SPILL:
            self._write()

    def matrix(self) -> NDArray[Any]:
        """All rows, not to be changed where they are in a file."""
        if self._file is None:
            return np.concatenate(self._new) if self._new else np.empty((0, 0))
        shape, dtype = self._new[-1].shape[1:], self._new[-1].dtype
        self._write()
        with self._file:
            pages = map_file(self._file)
        return np.frombuffer(pages, dtype).reshape(self._written, *shape)

    def _write(self) -> None:
        with writing_temporary_file():
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="hybrid-rows-")  # noqa: SIM115
                weakref.finalize(self, self._file.close)
            for block in self._new:
                self._file.write(np.ascontiguousarray(block).data)
            self._file.flush()
        self._written += sum(map(len, self._new))
        self._new, self._size = [self._new[-1][:0]], 0


def row_blocks(rows: NDArray[Any], count: int | None = None) -> Iterator[slice]:
    """Places of blocks of about 16 MiB; the memory of mapped ones is let go as they were read.

    Parameters
    ----------
    rows : ndarray of shape (n, D)
    count : int, optional
        How many such rows there are in all blocks; by default n.

    Examples
    --------
    >>> list(row_blocks(np.ones((3, 2))))
    [slice(0, 3, None)]
    """
    count = len(rows) if count is None else count
    size = block_length(rows.shape[1:], rows.dtype)
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
        let_pages_go()


def block_length(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """How many rows of a shape are about 16 MiB, at least one.

    Examples
    --------
    >>> block_length((1024,), np.dtype(np.float32))
    4096
    """
    return max(1, BLOCK // max(1, dtype.itemsize * math.prod(shape)))


def take_rows(
    rows: NDArray[Any], places: Sequence[int] | NDArray[np.int64], dtype: DTypeLike
) -> NDArray[Any]:
    """Some rows, in a data type; the same array where that is all of them.

    Examples
    --------
    >>> take_rows(np.eye(3), [2, 0], "float32").tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    places = np.asarray(places, dtype=np.int64)
    if rows.dtype == dtype and np.array_equal(places, np.arange(len(rows))):
        return rows
    taken = RowFile()
    taken.add(rows[:0].astype(dtype))  # where there are no places, the shape is known
    for part in row_blocks(rows, len(places)):
        taken.add(rows[places[part]].astype(dtype, copy=False))
    return taken.matrix()
