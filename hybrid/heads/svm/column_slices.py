"""Column slices of the blocks, dense or sparse, that threads share in the descent by blocks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hybrid.heads.svm.problem import CSRArrays, Floats, Rows, canonical, csr_arrays

NARROW = 32  # columns of a dense piece at least; a product with fewer is mostly overhead
STEP = 1024  # rows that a product with all rows takes at a time
FREQUENT = 24  # rows that share a column: from here on it pays to treat it as dense


class PieceRows(ABC):
    """Some rows X of a piece."""

    @abstractmethod
    def add_gram(self, scale: float, G: NDArray[np.float32]) -> None:
        """``G += scale * X @ X.T``."""

    @abstractmethod
    def add_product(self, U: NDArray[Any], Z: NDArray[Any]) -> None:
        """``Z += X @ U``."""

    @abstractmethod
    def add_transposed(self, D: NDArray[Any], U: NDArray[Any]) -> None:
        """``U += X.T @ D``."""


class Piece(ABC):
    """Some columns of a block; `dtype` is what the descent works in."""

    n: int
    width: int

    @abstractmethod
    def take(self, rows: Rows, *, exact: bool = False) -> PieceRows:
        """Some rows; `exact`: their numbers as they were given."""

    def transposed(self, V: Floats) -> Floats:
        """``piece.T @ V``, in float64."""
        U = np.zeros((self.width, V.shape[1]))
        for rows in in_steps(self.n):
            self.take(rows, exact=True).add_transposed(V[rows], U)
        return U


def in_steps(n: int) -> list[Rows]:
    """All of n rows, some at a time."""
    return np.array_split(np.arange(n), -(-n // STEP))


def cut(block: Any, dtype: np.dtype[Any], count: int) -> list[Piece]:
    """Cut a block, an ndarray or CSR, to at most `count` pieces of about the same work."""
    if not sparse.issparse(block):
        bounds = np.linspace(0, block.shape[1], min(count, -(-block.shape[1] // NARROW)) + 1)
        return [
            _Dense(block[:, start:stop], dtype)
            for start, stop in zip(bounds[:-1].astype(int), bounds[1:].astype(int), strict=True)
        ]
    from hybrid.heads.svm import descent_loops as kernels

    block = canonical(block)
    arrays = csr_arrays(block, dtype)
    entries = np.cumsum(np.bincount(arrays[1], minlength=block.shape[1]))
    inner = np.searchsorted(entries, np.arange(1, count) * (block.nnz / count)) + 1
    bounds = np.unique(np.minimum([0, *inner, block.shape[1]], block.shape[1]))
    places = kernels.find_columns(arrays[0], arrays[1], bounds)
    return [
        _Sparse(arrays, block.data, places[i : i + 2], (bounds[i], bounds[i + 1]))
        for i in range(len(bounds) - 1)
    ]


class _Dense(Piece):
    """Columns of an ndarray."""

    def __init__(self, block: NDArray[Any], dtype: np.dtype[Any]) -> None:
        self.block, self.dtype = block, dtype
        self.n, self.width = block.shape

    def take(self, rows: Rows, *, exact: bool = False) -> PieceRows:
        dtype = np.dtype(np.float64) if exact else self.dtype
        return _DenseRows(self.block[rows].astype(dtype, copy=False))


class _DenseRows(PieceRows):
    def __init__(self, X: NDArray[Any]) -> None:
        self.X = X

    def add_gram(self, scale: float, G: NDArray[np.float32]) -> None:
        X = self.X.astype(np.float32, copy=False)
        G += np.float32(scale) * (X @ X.T)

    def add_product(self, U: NDArray[Any], Z: NDArray[Any]) -> None:
        Z += self.X @ U

    def add_transposed(self, D: NDArray[Any], U: NDArray[Any]) -> None:
        U += self.X.T @ D


class _Sparse(Piece):
    """Columns of a CSR matrix: where those of each row start and stop among its entries."""

    def __init__(
        self,
        arrays: CSRArrays,
        given: NDArray[Any],
        places: NDArray[np.int64],
        bounds: tuple[int, int],
    ) -> None:
        _, self.indices, self.data = arrays
        self.given, (self.starts, self.stops) = given, places
        self.first, self.n, self.width = bounds[0], len(self.starts), bounds[1] - bounds[0]

    def take(self, rows: Rows, *, exact: bool = False) -> PieceRows:
        return _SparseRows(self, rows, self.given if exact else self.data)


class _SparseRows(PieceRows):
    """Rows where they lie."""

    def __init__(self, piece: _Sparse, rows: Rows, data: NDArray[Any]) -> None:
        from hybrid.heads.svm import descent_loops as kernels
        from hybrid.utils import sparse as products

        self.kernels, self.products, self.width = kernels, products, piece.width
        self.entries = (piece.starts, piece.stops, piece.indices, data, piece.first, rows)

    def add_gram(self, scale: float, G: NDArray[np.float32]) -> None:
        places, frequent = self.kernels.find_frequent(self.entries, self.width, FREQUENT)
        X = np.zeros((len(G), frequent), dtype=np.float32)
        self.kernels.add_sparse_gram(self.entries, places, scale, X, G)
        if frequent:
            G += np.float32(scale) * (X @ X.T)

    def add_product(self, U: NDArray[Any], Z: NDArray[Any]) -> None:
        self.products.add_sparse_product(self.entries, U, Z)

    def add_transposed(self, D: NDArray[Any], U: NDArray[Any]) -> None:
        self.products.add_sparse_transposed(self.entries, D, U)
