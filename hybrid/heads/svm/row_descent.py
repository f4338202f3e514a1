"""Dual coordinate descent by single rows, each column alone, as LinearSVC does.

The method of LinearSVC (Hsieh et al., ICML 2008, algorithm 1, without shrinking), but that rows of dense
blocks are read as they are.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hybrid.heads.svm.problem import (
    Floats,
    Group,
    Problem,
    Rows,
    Threads,
    canonical,
    csr_arrays,
    exact_products,
)


class RowDescent:
    """The features' arrays, and the squared length of each row in each block."""

    exact = exact_products

    def __init__(self, problem: Problem, random: np.random.RandomState) -> None:
        self.problem, self.random = problem, random
        blocks = [block for _, block in problem.matrix.blocks]
        self.widths, self.block = [b.shape[1] for b in blocks], np.arange(len(blocks))
        self.lengths = np.array([_square_lengths(block) for block in blocks])
        # A block of each kind without columns: numba asks the first of a tuple for its type.
        empty = np.zeros((len(problem.matrix), 0), problem.dtype)
        blocks += [empty, sparse.csr_matrix(empty)]
        self.is_sparse = np.array([sparse.issparse(block) for block in blocks])
        self.dense = tuple(
            _fixed(np.ascontiguousarray(b, problem.dtype)) for b in blocks if not sparse.issparse(b)
        )
        self.sparse = tuple(
            tuple(_fixed(part) for part in csr_arrays(canonical(b), problem.dtype))
            for b in blocks
            if sparse.issparse(b)
        )

    @staticmethod
    def limits() -> AbstractContextManager[Any]:
        """Products are few here, and to look for numpy's threads takes longer than a small fit."""
        return nullcontext()

    @staticmethod
    def width(columns: int) -> int:
        """Most columns of a group."""
        return 1

    def epoch(self, number: int, groups: list[Group], threads: Threads) -> None:
        """Visit all rows once."""
        order = self.random.permutation(self.problem.B.shape[1])
        threads.map(lambda group: self._descend(order, group), groups)

    def _descend(self, order: Rows, group: Group) -> None:
        """Visit all rows once for the only column of a group."""
        from hybrid.heads.svm import descent_loops as kernels

        problem, [column] = self.problem, group.columns
        squares = np.append(group.weights**2, [1, 1]).astype(problem.dtype)
        empty = np.zeros(0, problem.dtype)
        U = [part[:, 0] for part in group.U] + [empty, empty]
        problem.dual[column] += kernels.descend(
            *(self.dense, self.sparse, group.weights**2 @ self.lengths, order, problem.B[column]),
            *(squares[~self.is_sparse], squares[self.is_sparse]),
            tuple(u for u, is_sparse in zip(U, self.is_sparse, strict=True) if not is_sparse),
            tuple(u for u, is_sparse in zip(U, self.is_sparse, strict=True) if is_sparse),
            problem.A[column],
        )


def _fixed(array: NDArray[Any]) -> NDArray[Any]:
    """The same numbers, as an array that cannot be written: one type for numba, whoever made it."""
    view = array.view()
    view.flags.writeable = False
    return view


def _square_lengths(block: Any) -> Floats:
    """Squared length of each row, of shape (n,)."""
    if sparse.issparse(block):
        squares = sparse.csr_matrix(block, dtype=np.float64).multiply(block)
        return np.asarray(squares.sum(axis=1)).ravel()
    return np.einsum("id,id->i", block, block, dtype=np.float64)
