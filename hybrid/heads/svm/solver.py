"""Dual solver of many linear SVMs on one matrix, with a certified duality gap.

Each column k of a signed matrix B is one SVM: a label, with its C, class weights and fold. With
``|B_ik| = sqrt(2 C c_ik)``, c the weight of an item and the sign its label, it minimises

    P(w) = |w|²/2 + sum_i max(0, |B_ik| - B_ik w·x_i)² / 2,

which is the objective of ``LinearSVC(loss="squared_hinge")``. Its dual is to maximise

    D(a) = sum_i |B_ik| a_i - sum_i a_i² / 2 - |w(a)|²/2,    w(a) = sum_i B_ik a_i x_i,    a >= 0.

(Hsieh, Chang, Lin, Keerthi and Sundararajan, "A Dual Coordinate Descent Method for Large-scale
Linear SVM", ICML 2008, their alpha being ``|B_ik| a_i``: so nothing is divided by a weight, and
0 leaves an item out.)

`block_descent` shares between the columns what they have in common; `row_descent`
takes one column and one row at a time, which is faster where there is little to share;
`hybrid.heads.svm.newton` solves the SVMs of a few items. All end with the same certificate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import check_random_state

from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads.svm.block_descent import BLOCK, BlockDescent
from hybrid.heads.svm.momentum import next_momentum
from hybrid.heads.svm.newton import NewtonDescent
from hybrid.heads.svm.problem import Floats, Problem, Threads, make_groups
from hybrid.heads.svm.row_descent import RowDescent

FACTOR = 4.0  # gap over relative growth of the dual in an epoch, where it is not known yet
SAFETY = 1.2  # that factor varies a little from epoch to epoch
TINY = 1e-300
FEW_COLUMNS = 4  # so many are mostly faster one by one, where there are up to some thousand rows
FINE = 1e-4  # below this tol, descent takes hundreds of passes over the rows
SINGLE = 1e-6  # below this tol, single precision cannot keep the margins


Descent = RowDescent | BlockDescent | NewtonDescent


@dataclass(frozen=True, eq=False)
class Solution:
    """What `solve` found for K columns.

    `coef` has shape (K, d), for the matrix as it is weighted; `gap` shape (K,), the certified
    ``(P - D) / P``, in [0, 1]; `n_iter` shape (K,), the epochs that each took.
    """

    coef: Floats
    gap: Floats
    n_iter: NDArray[np.int64]


def solve(
    matrix: FusionMatrix,
    B: Floats,
    *,
    weights: Floats | None = None,
    tol: float = 1e-3,
    max_iter: int = 1000,
    n_jobs: int | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> Solution:
    """Solve the dual of one SVM for each row of `B`.

    Parameters
    ----------
    matrix : FusionMatrix of shape (n, d)
        An intercept is a column of ones.
    B : ndarray of shape (K, n), float64
        As in the module's docstring; 0 leaves an item out.
    weights : ndarray of shape (K, blocks), float64, optional
        Block weights of each column, above 0; by default those of `matrix`.
    tol : float, default=1e-3
        Column k is done when ``(P - D) / P <= tol``, computed in float64 from `B`, the dual
        variables and the features. As P is strongly convex, then ``|w - w*|² <= 2 tol P``.
    max_iter : int, default=1000
        Most epochs; each visits all rows once.
    n_jobs : int or None, default=None
        Threads: None is 1, and -1 all cores. The result does not depend on it.
    random_state : int, RandomState or None, default=None

    Returns
    -------
    Solution

    Examples
    --------
    >>> matrix = FusionMatrix.from_blocks([np.array([[1.0], [-1.0]])])
    >>> found = solve(matrix, np.array([[1.0, -1.0]]))
    >>> found.coef.round(1).tolist(), bool(found.gap[0] <= 1e-3)
    ([[0.7]], True)
    """
    if weights is None:
        weights = np.tile(np.array(matrix.weights), (len(B), 1))
    solver = _Solver(matrix, B, weights, tol, check_random_state(random_state))
    with solver.descent.limits(), Threads(effective_n_jobs(n_jobs)) as threads:
        return solver.run(max_iter, threads)


class _Solver:
    """The state between epochs."""

    def __init__(
        self,
        matrix: FusionMatrix,
        B: Floats,
        weights: Floats,
        tol: float,
        random: np.random.RandomState,
    ) -> None:
        dtype = _working_dtype(matrix, tol)
        self.problem = Problem(matrix, B, weights, dtype, np.zeros_like(B), np.zeros(len(B)))
        kind = choose_descent(matrix, len(B), dtype, tol)
        self.descent: Descent = kind(self.problem, random)
        self.tol = tol
        self.coef = np.zeros((len(B), matrix.shape[1]))
        self.gap = np.full(len(B), np.inf)
        self.n_iter = np.zeros(len(B), dtype=np.int64)
        self.factor = np.full(len(B), FACTOR)
        self.reached, self.growth = np.zeros(len(B)), np.zeros(len(B))
        self.momentum, self.last_A = np.zeros(len(B)), np.zeros(B.shape, dtype)
        U = [np.zeros((width, len(B)), dtype) for width in self.descent.widths]
        self._group(np.arange(len(B)), U, U)

    def run(self, max_iter: int, threads: Threads) -> Solution:
        """Epochs until each column is certified."""
        dual = self.problem.dual
        for epoch in range(1, max_iter + 1):
            self.descent.epoch(epoch, self.groups, threads)
            growth = (dual - self.reached) / np.maximum(dual, TINY)
            self.reached = dual.copy()
            certified = self._certify(growth, epoch == max_iter, threads)
            self._drop(certified & (growth <= 0) & (self.momentum == 0), epoch)
            if not self.groups:
                break
            if epoch > 2:  # the first two are no guide to the rest
                self.momentum = next_momentum(self.momentum, growth, self.growth)
            self.growth = growth
            self._go_on()
        return Solution(self.coef, self.gap, self.n_iter)

    def _go_on(self) -> None:
        """Begin the next epoch beyond where the last one ended.

        Dual variables may come to lie below 0; a step on such a one brings it back, and each is visited
        before anything is certified.
        """
        problem = self.problem
        for group in self.groups:
            k, squares = group.columns, group.weights[self.descent.block] ** 2
            m, A = self.momentum[k], problem.A[k]
            change = m[:, None] * (A - self.last_A[k])
            problem.A[k] = A + change
            gain = np.einsum("kn,kn->k", change, np.abs(problem.B[k]) - A - change / 2)
            for U, last, square in zip(group.U, group.last, squares, strict=True):
                step = m.astype(U.dtype) * (U - last)
                last[:] = U
                U += step
                gain -= np.einsum("dk,dk->k", last + step / 2, step, dtype=float) / square
            problem.dual[k] += gain
            self.last_A[k] = A

    def _certify(self, growth: Floats, last: bool, threads: Threads) -> NDArray[np.bool_]:
        """Compute the exact gap of the columns that seem to have converged; return which these were.

        Margins from an epoch are stale at its end and say little. But the gap shrinks as the growth
        of the dual in an epoch does, by a factor that an exact gap gives.
        """
        due = (growth * self.factor <= self.tol) | last
        if due[self._active()].mean() < 0.5:  # a certificate costs about as much as an epoch
            return np.zeros_like(due)
        chosen = [(g.columns[due[g.columns]], g.weights) for g in self.groups]
        chosen = [(columns, weights) for columns, weights in chosen if len(columns)]
        B, A = self.problem.B, self.problem.A
        jobs = [(np.ascontiguousarray((B[k] * A[k]).T), weights) for k, weights in chosen]
        for (k, _), (W, Z) in zip(chosen, self.descent.exact(jobs, threads), strict=True):
            self.coef[k], self.gap[k] = W.T, _relative_gap(B[k], A[k], W, Z)
            self.factor[k] = SAFETY * self.gap[k] / np.maximum(growth[k], TINY)
        return due

    def _drop(self, stuck: NDArray[np.bool_], epoch: int) -> None:
        """Leave alone the columns that are certified, or as good as this precision allows."""
        columns = self._active()
        self.n_iter[columns] = epoch
        left = ~((self.gap <= self.tol) | stuck)[columns]
        if left.all():
            return
        now = zip(*(group.U for group in self.groups), strict=True)
        last = zip(*(group.last for group in self.groups), strict=True)
        U, before = ([np.concatenate(u, axis=1)[:, left] for u in part] for part in (now, last))
        self._group(columns[left], U, before)

    def _group(
        self, columns: NDArray[np.int64], U: list[NDArray[Any]], last: list[NDArray[Any]]
    ) -> None:
        """Deal columns with these coefficients to groups."""
        width = self.descent.width(len(columns))
        self.groups = make_groups(columns, self.problem.weights, U, last, width)

    def _active(self) -> NDArray[np.int64]:
        """Columns that are not done."""
        return np.concatenate([group.columns for group in self.groups])


def _relative_gap(B: Floats, A: Floats, W: Floats, Z: Floats) -> Floats:
    """Relative gap (K,) of dual variables A (K, n) whose coefficients are W (d, K) and margins Z (n, K)."""
    square = np.einsum("dk,dk->k", W, W) / 2
    slack = np.maximum(0, np.abs(B) - B * Z.T)
    primal = square + np.einsum("kn,kn->k", slack, slack) / 2
    dual = np.einsum("kn,kn->k", A, np.abs(B) - A / 2) - square
    gap = np.maximum(primal - dual, 0)  # below 0 is rounding
    return np.divide(gap, primal, out=np.zeros_like(gap), where=primal > 0)


def choose_descent(
    matrix: FusionMatrix, columns: int, dtype: np.dtype[Any], tol: float
) -> type[Descent]:
    """The fastest way: by blocks, if there is enough to share and rows are long, else by rows.

    For a few items and a small tol, for which descent takes hundreds of epochs, Newton's method.
    """
    dense = [block for _, block in matrix.blocks if not sparse.issparse(block)]
    copied = any(block.dtype != dtype and block.shape[1] > 1 for block in dense)  # by rows
    if len(matrix) <= BLOCK:
        return NewtonDescent if copied or tol < FINE else RowDescent
    short = columns <= FEW_COLUMNS or all(block.shape[1] <= 1 for block in dense)
    return RowDescent if short and not copied else BlockDescent


def _working_dtype(matrix: FusionMatrix, tol: float) -> np.dtype[Any]:
    """Single precision if that of the dense blocks (or all, if there is none) is, and it is enough."""
    dense = [block.dtype for _, block in matrix.blocks if not sparse.issparse(block)]
    given = np.result_type(*dense) if dense else matrix.dtype
    return np.dtype(np.float32 if given == np.float32 and tol >= SINGLE else np.float64)
