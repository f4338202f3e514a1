"""Labels that are unknown for some items are left out of fits, thresholds, calibration and quality."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.svm import LinearSVC

from hybrid.errors import SettingError
from hybrid.features import TextFeatures
from hybrid.features.fusion import Fusion
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads import HybridClassifier, MultilabelLinearSVC
from hybrid.heads.calibration import fit_calibration
from hybrid.heads.cross_fitting import Candidate, CrossFitting, matrix_folds
from hybrid.heads.decision_rule import DecisionOptions, fit_decision, threshold_spread
from hybrid.heads.fitting import fit_head, head_scores
from hybrid.heads.logistic import MultilabelLogistic
from hybrid.heads.scoring import score_out_of_fold

N = 120


@pytest.fixture
def data() -> tuple[np.ndarray[Any, Any], np.ma.MaskedArray[Any, Any]]:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(N, 5))
    noise = rng.normal(size=(N, 3))
    truth = (X @ rng.normal(size=(5, 3)) + noise > 0).astype(np.uint8)
    mask = np.zeros(truth.shape, dtype=bool)
    mask[:, 1] = rng.random(N) < 0.3
    mask[:, 2] = rng.random(N) < 0.5
    return X, np.ma.MaskedArray(truth, mask)


@pytest.mark.parametrize(
    "head", [MultilabelLinearSVC(C=0.5, tol=1e-8), MultilabelLogistic(), LinearSVC()]
)
def test_each_label_is_fitted_on_the_items_where_it_is_known(head: Any, data: Any) -> None:
    X, Y = data
    matrix = FusionMatrix.from_blocks([X])
    found = head_scores(fit_head(head, matrix, Y), matrix)
    for j in range(3):
        rows = ~Y.mask[:, j]
        alone = fit_head(head, matrix[rows], Y.data[rows][:, [j]])
        np.testing.assert_allclose(found[:, [j]], head_scores(alone, matrix), atol=1e-4)


def test_the_svm_of_scikit_learn_on_the_known_items(data: Any) -> None:
    X, Y = data
    matrix = FusionMatrix.from_blocks([X])
    head = fit_head(MultilabelLinearSVC(C=0.5, tol=1e-8), matrix, Y)
    assert isinstance(head, MultilabelLinearSVC)
    assert head.coef_.shape == (3, 5)
    for j in range(3):
        rows = ~Y.mask[:, j]
        plain = LinearSVC(C=0.5, tol=1e-8, max_iter=100_000, intercept_scaling=1)
        plain.fit(X[rows], Y.data[rows, j])
        np.testing.assert_allclose(head.coef_[j], plain.coef_[0], atol=1e-3)


def test_cross_fitting_leaves_unknown_cells_out(data: Any) -> None:
    X, Y = data
    fold = np.arange(N) % 3
    folds = list(matrix_folds(FusionMatrix.from_blocks([X]), fold))
    candidates = [Candidate({"C": c}, {}) for c in (0.1, 1.0)]
    found = CrossFitting(MultilabelLinearSVC(tol=1e-8), folds, Y).score(candidates)
    flipped = np.ma.MaskedArray(np.where(Y.mask, 1 - Y.data, Y.data), Y.mask)
    again = CrossFitting(MultilabelLinearSVC(tol=1e-8), folds, flipped).score(candidates)
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one, other)
        assert np.isfinite(one).all()


@pytest.mark.parametrize("metric", ["weighted-f1", "macro-f1", "micro-f1", "map", "map-weighted"])
def test_decisions_and_quality_are_those_of_the_known_cells(metric: str, data: Any) -> None:
    X, Y = data
    truth, known = Y[:, [1]], ~Y.mask[:, 1]
    scores, fold = X[:, [0]] + X[:, [1]], np.arange(N) % 3
    expected = fit_decision(truth.data[known], scores[known], DecisionOptions())
    found = fit_decision(truth, scores, DecisionOptions())
    np.testing.assert_array_equal(found.thresholds, expected.thresholds)
    one, other = found.calibration, expected.calibration
    assert one is not None
    assert other is not None
    np.testing.assert_array_equal(one.prior, other.prior)
    assert (one.slope, one.intercept) == (other.slope, other.intercept)
    quality = score_out_of_fold(truth, scores, fold, metric)
    assert quality == score_out_of_fold(truth.data[known], scores[known], fold[known], metric)
    assert len(threshold_spread(truth, scores, found)) == 1


def test_a_label_that_nobody_looked_at_is_a_constant(data: Any) -> None:
    X, Y = data
    Y = Y.copy()
    Y[:, 2] = np.ma.masked
    assert fit_calibration(Y, X[:, :3]).prior[2] == 0
    matrix = FusionMatrix.from_blocks([X])
    assert head_scores(fit_head(MultilabelLinearSVC(), matrix, Y), matrix).shape == (N, 3)


def test_the_classifier_takes_nan_and_masked_arrays() -> None:
    films = pd.DataFrame({"overview": ["a ghost in a house", "a sheriff rides west"] * 12})
    labels = np.array([[1, 0], [0, 1]] * 12, dtype=float)
    labels[4:8, 0] = np.nan
    fusion = Fusion([("text", TextFeatures(["overview"], max_chars=0))])
    settings: dict[str, Any] = {"grid": {"C": [0.1, 1.0]}, "folds": 2}

    def fit(y: Any) -> HybridClassifier:
        return HybridClassifier(fusion, MultilabelLinearSVC(random_state=0), **settings).fit(
            films, y
        )

    model = fit(labels)
    masked = fit(np.ma.MaskedArray(np.nan_to_num(labels), np.isnan(labels)))
    assert model.predict(films).tolist() == [[1, 0], [0, 1]] * 12
    np.testing.assert_array_equal(model.predict_proba(films), masked.predict_proba(films))
    plain, floats = fit(np.array([[1, 0], [0, 1]] * 12)), fit(np.array([[1.0, 0.0], [0, 1]] * 12))
    np.testing.assert_array_equal(plain.predict_proba(films), floats.predict_proba(films))
    chain = HybridClassifier(fusion, MultilabelLinearSVC(), chain=True, folds=2)
    with pytest.raises(SettingError, match="expected labels that are all known for a chain"):
        chain.fit(films, labels)
