"""A transformer of the fusion and a head on its output, such as a truncated SVD of the wide blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import TruncatedSVD
from sklearn.utils.validation import check_is_fitted

from hybrid.errors import SettingError
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads.base import FusionHead
from hybrid.heads.fitting import fit_head, head_scores


class HeadPipeline(FusionHead):
    """Pipeline of a transformer of the fusion and a head.

    The transformer is fitted on the same items as the head, once for all genres.

    Parameters
    ----------
    transformer : transformer
        Fusion → array of shape (n, features).
    estimator : classifier
        As `hybrid.heads.fitting.fit_head` takes it.
    n_jobs : int or None

    Attributes
    ----------
    transformer_, head_
        What was fitted.

    Examples
    --------
    >>> from sklearn.svm import LinearSVC
    >>> rows = np.array([[0.0, 0.0], [1.0, 0.0], [0.2, 0.0], [0.9, 0.0]], np.float32)
    >>> matrix, truth = FusionMatrix.from_blocks([rows], ["text"]), [[0], [1], [0], [1]]
    >>> head = HeadPipeline(BlockSVD(1), LinearSVC(C=10.0)).fit(matrix, truth)
    >>> head.predict(matrix).ravel().tolist()
    [0, 1, 0, 1]
    """

    def __init__(self, transformer: Any, estimator: Any, n_jobs: int | None = None) -> None:
        self.transformer = transformer
        self.estimator = estimator
        self.n_jobs = n_jobs

    def _fit(
        self, matrix: FusionMatrix, truth: Any, groups: Any, weight: NDArray[np.float64] | None
    ) -> None:
        self.transformer_ = clone(self.transformer).fit(matrix)
        self.head_ = fit_head(
            self.estimator,
            self._map(matrix),
            truth,
            n_jobs=self.n_jobs,
            groups=groups,
            sample_weight=weight,
        )

    def _score(self, matrix: FusionMatrix) -> NDArray[np.float64]:
        return head_scores(self.head_, self._map(matrix))

    def _map(self, matrix: FusionMatrix) -> FusionMatrix:
        return FusionMatrix.from_blocks([self.transformer_.transform(matrix)])


class BlockSVD(TransformerMixin, BaseEstimator):
    """Truncated SVD of each block that has more than so many columns.

    Parameters
    ----------
    components : int, default=100
        Columns that a block is reduced to.
    random_state : int, default=0

    Attributes
    ----------
    decompositions_ : list of TruncatedSVD or None
        None for a block that stays as it is.

    Examples
    --------
    >>> matrix = FusionMatrix.from_blocks([np.eye(5), np.ones((5, 1))])
    >>> BlockSVD(components=2).fit(matrix).transform(matrix).shape
    (5, 3)
    """

    def __init__(self, components: int = 100, random_state: int = 0) -> None:
        self.components = components
        self.random_state = random_state

    def fit(self, X: FusionMatrix, y: Any = None) -> BlockSVD:
        """Decompose the wide blocks."""
        if not self.components >= 1:
            raise SettingError(f"components: expected 1 or more, found {self.components}.")
        self.decompositions_ = [self._decompose(block) for _, block in X.blocks]
        return self

    def _decompose(self, block: Any) -> TruncatedSVD | None:
        if block.shape[1] <= self.components or block.shape[0] <= self.components:
            return None
        return TruncatedSVD(self.components, random_state=self.random_state).fit(block)

    def transform(self, X: FusionMatrix) -> NDArray[np.float32]:
        """The reduced blocks, times their weights, side by side: shape (n, columns)."""
        check_is_fitted(self)
        parts = []
        for (_, block), weight, svd in zip(X.blocks, X.weights, self.decompositions_, strict=True):
            reduced = block if svd is None else svd.transform(block)
            dense = reduced.toarray() if hasattr(reduced, "toarray") else reduced
            parts.append(np.asarray(weight * dense, dtype=np.float32))
        return np.hstack(parts)
