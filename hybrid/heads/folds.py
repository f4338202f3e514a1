"""The folds of a cross-fitting, their blocks fitted without the items left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone

from hybrid.features.fusion import BlockData, Fusion, FusionMatrix, take_rows

KEPT = 2**30  # bytes of encoded folds; above that, encoding them anew is cheaper than the memory


@dataclass(frozen=True, eq=False)
class Fold:
    """Blocks fitted on the items of the other folds: whom it leaves out, and both sides encoded.

    `groups` are those of the items to learn from, for heads that deal folds of their own.
    """

    left_out: NDArray[np.bool_]
    learn: FusionMatrix
    judge: FusionMatrix
    groups: NDArray[Any] | None = None


class Folds:
    """Gives one fold after the other, as often as it is asked.

    Blocks are fitted once. The folds that do not fit into `KEPT` bytes are encoded each time, so that
    the memory does not grow with their number.

    Parameters
    ----------
    fusion : Fusion
        Not changed.
    data : dict
        What `Fusion.read` gave of n items.
    number : ndarray of shape (n,)
        The fold of each item, from 0.
    groups : ndarray of shape (n,), optional
    """

    def __init__(
        self,
        fusion: Fusion,
        data: BlockData,
        number: NDArray[np.int64],
        groups: NDArray[Any] | None = None,
    ) -> None:
        self.fusion, self.data, self.number, self.groups = fusion, data, number, groups
        self._fitted: dict[int, Fusion] = {}
        self._kept: dict[int, Fold] = {}
        self._left = KEPT

    def __iter__(self) -> Iterator[Fold]:
        for k in range(int(self.number.max()) + 1):
            yield self._kept.get(k) or self._encode(k)

    def _encode(self, k: int) -> Fold:
        left_out = self.number == k
        judge = take_rows(self.data, np.flatnonzero(left_out))
        learn = take_rows(self.data, np.flatnonzero(~left_out))
        if k not in self._fitted:
            self._fitted[k] = clone(self.fusion).fit(learn)
        fusion = self._fitted[k]
        groups = None if self.groups is None else self.groups[~left_out]
        fold = Fold(left_out, fusion.transform(learn), fusion.transform(judge), groups)
        size = _size(fold.learn) + _size(fold.judge)
        if size <= self._left:
            self._kept[k], self._left = fold, self._left - size
        return fold


def _size(matrix: FusionMatrix) -> int:
    """Bytes that the numbers of the blocks take."""
    arrays = [
        array
        for _, block in matrix.blocks
        for array in (
            (block.data, block.indices, block.indptr) if sparse.issparse(block) else (block,)
        )
    ]
    return sum(int(array.nbytes) for array in arrays)
