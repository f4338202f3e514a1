"""Out-of-fold scores of a head, on a fusion that is already there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.errors import SettingError
from hybrid.features.fusion import FusionMatrix
from hybrid.heads.fitting import fit_head, head_scores
from hybrid.heads.svm.base import signed_weights, with_ones
from hybrid.heads.svm.multilabel_svc import MultilabelLinearSVC
from hybrid.heads.svm.solver import solve
from hybrid.splitting.splits import make_folds

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]


def deal_folds(
    truth: Labels, folds: int, groups: NDArray[Any] | None, seed: int
) -> NDArray[np.int64]:
    """Folds of shape (n,), dealt by labels and groups; as many as the groups can fill.

    Raises
    ------
    SettingError
        If there are fewer than two.
    """
    if folds < 2:
        raise SettingError(f"folds: expected 2 or more, found {folds}.")
    fold = make_folds(np.arange(len(truth)), truth, folds, groups=groups, seed=seed)
    filled, fold = np.unique(fold, return_inverse=True)
    if len(filled) < 2:
        raise SettingError("folds: expected at least two groups of items, found fewer.")
    return fold


def out_of_fold(
    estimator: Any,
    matrix: FusionMatrix,
    truth: Labels,
    fold: NDArray[np.int64],
    n_jobs: int | None = None,
) -> Floats:
    """Score each item with a head that was fitted on the other folds.

    Parameters
    ----------
    estimator : classifier
        As `fit_head` takes it.
    matrix : FusionMatrix of n rows
    truth : ndarray of shape (n, L)
    fold : ndarray of shape (n,)
        Numbers from 0.
    n_jobs : int or None

    Returns
    -------
    ndarray of shape (n, L), float64
        NaN where all or none of the other folds' items have the genre.
    """
    left_out = np.equal.outer(np.arange(fold.max() + 1), fold)
    if isinstance(estimator, MultilabelLinearSVC):
        scores = _svm_scores(estimator, matrix, truth, left_out, n_jobs)
    else:
        scores = np.empty(truth.shape)
        for out in left_out:
            head = fit_head(estimator, matrix[~out], truth[~out], n_jobs=n_jobs)
            scores[out] = head_scores(head, matrix[out])
    for out in left_out:
        constant = np.ptp(truth[~out], axis=0) == 0
        scores[np.ix_(out, constant)] = np.nan
    return scores


def _svm_scores(
    svm: MultilabelLinearSVC,
    matrix: FusionMatrix,
    truth: Labels,
    left_out: NDArray[np.bool_],
    n_jobs: int | None,
) -> Floats:
    """All folds in one solve: an item of weight 0 is left out, and the Gram matrices are shared."""
    features = with_ones(matrix) if svm.fit_intercept else matrix
    B = [signed_weights(truth == 1, 1.0 * ~out, svm.C, svm.class_weight) for out in left_out]
    found = solve(
        features,
        np.concatenate(B),
        tol=svm.tol,
        max_iter=svm.max_iter,
        n_jobs=n_jobs,
        random_state=svm.random_state,
    )
    scores = np.empty(truth.shape)
    for out, coef in zip(left_out, np.split(found.coef, len(left_out)), strict=True):
        scores[out] = features[out] @ coef.T
    return scores
