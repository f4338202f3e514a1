"""Many settings in one solve equal as many fits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from hybrid.errors import SettingError
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads import MultilabelLinearSVC, fit_many
from hybrid.heads.classifier import Candidate


def make_matrix(n: int = 700) -> tuple[FusionMatrix, NDArray[np.int64]]:
    random = np.random.default_rng(0)
    X = random.standard_normal((n, 20)).astype(np.float32) / np.float32(3)
    T = sparse.csr_matrix(sparse.random(n, 60, 0.1, "csr", rng=random), dtype=np.float32)
    V = random.standard_normal((n, 3))
    scores = 3 * X[:, :5] + 5 * T[:, :5].toarray() + V[:, :1] + 0.5 * random.standard_normal((n, 5))
    matrix = FusionMatrix.from_blocks([X, T, V], ["poster", "text", "year"], [0.3, 1.0, 2.0])
    return matrix, (scores > np.linspace(-1, 1.5, 5)).astype(np.int64)


CHOICES = [
    Candidate({"C": 0.02}, {}),
    Candidate({"C": 0.05}, {"poster": 0.6}),
    Candidate({"C": 0.05}, {"poster": 0.15, "text": 2.0}),
    Candidate({"C": 0.05}, {}),
    Candidate({"C": 0.03, "max_iter": 1000}, {"year": 1.0}),
    Candidate({"C": 0.003}, {"poster": 0.6}),
]


def assert_alike(found: MultilabelLinearSVC, expected: MultilabelLinearSVC) -> None:
    assert found.get_params() == expected.get_params()
    np.testing.assert_array_equal(found.classes_, expected.classes_)
    scale = np.abs(expected.coef_).max()
    np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-3 * scale)
    np.testing.assert_allclose(found.intercept_, expected.intercept_, atol=1e-3 * scale)
    assert (found.dual_gap_ <= found.tol).all()
    assert found.n_iter_.shape == found.dual_gap_.shape == found.intercept_.shape


@pytest.mark.parametrize(
    "options",
    [{}, {"class_weight": "balanced"}, {"fit_intercept": False}, {"class_weight": {0: 1, 1: 3}}],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_each_equals_its_own_fit(options: dict[str, Any], weighted: bool) -> None:
    matrix, Y = make_matrix()
    weight = np.random.default_rng(1).integers(0, 3, len(Y)) if weighted else None
    estimator = MultilabelLinearSVC(tol=1e-8, random_state=0, n_jobs=2, **options)
    found = fit_many(estimator, matrix, Y, CHOICES, sample_weight=weight)
    assert len(found) == len(CHOICES)
    for model, choice in zip(found, CHOICES, strict=True):
        expected = clone(estimator).set_params(**choice.parameters)
        weighed = matrix.with_weights(choice.weights)
        expected.fit(weighed, Y, sample_weight=weight)
        assert_alike(model, expected)
        np.testing.assert_allclose(
            model.decision_function(weighed), expected.decision_function(weighed), atol=5e-3
        )
    assert not hasattr(estimator, "coef_")


def test_one_label_classes_and_constant_labels() -> None:
    matrix, Y = make_matrix(300)
    estimator = MultilabelLinearSVC(tol=1e-8)
    names = np.array(["no", "yes"])[Y[:, 0]]
    for model, C in zip(fit_many(estimator, matrix, names, CHOICES[:2]), (0.02, 0.05), strict=True):
        assert model.C == C
        assert model.decision_function(matrix).shape == (300,)
        assert set(model.predict(matrix)) == {"yes", "no"}
    Y[:, 2] = 1
    with pytest.warns(UserWarning, match="Label 2 is present in all") as caught:
        models = fit_many(estimator, matrix, Y, CHOICES)
    assert len(caught) == 1
    for model in models:
        assert (model.coef_[2] == 0).all()
        assert model.intercept_[2] == 1
        assert model.dual_gap_[2] == 0


def test_no_choice_is_no_fit() -> None:
    assert fit_many(MultilabelLinearSVC(), *make_matrix(20), []) == []


def test_all_that_is_wrong_is_said() -> None:
    matrix, Y = make_matrix(20)
    choices = [
        Candidate({"tol": 1e-3}, {"posters": 1.0}),
        Candidate({"tol": 1e-4, "C": -1.0}, {"text": 0.0}),
    ]
    with pytest.raises(SettingError, match="Only C may vary") as error:
        fit_many(MultilabelLinearSVC(), matrix, Y, choices)
    said = str(error.value)
    assert "same tol in all, found 0.0001, 0.001" in said
    assert "C: expected a number above 0, found -1.0" in said
    assert "'posters'" in said
    assert "expected a positive number for text, found 0.0" in said


def test_a_gap_that_stays_is_said_once() -> None:
    matrix, Y = make_matrix()
    with pytest.warns(ConvergenceWarning, match="of 20 SVMs have") as caught:
        fit_many(MultilabelLinearSVC(C=1.0, tol=1e-9, max_iter=1), matrix, Y, CHOICES[:4])
    assert len(caught) == 1
    assert caught[0].filename == __file__


@dataclass
class Other:
    """Any object with the two attributes is a choice."""

    parameters: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)


def test_any_object_will_do() -> None:
    matrix, Y = make_matrix(100)
    estimator = MultilabelLinearSVC(tol=1e-8)
    [model] = fit_many(estimator, matrix, Y, [Other()])
    assert_alike(model, estimator.fit(matrix, Y))
