"""One label an item, reliability, value against cost, repeated runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, top_k_accuracy_score

from hybrid.errors import SettingError
from hybrid.evaluation import (
    Outputs,
    corrected_resampled_interval,
    evaluate_multiclass,
    likeliest,
    pareto_front,
    reliability,
    summarise_runs,
)

# One label an item


def one_hot(classes: np.ndarray, count: int) -> np.ndarray:
    """1 in the column of each item's class."""
    return np.eye(count, dtype=np.uint8)[classes]


def labels_alone(classes: np.ndarray, count: int) -> Outputs:
    """Outputs of a model without probabilities."""
    labels = one_hot(classes, count)
    return Outputs(labels, np.full(labels.shape, np.nan))


@given(st.data())
@settings(deadline=None, max_examples=50)
def test_accuracy_and_confusion_are_those_of_sklearn(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 12))
    truth, said = (data.draw(arrays(np.int64, n, elements=st.integers(0, 3))) for _ in range(2))
    found = evaluate_multiclass(one_hot(truth, 4), labels_alone(said, 4), "abcd", draws=20)
    assert found.accuracy.value == pytest.approx(accuracy_score(truth, said))
    np.testing.assert_array_equal(found.confusion, confusion_matrix(truth, said, labels=range(4)))


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_accuracy_has_about_the_binomial_interval(method: str) -> None:
    truth = np.zeros(400, int)
    said = (np.arange(400) < 80).astype(int)
    outputs = labels_alone(said, 2)
    found = evaluate_multiclass(
        one_hot(truth, 2), outputs, "ab", draws=4000, method=method
    ).accuracy
    exact = scipy.stats.binomtest(320, 400).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.006)


def test_top_k_and_log_loss_are_those_of_sklearn() -> None:
    random = np.random.default_rng(5)
    truth = random.integers(0, 5, 300)
    probabilities = random.dirichlet(np.ones(5), 300) * 0.9 + 0.02
    outputs = Outputs(likeliest(probabilities), probabilities)
    found = {
        k: v.value
        for k, v in evaluate_multiclass(
            one_hot(truth, 5), outputs, "abcde", draws=20
        ).metrics.items()
    }
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, probabilities.argmax(axis=1)))
    for k in (2, 3):
        expected = top_k_accuracy_score(truth, probabilities, k=k)
        assert found[f"top_{k}_accuracy"] == pytest.approx(expected)
    assert found["log_loss"] == pytest.approx(log_loss(truth, probabilities))


def test_intervals_draw_whole_groups() -> None:
    random = np.random.default_rng(0)
    truth, probabilities = random.integers(0, 3, 100), random.dirichlet(np.ones(3), 100)
    four = [np.repeat(each, 4, axis=0) for each in (one_hot(truth, 3), probabilities)]
    outputs = Outputs(likeliest(four[1]), four[1])
    single = evaluate_multiclass(
        one_hot(truth, 3), Outputs(likeliest(probabilities), probabilities), "abc"
    )
    copies = evaluate_multiclass(four[0], outputs, "abc", groups=np.repeat(np.arange(100), 4))
    for name, interval in copies.metrics.items():
        assert (interval.low, interval.high) == pytest.approx(
            (single.metrics[name].low, single.metrics[name].high)
        )


def test_an_item_without_a_prediction_is_wrong() -> None:
    probabilities = np.array([[0.8, 0.2], [np.nan, np.nan]])
    outputs = Outputs(likeliest(probabilities), probabilities)
    found = evaluate_multiclass([[1, 0], [1, 0]], outputs, "ab", draws=5)
    assert found.accuracy.value == 0.5
    assert found.metrics["top_2_accuracy"].value == 0.5
    assert found.metrics["log_loss"].value == pytest.approx(-np.log([0.8, 0.5]).mean())
    assert found.confusion.tolist() == [[1, 0], [0, 0]]
    assert found.unanswered.tolist() == [1, 0]
    alone = evaluate_multiclass([[1, 0], [1, 0]], labels_alone(np.array([0, 1]), 2), "ab", draws=5)
    assert np.isnan(alone.metrics["log_loss"].value)


@pytest.mark.parametrize(
    ("truth", "said", "message"),
    [
        ([[1, 0]], [[1, 0], [0, 1]], "one shape"),
        (
            [[1, 0], [1, 1]],
            [[1, 0], [0, 1]],
            "several true ones in 1 item, several predicted ones in 0",
        ),
        (
            [[1, 0], [0, 0]],
            [[1, 0], [1, 1]],
            "several true ones in 1 item, several predicted ones in 1",
        ),
        ([[1], [1]], [[1], [1]], "expected 1 class, found 2"),
    ],
)
def test_wrong_classes(truth: Any, said: Any, message: str) -> None:
    labels = np.array(said, np.uint8)
    with pytest.raises(SettingError, match=message):
        evaluate_multiclass(truth, Outputs(labels, labels.astype(float)), "ab")


# Reliability


def test_bins_are_those_of_sklearn() -> None:
    random = np.random.default_rng(0)
    said = random.random(1000)
    truth = random.random(1000) < said**2
    found = reliability(truth, said, bins=10)
    observed, predicted = calibration_curve(truth, said, n_bins=10, strategy="quantile")
    np.testing.assert_allclose(found.predicted, predicted, atol=2e-3)
    np.testing.assert_allclose(found.observed, observed, atol=1e-2)
    assert found.count == (100,) * 10
    apart = np.abs(np.subtract(found.predicted, found.observed))
    assert found.error == pytest.approx(apart.mean())
    assert found.error == pytest.approx(1 / 6, abs=0.02)  # the integral of p - p²
    for share, low, high, count in zip(
        found.observed, found.low, found.high, found.count, strict=True
    ):
        exact = scipy.stats.binomtest(round(share * count), count).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((exact.low, exact.high))


def test_chance_is_taken_off_the_debiased_error() -> None:
    plain, debiased = [], []
    for seed in range(200):
        random = np.random.default_rng(seed)
        said = random.random(200)
        found = reliability(random.random(200) < said, said)  # calibrated to perfection
        plain.append(found.error)
        debiased.append(found.debiased**2)
    assert np.mean(plain) > 0.05
    assert np.median(debiased) < 0.05**2 / 2


def test_the_debiased_error_finds_a_known_error() -> None:
    random = np.random.default_rng(1)
    said = np.repeat([0.2, 0.5, 0.8], 20_000)
    truth = random.random(len(said)) < said + np.repeat([0.1, -0.05, 0.0], 20_000)
    found = reliability(truth, said)
    assert found.predicted == pytest.approx((0.2, 0.5, 0.8))
    assert found.error == pytest.approx(0.15 / 3, abs=0.01)
    assert found.debiased == pytest.approx(np.sqrt((0.1**2 + 0.05**2) / 3), abs=0.01)


@given(
    arrays(np.float64, st.integers(0, 30), elements=st.sampled_from([0, 0.1, 0.5, 1, np.nan])),
    st.integers(1, 12),
    st.integers(0, 9),
)
@settings(deadline=None, max_examples=100)
def test_every_known_item_is_in_one_bin(said: Any, bins: int, seed: int) -> None:
    truth = np.random.default_rng(seed).integers(0, 2, len(said))
    found = reliability(truth, said, bins)
    known = ~np.isnan(said)
    assert sum(found.count) == known.sum()
    assert len(found.count) <= bins
    assert list(found.predicted) == sorted(found.predicted)
    assert np.dot(found.predicted, found.count) == pytest.approx(said[known].sum())
    assert np.dot(found.observed, found.count) == pytest.approx(truth[known].sum())


def test_all_bad_arguments_are_named_at_once() -> None:
    with pytest.raises(SettingError, match=r"(?s)one shape.*from 0 to 1.*bins: expected 1"):
        reliability([1, 0], [0.5, 2.0, 0.1], 0)


# Value against cost


def test_pareto_front_by_hand() -> None:
    # cheap, dear, dearer, of unknown cost, of unknown value
    cost, value = [1.0, 10.0, 20.0, np.nan, 5.0], [0.50, 0.60, 0.62, 0.90, np.nan]
    nothing = np.zeros((5, 5), dtype=bool)
    assert pareto_front(cost, value, nothing).tolist() == [True, False, False, False, False]
    better = nothing.copy()
    better[1, 0] = better[2, 0] = True
    better[3] = True
    # The dearer one is better than the cheap one, but not certainly than the dear one, which is on the front.
    assert pareto_front(cost, value, better).tolist() == [True, True, False, False, False]
    better[1, 0] = (
        False  # now the dear one is not on the front, and the dearer one need not beat it
    )
    assert pareto_front(cost, value, better).tolist() == [True, False, True, False, False]
    better[1, 0] = better[2, 1] = True
    assert pareto_front(cost, value, better).tolist() == [True, True, True, False, False]
    assert pareto_front([], [], np.zeros((0, 0))).tolist() == []
    with pytest.raises(SettingError, match=r"found \(1,\), \(2,\) and \(1, 1\)"):
        pareto_front([1.0], [1.0, 2.0], [[False]])


def test_of_models_at_one_cost_the_best_is_on_the_front() -> None:
    assert pareto_front([1, 1], [0.5, 0.6], np.zeros((2, 2))).tolist() == [False, True]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=8, unique=True))
def test_where_every_difference_is_significant_the_front_is_what_nobody_beats(
    points: list[tuple[int, int]],
) -> None:
    value = np.array([v for _, v in points], dtype=float)
    found = pareto_front([c for c, _ in points], value, value[:, None] > value)
    for i, (cost, v) in enumerate(points):
        beaten = any(c <= cost and w >= v for j, (c, w) in enumerate(points) if j != i)
        assert found[i] == (not beaten)


# Repeated runs


def test_spread_by_hand() -> None:
    found = summarise_runs([0.5, 0.6, 0.7])
    assert (found.mean, found.sd, found.low, found.high) == pytest.approx((0.6, 0.1, 0.5, 0.7))
    assert np.isnan(summarise_runs([0.5]).sd)
    with pytest.raises(SettingError, match="at least one run"):
        summarise_runs([])


def test_over_splits_by_hand() -> None:
    # sd 0.1; variance factor 1/3 + 1/4; t of 2 degrees of freedom at 0.975 is 4.3027.
    found = corrected_resampled_interval([0.5, 0.6, 0.7], 0.25)
    reach = 4.302653 * 0.1 * (1 / 3 + 1 / 4) ** 0.5
    assert (found.value, found.low, found.high) == pytest.approx((0.6, 0.6 - reach, 0.6 + reach))
    # 0.55 is in the middle of 0.3 and 0.8; t of 1 degree of freedom is 12.7, far beyond 0 and 1.
    bounded = corrected_resampled_interval([0.3, 0.8], 0.25, highest=1.0, lowest=0.0)
    assert (bounded.value, bounded.low, bounded.high) == pytest.approx((0.55, 0.0, 1.0))
    with pytest.raises(SettingError, match="at least two runs, found 1"):
        corrected_resampled_interval([0.5], 0.25)


def test_over_splits_covers_the_mean_of_all_splits() -> None:
    """A learner that estimates a mean: runs share their items, and the plain interval is too narrow."""
    held, plain = 0, 0
    for seed in range(300):
        random = np.random.default_rng(seed)
        items = random.normal(size=100)  # the figure of a run: its test items' mean; in truth 0
        values = [random.permutation(items)[:20].mean() for _ in range(10)]
        found = corrected_resampled_interval(values, 20 / 80)
        held += found.low <= 0 <= found.high
        reach = 2.262 * np.std(values, ddof=1) / 10**0.5
        plain += abs(np.mean(values)) <= reach
    assert held / 300 > 0.9
    assert plain / 300 < 0.85


def test_expit_probabilities_are_reliable() -> None:
    random = np.random.default_rng(3)
    scores = random.normal(size=20_000)
    truth = random.random(20_000) < expit(scores)
    assert reliability(truth, expit(scores)).debiased < 0.01
    assert reliability(truth, expit(3 * scores)).debiased > 0.1
