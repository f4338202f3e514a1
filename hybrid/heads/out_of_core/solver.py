"""Dual coordinate descent for rows that stay on disk, with a certified duality gap.

The method is that of `hybrid.heads.svm.block_descent`, for the losses of `hybrid.heads.out_of_core.losses`;
but an epoch reads the rows once, in batches of some thousand, and computes the Gram matrices of their blocks
each time, as they would take too much memory. Threads read and prepare batches ahead of the one that does
the steps, so that the result does not depend on their number. In memory are some batches, the dual
variables, and a few matrices of the size of the coefficients.

The certificate is one more pass, in float64: it computes the primal objective P at the coefficients that
are returned, and the dual objective D at the dual variables, ``w(a)`` being summed anew; ``(P - D) / P``
bounds the distance to the optimum whatever rounding was in the descent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import check_random_state
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.features.lazy_block import spans
from hybrid.heads.on_cluster.workers import cluster_for_rows, solve_on_cluster
from hybrid.heads.out_of_core.certificate import Certificate, certify
from hybrid.heads.out_of_core.losses import Loss
from hybrid.heads.out_of_core.reading import BLOCK, Batch, draw_batches, prepare
from hybrid.heads.svm.momentum import next_momentum
from hybrid.heads.svm.solver import FACTOR, SAFETY, SINGLE, TINY, Solution
from hybrid.utils.threads import map_ahead

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pass:
    """One pass over all rows, as `solve_from_disk` tells of it.

    Parameters
    ----------
    certificate : bool
        Whether it was a certificate; else an epoch of descent.
    number : int
        Epochs so far.
    seconds : float
    figure : float
        The largest gap that was certified; for an epoch the largest relative growth of a dual objective.
    left : int
        Columns that are not done.
    """

    certificate: bool
    number: int
    seconds: float
    figure: float
    left: int


def solve_from_disk(
    matrix: FusionMatrix,
    loss: Loss,
    *,
    tol: float = 1e-3,
    max_iter: int = 1000,
    n_jobs: int | None = None,
    random_state: int | np.random.RandomState | None = None,
    tell: Callable[[Pass], None] | None = None,
) -> Solution:
    """Fit one linear classifier for each column of a loss, reading the rows in blocks.

    Within `hybrid.heads.on_cluster.workers.rows_on`, the workers of a cluster take the rows, and the method
    is another one: `hybrid.heads.on_cluster.newton`.

    Parameters
    ----------
    matrix : FusionMatrix of shape (n, d)
        With or without blocks on disk (`hybrid.features.lazy_block.LazyBlock`). An intercept is a column
        of ones.
    loss : Loss
        Of K columns and n items.
    tol : float, default=1e-3
        A column is done when ``(P - D) / P <= tol``.
    max_iter : int, default=1000
        Most epochs; each reads all rows once.
    n_jobs : int or None, default=None
        Threads: None is 1, and -1 all cores. The result does not depend on it.
    random_state : int, RandomState or None, default=None
        Order of the rows.
    tell : callable, optional
        Called after each pass.

    Returns
    -------
    Solution

    Raises
    ------
    SettingError
        If a row has a number that is not finite.

    Examples
    --------
    >>> from hybrid.heads.out_of_core.losses import SignedItems, SquaredHinge
    >>> items = SignedItems(np.array([[1], [0]]), np.ones(2), np.full((2, 1), 0.5))
    >>> matrix = FusionMatrix.from_blocks([np.array([[1.0], [-1.0]])])
    >>> found = solve_from_disk(matrix, SquaredHinge(items))
    >>> found.coef.round(1).tolist(), bool(found.gap[0] <= 1e-3)
    ([[0.7]], True)
    """
    matrix = _with_columns(matrix)
    if (cluster := cluster_for_rows()) is not None:
        return solve_on_cluster(cluster, matrix, loss, tol=tol, max_iter=max_iter)
    count = effective_n_jobs(n_jobs)
    with ExitStack() as stack:
        stack.enter_context(threadpool_limits(1, user_api="blas"))
        pool = stack.enter_context(ThreadPoolExecutor(count - 1)) if count > 1 else None
        solver = _Solver(matrix, loss, tol, check_random_state(random_state), pool, count)
        return solver.run(max_iter, tell or (lambda _: None))


class _Solver:
    """The state between epochs. Coefficients U are those before the block's weight: ``w = U / weight``."""

    def __init__(
        self,
        matrix: FusionMatrix,
        loss: Loss,
        tol: float,
        random: np.random.RandomState,
        pool: ThreadPoolExecutor | None,
        count: int,
    ) -> None:
        self.matrix, self.loss, self.tol, self.random = matrix, loss, tol, random
        self.pool, self.count = pool, count
        self.dtype = working_dtype(matrix, tol)
        self.squares = np.square(matrix.weights)
        K, n = loss.items.shape
        widths = [block.shape[1] for _, block in matrix.blocks]
        self.columns = np.arange(K)  # those that are not done
        self.U = [np.zeros((width, K), self.dtype) for width in widths]
        self.last_U = [u.copy() for u in self.U] if loss.momentum else []
        self.A = np.zeros((K, n), self.dtype)
        self.last_A = self.A.copy() if loss.momentum else None
        self.coef = np.zeros((K, sum(widths)))
        self.gap, self.factor = np.full(K, np.inf), np.full(K, FACTOR)
        self.n_iter = np.zeros(K, dtype=np.int64)
        self.dual, self.growth, self.momentum = np.zeros(K), np.zeros(K), np.zeros(K)

    def run(self, max_iter: int, tell: Callable[[Pass], None]) -> Solution:
        """Epochs until each column is certified."""
        for number in range(1, max_iter + 1):
            started = time.perf_counter()
            self._epoch()
            k = self.columns
            reached = self._dual_objectives()
            growth = (reached[k] - self.dual[k]) / np.maximum(reached[k], TINY)
            self.dual, self.n_iter[k] = reached, number
            tell(Pass(False, number, time.perf_counter() - started, growth.max(), len(k)))
            due = (growth * self.factor[k] <= self.tol) | (number == max_iter)
            if due.mean() >= 0.5:  # a certificate costs about as much as an epoch
                started = time.perf_counter()
                self._certify(due, growth)
                worst, left = self.gap[k[due]].max(), len(self.columns)
                tell(Pass(True, number, time.perf_counter() - started, worst, left))
            if not len(self.columns):
                break
            self._extrapolate(growth[np.isin(k, self.columns)], number)
        return Solution(self.coef, self.gap, self.n_iter)

    def _epoch(self) -> None:
        """Visit all rows once."""

        def read(job: tuple[Any, Any]) -> Batch:
            return prepare(self.matrix, *job, self.dtype, self.squares)

        batches = draw_batches(len(self.matrix), self.random)
        for _, batch in map_ahead(self.pool, read, batches, self.count + 1):
            self._descend(batch)

    def _descend(self, batch: Batch) -> None:
        """Improve the dual variables of some rows, block by block."""
        place = np.ix_(self.columns, batch.rows)
        B, A = self.loss.signed(batch.rows, self.columns), self.A[place].astype(np.float64)
        changes = np.zeros((BLOCK, len(self.columns)), self.dtype)
        for visit in batch.visits:
            m = len(visit.rows)
            Z = np.zeros((m, len(self.columns)), self.dtype)
            for part, U in zip(visit.parts, self.U, strict=True):
                part.add_product(U, Z)
            self.loss.sweep(visit.gram, Z, B, visit.rows, A, changes)
            for part, U, square in zip(visit.parts, self.U, self.squares, strict=True):
                part.add_transposed(changes[:m] * self.dtype.type(square), U)
        self.A[place] = A

    def _dual_objectives(self) -> Floats:
        """The dual objectives where the descent is; those of columns that are done stay."""
        k, found = self.columns, self.dual.copy()
        found[k] = -self._square_lengths()
        for rows in spans(len(self.matrix)):
            A = self.A[k, rows].astype(np.float64)
            found[k] += self.loss.dual(self.loss.signed(rows, k), A)
        return found

    def _square_lengths(self) -> Floats:
        """``|w|² / 2`` of each column."""
        sums = [np.einsum("dk,dk->k", U, U, dtype=np.float64) for U in self.U]
        return np.asarray(sum(s / q for s, q in zip(sums, self.squares, strict=True)) / 2)

    def _certify(self, due: NDArray[np.bool_], growth: Floats) -> None:
        """Certify the columns that are due, and leave alone those that are done.

        One whose dual no longer grows is as good as this precision allows.
        """
        k = self.columns[due]
        U = [np.ascontiguousarray(u[:, due], dtype=np.float64) for u in self.U]
        found: Certificate = certify(
            self.matrix, self.loss, k, U, lambda rows: self.A[k, rows], self.pool
        )
        self.coef[k], self.gap[k] = found.coef, found.gap
        self.factor[k] = SAFETY * found.gap / np.maximum(growth[due], TINY)
        done = np.zeros_like(due)
        done[due] = (found.gap <= self.tol) | ((growth[due] <= 0) & (self.momentum[k] == 0))
        self.columns = self.columns[~done]
        self.U = [np.ascontiguousarray(u[:, ~done]) for u in self.U]
        self.last_U = [np.ascontiguousarray(u[:, ~done]) for u in self.last_U]

    def _extrapolate(self, growth: Floats, number: int) -> None:
        """Begin the next epoch beyond where the last one ended; see `hybrid.heads.svm.momentum`."""
        k = self.columns
        if self.last_A is None:
            return
        if number > 2:  # the first two are no guide to the rest
            self.momentum[k] = next_momentum(self.momentum[k], growth, self.growth[k])
        self.growth[k] = growth
        m = self.momentum[k].astype(self.dtype)
        for rows in spans(len(self.matrix)):
            now = self.A[k, rows]
            self.A[k, rows] = now + m[:, None] * (now - self.last_A[k, rows])
            self.last_A[k, rows] = now
        for U, last in zip(self.U, self.last_U, strict=True):
            step = m * (U - last)
            last[:] = U
            U += step


def _with_columns(matrix: FusionMatrix) -> FusionMatrix:
    """The blocks that have columns."""
    pairs = zip(matrix.blocks, matrix.weights, strict=True)
    blocks, weights = zip(*(pair for pair in pairs if pair[0][1].shape[1]), strict=True)
    return FusionMatrix(blocks, weights)


def working_dtype(matrix: FusionMatrix, tol: float) -> np.dtype[Any]:
    """Single precision if no dense block has a higher one, and it is enough for `tol`."""
    dense = [b.dtype for _, b in matrix.blocks if not sparse.issparse(b) and b.shape[1] > 1]
    narrow = not dense or np.result_type(*dense).itemsize <= 4
    return np.dtype(np.float32 if narrow and tol >= SINGLE else np.float64)
