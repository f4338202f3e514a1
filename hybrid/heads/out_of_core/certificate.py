"""The certificate of the solver of rows on disk: both objectives in float64, by one pass over the rows."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.features.lazy_block import spans
from hybrid.heads.out_of_core.losses import Loss
from hybrid.heads.out_of_core.reading import read_pieces

Floats = NDArray[np.float64]
LANES = 4  # sums that run side by side; their number is fixed, so that threads do not change a bit
STEP = 256  # rows that are in float64 at a time


@dataclass(frozen=True, eq=False)
class Certificate:
    """Coefficients of K columns, shape (K, d), and their gaps ``(P - D) / P``, shape (K,), from 0 to 1."""

    coef: Floats
    gap: Floats


class _Sums:
    """What some rows add: to both objectives, and to the coefficients of the dual variables."""

    def __init__(self, U: list[Floats]) -> None:
        self.primal, self.dual = np.zeros(U[0].shape[1]), np.zeros(U[0].shape[1])
        self.W = [np.zeros_like(u) for u in U]


def certify(
    matrix: FusionMatrix,
    loss: Loss,
    columns: NDArray[np.int64],
    U: list[Floats],
    dual_variables: Callable[[slice], NDArray[Any]],
    pool: ThreadPoolExecutor | None = None,
) -> Certificate:
    """Compute the gaps of some columns of a loss.

    Parameters
    ----------
    matrix : FusionMatrix of shape (n, d)
    loss : Loss
    columns : ndarray of shape (K,), int64
    U : list of ndarray, float64
        Coefficients on each block before its weight, of shape (its columns, K).
    dual_variables : callable
        Rows → those of the columns, shape (K, m).
    pool : ThreadPoolExecutor, optional
        Threads that help.

    Returns
    -------
    Certificate
    """
    jobs = [spans(len(matrix))[lane::LANES] for lane in range(LANES)]

    def add_up(some: list[slice]) -> _Sums:
        sums = _Sums(U)
        for rows in some:
            _add(sums, matrix, loss, columns, U, rows, dual_variables(rows))
        return sums

    jobs = [some for some in jobs if some]
    if pool is None:
        sums = [add_up(some) for some in (*jobs[::2], *jobs[1::2])]
    else:
        others = [pool.submit(add_up, some) for some in jobs[1::2]]
        first = [add_up(some) for some in jobs[::2]]
        sums = [*first, *(job.result() for job in others)]
    weights = matrix.weights
    primal = (
        sum(s.primal for s in sums)
        + sum(np.einsum("dk,dk->k", u, u) / w**2 for u, w in zip(U, weights, strict=True)) / 2
    )
    summed = [sum(parts) for parts in zip(*(s.W for s in sums), strict=True)]
    dual = (
        sum(s.dual for s in sums)
        - sum(
            np.einsum("dk,dk->k", w_a, w_a) * w**2 for w_a, w in zip(summed, weights, strict=True)
        )
        / 2
    )
    gap = np.maximum(np.asarray(primal - dual), 0)  # below 0 is rounding
    relative = np.divide(gap, primal, out=np.zeros_like(gap), where=np.asarray(primal) > 0)
    coef = np.concatenate([u / w for u, w in zip(U, weights, strict=True)]).T
    return Certificate(np.ascontiguousarray(coef), relative)


def _add(
    sums: _Sums,
    matrix: FusionMatrix,
    loss: Loss,
    columns: NDArray[np.int64],
    U: list[Floats],
    rows: slice,
    A: NDArray[Any],
) -> None:
    """Read rows, and add what they contribute, some at a time."""
    pieces = read_pieces(matrix, rows, np.dtype(np.float32))
    for some in spans(rows.stop - rows.start, STEP):
        numbers = np.arange(some.start, some.stop)
        B = loss.signed(numbers + rows.start, columns)
        a = A[:, some].astype(np.float64)
        parts = [piece.take(numbers, exact=True) for piece in pieces]
        Z = np.zeros((len(numbers), len(columns)))
        for part, u in zip(parts, U, strict=True):
            part.add_product(u, Z)
        sums.primal += loss.primal(B, Z)
        sums.dual += loss.dual(B, a)
        V = np.ascontiguousarray(loss.vectors(B, a).T)
        for part, W in zip(parts, sums.W, strict=True):
            part.add_transposed(V, W)
