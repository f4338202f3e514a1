"""Many linear SVMs on one matrix, solved together by block dual coordinate descent.

Each column k of a signed matrix B is one SVM: a label, with its C, class weights and fold. With
``|B_ik| = sqrt(2 C c_ik)``, c the weight of an item and the sign its label, it minimises

    P(w) = |w|²/2 + sum_i max(0, |B_ik| - B_ik w·x_i)² / 2,

which is the objective of ``LinearSVC(loss="squared_hinge")``. Its dual is to maximise

    D(a) = sum_i |B_ik| a_i - sum_i a_i² / 2 - |w(a)|²/2,    w(a) = sum_i B_ik a_i x_i,    a >= 0.

(Hsieh, Chang, Lin, Keerthi and Sundararajan, "A Dual Coordinate Descent Method for Large-scale
Linear SVM", ICML 2008, their alpha being ``|B_ik| a_i``: so nothing is divided by a weight, and
0 leaves an item out.) What the columns share is done once: the Gram matrices of blocks of rows, on
which coordinate steps cost no look at the features, and the two products with the features that
each visit of a block needs.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import check_random_state
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from hybrid.fusion import FusionMatrix

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

BLOCK = 256  # rows of a block: its Gram matrix of 256 KiB stays in a core's cache
PARTITIONS = 3  # ways to deal the rows to blocks; with one alone it stalls
WIDTH = 16  # most columns of a group
GROUPS = 2  # least groups, where there are enough columns
SWEEPS = (3, 0.1)  # most passes over a block in one visit, and what the last must gain
SWEEPS_ALONE = (1000, 1e-9)  # of a block that holds all rows
FACTOR = 4.0  # gap over relative growth of the dual in an epoch, where it is not known yet
SAFETY = 1.2  # that factor varies a little from epoch to epoch
TINY = 1e-300
SINGLE = 1e-6  # below this tol, single precision cannot keep the margins


@dataclass(frozen=True, eq=False)
class Solution:
    """What `solve` found for K columns.

    `coef` has shape (K, d), for the matrix as it is weighted; `gap` shape (K,), the certified
    ``(P - D) / P``, in [0, 1]; `n_iter` shape (K,), the epochs that each took.
    """

    coef: Floats
    gap: Floats
    n_iter: NDArray[np.int64]


@dataclass(eq=False)
class _Group:
    """Columns that go together, and their coefficients on each block before its weight."""

    columns: NDArray[np.int64]
    weights: Floats
    U: list[NDArray[Any]]


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
    """Solve one SVM a row of `B`.

    Parameters
    ----------
    matrix : FusionMatrix of shape (n, d)
        An intercept is a column of ones.
    B : ndarray of shape (K, n), float64
        As in the module's docstring; 0 leaves an item out.
    weights : ndarray of shape (K, blocks), float64, optional
        Block weights of each column, above 0; by default those of `matrix`.
    tol : float
        Column k is done when ``(P - D) / P <= tol``, computed in float64 from `B`, the dual
        variables and the features. As P is strongly convex, then ``|w - w*|² <= 2 tol P``.
    max_iter : int
        Most epochs; each visits all rows once.
    n_jobs : int or None
        Threads: None is 1, and -1 all cores. It does not change the answer.
    random_state : int, RandomState or None

    Returns
    -------
    Solution
    """
    if weights is None:
        weights = np.tile(np.array(matrix.weights), (len(B), 1))
    solver = _Solver(matrix, B, weights, tol, check_random_state(random_state))
    # numpy's products in as many threads again would only fight for the cores.
    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(effective_n_jobs(n_jobs)) as pool,
    ):
        return solver.run(max_iter, pool)


class _Solver:
    """The state between epochs: dual variables A, partitions with their Gram matrices, groups."""

    def __init__(
        self,
        matrix: FusionMatrix,
        B: Floats,
        weights: Floats,
        tol: float,
        random: np.random.RandomState,
    ) -> None:
        self.matrix, self.B, self.weights, self.tol, self.random = matrix, B, weights, tol, random
        self.dtype = _working_dtype(matrix, tol)
        self.blocks = [_prepare(block, self.dtype) for _, block in matrix.blocks]
        # Blocks whose weights differ alike between the columns share their Gram matrices.
        self.ratios, self.pattern = np.unique(weights / weights[0], axis=1, return_inverse=True)
        self.partitions: list[list[Rows]] = []
        self.grams: list[list[NDArray[np.float32]]] = []
        self.A = np.zeros_like(B)
        self.dual = np.zeros(len(B))
        self.coef = np.zeros((len(B), matrix.shape[1]))
        self.gap = np.full(len(B), np.inf)
        self.n_iter = np.zeros(len(B), dtype=np.int64)
        self.factor = np.full(len(B), FACTOR)
        empty = [np.zeros((block.width, len(B)), self.dtype) for block in self.blocks]
        self.groups = _make_groups(np.arange(len(B)), weights, empty)

    def run(self, max_iter: int, pool: ThreadPoolExecutor) -> Solution:
        """Epochs until each column is certified."""
        for epoch in range(1, max_iter + 1):
            before = self.dual.copy()
            self._epoch(epoch, pool)
            growth = (self.dual - before) / np.maximum(self.dual, TINY)
            certified = self._certify(growth, epoch == max_iter, pool)
            self._drop(certified & (growth <= 0), epoch)
            if not self.groups:
                break
        return Solution(self.coef, self.gap, self.n_iter)

    def _epoch(self, epoch: int, pool: ThreadPoolExecutor) -> None:
        """Visit all rows once, by the blocks of the next partition."""
        count = -(-self.B.shape[1] // BLOCK)
        which = (epoch - 1) % PARTITIONS if count > 1 else 0
        if which == len(self.partitions):
            rows = np.array_split(self.random.permutation(self.B.shape[1]), count)
            self.partitions.append(rows)
            self.grams.append(list(pool.map(self._gram, rows)))
        order = self.random.permutation(count)

        def visit_all(groups: list[_Group]) -> None:
            for block in order:
                self._visit(self.partitions[which][block], self.grams[which][block], groups)

        # Which columns go together does not depend on the threads, so neither do the sums.
        threads = pool._max_workers
        list(pool.map(visit_all, [self.groups[i::threads] for i in range(threads)]))

    def _gram(self, rows: Rows) -> NDArray[np.float32]:
        """Gram matrices of a block of rows, of shape (patterns, m, m)."""
        grams = np.zeros((self.ratios.shape[1], len(rows), len(rows)), dtype=np.float32)
        for block, p, weight in zip(self.blocks, self.pattern, self.weights[0], strict=True):
            block.take(rows).add_gram(weight**2, grams[p])
        return grams

    def _visit(self, rows: Rows, grams: NDArray[np.float32], groups: list[_Group]) -> None:
        """Improve all columns of some groups on one block of rows."""
        from hybrid.heads import kernels

        parts = [block.take(rows) for block in self.blocks]
        effort = SWEEPS if len(rows) < self.B.shape[1] else SWEEPS_ALONE
        for group in groups:
            Z = np.zeros((len(rows), len(group.columns)), self.dtype)
            for part, U in zip(parts, group.U, strict=True):
                part.add_product(U, Z)
            G = grams[0]
            if len(grams) > 1:
                ratios = self.ratios[group.columns[0]]
                G = np.tensordot((ratios**2).astype(np.float32), grams, 1)
            D = np.empty_like(Z)
            kernels.sweep(G, Z, self.B, rows, group.columns, *effort, self.A, D, self.dual)
            for part, weight, U in zip(parts, group.weights, group.U, strict=True):
                part.add_transposed(D * self.dtype.type(weight**2), U)

    def _certify(self, growth: Floats, last: bool, pool: ThreadPoolExecutor) -> NDArray[np.bool_]:
        """Compute the exact gap of the columns that seem to be done, and tell which these were.

        Margins from an epoch are stale at its end and say little. But the gap shrinks as the growth
        of the dual in an epoch does, by a factor that an exact gap tells.
        """
        due = (growth * self.factor <= self.tol) | last
        if due[self._active()].mean() < 0.5:  # a certificate costs about as much as an epoch
            return np.zeros_like(due)
        jobs = [(g, np.flatnonzero(due[g.columns])) for g in self.groups]
        jobs = [(g, chosen) for g, chosen in jobs if len(chosen)]
        exact = pool.map(lambda job: self._exact(job[0].columns[job[1]], job[0].weights), jobs)
        for (group, chosen), (W, gap) in zip(jobs, exact, strict=True):
            columns = group.columns[chosen]
            self.coef[columns], self.gap[columns] = W.T, gap
            self.factor[columns] = SAFETY * gap / np.maximum(growth[columns], TINY)
        return due

    def _exact(self, columns: NDArray[np.int64], weights: Floats) -> tuple[Floats, Floats]:
        """Coefficients and relative gap of the dual variables as they are, all in float64."""
        B, A = self.B[columns], self.A[columns]
        matrix = FusionMatrix(self.matrix.blocks, tuple(weights))
        W = matrix.T @ (B * A).T
        square = np.einsum("dk,dk->k", W, W) / 2
        slack = np.maximum(0, np.abs(B) - B * (matrix @ W).T)
        primal = square + np.einsum("kn,kn->k", slack, slack) / 2
        dual = np.einsum("kn,kn->k", A, np.abs(B) - A / 2) - square
        gap = np.maximum(primal - dual, 0)  # below 0 is rounding
        return W, np.divide(gap, primal, out=np.zeros_like(gap), where=primal > 0)

    def _drop(self, stuck: NDArray[np.bool_], epoch: int) -> None:
        """Leave alone the columns that are certified, or as good as this precision allows."""
        columns = self._active()
        self.n_iter[columns] = epoch
        left = ~((self.gap <= self.tol) | stuck)[columns]
        if left.all():
            return
        groups = zip(*(group.U for group in self.groups), strict=True)
        U = [np.concatenate(parts, axis=1)[:, left] for parts in groups]
        self.groups = _make_groups(columns[left], self.weights, U)

    def _active(self) -> NDArray[np.int64]:
        """Columns that are not done."""
        return np.concatenate([group.columns for group in self.groups])


def _working_dtype(matrix: FusionMatrix, tol: float) -> np.dtype[Any]:
    """Single precision if that of the dense blocks (or all, if there is none) is, and it is enough."""
    dense = [block.dtype for _, block in matrix.blocks if not sparse.issparse(block)]
    given = np.result_type(*dense) if dense else matrix.dtype
    return np.dtype(np.float32 if given == np.float32 and tol >= SINGLE else np.float64)


def _make_groups(
    columns: NDArray[np.int64], weights: Floats, U: list[NDArray[Any]]
) -> list[_Group]:
    """Deal columns to groups, each with one set of block weights."""
    groups = []
    width = min(WIDTH, -(-len(columns) // GROUPS))
    _, kind = np.unique(weights[columns], axis=0, return_inverse=True)
    for k in range(kind.max(initial=-1) + 1):
        alike = np.flatnonzero(kind == k)
        for chosen in np.array_split(alike, -(-len(alike) // width)):
            parts = [np.ascontiguousarray(part[:, chosen]) for part in U]
            groups.append(_Group(columns[chosen], weights[columns[chosen[0]]], parts))
    return groups


# Rows of one block of features


def _prepare(block: Any, dtype: np.dtype[Any]) -> _Dense | _Sparse:
    """A block of features of which rows can be taken."""
    if not sparse.issparse(block):
        return _Dense(block, dtype)
    if not block.has_canonical_format:
        block = block.copy()
        block.sum_duplicates()
    return _Sparse(block, dtype)


class _Dense:
    """Features of an ndarray."""

    def __init__(self, block: NDArray[Any], dtype: np.dtype[Any]) -> None:
        self.block, self.dtype, self.width = block, dtype, block.shape[1]

    def take(self, rows: Rows) -> _DenseRows:
        return _DenseRows(self.block[rows].astype(self.dtype, copy=False))


class _DenseRows:
    """Some rows X."""

    def __init__(self, X: NDArray[Any]) -> None:
        self.X = X

    def add_gram(self, scale: float, G: NDArray[np.float32]) -> None:
        X = self.X.astype(np.float32, copy=False)
        G += np.float32(scale) * (X @ X.T)

    def add_product(self, U: NDArray[Any], Z: NDArray[Any]) -> None:
        Z += self.X @ U

    def add_transposed(self, D: NDArray[Any], U: NDArray[Any]) -> None:
        U += self.X.T @ D


class _Sparse:
    """Features of a CSR matrix in canonical format."""

    def __init__(self, block: sparse.csr_matrix, dtype: np.dtype[Any]) -> None:
        self.width = block.shape[1]
        self.arrays = (
            block.indptr.astype(np.int64, copy=False),
            block.indices.astype(np.int32, copy=False),
            block.data.astype(dtype, copy=False),
        )

    def take(self, rows: Rows) -> _SparseRows:
        return _SparseRows(self, rows)


class _SparseRows:
    """Some rows T, where they lie."""

    def __init__(self, block: _Sparse, rows: Rows) -> None:
        from hybrid.heads import kernels

        self.kernels, self.block, self.rows = kernels, block, rows

    def add_gram(self, scale: float, G: NDArray[np.float32]) -> None:
        block = self.block
        self.kernels.add_sparse_gram(*block.arrays, self.rows, scale, block.width, G)

    def add_product(self, U: NDArray[Any], Z: NDArray[Any]) -> None:
        self.kernels.add_sparse_product(*self.block.arrays, self.rows, U, Z)

    def add_transposed(self, D: NDArray[Any], U: NDArray[Any]) -> None:
        self.kernels.add_sparse_transposed(*self.block.arrays, self.rows, D, U)
