"""The compiled loops of `hybrid.heads.svm.block_descent` and `hybrid.heads.svm.row_descent`.

Apart from it, and imported only when something is fitted, because numba takes a while to load.
Each writes only into the arrays named last, and holds no lock.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.utils.jit import jit
from hybrid.utils.sparse import Entries

Array = NDArray[Any]


@jit()
def find_columns(indptr: Array, indices: Array, bounds: Array) -> Array:
    """Where, in a CSR matrix in canonical format, each row's entries of ranges of columns start.

    Returns int64 of shape (len(bounds), rows): ``[i, row]`` is the row's first entry whose column is at
    least ``bounds[i]``, or its end.
    """
    n = len(indptr) - 1
    places = np.empty((len(bounds), n), dtype=np.int64)
    for row in range(n):
        p = indptr[row]
        for i in range(len(bounds)):
            while p < indptr[row + 1] and indices[p] < bounds[i]:
                p += 1
            places[i, row] = p
    return places


@jit()
def find_frequent(entries: Entries, width: int, least: int) -> tuple[Array, int]:
    """Number the columns that have at least so many entries in the chosen rows; -1 for the others."""
    starts, stops, indices, _, first, rows = entries
    places = np.zeros(width, dtype=np.int32)
    for row in rows:
        for p in range(starts[row], stops[row]):
            places[indices[p] - first] += 1
    found = 0
    for column in range(width):
        if places[column] < least:
            places[column] = -1
        else:
            places[column] = found
            found += 1
    return places, found


@jit(fastmath={"contract", "reassoc", "nsz"})
def add_sparse_gram(entries: Entries, places: Array, scale: float, X: Array, G: Array) -> None:
    """``G += scale * T @ T.T`` for the rare columns T of the chosen rows; the others go to X.

    Columns and their `places` are those of `find_frequent`. The entries of each rare column are
    chained, the newest first, so that a row meets only the entries it shares a column with.
    """
    starts, stops, indices, data, first, rows = entries
    newest = np.full(len(places), -1, dtype=np.int32)
    size = 0
    for row in rows:
        size += stops[row] - starts[row]
    older = np.empty(size, dtype=np.int32)
    owner = np.empty(size, dtype=np.int32)
    value = np.empty(size, dtype=np.float32)
    entry = 0
    for i, row in enumerate(rows):
        for p in range(starts[row], stops[row]):
            column = indices[p] - first
            if places[column] >= 0:
                X[i, places[column]] = data[p]
                continue
            x = np.float32(scale * data[p])
            older[entry], owner[entry], value[entry] = newest[column], i, data[p]
            newest[column] = entry
            other = entry
            while other >= 0:
                G[i, owner[other]] += x * value[other]
                if owner[other] != i:
                    G[owner[other], i] += x * value[other]
                other = older[other]
            entry += 1


@jit(fastmath={"contract", "reassoc", "nsz"})
def sweep(
    G: Array,
    Z: Array,
    B: Array,
    rows: Array,
    columns: Array,
    first: int,
    end: int,
    sweeps: int,
    least: float,
    A: Array,
    D: Array,
    dual: Array,
) -> None:
    """Exact coordinate steps on one block of rows, for some columns of a group.

    A step maximises the dual over one ``a_i >= 0``, which may be below 0 before; the margins z of the
    block follow by a row of G.

    Parameters
    ----------
    G : ndarray of shape (m, m), float32
        Gram matrix of the block.
    Z : ndarray of shape (m, end - first)
        Margins of the block's rows, one column each for those to improve.
    B : ndarray of shape (n_columns, n), float64
    rows, columns : ndarray of int64
        Where the block and the group lie in `A` and `B`.
    first, end : int
        Which columns of the group to improve, by their place in it.
    sweeps : int
        At most so many passes over the block.
    least : float
        Share of what the dual grew in this visit that a pass must add, or it is the last.
    A : ndarray of shape (n_columns, n), float64
        Dual variables, changed in place.
    D : ndarray of shape (at least m, K)
        Out: the change of ``B * A``.
    dual : ndarray of shape (n_columns,), float64
        Added to: growth of the dual objective.
    """
    m = len(rows)
    z = np.empty(m, dtype=Z.dtype)
    a, b = np.empty(m), np.empty(m)
    for c in range(first, end):
        k = columns[c]
        for i in range(m):
            z[i], a[i], b[i] = Z[i, c - first], A[k, rows[i]], B[k, rows[i]]
        grown = 0.0
        for _ in range(sweeps):
            before = grown
            for i in range(m):
                if b[i] == 0:
                    continue
                slope = abs(b[i]) - b[i] * z[i] - a[i]
                if a[i] == 0 and slope <= 0:
                    continue
                curvature = b[i] * b[i] * G[i, i] + 1
                step = max(slope / curvature, -a[i])
                a[i] += step
                grown += step * (slope - 0.5 * curvature * step)
                shift = Z.dtype.type(b[i] * step)
                for j in range(m):
                    z[j] += shift * G[i, j]
            if grown - before <= least * grown:
                break
        dual[k] += grown
        for i in range(m):
            old = A[k, rows[i]]
            D[i, c] = b[i] * (a[i] - old)
            A[k, rows[i]] = a[i]


@jit(fastmath={"contract", "reassoc", "nsz"})
def descend(
    dense: Any,
    sparse: Any,
    lengths: Array,
    order: Array,
    B: Array,
    dense_squares: Array,
    sparse_squares: Array,
    dense_U: Any,
    sparse_U: Any,
    A: Array,
) -> float:
    """Exact coordinate steps on one row after the other, for one column.

    Parameters
    ----------
    dense : tuple of ndarray of shape (n, its columns)
    sparse : tuple of CSR's (indptr, indices, data)
    lengths : ndarray of shape (n,), float64
        Squared length of each row, weighted.
    order : ndarray of int64
        The rows to visit.
    B : ndarray of shape (n,), float64
    dense_squares, sparse_squares : ndarray
        Squared weight of each block.
    dense_U, sparse_U : tuple of ndarray of shape (its columns,)
        Coefficients on each block before its weight, changed in place.
    A : ndarray of shape (n,), float64
        Dual variables, changed in place.

    Returns
    -------
    float
        Growth of the dual objective.
    """
    grown = 0.0
    for i in order:
        if B[i] == 0:
            continue
        z = 0.0
        for t in range(len(dense)):
            z += _dot(dense[t][i], dense_U[t])
        for t in range(len(sparse)):
            indptr, indices, data = sparse[t]
            z += _sparse_dot(indptr, indices, data, i, sparse_U[t])
        slope = abs(B[i]) - B[i] * z - A[i]
        if A[i] == 0 and slope <= 0:
            continue
        curvature = B[i] * B[i] * lengths[i] + 1
        step = max(slope / curvature, -A[i])
        A[i] += step
        grown += step * (slope - 0.5 * curvature * step)
        for t in range(len(dense)):
            shift = dense_U[t].dtype.type(dense_squares[t] * B[i] * step)
            x, u = dense[t][i], dense_U[t]
            for d in range(len(u)):
                u[d] += shift * x[d]
        for t in range(len(sparse)):
            shift = sparse_U[t].dtype.type(sparse_squares[t] * B[i] * step)
            indptr, indices, data = sparse[t]
            for p in range(indptr[i], indptr[i + 1]):
                sparse_U[t][np.uint32(indices[p])] += shift * data[p]
    return grown


@jit(fastmath={"contract", "reassoc", "nsz"})
def _dot(x: Array, u: Array) -> Any:
    """``x @ u``."""
    found = x.dtype.type(0)
    for d in range(len(x)):
        found += x[d] * u[d]
    return found


@jit(fastmath={"contract", "reassoc", "nsz"})
def _sparse_dot(indptr: Array, indices: Array, data: Array, i: int, u: Array) -> Any:
    """``T[i] @ u`` for a CSR matrix T."""
    found = data.dtype.type(0)
    for p in range(indptr[i], indptr[i + 1]):
        found += data[p] * u[np.uint32(indices[p])]  # a sign would be asked for each time
    return found
