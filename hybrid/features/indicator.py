"""Missing-value indicator of a block: a last column that is 1 where the item lacks the block."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def add_indicator(matrix: Any, absent: NDArray[np.bool_]) -> Any:
    """Append the indicator column, and set the other columns of missing items to 0.

    Parameters
    ----------
    matrix : ndarray or CSR of shape (n, columns)
        Its rows where the block is missing are ignored.
    absent : ndarray of shape (n,), bool

    Returns
    -------
    ndarray or CSR of shape (n, columns + 1), of the same precision
        A CSR shares its data with `matrix` where no block is missing.

    Examples
    --------
    >>> add_indicator(np.array([[0.5], [0.2]]), np.array([False, True])).tolist()
    [[0.5, 0.0], [0.0, 1.0]]
    """
    if sparse.issparse(matrix):
        return _add_to_sparse(matrix.tocsr(), absent)
    found = np.empty((matrix.shape[0], matrix.shape[1] + 1), dtype=matrix.dtype)
    found[:, :-1], found[:, -1] = matrix, absent
    found[absent, :-1] = 0
    return found


def set_missing(block: Any, absent: NDArray[np.bool_]) -> Any:
    """Set more rows of a block with an indicator column to missing.

    Examples
    --------
    >>> set_missing(np.array([[0.5, 0.0], [0.2, 0.0]]), np.array([False, True])).tolist()
    [[0.5, 0.0], [0.0, 1.0]]
    """
    last = block[:, -1:].toarray() if sparse.issparse(block) else block[:, -1:]
    return add_indicator(block[:, :-1], absent | (last[:, 0] == 1))


def _add_to_sparse(matrix: sparse.csr_matrix, absent: NDArray[np.bool_]) -> sparse.csr_matrix:
    values, columns, lengths = matrix.data, matrix.indices, np.diff(matrix.indptr)
    if lengths[absent].any():
        present = np.repeat(~absent, lengths)
        values, columns, lengths = values[present], columns[present], np.where(absent, 0, lengths)
    if absent.any():
        ends = np.cumsum(lengths)[absent]
        values = np.insert(values, ends, 1)
        columns = np.insert(columns, ends, matrix.shape[1])
    rows = np.append(0, np.cumsum(lengths + absent)).astype(matrix.indptr.dtype)
    shape = (matrix.shape[0], matrix.shape[1] + 1)
    return sparse.csr_matrix((values, columns, rows), shape=shape)
