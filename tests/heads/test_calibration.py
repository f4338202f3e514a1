"""Calibration, against known sigmoids and a logistic regression fitted by hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from hybrid.errors import SettingError
from hybrid.heads import calibration as calibrations
from hybrid.heads.calibration import ISOTONIC_SUPPORT, Calibration, fit_calibration

Matrix = NDArray[Any]


def simulate(
    slope: float = 2.0, intercept: float = -1.0, n: int = 5000, seed: int = 0
) -> tuple[Matrix, Matrix]:
    """Scores, and labels drawn with a known probability."""
    random = np.random.default_rng(seed)
    scores = random.normal(size=(n, 1))
    truth = random.random((n, 1)) < expit(slope * scores + intercept)
    return truth.astype(np.uint8), scores


@pytest.mark.parametrize(("slope", "intercept"), [(0.5, 0.0), (2.0, -1.0), (5.0, 2.0), (1.0, -3.0)])
def test_a_known_sigmoid_is_found_again(slope: float, intercept: float) -> None:
    truth, scores = simulate(slope, intercept)
    grid = np.linspace(-2, 2, 41)[:, None]
    found = fit_calibration(truth, scores, method="sigmoid").apply(grid)
    np.testing.assert_allclose(found, expit(slope * grid + intercept), atol=0.04)


def test_probabilities_are_those_of_a_logistic_regression_on_standardised_scores() -> None:
    random = np.random.default_rng(1)
    scores = random.normal([5.0, -300.0], [0.01, 40.0], size=(400, 2))
    truth = (random.random(scores.shape) < [[0.3, 0.6]]).astype(np.uint8)
    truth[scores > scores.mean(axis=0) + scores.std(axis=0)] = 1
    found = fit_calibration(truth, scores).apply(scores)
    for j in range(2):
        standard = (scores[:, [j]] - scores[:, j].mean()) / scores[:, j].std()
        model = LogisticRegression(C=1.0).fit(standard, truth[:, j])
        np.testing.assert_allclose(found[:, j], model.predict_proba(standard)[:, 1], atol=1e-6)


@given(st.integers(0, 10_000), st.floats(-3, 3), st.sampled_from([1e-6, 1.0, 1e6]))
@settings(deadline=None, max_examples=40)
def test_probabilities_never_fall_as_scores_rise(seed: int, slope: float, unit: float) -> None:
    truth, scores = simulate(slope, n=40, seed=seed)
    calibration = fit_calibration(truth, scores * unit)
    found = calibration.apply(np.linspace(-5, 5, 50)[:, None] * unit)
    assert (np.diff(found, axis=0) >= 0).all()
    assert ((found >= 0) & (found <= 1)).all()


def test_the_unit_of_the_scores_does_not_matter() -> None:
    truth, scores = simulate(n=300)
    np.testing.assert_allclose(
        fit_calibration(truth, scores * 1000 + 7).apply(scores * 1000 + 7),
        fit_calibration(truth, scores).apply(scores),
        atol=1e-6,
    )


def test_the_mean_probability_is_the_share_of_the_genre() -> None:
    truth, scores = simulate(3.0, -2.0, n=1000)
    assert fit_calibration(truth, scores).apply(scores).mean() == pytest.approx(
        truth.mean(), abs=1e-3
    )


@pytest.mark.parametrize(("label", "expected"), [(0, 0.0), (1, 1.0)])
def test_a_genre_of_none_or_all(label: int, expected: float) -> None:
    truth = np.full((20, 1), label, np.uint8)
    calibration = fit_calibration(truth, np.arange(20.0)[:, None])
    found = calibration.apply(np.array([[-1e6], [0.0], [1e6], [np.nan]]))
    np.testing.assert_array_equal(found, np.full((4, 1), expected))


def test_scores_worse_than_chance_give_the_prior() -> None:
    truth, scores = simulate(-2.0, n=500)
    found = fit_calibration(truth, scores).apply(np.array([[-3.0], [0.0], [3.0]]))
    np.testing.assert_allclose(found, truth.mean())


@pytest.mark.parametrize("value", [0.0, -1.5, 1e6])
def test_constant_scores_give_the_prior(value: float) -> None:
    truth = np.array([[1], [0], [0], [0]], np.uint8)
    found = fit_calibration(truth, np.full((4, 1), value)).apply(np.array([[value], [value + 1]]))
    np.testing.assert_allclose(found, 0.25)


@pytest.mark.parametrize("n", [49])
def test_constant_scores_whose_mean_is_rounded_give_the_prior(n: int) -> None:
    truth = (np.arange(n) % 3 == 0).astype(np.uint8)[:, None]
    found = fit_calibration(truth, np.full((n, 1), 0.1)).apply(np.array([[0.1], [0.2]]))
    np.testing.assert_allclose(found, truth.mean())


def test_nan_scores_are_left_out_and_answered_with_the_prior() -> None:
    truth, scores = simulate(n=300)
    gaps = scores.copy()
    gaps[:50] = np.nan
    found, without = fit_calibration(truth, gaps), fit_calibration(truth[50:], scores[50:])
    np.testing.assert_array_equal(found.apply(scores), without.apply(scores))
    np.testing.assert_allclose(found.apply(gaps)[:50], truth.mean())


def test_nothing_known_of_a_genre() -> None:
    truth = np.array([[1], [0]], np.uint8)
    found = fit_calibration(truth, np.full((2, 1), np.nan)).apply(np.full((3, 1), np.nan))
    np.testing.assert_array_equal(found, np.full((3, 1), 0.5))


def test_genres_are_calibrated_one_by_one() -> None:
    parts = [simulate(slope, n=200, seed=seed) for seed, slope in enumerate((1.0, 4.0, -1.0))]
    truth, scores = (np.hstack(part) for part in zip(*parts, strict=True))
    together = fit_calibration(truth, scores).apply(scores)
    for j, (labels, single) in enumerate(parts):
        np.testing.assert_array_equal(
            together[:, [j]], fit_calibration(labels, single).apply(single)
        )


# Isotonic


def test_isotonic_is_that_of_sklearn() -> None:
    truth, scores = simulate(n=300)
    found = fit_calibration(truth, scores, method="isotonic")
    model = IsotonicRegression(out_of_bounds="clip").fit(scores.ravel(), truth.ravel())
    grid = np.linspace(-5, 5, 101)
    np.testing.assert_allclose(found.apply(grid[:, None]).ravel(), model.predict(grid))
    assert found.methods == ("isotonic",)


def test_isotonic_finds_what_is_no_sigmoid() -> None:
    random = np.random.default_rng(0)
    scores = random.uniform(-1, 1, size=(6000, 1))
    chance = np.where(scores > 0, 0.6, 0.2)
    truth = (random.random(scores.shape) < chance).astype(np.uint8)
    errors = {
        method: np.abs(fit_calibration(truth, scores, method=method).apply(scores) - chance).mean()
        for method in ("auto", "sigmoid", "isotonic")
    }
    assert errors["auto"] == errors["isotonic"] < errors["sigmoid"] / 2


@pytest.mark.parametrize(
    ("rarer", "expected"), [(ISOTONIC_SUPPORT - 1, "sigmoid"), (ISOTONIC_SUPPORT, "isotonic")]
)
@pytest.mark.parametrize("label", [0, 1])
def test_the_rarer_answer_decides_the_curve(rarer: int, expected: str, label: int) -> None:
    random = np.random.default_rng(1)
    truth = np.full((3 * ISOTONIC_SUPPORT, 2), 1 - label, np.uint8)
    truth[:rarer, 0] = label
    truth[:10, 1] = label
    found = fit_calibration(truth, truth + random.normal(size=truth.shape))
    assert found.methods == (expected, "sigmoid")


def test_a_gap_of_scores_is_no_support() -> None:
    random = np.random.default_rng(1)
    truth = np.zeros((3 * ISOTONIC_SUPPORT, 1), np.uint8)
    truth[:ISOTONIC_SUPPORT] = 1
    scores = truth + random.normal(size=truth.shape)
    scores[0] = np.nan
    assert fit_calibration(truth, scores).methods == ("sigmoid",)


@pytest.mark.parametrize("scores", [np.zeros(40), -np.repeat([1.0, 0.0], 20)])
def test_nothing_learnt_is_the_prior_with_isotonic_too(scores: Matrix) -> None:
    truth = np.repeat([1, 0], 20).astype(np.uint8)[:, None]
    found = fit_calibration(truth, scores[:, None], method="isotonic")
    np.testing.assert_allclose(found.apply(np.array([[-2.0], [0.5], [np.nan]])), 0.5)


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=20)
def test_isotonic_never_falls_and_stays_a_probability(seed: int) -> None:
    truth, scores = simulate(n=60, seed=seed)
    found = fit_calibration(truth, scores, method="isotonic")
    curve = found.apply(np.linspace(-9, 9, 200)[:, None])
    assert (np.diff(curve, axis=0) >= 0).all()
    assert ((curve >= 0) & (curve <= 1)).all()


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_a_calibration_can_be_written_and_read(method: str) -> None:
    truth, scores = simulate(n=100)
    truth, scores = np.hstack([truth, 0 * truth]), np.hstack([scores, scores])
    found = fit_calibration(truth, scores, method=method)
    again = Calibration.from_plain(json.loads(json.dumps(found.as_plain(), allow_nan=False)))
    scores[0] = np.nan
    np.testing.assert_array_equal(again.apply(scores), found.apply(scores))
    assert again.methods == found.methods == (method, "sigmoid")


def test_an_unknown_method() -> None:
    truth, scores = simulate(n=10)
    with pytest.raises(SettingError, match="unknown calibration 'platt'"):
        fit_calibration(truth, scores, method="platt")
    assert set(calibrations.METHODS) == {"auto", "sigmoid", "isotonic"}
