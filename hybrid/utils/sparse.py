"""Products with sparse matrices in threads: compiled, without Python's interpreter lock.

Imported only when it is needed, because numba takes a while to load.
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
    """``Z += T @ U`` for some rows and columns T of a CSR matrix.

    Four entries at a time: Z is then loaded and stored a quarter as often.
    """
    starts, stops, indices, data, first, rows = entries
    for i, row in enumerate(rows):
        p, stop = starts[row], stops[row]
        while p + 4 <= stop:
            c, d = indices[p] - first, indices[p + 1] - first
            e, f = indices[p + 2] - first, indices[p + 3] - first
            x, y, z, w = data[p], data[p + 1], data[p + 2], data[p + 3]
            for k in range(U.shape[1]):
                Z[i, k] += (x * U[c, k] + y * U[d, k]) + (z * U[e, k] + w * U[f, k])
            p += 4
        while p < stop:
            column, x = indices[p] - first, data[p]
            for k in range(U.shape[1]):
                Z[i, k] += x * U[column, k]
            p += 1


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
    """Add a product with a sparse matrix, ``product += matrix @ W``, in threads.

    SciPy would hold the interpreter lock, and copy the matrix in the precision of W.

    Parameters
    ----------
    matrix : csr_matrix of shape (n, D)
    W : ndarray of shape (D, K)
    workers : int
        Number of threads.
    product : ndarray of shape (n, K)
        Changed in place.

    Examples
    --------
    >>> product = np.zeros((2, 1))
    >>> add_by_threads(sparse.csr_matrix([[1.0, 0], [0, 2]]), np.array([[3.0], [4]]), 1, product)
    >>> product.ravel().tolist()
    [3.0, 8.0]
    """
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
