"""Base class of heads that take the fusion as it is, and all genres at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from hybrid.errors import SettingError
from hybrid.features.fusion_matrix import FusionMatrix

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]


class FusionHead(ClassifierMixin, BaseEstimator):
    """Base class of multi-label heads on a fusion; subclasses have `_fit` and `_score`.

    A genre that all or none of the items have is no error; its score has no meaning.

    Attributes
    ----------
    classes_ : ndarray of shape (L,)
        Numbers of the genres.
    n_features_in_ : int
    """

    weighs_items = True  # whether it can use sample_weight
    reads_rows = False  # whether it can be fitted on rows that stay on disk

    def fit(
        self,
        X: FusionMatrix,
        y: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Any:
        """Fit one classifier a genre, all together.

        Parameters
        ----------
        X : FusionMatrix of n rows
        y : array-like of shape (n, L)
            1 where the item has the genre.
        groups : array-like of shape (n,), optional
            Items of one group stay together where the head makes folds of its own.
        sample_weight : array-like of shape (n,), optional
            Weight of each item in the loss, above 0.

        Raises
        ------
        SettingError
            If X is no FusionMatrix, shapes do not match, a parameter is wrong, or the head cannot weigh
            items.
        """
        matrix, truth = _fusion(X), np.asarray(y)
        if matrix.is_lazy and not self.reads_rows:
            raise rows_needed(type(self).__name__)
        if truth.ndim != 2 or len(truth) != len(matrix) or not np.isin(truth, (0, 1)).all():
            raise SettingError(
                f"y: expected 0 and 1 of shape ({len(matrix)}, L), found {truth.dtype} of shape "
                f"{truth.shape}."
            )
        weight = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        if weight is not None and not self.weighs_items:
            raise SettingError(
                f"sample_weight: expected a head that can weigh items, found {type(self).__name__}. "
                "Leave sample_weight out, or use another head, such as MultilabelLinearSVC."
            )
        self.classes_ = np.arange(truth.shape[1])
        self.n_features_in_ = matrix.shape[1]
        groups = None if groups is None else np.asarray(groups)
        self._fit(matrix, truth.astype(np.uint8), groups, weight)
        return self

    def decision_function(self, X: FusionMatrix) -> Floats:
        """Scores of shape (n, L), float64: margins or log-odds, 0 being undecided."""
        check_is_fitted(self, "n_features_in_")
        matrix = _fusion(X)
        if matrix.shape[1] != self.n_features_in_:
            raise SettingError(
                f"X has {matrix.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )
        return self._score(matrix)

    def predict(self, X: FusionMatrix) -> Labels:
        """Labels of shape (n, L), uint8: 1 where the score is above 0."""
        return (self.decision_function(X) > 0).astype(np.uint8)

    def _fit(
        self,
        matrix: FusionMatrix,
        truth: Labels,
        groups: NDArray[Any] | None,
        weight: Floats | None,
    ) -> None:
        raise NotImplementedError

    def _score(self, matrix: FusionMatrix) -> Floats:
        raise NotImplementedError


def _fusion(X: Any) -> FusionMatrix:
    if not isinstance(X, FusionMatrix):
        raise SettingError(
            f"X: expected a FusionMatrix, found {type(X).__name__}. Make one with "
            "FusionMatrix.from_blocks([X])."
        )
    return X


def rows_needed(found: str) -> SettingError:
    """The error for a head that cannot be fitted on rows that stay on disk.

    Examples
    --------
    >>> print(rows_needed("Chain"))
    X: expected MultilabelLinearSVC or MultilabelLogistic for rows on disk, found Chain. Read them, X[:].
    """
    return SettingError(
        "X: expected MultilabelLinearSVC or MultilabelLogistic for rows on disk, found "
        f"{found}. Read them, X[:]."
    )


def balanced_weights(truth: Labels, weight: Floats | None = None) -> Floats:
    """Class weights of shape (n, L), as scikit-learn's ``class_weight="balanced"``.

    Parameters
    ----------
    truth : ndarray of shape (n, L)
    weight : ndarray of shape (n,), optional
        How much each item counts; by default 1.

    Returns
    -------
    ndarray of shape (n, L), float64
        ``n / (2 count)``; 0 for a genre that all or none have. It does not contain `weight`.

    Examples
    --------
    >>> balanced_weights(np.array([[1], [0], [0], [0]], np.uint8)).ravel().round(2).tolist()
    [2.0, 0.67, 0.67, 0.67]
    """
    if weight is None:
        n, present = float(len(truth)), truth.sum(axis=0, dtype=np.float64)
    else:
        n, present = float(weight.sum()), weight @ truth
    counts = np.where(truth == 1, present, n - present)
    varied = (present > 0) & (present < n)
    return np.where(varied, n / (2 * np.maximum(counts, 1)), 0.0)
