"""Blocks of features whose rows are read, or computed, when they are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.errors import SettingError
from hybrid.utils.counts import counted

# Rows that are in memory at a time. Of 2,048 numbers each they take 16 MiB, which the C library hands out
# again when they are freed; beyond 32 MiB it would ask the system, which clears all pages, each time.
SPAN = 2048


class LazyBlock(ABC):
    """Block of a `FusionMatrix` that is not in memory: ``block[rows]`` gives some of its rows.

    Rows that follow each other should lie together on the disk: those who read the whole block take hundreds
    at a time. Reading must be thread-safe.

    Attributes
    ----------
    shape : tuple of int
        Items and columns.
    dtype : dtype
        Of the rows.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    ndim = 2

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Any:
        """Rows by slice, numbers or mask: an ndarray or CSR of shape (m, columns)."""
        if isinstance(rows, slice):
            return self._read(np.arange(self.shape[0])[rows])
        rows = np.empty((0, 0)) if isinstance(rows, tuple) else np.asarray(rows)
        rows = rows.astype(np.int64) if not rows.size and rows.ndim == 1 else rows
        if rows.ndim != 1 or rows.dtype.kind not in "iub":
            raise SettingError(
                "block on disk: expected rows as a slice, numbers or a mask, found something else. Read "
                "rows first; columns can be taken of these."
            )
        if rows.dtype.kind == "b":
            rows = np.flatnonzero(rows)
        outside = rows[(rows < -self.shape[0]) | (rows >= self.shape[0])]
        if len(outside):
            raise IndexError(
                f"block on disk: expected rows of {counted(self.shape[0], 'row')}, found {outside[0]}."
            )
        return self._read(np.where(rows < 0, rows + self.shape[0], rows).astype(np.int64))

    @abstractmethod
    def _read(self, rows: NDArray[np.int64]) -> Any:
        """Rows by numbers from 0."""


class ComputedBlock(LazyBlock):
    """Block whose rows a function gives, such as embeddings of the cache that are standardised when read.

    Parameters
    ----------
    rows, columns : int
    read : callable
        Numbers of m rows, an int64 ndarray, → an ndarray or CSR of shape (m, columns). Thread-safe.
    dtype : dtype, default=float32
        Of what it gives.

    Examples
    --------
    >>> squares = ComputedBlock(4, 1, lambda rows: np.square(rows, dtype=np.float32)[:, None])
    >>> squares[1:3].tolist(), squares[[3, 0]].tolist()
    ([[1.0], [4.0]], [[9.0], [0.0]])
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        read: Callable[[NDArray[np.int64]], Any],
        dtype: Any = np.float32,
    ) -> None:
        self.shape, self.dtype, self.read = (rows, columns), np.dtype(dtype), read

    def _read(self, rows: NDArray[np.int64]) -> Any:
        return self.read(rows)


def spans(n: int, step: int = SPAN) -> list[slice]:
    """All of n rows, some at a time.

    Examples
    --------
    >>> spans(5, 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]
