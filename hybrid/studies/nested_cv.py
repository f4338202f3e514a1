"""An honest estimate of a whole procedure, without the test items."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone

from hybrid.evaluation import Outputs
from hybrid.heads import HybridClassifier
from hybrid.heads.cross_fitting import assign_folds


def nested_cv_predict(
    model: HybridClassifier, X: pd.DataFrame, y: ArrayLike, groups: ArrayLike | None = None
) -> Outputs:
    """What the procedure says of items that took no part in it: nested cross-fitting.

    The items are dealt to ``model.folds`` outer folds. For each, all that `fit` does (cross-fitting,
    choice, calibration, thresholds, the last fit) is done on the items of the other folds, and the
    model labels the items left out. As each of these models learns from fewer items than
    ``model.fit(X, y)``, the outputs are a little worse than its own on new items will be. It costs
    about ``folds - 1`` times as much as that fit.

    Parameters
    ----------
    model : HybridClassifier
        Not changed.
    X : DataFrame of n items
    y : array-like of shape (n, L)
    groups : array-like of shape (n,), optional
        Items of one group are in one fold, outer and inner.

    Returns
    -------
    Outputs
        Labels and probabilities of shape (n, L).
    """
    truth = np.asarray(y)
    groups = None if groups is None else np.asarray(groups)
    fold = assign_folds(truth, model.folds, groups, model.random_state, ids=X.index)
    labels = np.zeros(truth.shape, dtype=np.uint8)
    probabilities = np.zeros(truth.shape)
    for k in np.unique(fold):
        left_out = fold == k
        learn = np.flatnonzero(~left_out)
        fitted = clone(model).fit(
            X.iloc[learn], truth[learn], groups=None if groups is None else groups[learn]
        )
        probabilities[left_out] = fitted.predict_proba(X.iloc[np.flatnonzero(left_out)])
        labels[left_out] = fitted.label(probabilities[left_out])
    return Outputs(labels, probabilities)
