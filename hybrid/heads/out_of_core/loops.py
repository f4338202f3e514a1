"""The compiled loop of the logistic loss; imported only when something is fitted, as numba takes a while."""

from __future__ import annotations

from math import exp, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.utils.jit import jit

Array = NDArray[Any]
STEPS = 60  # most steps of Newton's method or bisections; three are usual
ENOUGH = 1e-9  # size of the last one


@jit(fastmath={"contract", "reassoc", "nsz"})
def sweep_logistic(
    G: Array, Z: Array, B: Array, rows: Array, sweeps: int, A: Array, D: Array
) -> None:
    """Exact coordinate steps of the dual of logistic regression on one block of rows, for all columns.

    Parameters
    ----------
    G : ndarray of shape (m, m), float32
        Gram matrix of the block.
    Z : ndarray of shape (m, K)
        Margins of the block's rows.
    B : ndarray of shape (K, S), float64
        Signed weights; 0 leaves an item out.
    rows : ndarray of int64
        Where the block lies in `A` and `B`.
    sweeps : int
        Passes over the block.
    A : ndarray of shape (K, S), float64
        Dual variables, from 0 to ``|B|``, changed in place.
    D : ndarray of shape (at least m, K)
        Out: the change of ``sign(B) * A``.
    """
    m = len(rows)
    z = np.empty(m, dtype=Z.dtype)
    a, c = np.empty(m), np.empty(m)
    for k in range(len(B)):
        for i in range(m):
            z[i], a[i], c[i] = Z[i, k], A[k, rows[i]], abs(B[k, rows[i]])
        for _ in range(sweeps):
            for i in range(m):
                if c[i] == 0:
                    continue
                y = 1.0 if B[k, rows[i]] > 0 else -1.0
                new = maximise_one(y * z[i], np.float64(G[i, i]), c[i], a[i])
                shift = Z.dtype.type(y * (new - a[i]))
                a[i] = new
                for j in range(m):
                    z[j] += shift * G[i, j]
        for i in range(m):
            y = 1.0 if B[k, rows[i]] > 0 else -1.0
            D[i, k] = y * (a[i] - A[k, rows[i]])
            A[k, rows[i]] = a[i]


@jit()
def maximise_one(z: float, q: float, c: float, a: float) -> float:
    """The dual variable in [0, c] that is best while the others stay.

    With ``new = c / (1 + exp(-u))``, u solves ``u + z + q (new - a) = 0``, whose left side grows with u. z is
    the item's signed margin, q the square of its length.
    """
    low, high = -z - q * (c - a), -z + q * a
    u = -z
    if 0 < a < c:
        u = log(a / (c - a))
    u = min(max(u, low), high)
    before = high - low
    for _ in range(STEPS):
        p = 1 / (1 + exp(-u)) if u > 0 else exp(u) / (1 + exp(u))
        value = u + z + q * (c * p - a)
        if value > 0:
            high = u
        else:
            low = u
        step = value / (1 + q * c * p * (1 - p))
        # Newton's steps may go to and fro: one that is not half of the last one is no good.
        if not low <= u - step <= high or abs(step) > before / 2:
            step = u - (low + high) / 2
        u -= step
        before = abs(step)
        if before <= ENOUGH * (1 + abs(u)):
            break
    return c / (1 + exp(-u)) if u > 0 else c * exp(u) / (1 + exp(u))
