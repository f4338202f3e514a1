"""Logistic regression of each label on scores of that label alone: the second level of a stack."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from hybrid.errors import SettingError
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads.base import FusionHead
from hybrid.utils.counts import counted

Floats = NDArray[np.float64]


class LabelwiseLogistic(FusionHead):
    """Logistic regression of each label on scores of that label alone.

    Of L labels and H heads, the first H L columns are the scores: L of the first head, L of the second, and
    so on. Label l has the columns l, L + l, 2 L + l …, and all columns behind the scores.

    Parameters
    ----------
    heads : int, default=1
        H.
    C : float, default=1.0
        Inverse of the L2 penalty, above 0; the intercepts are free.

    Attributes
    ----------
    coef_ : ndarray of shape (L, H + further columns), float64
    intercept_ : ndarray of shape (L,), float64

    Raises
    ------
    SettingError
        If a parameter is out of range, or there are fewer than H L columns.

    Examples
    --------
    >>> scores = np.array([[-2.0, 1.0], [2.0, -1.0]] * 4)  # one head, two labels
    >>> matrix, truth = FusionMatrix.from_blocks([scores]), [[0, 1], [1, 0]] * 4
    >>> head = LabelwiseLogistic().fit(matrix, truth)
    >>> head.coef_.shape, head.predict(matrix)[0].tolist()
    ((2, 1), [0, 1])
    """

    def __init__(self, heads: int = 1, C: float = 1.0) -> None:
        self.heads = heads
        self.C = C

    def _fit(self, matrix: FusionMatrix, truth: Any, groups: Any, weight: Floats | None) -> None:
        self._check(matrix, truth)
        own = self._own(matrix, truth.shape[1])
        self.coef_ = np.zeros((truth.shape[1], own(0).shape[1]))
        self.intercept_ = np.zeros(truth.shape[1])
        for label in np.flatnonzero(truth.any(axis=0) & ~truth.all(axis=0)):
            # Newton's method: columns are few, items many.
            fitted = LogisticRegression(C=self.C, solver="newton-cholesky", tol=1e-6)
            fitted.fit(own(label), truth[:, label], sample_weight=weight)
            self.coef_[label], self.intercept_[label] = fitted.coef_[0], fitted.intercept_[0]

    def _score(self, matrix: FusionMatrix) -> Floats:
        own = self._own(matrix, len(self.coef_))
        found = [own(label) @ weights for label, weights in enumerate(self.coef_)]
        return np.column_stack(found) + self.intercept_

    def _own(self, matrix: FusionMatrix, labels: int) -> Any:
        """Columns of a label, from its number."""
        columns = np.hstack(
            [
                weight * (block.toarray() if sparse.issparse(block) else block).astype(np.float64)
                for (_, block), weight in zip(matrix.blocks, matrix.weights, strict=True)
            ]
        )
        scores = columns[:, : self.heads * labels].reshape(len(columns), self.heads, labels)
        further = columns[:, self.heads * labels :]
        return lambda label: np.hstack([scores[:, :, label], further])

    def _check(self, matrix: FusionMatrix, truth: Any) -> None:
        problems = [
            f"{name}: expected a number above 0, found {value!r}."
            for name, value in (("heads", self.heads), ("C", self.C))
            if not (np.isfinite(value) and value > 0)
        ]
        if problems:
            raise SettingError("\n".join(problems))
        if matrix.shape[1] < self.heads * truth.shape[1]:
            expected = counted(self.heads * truth.shape[1], "column of scores", "columns of scores")
            raise SettingError(f"X: expected {expected}, found {matrix.shape[1]:,}.")
