"""Base class of the multi-label linear SVMs: validation, prediction, and the input of the solver."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import assert_all_finite, check_array, check_consistent_length
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from hybrid.errors import SettingError
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.features.lazy_block import LazyBlock
from hybrid.heads.out_of_core.losses import SignedItems, SquaredHinge
from hybrid.heads.svm.solver import Solution, solve

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class BaseMultilabelSVC(ClassifierMixin, BaseEstimator):
    """Base class: validates features and labels, calls the solver, predicts scores and classes.

    Subclasses have the parameters `class_weight`, `tol`, `fit_intercept`, `max_iter`, `n_jobs` and
    `random_state`, and `fit`.
    """

    def decision_function(self, X: Any) -> Floats:
        """Scores: of shape (n, L), or (n,) for two classes.

        An item has a label, or the second class, where its score is above 0.
        """
        check_is_fitted(self)
        scores = self._read(X).times(self.coef_.T, self.n_jobs) + self.intercept_
        return scores.ravel() if not self._multilabel and len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> NDArray[Any]:
        """Classes of shape (n,), or 0 and 1 of shape (n, L)."""
        scores = self.decision_function(X)
        if self._multilabel:
            return (scores > 0).astype(np.int64)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(1)]

    def _start(self, X: Any, y: Any, sample_weight: Any) -> tuple[FusionMatrix, Flags, Floats]:
        """Validate the arguments of `fit`: features, labels of shape (n, L), weights of shape (n,)."""
        problems = self._problems()
        if problems:
            raise SettingError("\n".join(problems))
        matrix, y = self._read_both(X, y)
        Y = self._encode(y)
        given = np.empty((len(Y), 0))  # what only the number of rows is asked of
        weight = _check_sample_weight(
            sample_weight, given, dtype=np.float64, ensure_non_negative=True
        )
        if isinstance(self.class_weight, Mapping) and not self._multilabel:
            weight = weight * [float(self.class_weight.get(c, 1)) for c in np.asarray(y).tolist()]
        return matrix, Y, weight

    def _signed(self, Y: Flags, weight: Floats, C: float) -> Floats:
        """`signed_weights` of the labels; 0 for those that are constant."""
        varies = ~constant_labels(Y, weight)
        return signed_weights(Y, weight, C, self._class_weight()) * varies[:, None]

    def _class_weight(self) -> Mapping[Any, float] | str | None:
        """What the classes weigh, unless the weights of the items have it already."""
        by_class = isinstance(self.class_weight, Mapping) and not self._multilabel
        return None if by_class else self.class_weight

    def _solve_from_disk(
        self, matrix: FusionMatrix, Y: Flags, weight: Floats, C: float
    ) -> Solution:
        """As `_solve` with `_signed`, for rows on disk."""
        from hybrid.heads.out_of_core.solver import solve_from_disk

        factors = C * class_shares(Y, weight, self._class_weight())
        factors[:, constant_labels(Y, weight)] = 0
        return solve_from_disk(
            with_ones(matrix) if self.fit_intercept else matrix,
            SquaredHinge(SignedItems(Y, weight, factors)),
            tol=self.tol,
            max_iter=self.max_iter,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
        )

    def _keep(self, found: Solution, Y: Flags, weight: Floats) -> None:
        """Set the learned state."""
        self.coef_, self.intercept_ = self._split(found.coef)
        constant = constant_labels(Y, weight)
        self.intercept_[constant] = Y[weight > 0][0, constant]
        self.dual_gap_, self.n_iter_ = found.gap, found.n_iter

    def _split(self, coef: Floats) -> tuple[Floats, Floats]:
        """Coefficients of the columns, and intercepts."""
        if not self.fit_intercept:
            return coef, np.zeros(len(coef))
        return coef[:, :-1], coef[:, -1].copy()

    def _solve(self, matrix: FusionMatrix, B: Floats, weights: Floats | None = None) -> Solution:
        """Solve one SVM a row of B; the intercept is the last coefficient.

        `weights` of shape (len(B), blocks) are the block weights of each; by default the matrix's.
        """
        if self.fit_intercept:
            matrix = with_ones(matrix)
            if weights is not None:
                weights = np.hstack([weights, np.ones((len(B), 1))])
        return solve(
            matrix,
            B,
            weights=weights,
            tol=self.tol,
            max_iter=self.max_iter,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
        )

    def _warn(self, gap: Floats) -> None:
        above = np.flatnonzero(gap > self.tol)
        if len(above):
            worst = above[np.argmax(gap[above])]
            warnings.warn(
                f"{len(above)} of {len(gap)} SVMs have a duality gap above tol={self.tol:g}; the "
                f"largest, number {worst}, has {gap[worst]:.2g}. Raise max_iter (now "
                f"{self.max_iter}), lower C or scale the columns.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _warn_constant(self, Y: Flags, weight: Floats) -> None:
        """Warn of constant labels, as OneVsRestClassifier does."""
        if not weight.any():
            raise SettingError("sample_weight: expected a weight above 0, found none.")
        for label in np.flatnonzero(constant_labels(Y, weight)):
            name = self.classes_[-1 if Y.shape[1] == 1 else label]
            there = "" if Y[weight > 0][0, label] else "not "
            warnings.warn(f"Label {there}{name} is present in all training examples.", stacklevel=3)

    def _problems(self) -> list[str]:
        """Errors in the parameters."""
        problems = check_positive("tol", self.tol)
        if not (isinstance(self.max_iter, (int, np.integer)) and self.max_iter >= 1):
            problems.append(f"max_iter: expected a whole number from 1, found {self.max_iter!r}.")
        if self.n_jobs is not None and (
            not isinstance(self.n_jobs, (int, np.integer)) or not self.n_jobs
        ):
            problems.append(f"n_jobs: expected None, -1 or a number from 1, found {self.n_jobs!r}.")
        weight = self.class_weight
        if isinstance(weight, Mapping):
            wrong = [w for w in weight.values() if not (np.isfinite(w) and w >= 0)]
            if wrong:
                problems.append(f"class_weight: expected numbers from 0, found {wrong}.")
        elif weight not in (None, "balanced"):
            problems.append(f"class_weight: expected None, 'balanced' or a dict, found {weight!r}.")
        return problems

    def _read_both(self, X: Any, y: Any) -> tuple[FusionMatrix, Any]:
        """Features and labels, checked; one column of labels as shape (n,)."""
        if y is None:
            raise SettingError("requires y to be passed, but the target y is None.")
        y = y.toarray() if sparse.issparse(y) else y
        if isinstance(X, FusionMatrix):
            y = check_array(y, ensure_2d=False, dtype=None)
            check_consistent_length(X, y)
            matrix = self._read(X, reset=True)
        else:
            X, y = validate_data(self, X, y, multi_output=True, **_ACCEPTED)
            matrix = FusionMatrix.from_blocks([X])
        return matrix, (y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y)

    def _read(self, X: Any, reset: bool = False) -> FusionMatrix:
        """Features, checked."""
        if not isinstance(X, FusionMatrix):
            return FusionMatrix.from_blocks([validate_data(self, X, reset=reset, **_ACCEPTED)])
        for name, block in X.blocks:
            if isinstance(block, LazyBlock):  # the solver checks what it reads
                continue
            assert_all_finite(block.data if sparse.issparse(block) else block, input_name=name)
        if reset:
            self.n_features_in_ = X.shape[1]
        elif X.shape[1] != self.n_features_in_:
            raise SettingError(
                f"X has {X.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )
        return X

    def _encode(self, y: Any) -> Flags:
        """Labels of shape (n, L), True where the item has the label."""
        check_classification_targets(y)
        self._multilabel = type_of_target(y) == "multilabel-indicator"
        if self._multilabel:
            self.classes_ = np.arange(y.shape[1])
            return np.asarray(y) != 0
        if y.ndim > 1:
            raise SettingError(
                "y: expected classes of shape (n,) or 0 and 1 of shape (n, L), found several "
                "columns of classes."
            )
        self.classes_, number = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise SettingError(
                f"y: expected at least two classes, found one class: {self.classes_[0]!r}."
            )
        numbers = np.arange(len(self.classes_)) if len(self.classes_) > 2 else np.array([1])
        encoded: Flags = np.equal(number[:, None], numbers)
        return encoded

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = True
        return tags


_ACCEPTED: dict[str, Any] = {
    "accept_sparse": "csr",
    "accept_large_sparse": False,
    "dtype": [np.float64, np.float32],
    "order": "C",
}


def check_positive(name: str, value: Any) -> list[str]:
    """Error message for a number that is not above 0, or none."""
    if isinstance(value, (int, float, np.number)) and np.isfinite(value) and value > 0:
        return []
    return [f"{name}: expected a number above 0, found {value!r}."]


def constant_labels(Y: Flags, weight: Floats) -> Flags:
    """Which labels all or none of the items of a weight above 0 have: shape (L,)."""
    counted = Y[weight > 0]
    constant: Flags = np.equal(counted.all(axis=0), counted.any(axis=0))
    return constant


def with_ones(matrix: FusionMatrix) -> FusionMatrix:
    """The matrix and, as its last block, a column of ones."""
    ones = np.ones((len(matrix), 1), dtype=np.float32)
    return FusionMatrix((*matrix.blocks, ("intercept", ones)), (*matrix.weights, 1.0))


def signed_weights(
    Y: Flags, weight: Floats, C: float, class_weight: Mapping[Any, float] | str | None
) -> Floats:
    """Signed weights ``B_ik = y_ik sqrt(2 C c_ik)`` of items and labels, the input of the solver.

    Parameters
    ----------
    Y : ndarray of shape (n, L), bool
    weight : ndarray of shape (n,)
        Of the items, from 0.
    C : float
    class_weight : None, "balanced" or dict
        Factors on the items without (key 0) and with (key 1) a label; "balanced" gives both the
        same weight in sum.

    Returns
    -------
    ndarray of shape (L, n), float64

    Examples
    --------
    >>> signed_weights(np.array([[True], [False]]), np.ones(2), 0.5, None).tolist()
    [[1.0, -1.0]]
    """
    shares = class_shares(Y, weight, class_weight)
    c = weight[:, None] * np.where(Y, shares[1], shares[0])
    return np.ascontiguousarray((np.where(Y, 1.0, -1.0) * np.sqrt(2 * C * c)).T)


def class_shares(
    Y: Flags, weight: Floats, class_weight: Mapping[Any, float] | str | None
) -> Floats:
    """What an item without (row 0), and one with (row 1), each label weighs: shape (2, L).

    Examples
    --------
    >>> class_shares(np.array([[True], [False], [False]]), np.ones(3), "balanced").ravel().tolist()
    [0.75, 1.5]
    """
    present = weight @ Y
    shares = np.ones((2, Y.shape[1]))
    if isinstance(class_weight, Mapping):
        shares[:] = [[class_weight.get(0, 1.0)], [class_weight.get(1, 1.0)]]
    elif class_weight == "balanced":
        counts = np.stack([weight.sum() - present, present])
        shares = np.divide(weight.sum(), 2 * counts, out=shares, where=counts > 0)
    return shares
