"""A dummy of one label an item: draws classes, or predicts the most frequent one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier

from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads.base import FusionHead

Floats = NDArray[np.float64]


class SingleLabelDummy(FusionHead):
    """scikit-learn's `DummyClassifier` on the class of each item; its scores are labels, 0 or 1.

    Parameters
    ----------
    strategy : str, default="most_frequent"
        ``"most_frequent"``, ``"stratified"`` or ``"uniform"``.
    random_state : int, default=0

    Attributes
    ----------
    dummy_ : DummyClassifier

    Examples
    --------
    >>> matrix = FusionMatrix.from_blocks([np.zeros((3, 1), np.float32)])
    >>> SingleLabelDummy().fit(matrix, [[1, 0], [0, 1], [0, 1]]).predict(matrix).tolist()
    [[0, 1], [0, 1], [0, 1]]
    """

    def __init__(self, strategy: str = "most_frequent", random_state: int = 0) -> None:
        self.strategy = strategy
        self.random_state = random_state

    def _fit(self, matrix: FusionMatrix, truth: Any, groups: Any, weight: Floats | None) -> None:
        self.dummy_ = DummyClassifier(strategy=self.strategy, random_state=self.random_state)
        self.dummy_.fit(np.zeros((len(truth), 1)), truth.argmax(axis=1), sample_weight=weight)

    def _score(self, matrix: FusionMatrix) -> Floats:
        drawn = self.dummy_.predict(np.zeros((len(matrix), 1)))
        return np.eye(len(self.classes_))[drawn]
