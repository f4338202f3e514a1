"""K nearest neighbours on the fusion, by cosine similarity of the blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hybrid.errors import SettingError
from hybrid.features.fusion_matrix import FusionMatrix, missing_blocks
from hybrid.heads.base import FusionHead
from hybrid.heads.fitting import log_odds

Floats = NDArray[np.float64]
CELLS = 2**24  # similarities that are held at a time: 64 MiB


class MultilabelKNN(FusionHead):
    """K nearest neighbours: the genres of the most similar items, weighted by similarity.

    The similarity of two items is the mean cosine similarity of the blocks that both have, weighted by the
    squared block weights. So an item without a poster is compared by its other blocks, and two items are
    not similar because both have none. The search is exact.

    Parameters
    ----------
    neighbours : int, default=100
        Most similar items that vote.
    power : float, default=4.0
        A vote counts ``max(similarity, 0) ** power``.

    Attributes
    ----------
    items_ : list of (block, inverse lengths)
        What was fitted; dense blocks are not copied.
    present_ : ndarray of shape (n, blocks), bool
    labels_ : ndarray of shape (n, L)
    prior_ : ndarray of shape (L,)
        The probability where all votes are 0.

    Examples
    --------
    >>> rows = np.array([[1, 0, 0], [0, 1, 0], [0.9, 0.1, 0], [0.1, 0.9, 0]], np.float32)
    >>> matrix = FusionMatrix.from_blocks([rows], ["poster"])  # the last column is the indicator
    >>> head = MultilabelKNN(neighbours=2).fit(matrix, [[0], [1], [0], [1]])
    >>> head.predict(matrix).ravel().tolist()
    [0, 1, 0, 1]
    """

    weighs_items = False

    def __init__(self, neighbours: int = 100, power: float = 4.0) -> None:
        self.neighbours = neighbours
        self.power = power

    def _fit(self, matrix: FusionMatrix, truth: Any, groups: Any, weight: Floats | None) -> None:
        if not (self.neighbours >= 1 and self.power >= 0):
            raise SettingError(
                f"neighbours: expected 1 or more, found {self.neighbours}; power: expected 0 or more, "
                f"found {self.power}."
            )
        self.items_ = [(_columns_first(block), scale) for block, scale in _directions(matrix)]
        self.present_, self.labels_ = ~missing_blocks(matrix), truth.astype(np.float32)
        self.prior_ = truth.mean(axis=0, dtype=np.float64)

    def _score(self, matrix: FusionMatrix) -> Floats:
        found = np.empty((len(matrix), self.labels_.shape[1]))
        step = max(1, CELLS // len(self.labels_))
        for start in range(0, len(matrix), step):
            rows = slice(start, start + step)
            found[rows] = self._vote(self._similarities(matrix[rows]))
        return log_odds(found)

    def _similarities(self, matrix: FusionMatrix) -> NDArray[np.float32]:
        """Of some items to all that were fitted, in [-1, 1]."""
        present, squares = ~missing_blocks(matrix), np.square(matrix.weights)
        total = np.zeros((len(matrix), len(self.labels_)), dtype=np.float32)
        directions = zip(_directions(matrix), self.items_, squares, strict=True)
        for (block, scale), (items, item_scale), square in directions:
            product = block @ items
            product = product.toarray() if sparse.issparse(product) else product
            total += np.float32(square) * product * scale[:, None] * item_scale
        shared = ((present * squares) @ self.present_.T).astype(np.float32)
        return np.divide(total, shared, out=total, where=shared > 0)

    def _vote(self, similar: NDArray[np.float32]) -> Floats:
        """Shares of the votes that each genre got, shape (n, L)."""
        k = min(self.neighbours, similar.shape[1])
        nearest = np.argpartition(-similar, k - 1, axis=1)[:, :k]
        votes = np.maximum(np.take_along_axis(similar, nearest, axis=1), 0) ** self.power
        counted = np.einsum("ik,ikl->il", votes, self.labels_[nearest], dtype=np.float64)
        cast = votes.sum(axis=1, dtype=np.float64)[:, None]
        return np.where(cast > 0, counted / np.where(cast > 0, cast, 1.0), self.prior_)


def _directions(matrix: FusionMatrix) -> list[tuple[Any, NDArray[np.float32]]]:
    """Each block without its indicator, and the inverse lengths of its rows (0 of an empty one)."""
    found = []
    for _, block in matrix.blocks:
        features = block[:, :-1]
        squared = features.multiply(features) if sparse.issparse(features) else features**2
        length = np.sqrt(np.asarray(squared.sum(axis=1), dtype=np.float32).ravel())
        inverse = np.divide(1, length, out=np.zeros_like(length), where=length > 0)
        found.append((features, inverse))
    return found


def _columns_first(block: Any) -> Any:
    return block.T.tocsr() if sparse.issparse(block) else block.T
