"""Descent by blocks of rows, whose Gram matrices all columns share.

A visit of a block computes its margins with one product, improves the dual variables of the block by
coordinate steps on its Gram matrix, which cost no look at the features, and adds their change to the
coefficients with another product. So a row of features is read twice for all steps on it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from hybrid.heads.problem import Group, Problem, Rows, Threads, csr_arrays

BLOCK = 256  # rows of a block: its Gram matrix of 256 KiB stays in a core's cache
PARTITIONS = 3  # ways to deal the rows to blocks; with one alone it stalls
WIDTH = 32  # most columns of a group
GROUPS = 2  # least groups, where there are enough columns
SWEEPS = (3, 0.1)  # most passes over a block in one visit, and what the last must gain
SWEEPS_ALONE = (1000, 1e-9)  # of a block that holds all rows


class BlockDescent:
    """Partitions of the rows into blocks, and their Gram matrices."""

    def __init__(self, problem: Problem, random: np.random.RandomState) -> None:
        self.problem, self.random = problem, random
        dtype = problem.dtype
        self.blocks = [
            _Sparse(block, dtype) if sparse.issparse(block) else _Dense(block, dtype)
            for _, block in problem.matrix.blocks
        ]
        # Blocks whose weights differ alike between the columns share their Gram matrices.
        weights = problem.weights
        self.ratios, self.pattern = np.unique(weights / weights[0], axis=1, return_inverse=True)
        self.partitions: list[list[Rows]] = []
        self.grams: list[list[NDArray[np.float32]]] = []

    @staticmethod
    def limits() -> AbstractContextManager[Any]:
        """Numpy's products in as many threads again would only fight for the cores."""
        limits: AbstractContextManager[Any] = threadpool_limits(1, user_api="blas")
        return limits

    @staticmethod
    def width(columns: int) -> int:
        """Most columns of a group, if there are so many in all."""
        return min(WIDTH, -(-columns // GROUPS))

    def epoch(self, number: int, groups: list[Group], threads: Threads) -> None:
        """Visit all rows once, by the blocks of the next partition."""
        n = self.problem.B.shape[1]
        count = -(-n // BLOCK)
        which = (number - 1) % PARTITIONS if count > 1 else 0
        if which == len(self.partitions):
            rows = np.array_split(self.random.permutation(n), count)
            self.partitions.append(rows)
            self.grams.append(threads.map(self._gram, rows))
        order = self.random.permutation(count)

        def visit_all(groups: list[Group]) -> None:
            for block in order:
                self._visit(self.partitions[which][block], self.grams[which][block], groups)

        # Which columns go together does not depend on the threads, so neither do the sums.
        threads.map(visit_all, [groups[i :: threads.count] for i in range(threads.count)])

    def _gram(self, rows: Rows) -> NDArray[np.float32]:
        """Gram matrices of a block of rows, of shape (patterns, m, m)."""
        grams = np.zeros((self.ratios.shape[1], len(rows), len(rows)), dtype=np.float32)
        for block, p, weight in zip(
            self.blocks, self.pattern, self.problem.weights[0], strict=True
        ):
            block.take(rows).add_gram(weight**2, grams[p])
        return grams

    def _visit(self, rows: Rows, grams: NDArray[np.float32], groups: list[Group]) -> None:
        """Improve all columns of some groups on one block of rows."""
        from hybrid.heads import kernels

        problem = self.problem
        parts = [block.take(rows) for block in self.blocks]
        effort = SWEEPS if len(rows) < problem.B.shape[1] else SWEEPS_ALONE
        for group in groups:
            Z = np.zeros((len(rows), len(group.columns)), problem.dtype)
            for part, U in zip(parts, group.U, strict=True):
                part.add_product(U, Z)
            G = grams[0]
            if len(grams) > 1:
                ratios = self.ratios[group.columns[0]]
                G = np.tensordot((ratios**2).astype(np.float32), grams, 1)
            D = np.empty_like(Z)
            kernels.sweep(
                *(G, Z, problem.B, rows, group.columns, *effort), problem.A, D, problem.dual
            )
            for part, weight, U in zip(parts, group.weights, group.U, strict=True):
                part.add_transposed(D * problem.dtype.type(weight**2), U)


# Rows of one block of features


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
    """Features of a CSR matrix."""

    def __init__(self, block: sparse.csr_matrix, dtype: np.dtype[Any]) -> None:
        self.width, self.arrays = block.shape[1], csr_arrays(block, dtype)

    def take(self, rows: Rows) -> _SparseRows:
        return _SparseRows(self, rows)


class _SparseRows:
    """Some rows T, where they lie."""

    def __init__(self, block: _Sparse, rows: Rows) -> None:
        from hybrid import products
        from hybrid.heads import kernels

        self.kernels, self.products, self.block, self.rows = kernels, products, block, rows

    def add_gram(self, scale: float, G: NDArray[np.float32]) -> None:
        block = self.block
        self.kernels.add_sparse_gram(*block.arrays, self.rows, scale, block.width, G)

    def add_product(self, U: NDArray[Any], Z: NDArray[Any]) -> None:
        self.products.add_sparse_product(*self.block.arrays, self.rows, U, Z)

    def add_transposed(self, D: NDArray[Any], U: NDArray[Any]) -> None:
        self.products.add_sparse_transposed(*self.block.arrays, self.rows, D, U)
