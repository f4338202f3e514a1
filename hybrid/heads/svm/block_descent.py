"""Dual coordinate descent by blocks of rows, whose Gram matrices all columns share.

A visit of a block computes its margins with one product, improves the dual variables of the block by
coordinate steps on its Gram matrix, which cost no look at the features, and adds their change to the
coefficients with another product. So a row of features is read twice for all steps on it.

Threads share the features: each has pieces of them with their coefficients, and does both products there,
needing those of no other. The steps they share by SVM. They wait for each other twice a visit. The pieces
are the same for any number of threads, and so are the sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from hybrid.heads.svm.column_slices import cut, in_steps
from hybrid.heads.svm.problem import Floats, Group, Problem, Rows, Threads

BLOCK = 256  # rows of a block: its Gram matrix of 256 KiB stays in a core's cache
PARTITIONS = 2  # random partitions of the rows into blocks; with a single one it stalls
WIDTH = 32  # most columns of a group
LANES = 8  # pieces that a block of features is cut to, and so the most threads
SWEEPS = (3, 0.1)  # most passes over a block in one visit, and what the last must gain


class BlockDescent:
    """Pieces of the features, partitions of the rows into blocks, and the Gram matrices of these."""

    def __init__(self, problem: Problem, random: np.random.RandomState) -> None:
        self.problem, self.random = problem, random
        cuts = [cut(features, problem.dtype, LANES) for _, features in problem.matrix.blocks]
        self.pieces = [piece for pieces in cuts for piece in pieces]
        self.widths = [piece.width for piece in self.pieces]
        self.block = np.repeat(np.arange(len(cuts)), [len(pieces) for pieces in cuts])
        lane = np.concatenate([b + np.arange(len(pieces)) for b, pieces in enumerate(cuts)]) % LANES
        self.lanes = [np.flatnonzero(lane == i).tolist() for i in range(LANES)]
        # Blocks whose weights are proportional over the columns share their Gram matrices.
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
        """Most columns of a group."""
        return WIDTH

    def epoch(self, number: int, groups: list[Group], threads: Threads) -> None:
        """Visit all rows once, by the blocks of the next partition."""
        n = self.problem.B.shape[1]
        count = -(-n // BLOCK)
        which = (number - 1) % PARTITIONS
        if which == len(self.partitions):
            rows = np.array_split(self.random.permutation(n), count)
            self.partitions.append(rows)
            self.grams.append(threads.map(self._gram, rows))
        order = self.random.permutation(count)
        shared = [_Shared(self, group) for group in groups]
        workers = min(threads.count, LANES)
        turns = _turns(shared, workers)

        def visit_all(worker: int, wait: Callable[[], object]) -> None:
            lanes = range(worker, LANES, workers)
            for rows, grams in ((self.partitions[which][b], self.grams[which][b]) for b in order):
                parts = {p: self.pieces[p].take(rows) for i in lanes for p in self.lanes[i]}
                for each in shared:
                    each.add_products(lanes, parts, len(rows))
                wait()
                for each, start, stop in turns[worker]:
                    each.sweep(rows, grams, start, stop)
                wait()
                for each in shared:
                    each.add_transposed(parts, len(rows))

        threads.together(visit_all, workers)

    def exact(
        self, jobs: Sequence[tuple[Floats, Floats]], threads: Threads
    ) -> list[tuple[Floats, Floats]]:
        """For each (V, block weights), ``matrix.T @ V`` and ``matrix @ (matrix.T @ V)``, in float64."""
        return [self._exact(V, weights[self.block], threads) for V, weights in jobs]

    def _exact(self, V: Floats, weights: Floats, threads: Threads) -> tuple[Floats, Floats]:
        U = threads.map(lambda piece: piece.transposed(V), self.pieces)
        scaled = [part * weight**2 for part, weight in zip(U, weights, strict=True)]
        Z = np.zeros_like(V)

        def multiply(rows: Rows) -> None:
            for piece, part in zip(self.pieces, scaled, strict=True):
                piece.take(rows, exact=True).add_product(part, Z[rows[0] : rows[-1] + 1])

        threads.map(multiply, in_steps(len(V)))
        return np.concatenate([part * w for part, w in zip(U, weights, strict=True)]), Z

    def _gram(self, rows: Rows) -> NDArray[np.float32]:
        """Gram matrices of a block of rows, of shape (patterns, m, m)."""
        grams = np.zeros((self.ratios.shape[1], len(rows), len(rows)), dtype=np.float32)
        for piece, b in zip(self.pieces, self.block, strict=True):
            piece.take(rows).add_gram(self.problem.weights[0, b] ** 2, grams[self.pattern[b]])
        return grams


class _Shared:
    """Buffers that threads share while they visit a block for a group: margins by lane, and changes."""

    def __init__(self, descent: BlockDescent, group: Group) -> None:
        self.descent, self.group, self.problem = descent, group, descent.problem
        shape = (BLOCK, len(group.columns))
        self.Z = np.zeros((LANES, *shape), self.problem.dtype)
        self.D = np.zeros(shape, self.problem.dtype)
        self.squares = (group.weights**2).astype(self.problem.dtype)[descent.block]

    def add_products(self, lanes: range, parts: dict[int, Any], m: int) -> None:
        """Margins of m rows that some lanes add."""
        for i in lanes:
            self.Z[i] = 0
            for p in self.descent.lanes[i]:
                parts[p].add_product(self.group.U[p], self.Z[i, :m])

    def sweep(self, rows: Rows, grams: NDArray[np.float32], start: int, stop: int) -> None:
        """Improve some columns of the group."""
        from hybrid.heads.svm import descent_loops as kernels

        problem, columns = self.problem, self.group.columns
        G = grams[0]
        if len(grams) > 1:
            G = np.tensordot((self.descent.ratios[columns[0]] ** 2).astype(np.float32), grams, 1)
        Z = self.Z[:, : len(rows), start:stop].sum(axis=0)
        some = (columns, start, stop)
        kernels.sweep(*(G, Z, problem.B, rows, *some, *SWEEPS), problem.A, self.D, problem.dual)

    def add_transposed(self, parts: dict[int, Any], m: int) -> None:
        """Coefficients follow the change of m rows."""
        for p, part in parts.items():
            part.add_transposed(self.D[:m] * self.squares[p], self.group.U[p])


def _turns(shared: list[_Shared], workers: int) -> list[list[tuple[_Shared, int, int]]]:
    """For each worker, the columns that it sweeps: whole groups, or a share of each if these are few."""
    sizes = [len(each.group.columns) for each in shared]
    if len(shared) >= 2 * workers:
        pairs = list(zip(shared, sizes, strict=True))
        return [[(each, 0, size) for each, size in pairs[w::workers]] for w in range(workers)]
    cuts = [np.linspace(0, size, workers + 1).astype(int) for size in sizes]
    return [
        [(each, c[w], c[w + 1]) for each, c in zip(shared, cuts, strict=True) if c[w] < c[w + 1]]
        for w in range(workers)
    ]
