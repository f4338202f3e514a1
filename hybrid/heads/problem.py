"""What the two descents have in common: the SVMs to solve, and groups of them that go together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hybrid.fusion import FusionMatrix

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Item = TypeVar("Item")
Found = TypeVar("Found")
CSRArrays = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any]]


@dataclass(eq=False)
class Problem:
    """K SVMs on n items, as `hybrid.heads.dual` has them, and how far their dual has come.

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
    """Columns that go together, and their coefficients on each block before its weight.

    `U` has, for each block, shape (its columns, columns of the group).
    """

    columns: NDArray[np.int64]
    weights: Floats
    U: list[NDArray[Any]]


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


def make_groups(
    columns: NDArray[np.int64], weights: Floats, U: list[NDArray[Any]], width: int
) -> list[Group]:
    """Deal columns to groups of at most `width`, each with one set of block weights."""
    groups = []
    _, kind = np.unique(weights[columns], axis=0, return_inverse=True)
    for k in range(kind.max(initial=-1) + 1):
        alike = np.flatnonzero(kind == k)
        for chosen in np.array_split(alike, -(-len(alike) // width)):
            parts = [np.ascontiguousarray(part[:, chosen]) for part in U]
            groups.append(Group(columns[chosen], weights[columns[chosen[0]]], parts))
    return groups


def csr_arrays(block: sparse.csr_matrix, dtype: np.dtype[Any]) -> CSRArrays:
    """Arrays of a CSR matrix, each entry given once."""
    if not block.has_canonical_format:
        block = block.copy()
        block.sum_duplicates()
    return (
        block.indptr.astype(np.int64, copy=False),
        block.indices.astype(np.int32, copy=False),
        block.data.astype(dtype, copy=False),
    )
