"""Compiled products with sparse matrices, without Python's lock, so that threads can share the rows.

Imported only when something is multiplied, because numba takes a while to load.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hybrid.utils.jit import jit

Array = NDArray[Any]
# Some rows of a CSR matrix, and of these the columns from `first` on: where such entries start and stop in
# each row of the matrix; its indices and data; `first`; the rows.
Entries = tuple[Array, Array, Array, Array, int, Array]


@jit(fastmath={"contract", "reassoc", "nsz"})
def add_sparse_product(entries: Entries, U: Array, Z: Array) -> None:
    """``Z += T @ U`` for some rows and columns T of a CSR matrix."""
    starts, stops, indices, data, first, rows = entries
    for i, row in enumerate(rows):
        for p in range(starts[row], stops[row]):
            column, x = indices[p] - first, data[p]
            for k in range(U.shape[1]):
                Z[i, k] += x * U[column, k]


@jit(fastmath={"contract", "reassoc", "nsz"})
def add_sparse_transposed(entries: Entries, D: Array, U: Array) -> None:
    """``U += T.T @ D`` for some rows and columns T of a CSR matrix."""
    starts, stops, indices, data, first, rows = entries
    for i, row in enumerate(rows):
        for p in range(starts[row], stops[row]):
            column, x = indices[p] - first, data[p]
            for k in range(D.shape[1]):
                U[column, k] += x * D[i, k]


def add_by_threads(matrix: sparse.csr_matrix, W: Array, workers: int, product: Array) -> None:
    """``product += matrix @ W``; scipy would hold Python's lock, and copy the matrix in W's precision."""
    arrays = (matrix.indptr[:-1], matrix.indptr[1:], matrix.indices, matrix.data, 0)
    W, parts = np.ascontiguousarray(W), np.array_split(np.arange(matrix.shape[0]), 4 * workers)
    with ThreadPoolExecutor(workers) as pool:
        jobs = [
            pool.submit(add_sparse_product, (*arrays, rows), W, product[rows[0] : rows[-1] + 1])
            for rows in parts
            if len(rows)
        ]
    for job in jobs:
        job.result()
