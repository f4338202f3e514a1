"""Linear SVMs of all labels at once, as a scikit-learn classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hybrid.heads.svm.base import BaseMultilabelSVC, check_positive


class MultilabelLinearSVC(BaseMultilabelSVC):
    """Multi-label linear SVM with squared hinge loss: one a label, all fitted together.

    Each label has the objective of ``LinearSVC(loss="squared_hinge", intercept_scaling=1)``, with
    the same meaning of `C`, `class_weight` and `sample_weight`:
    ``|w|²/2 + C sum_i c_i max(0, 1 - y_i w·x_i)²``, the intercept being the (regularised) weight of a
    column of ones. It is as exact as `tol` says, proved for each label, and several times faster than
    one label after the other where there are some labels and thousands of items; dense and sparse
    blocks are used as they are.

    Parameters
    ----------
    C : float, default=1.0
        Weight of the loss, above 0.
    class_weight : None, "balanced" or dict, default=None
        "balanced" weighs, for each label, the items with and without it by ``n / (2 count)``, as
        ``OneVsRestClassifier(LinearSVC(class_weight="balanced"))`` does. A dict weighs items: with
        several labels an item, its keys are 0 and 1; else the classes. What it does not name
        weighs 1.
    tol : float, default=1e-3
        A label has converged when its duality gap, relative to its objective, is certified to be at most
        that: ``(primal - dual) / primal <= tol``, hence ``|w - w*|² <= 2 tol primal``.
    fit_intercept : bool, default=True
    max_iter : int, default=1000
        Most epochs; each visits all items once.
    n_jobs : int or None, default=None
        Threads; None is 1 (or that of joblib's ``parallel_config``), -1 all cores. The result does not
        depend on it. NumPy's own threads are limited to one meanwhile, in the whole process.
    random_state : int, RandomState or None, default=None
        Order of the items.

    Attributes
    ----------
    coef_ : ndarray of shape (L, columns), float64
        L is 1 for two classes. For the matrix as it is weighted, if it is a `FusionMatrix`.
    intercept_ : ndarray of shape (L,), float64
    dual_gap_ : ndarray of shape (L,), float64
        The certified relative gap of each label, in [0, 1].
    n_iter_ : ndarray of shape (L,), int64
        Epochs that each label took.
    classes_ : ndarray
        The classes; with several labels an item, their numbers 0 … L - 1.
    n_features_in_ : int

    Notes
    -----
    A label that all items of `fit` have, or none (items of weight 0 not counted), is not learnt: as
    in `OneVsRestClassifier`, a warning says so, its coefficients are 0, and its score is 1 or 0 for
    each item. If `y` has but one class, `fit` fails as that of LinearSVC does.

    A large `C` where there are many more items than columns converges slowly; a ConvergenceWarning says
    the gap that was reached.

    Up to 4 labels, up to 256 items, or sparse columns alone leave little to share: then each label is
    solved alone, row by row, as LinearSVC does. The objective and the certificate are the same;
    `n_iter_` counts other epochs, usually more of them. Up to 256 items with a `tol` below 1e-4 are solved by
    Newton's method, in two epochs.

    Columns of float32 (of the dense blocks, where there are some) are worked on in float32, unless
    `tol` is below 1e-6; the certificate is in float64 in any case.

    Examples
    --------
    >>> X = np.array([[0.0, 1.0], [1.0, 0.0], [0.2, 0.9], [0.9, 0.1]])
    >>> y = np.array([[0, 1], [1, 0], [0, 1], [1, 0]])
    >>> model = MultilabelLinearSVC(C=10.0, random_state=0).fit(X, y)
    >>> model.predict(X).tolist()
    [[0, 1], [1, 0], [0, 1], [1, 0]]
    >>> bool((model.dual_gap_ <= 1e-3).all())
    True
    """

    def __init__(
        self,
        C: float = 1.0,
        *,
        class_weight: Mapping[Any, float] | str | None = None,
        tol: float = 1e-3,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.C = C
        self.class_weight = class_weight
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(
        self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> MultilabelLinearSVC:
        """Fit one SVM a label.

        Parameters
        ----------
        X : ndarray, CSR or FusionMatrix of shape (n, columns)
        y : array of shape (n,) or (n, L)
            Classes, or 1 where an item has a label. One column is taken as shape (n,).
        sample_weight : array of shape (n,), optional
            Factor on `C` for each item, not negative.

        Raises
        ------
        SettingError
            If parameters are wrong; it lists all that are.
        ValueError
            If X or y are invalid.

        Warns
        -----
        ConvergenceWarning
            If a label's gap is above `tol` after `max_iter` epochs.
        """
        matrix, Y, weight = self._start(X, y, sample_weight)
        self._warn_constant(Y, weight)
        if matrix.is_lazy:
            found = self._solve_from_disk(matrix, Y, weight, self.C)
        else:
            found = self._solve(matrix, self._signed(Y, weight, self.C))
        self._warn(found.gap)
        self._keep(found, Y, weight)
        return self

    def _problems(self) -> list[str]:
        """What is wrong with the parameters."""
        return check_positive("C", self.C) + super()._problems()
