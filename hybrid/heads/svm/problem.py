"""State that the solvers share: the dual problem, groups of columns, and threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier, BrokenBarrierError
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hybrid.features.fusion_matrix import FusionMatrix

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Item = TypeVar("Item")
Found = TypeVar("Found")
CSRArrays = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any]]


@dataclass(eq=False)
class Problem:
    """K SVMs on n items, with the current values of their dual variables and objectives.

    `B` and the dual variables `A` have shape (K, n), block weights `weights` (K, blocks), the dual
    objective `dual` (K,); all float64. Margins and coefficients are worked on in `dtype`.
    """

    matrix: FusionMatrix
    B: Floats
    weights: Floats
    dtype: np.dtype[Any]
    A: Floats
    dual: Floats


@dataclass(eq=False)
class Group:
    """Columns that go together, and their coefficients on each piece of the matrix before its weight.

    A piece is a block, or a range of its columns, as the descent cuts them. `U`, and `last`, which is
    what `U` was an epoch ago, have for each piece shape (its columns, columns of the group).
    """

    columns: NDArray[np.int64]
    weights: Floats
    U: list[NDArray[Any]]
    last: list[NDArray[Any]]


class Threads:
    """`count` threads that take calls; one call, or all for one thread, is done by the caller itself."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __enter__(self) -> Threads:
        self._pool = ThreadPoolExecutor(self.count)
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()

    def map(self, call: Callable[[Item], Found], items: Sequence[Item]) -> list[Found]:
        """What `call` gives for each item, in order."""
        if self.count == 1 or len(items) < 2:
            return [call(item) for item in items]
        return list(self._pool.map(call, items))

    def together(self, call: Callable[[int, Callable[[], object]], None], workers: int) -> None:
        """Do `call(worker, wait)` in so many threads at once; `wait` ends when all have come to it."""
        if workers == 1:
            call(0, lambda: None)
            return
        barrier = Barrier(workers)

        def work(worker: int) -> None:
            try:
                call(worker, barrier.wait)
            except BaseException:
                barrier.abort()  # or the others would wait for ever
                raise

        errors = [job.exception() for job in [self._pool.submit(work, w) for w in range(workers)]]
        for error in sorted(filter(None, errors), key=lambda e: isinstance(e, BrokenBarrierError)):
            raise error


def make_groups(
    columns: NDArray[np.int64],
    weights: Floats,
    U: list[NDArray[Any]],
    last: list[NDArray[Any]],
    width: int,
) -> list[Group]:
    """Deal columns to groups of at most `width`, each with one set of block weights."""
    groups = []
    _, kind = np.unique(weights[columns], axis=0, return_inverse=True)
    for k in range(kind.max(initial=-1) + 1):
        same = np.flatnonzero(kind == k)
        for chosen in np.array_split(same, -(-len(same) // width)):
            now, before = ([np.ascontiguousarray(u[:, chosen]) for u in part] for part in (U, last))
            groups.append(Group(columns[chosen], weights[columns[chosen[0]]], now, before))
    return groups


def exact_products(
    descent: Any, jobs: Sequence[tuple[Floats, Floats]], threads: Threads
) -> list[tuple[Floats, Floats]]:
    """For each (V, block weights), ``matrix.T @ V`` and ``matrix @ (matrix.T @ V)``, in float64."""

    def multiply(job: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        matrix = FusionMatrix(descent.problem.matrix.blocks, tuple(job[1]))
        W = matrix.T @ job[0]
        return W, matrix @ W

    return threads.map(multiply, jobs)


def canonical(block: sparse.csr_matrix) -> sparse.csr_matrix:
    """The same matrix, each entry given once and those of a row in order."""
    if not block.has_canonical_format:
        block = block.copy()
        block.sum_duplicates()
    return block


def csr_arrays(block: sparse.csr_matrix, dtype: np.dtype[Any]) -> CSRArrays:
    """Arrays of a CSR matrix in canonical format."""
    return (
        block.indptr.astype(np.int64, copy=False),
        block.indices.astype(np.int32, copy=False),
        block.data.astype(dtype, copy=False),
    )
