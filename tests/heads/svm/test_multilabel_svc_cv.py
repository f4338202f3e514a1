"""C and block weights chosen in one solve, against scikit-learn's searches with LinearSVC."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse
from sklearn.metrics import average_precision_score
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_predict,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from hybrid.errors import SettingError
from hybrid.features.fusion import FusionMatrix
from hybrid.heads import MultilabelLinearSVC, MultilabelLinearSVCCV

Floats = NDArray[np.float64]
CS = (0.01, 0.1, 1.0)
FOLDS = KFold(3, shuffle=True, random_state=0)
WEIGHTS: list[dict[str, float]] = [{}, {"poster": 3.0}, {"poster": 1.5, "text": 0.5}]


def make_items(n: int = 330, labels: int = 4) -> tuple[FusionMatrix, NDArray[np.int64]]:
    random = np.random.default_rng(0)
    X = random.standard_normal((n, 12)) / 4
    T = sparse.csr_matrix(sparse.random(n, 40, 0.1, "csr", rng=random))
    scores = X @ random.standard_normal((12, labels)) + T @ random.standard_normal((40, labels))
    scores += random.standard_normal(scores.shape) / 2
    Y = (scores > np.quantile(scores, np.linspace(0.5, 0.8, labels), axis=0).diagonal()).astype(int)
    return FusionMatrix.from_blocks([X, T], ["poster", "text"], [0.8, 1.0]), Y


def plain(**options: Any) -> OneVsRestClassifier:
    return OneVsRestClassifier(LinearSVC(tol=1e-9, max_iter=10**6, random_state=0, **options))


def ours(**options: Any) -> MultilabelLinearSVCCV:
    return MultilabelLinearSVCCV(**{"Cs": CS, "cv": FOLDS, "tol": 1e-9, **options})


def weighted_map(truth: Any, scores: Any) -> float:
    known = truth.any(axis=0)
    each = average_precision_score(truth[:, known], scores[:, known], average=None)
    return float((each * truth.sum(axis=0)[known]).sum() / truth.sum())


# Against GridSearchCV and cross_val_predict


@pytest.mark.parametrize("scoring", ["f1_weighted", "average_precision", "roc_auc"])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_it_chooses_what_grid_search_chooses(scoring: str, class_weight: Any) -> None:
    matrix, Y = make_items()
    found = ours(scoring=scoring, class_weight=class_weight).fit(matrix, Y)
    search = GridSearchCV(
        plain(class_weight=class_weight), {"estimator__C": CS}, scoring=scoring, cv=FOLDS
    ).fit(matrix.tocsr(), Y)
    names = [*(f"split{k}_test_score" for k in range(3)), "mean_test_score", "std_test_score"]
    for name in names:
        np.testing.assert_allclose(found.cv_results_[name], search.cv_results_[name], atol=2e-3)
    assert search.best_params_["estimator__C"] == found.C_
    assert found.best_index_ == search.best_index_
    assert found.best_score_ == pytest.approx(search.best_score_, abs=2e-3)
    np.testing.assert_array_equal(
        found.cv_results_["rank_test_score"], search.cv_results_["rank_test_score"]
    )
    np.testing.assert_allclose(
        found.decision_function(matrix), search.decision_function(matrix.tocsr()), atol=1e-3
    )
    assert (found.cv_results_["dual_gap"] <= 1e-9).all()


def test_out_of_fold_scores_are_those_of_cross_val_predict() -> None:
    matrix, Y = make_items()
    found = ours(class_weight="balanced").fit(matrix, Y)
    expected = cross_val_predict(
        plain(class_weight="balanced", C=found.C_),
        *(matrix.tocsr(), Y),
        cv=FOLDS,
        method="decision_function",
    )
    np.testing.assert_allclose(found.oof_decision_, expected, atol=1e-3)
    for k, (_, test) in enumerate(FOLDS.split(Y)):
        assert (found.fold_[test] == k).all()


def test_block_weights_are_column_scales() -> None:
    matrix, Y = make_items()
    found = ours(block_weights=WEIGHTS).fit(matrix, Y)
    tried = [(C, weights) for C in CS for weights in WEIGHTS]
    means = []
    for C, weights in tried:
        scores = cross_val_predict(
            plain(C=C),
            *(matrix.with_weights(weights).tocsr(), Y),
            cv=FOLDS,
            method="decision_function",
        )
        parts = [test for _, test in FOLDS.split(Y)]
        means.append(np.mean([weighted_map(Y[test], scores[test]) for test in parts]))
    np.testing.assert_allclose(found.cv_results_["mean_test_score"], means, atol=1e-3)
    C, weights = tried[int(np.argmax(means))]
    assert (found.C_, found.block_weights_) == (C, {"poster": 0.8, "text": 1.0, **weights})
    assert found.cv_results_["params"][found.best_index_] == {
        "C": C,
        "block_weights": found.block_weights_,
    }
    # The last fit, for the matrix as it was given.
    expected = plain(C=C).fit(matrix.with_weights(weights).tocsr(), Y)
    np.testing.assert_allclose(
        found.decision_function(matrix),
        expected.decision_function(matrix.with_weights(weights).tocsr()),
        atol=1e-3,
    )
    alone = MultilabelLinearSVC(C, tol=1e-9).fit(matrix.with_weights(weights), Y)
    scale = np.repeat(
        [found.block_weights_["poster"] / 0.8, found.block_weights_["text"]], [12, 40]
    )
    np.testing.assert_allclose(found.coef_, alone.coef_ * scale, atol=1e-3)


@pytest.mark.parametrize("names", [["no", "yes"], ["drama", "comedy", "horror"]])
def test_binary_and_multiclass(names: list[str]) -> None:
    matrix, Y = make_items()
    y = np.array(names)[Y[:, : len(names) - 1].sum(axis=1)]
    cv = StratifiedKFold(3)
    for scoring in ("f1_macro", "accuracy"):
        found = ours(cv=3, scoring=scoring).fit(matrix, y)
        search = GridSearchCV(plain(), {"estimator__C": CS}, scoring=scoring, cv=cv)
        search.fit(matrix.tocsr(), y)
        np.testing.assert_allclose(
            found.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"], atol=1e-2
        )
    expected = cross_val_predict(
        plain(C=found.C_), matrix.tocsr(), y, cv=cv, method="decision_function"
    )
    assert found.oof_decision_.shape == expected.shape
    np.testing.assert_allclose(found.oof_decision_, expected, atol=1e-3)
    assert set(found.predict(matrix)) == set(names)


# Folds


def test_a_label_without_positives_in_the_other_folds_has_no_scores() -> None:
    matrix, Y = make_items()
    fold = np.arange(len(Y)) % 3
    Y[fold != 1, 2] = 0  # only fold 1 has it: nothing to learn from without that
    Y[fold != 2, 3] = 1  # without fold 2, all have it
    cv = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(3)]
    found = ours(cv=cv, Cs=[0.1]).fit(matrix, Y)
    empty = np.isnan(found.oof_decision_)
    expected = np.zeros_like(empty)
    expected[fold == 1, 2] = expected[fold == 2, 3] = True
    np.testing.assert_array_equal(empty, expected)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Label .* is present")
        other = cross_val_predict(
            plain(C=0.1), matrix.tocsr(), Y, cv=cv, method="decision_function"
        )
    np.testing.assert_allclose(found.oof_decision_[~empty], other[~empty], atol=1e-3)
    by_hand = np.mean([weighted_map(Y[t], np.nan_to_num(other)[t]) for _, t in cv])
    # scikit-learn's constant answers rank no item above another either.
    assert found.best_score_ == pytest.approx(by_hand, abs=1e-3)
    assert np.isfinite(found.decision_function(matrix)).all()


def test_folds_must_hold_each_item_once() -> None:
    matrix, Y = make_items(60)
    with pytest.raises(SettingError, match="each item is in one test part, found"):
        ours(cv=ShuffleSplit(3, random_state=0)).fit(matrix, Y)
    half = np.arange(30)
    with pytest.raises(SettingError, match="30 of 60 in none and 30 in all"):
        ours(cv=[(half + 30, half)]).fit(matrix, Y)
    weight = np.where(np.arange(60) < 20, 1.0, 0.0)
    with pytest.raises(SettingError, match="outside of fold 0, found none"):
        ours(cv=KFold(3)).fit(matrix, Y, sample_weight=weight)


def test_weights_of_items_weigh_their_scores() -> None:
    matrix, Y = make_items(200)
    weight = np.random.default_rng(1).integers(1, 3, len(Y))
    fold = np.arange(len(Y)) % 3
    twice = np.repeat(np.arange(len(Y)), weight)

    def cv(fold: Any) -> Any:
        return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(3)]

    for scoring in ("weighted-map", "f1_weighted"):
        found = ours(cv=cv(fold), scoring=scoring).fit(matrix, Y, sample_weight=weight)
        expected = ours(cv=cv(fold[twice]), scoring=scoring).fit(matrix[twice], Y[twice])
        np.testing.assert_allclose(
            found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"], atol=1e-6
        )


def test_all_that_is_wrong_is_said() -> None:
    matrix, Y = make_items(60)
    with pytest.raises(SettingError) as error:
        ours(Cs=[1.0, -1.0], block_weights=[], scoring="f1_weigthed", tol=0).fit(matrix, Y)
    said = str(error.value)
    assert "Cs: expected a number above 0, found -1.0" in said
    assert "block_weights: expected None or at least one mapping" in said
    assert "Did you mean f1_weighted" in said
    assert "tol: expected" in said
    with pytest.raises(SettingError, match="Cs: expected at least one number"):
        ours(Cs=()).fit(matrix, Y)
    with pytest.raises(
        SettingError, match=r"unknown block 'posters'. Did you mean poster"
    ) as error:
        ours(block_weights=[{"posters": 1.0}, {"text": 0.0}]).fit(matrix, Y)
    assert "block_weights: text: expected a number above 0, found 0.0" in str(error.value)


# At the default tol two fits agree only to a thousandth of the objective.
@parametrize_with_checks([MultilabelLinearSVCCV(tol=1e-14, cv=3, Cs=[0.1, 1.0])])
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rounding is above that tol for some data
        check(estimator)
