"""Nested cross-validation: an unbiased estimate of the whole procedure, without the test items."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hybrid.catalogue.packed import take_table
from hybrid.evaluation import Outputs
from hybrid.heads import HybridClassifier
from hybrid.heads.cross_fitting import assign_folds
from hybrid.studies.fits import Fit, Fits, unfitted_copy
from hybrid.utils.unknown_labels import read_labels


def nested_cv_predict(
    model: HybridClassifier,
    X: pd.DataFrame,
    y: ArrayLike,
    groups: ArrayLike | None = None,
    *,
    fits: Fits | None = None,
) -> Outputs:
    """Predict each item by nested cross-validation.

    The items are assigned to ``model.folds`` outer folds. For each, all steps of `fit` (cross-fitting, choice
    of the settings, calibration, thresholds, the final fit) are done on the items of the other folds, and
    that model predicts the items held out. As each of these models learns from fewer items than
    ``model.fit(X, y)``, the estimate is slightly pessimistic. It takes about ``folds - 1`` times as long
    as that fit.

    Parameters
    ----------
    model : HybridClassifier
        It is cloned.
    X : DataFrame of n items
    y : array-like of shape (n, L)
        NaN, or masked in a masked array, where a label is unknown.
    groups : array-like of shape (n,), optional
        Items of one group are in one fold, outer and inner.
    fits : Fits, optional
        Shows and remembers the fit of each fold.

    Returns
    -------
    Outputs
        Labels and probabilities of shape (n, L).

    Examples
    --------
    >>> from hybrid.features import TextFeatures
    >>> from hybrid.features.fusion import Fusion
    >>> from hybrid.heads import MultilabelLinearSVC
    >>> films = pd.DataFrame({"overview": ["a ghost in a house", "a sheriff rides west"] * 8})
    >>> labels = np.array([[1, 0], [0, 1]] * 8)
    >>> fusion = Fusion([("text", TextFeatures(["overview"], max_chars=0))])
    >>> model = HybridClassifier(fusion, MultilabelLinearSVC(random_state=0), folds=2)
    >>> bool((nested_cv_predict(model, films, labels).labels == labels).all())
    True
    """
    truth = read_labels(y)
    labels = np.zeros(truth.shape, dtype=np.uint8)
    probabilities = np.zeros(truth.shape)
    fits = fits or Fits()
    for held_out, fit in fold_fits(model, X, truth, groups):
        found = fits.get(fit).outputs
        labels[held_out], probabilities[held_out] = found.labels, found.scores
    return Outputs(labels, probabilities)


def fold_fits(
    model: HybridClassifier, X: pd.DataFrame, y: ArrayLike, groups: ArrayLike | None
) -> list[tuple[NDArray[np.bool_], Fit]]:
    """The fits of a nested cross-validation, one for each fold, with the items that it holds out.

    Parameters
    ----------
    model, X, y, groups
        As for `nested_cv_predict`.
    """
    truth = read_labels(y)
    groups = None if groups is None else np.asarray(groups)
    fold = assign_folds(truth, model.folds, groups, model.random_state, ids=X.index)

    def predict(held_out: NDArray[np.bool_]) -> Outputs:
        train, test = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        fitted = unfitted_copy(model).fit(
            take_table(X, train), truth[train], groups=None if groups is None else groups[train]
        )
        scores = fitted.predict_proba(take_table(X, test))
        return Outputs(fitted.label(scores), scores)

    return [
        (fold == k, Fit(f"fold-{k}", f"fold {k + 1}", partial(predict, fold == k)))
        for k in np.unique(fold).tolist()
    ]
