"""Compiled products with sparse matrices, without Python's lock, so that threads can share the rows.

Imported only when something is multiplied, because numba takes a while to load.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from hybrid.jit import jit

Array = NDArray[Any]


@jit(fastmath={"contract", "reassoc", "nsz"})
def add_sparse_product(
    indptr: Array, indices: Array, data: Array, rows: Array, U: Array, Z: Array
) -> None:
    """``Z += T @ U`` for the chosen rows T of a CSR matrix."""
    for i, row in enumerate(rows):
        for p in range(indptr[row], indptr[row + 1]):
            column, x = indices[p], data[p]
            for k in range(U.shape[1]):
                Z[i, k] += x * U[column, k]


@jit(fastmath={"contract", "reassoc", "nsz"})
def add_sparse_transposed(
    indptr: Array, indices: Array, data: Array, rows: Array, D: Array, U: Array
) -> None:
    """``U += T.T @ D`` for the chosen rows T of a CSR matrix."""
    for i, row in enumerate(rows):
        for p in range(indptr[row], indptr[row + 1]):
            column, x = indices[p], data[p]
            for k in range(D.shape[1]):
                U[column, k] += x * D[i, k]
