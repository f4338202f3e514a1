"""Thresholds, against every cut that is possible."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from hybrid.heads.thresholds import apply_thresholds, best_thresholds

Matrix = NDArray[Any]


def f1(truth: Matrix, labels: Matrix) -> float:
    return float(f1_score(truth, labels, zero_division=0)) if len(truth) else 0.0


def best_f1(truth: Matrix, scores: Matrix) -> float:
    """The best F1 of all cuts, tried one by one."""
    return max((f1(truth, scores >= cut) for cut in set(scores.tolist())), default=0.0)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Matrix, Matrix]:
    shape = (draw(st.integers(1, 12)), draw(st.integers(1, 3)))
    truth = draw(arrays(np.uint8, shape, elements=st.integers(0, 1)))
    value = st.one_of(
        st.sampled_from([0.0, 0.25, 0.5, 1.0, np.nan]),
        st.integers(-1000, 1000).map(lambda i: i / 64),
    )
    return truth, draw(arrays(np.float64, shape, elements=value))


@given(cases())
@settings(deadline=None, max_examples=150)
def test_no_other_cut_is_better(case: tuple[Matrix, Matrix]) -> None:
    truth, scores = case
    thresholds = best_thresholds(truth, scores)
    assert thresholds.shape == (truth.shape[1],)
    labels = apply_thresholds(scores, thresholds)
    for j in range(truth.shape[1]):
        known = ~np.isnan(scores[:, j])  # an item that no model judged takes no part
        reached = f1(truth[known, j], labels[known, j])
        assert reached == pytest.approx(best_f1(truth[known, j], scores[known, j]))
        assert not labels[~known, j].any()


@given(cases())
@settings(deadline=None, max_examples=75)
def test_thresholds_do_not_depend_on_the_order_of_items(case: tuple[Matrix, Matrix]) -> None:
    truth, scores = case
    np.testing.assert_array_equal(
        best_thresholds(truth[::-1], scores[::-1]), best_thresholds(truth, scores)
    )


@pytest.mark.parametrize(
    ("truth", "scores", "expected"),
    [
        ([1, 1, 0, 0], [0.9, 0.7, 0.3, 0.1], 0.5),  # half-way
        ([1, 0, 0, 1], [0.9, 0.5, 0.5, 0.5], 0.7),  # ties fall together: F1 2/3 for either cut
        ([1, 1], [0.2, 0.4], 0.2),  # all: the lowest score
        ([0, 1, 1], [np.nan, 0.2, 0.4], 0.2),
        ([0, 0], [0.2, 0.4], np.inf),
        ([1, 0], [np.nan, 0.4], np.inf),
        ([1, 0], [np.nan, np.nan], np.inf),
    ],
)
def test_thresholds_by_hand(truth: list[int], scores: list[float], expected: float) -> None:
    found = best_thresholds(np.array([truth], np.uint8).T, np.array([scores]).T)
    assert found == pytest.approx([expected])


@given(cases())
@settings(deadline=None, max_examples=100)
def test_no_other_cuts_together_are_better(case: tuple[Matrix, Matrix]) -> None:
    truth, scores = case
    labels = apply_thresholds(scores, best_thresholds(truth, scores, joint=True))
    cuts = [[*sorted(set(column[~np.isnan(column)].tolist())), np.inf] for column in scores.T]
    known = ~np.isnan(scores)
    reached = []
    for chosen in itertools.product(*cuts):
        given = scores >= chosen
        hits, total = (given & (truth == 1)).sum(), given.sum() + truth[known].sum()
        reached.append(2 * hits / total if total else 0.0)
    assert f1(truth[known], labels[known]) == pytest.approx(max(reached))


def test_joint_thresholds_by_hand() -> None:
    # Alone, the second genre would take all four items for F1 0.4; together that costs more than it brings.
    truth = np.array([[1, 0], [1, 0], [0, 0], [0, 1]], np.uint8)
    scores = np.array([[0.9, 0.9], [0.8, 0.8], [0.2, 0.7], [0.1, 0.6]])
    assert best_thresholds(truth, scores) == pytest.approx([0.5, 0.6])
    assert best_thresholds(truth, scores, joint=True) == pytest.approx([0.5, np.inf])


def test_of_probabilities_the_best_f1_to_be_expected() -> None:
    # Expected F1 of the first 1, 2, 3 items: 1.8/2.6, 3/3.6 = 0.83, 3.2/4.6; Lipton's rule: cut at F1 / 2.
    probabilities = np.array([[0.9, 0.6, 0.1]]).T
    assert best_thresholds(probabilities, probabilities) == pytest.approx([0.35])


def test_a_genre_without_positives_is_never_predicted() -> None:
    scores = np.array([[0.2], [1.0], [1e300]])
    thresholds = best_thresholds(np.zeros((3, 1), np.uint8), scores)
    assert not apply_thresholds(scores, thresholds).any()


def test_neighbouring_scores_are_told_apart() -> None:
    high = np.nextafter(1.0, 0.0)
    scores = np.array([[high], [np.nextafter(high, 0.0)], [0.5]])
    truth = np.array([[1], [0], [0]], np.uint8)
    labels = apply_thresholds(scores, best_thresholds(truth, scores))
    np.testing.assert_array_equal(labels, truth)


def test_thresholds_on_labels_without_meaning_reach_about_chance() -> None:
    random = np.random.default_rng(0)
    n, rate = 2000, 0.3
    truth = (random.random((n, 5)) < rate).astype(np.uint8)
    scores = random.random(truth.shape)
    labels = apply_thresholds(scores, best_thresholds(truth, scores))
    always = 2 * rate / (1 + rate)  # F1 of "always yes", the best that chance can do
    for j in range(5):
        assert f1(truth[:, j], labels[:, j]) == pytest.approx(always, abs=0.04)


def test_labels_are_given_where_a_score_reaches_the_threshold() -> None:
    scores = np.array([[0.5, 0.5], [0.4, np.nan], [0.6, 9.0]])
    labels = apply_thresholds(scores, np.array([0.5, np.inf]))
    np.testing.assert_array_equal(labels, [[1, 0], [0, 0], [1, 0]])
    assert labels.dtype == np.uint8
