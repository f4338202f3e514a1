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

from hybrid.errors import SettingError
from hybrid.heads.thresholds import apply_thresholds, best_thresholds, threshold_draws

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
@settings(deadline=None, max_examples=75)
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
    labels = apply_thresholds(scores, best_thresholds(truth, scores, objective="micro"))
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
    alone, none = best_thresholds(truth, scores, objective="micro")
    assert (alone, none) == (0.5, np.nextafter(0.9, 1))  # just above the highest: given to nobody


def test_of_probabilities_the_best_f1_to_be_expected() -> None:
    # Expected F1 of the first 1, 2, 3 items: 1.8/2.6, 3/3.6 = 0.83, 3.2/4.6; Lipton's rule: cut at F1 / 2.
    probabilities = np.array([[0.9, 0.6, 0.1]]).T
    assert best_thresholds(probabilities, probabilities) == pytest.approx([0.35])


def test_a_genre_without_positives_is_never_predicted() -> None:
    scores = np.array([[0.2], [1.0], [1e300]])
    thresholds = best_thresholds(np.zeros((3, 1), np.uint8), scores)
    assert not apply_thresholds(scores, thresholds).any()


def test_adjacent_floats_are_separated() -> None:
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


# All genres together


@given(cases())
@settings(deadline=None, max_examples=60)
def test_no_other_cuts_have_a_better_micro_f1(case: tuple[Matrix, Matrix]) -> None:
    truth, scores = case
    truth, scores = truth[:6], scores[:6]
    truth = np.where(np.isnan(scores), 0, truth).astype(np.uint8)
    labels = apply_thresholds(scores, best_thresholds(truth, scores, objective="micro"))
    cuts = [[*{c for c in column if not np.isnan(c)}, np.inf] for column in scores.T.tolist()]

    def micro(given: Matrix) -> float:
        return 2 * (given * truth).sum() / max(given.sum() + truth.sum(), 1)

    best = max(micro(scores >= np.array(cut)) for cut in itertools.product(*cuts))
    assert micro(labels) == pytest.approx(best)


def test_weighted_and_macro_f1_are_best_genre_by_genre() -> None:
    random = np.random.default_rng(1)
    truth = (random.random((20, 3)) < [0.5, 0.3, 0.2]).astype(np.uint8)
    scores = np.round(random.random(truth.shape) + 0.3 * truth, 1)
    labels = apply_thresholds(scores, best_thresholds(truth, scores))
    for average in ("macro", "weighted"):
        best = max(
            f1_score(truth, scores >= np.array(cut), average=average, zero_division=0)
            for cut in itertools.product(*(sorted(set(c))[::2] for c in scores.T.tolist()))
        )
        assert f1_score(truth, labels, average=average) >= best - 1e-12


# Shrinkage


def test_shrinkage_by_hand() -> None:
    truth = np.array([[1, 1], [1, 0], [0, 0], [0, 0]], np.uint8)
    scores = np.array([[0.9, 0.2], [0.7, 0.1], [0.3, 0.0], [0.1, 0.0]])
    own = best_thresholds(truth, scores)
    assert own == pytest.approx([0.5, 0.15])
    # One cut for all: above 0.2 and below 0.7 it finds two of three labels; at 0.2 three, with one wrong.
    pooled = (0.2 + 0.1) / 2
    expected = [(2 * 0.5 + 3 * pooled) / 5, (1 * 0.15 + 3 * pooled) / 4]
    assert best_thresholds(truth, scores, shrinkage=3.0) == pytest.approx(expected)
    assert best_thresholds(truth, scores, shrinkage=1e12) == pytest.approx([pooled, pooled])


@pytest.mark.parametrize("objective", ["genre", "micro"])
def test_a_genre_without_positives_is_not_shrunk_to_something(objective: str) -> None:
    truth = np.array([[1, 0, 0], [0, 0, 1]], np.uint8)
    scores = np.array([[0.9, 0.8, np.nan], [0.1, 0.7, np.nan]])
    found = best_thresholds(truth, scores, objective=objective, shrinkage=5.0)
    assert np.isfinite(found[0])
    assert np.isinf(found[1:]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "macro"}, "unknown objective 'macro'"),
        ({"shrinkage": -1.0}, "shrinkage: expected 0 or more, found -1.0"),
        ({"shrinkage": np.nan}, "shrinkage: expected 0 or more, found nan"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    truth, scores = np.ones((2, 1), np.uint8), np.ones((2, 1))
    for call in (best_thresholds, threshold_draws):
        with pytest.raises(SettingError, match=message):
            call(truth, scores, **options)


# Draws


@pytest.mark.parametrize("objective", ["genre", "micro"])
@pytest.mark.parametrize("shrinkage", [0.0, 2.0])
def test_draws_give_the_labels_of_thresholds_chosen_on_them(
    objective: str, shrinkage: float
) -> None:
    random = np.random.default_rng(5)
    n, draws = 12, 15
    truth = (random.random((n, 3)) < [0.5, 0.3, 0.2]).astype(np.uint8)
    scores = np.round(random.random(truth.shape) + 0.3 * truth, 1)
    scores[0] = np.nan
    found = threshold_draws(truth, scores, objective=objective, shrinkage=0.0, draws=draws, seed=3)
    picks = np.random.default_rng(3).integers(0, n, size=(draws, n))
    for pick, thresholds in zip(picks, found, strict=True):
        again = best_thresholds(truth[pick], scores[pick], objective=objective)
        np.testing.assert_array_equal(
            apply_thresholds(scores[pick], thresholds), apply_thresholds(scores[pick], again)
        )
    shrunk = threshold_draws(
        truth, scores, objective=objective, shrinkage=shrinkage, draws=draws, seed=3
    )
    assert shrunk.shape == (draws, 3)
    assert (np.isinf(shrunk) == np.isinf(found)).all()


def test_a_rare_genre_has_a_wide_spread() -> None:
    random = np.random.default_rng(0)
    truth = (random.random((1000, 2)) < [0.4, 0.01]).astype(np.uint8)
    scores = random.normal(size=truth.shape) + truth
    low, high = np.quantile(threshold_draws(truth, scores, seed=1), [0.1, 0.9], axis=0)
    assert (high - low)[1] > 2 * (high - low)[0]


# How many labels


def test_at_most_so_many_labels() -> None:
    scores = np.array([[0.9, 0.5, 0.6], [0.1, 0.9, 0.0], [np.nan, 0.4, 0.9]])
    thresholds = np.array([0.7, 0.1, 0.5])
    found = apply_thresholds(scores, thresholds, max_labels=1)
    # Furthest above its own threshold: 0.2, 0.4, 0.1.
    np.testing.assert_array_equal(found, [[0, 1, 0], [0, 1, 0], [0, 0, 1]])
    two = apply_thresholds(scores, thresholds, max_labels=2)
    np.testing.assert_array_equal(two, [[1, 1, 0], [0, 1, 0], [0, 1, 1]])
    np.testing.assert_array_equal(
        apply_thresholds(scores, thresholds, max_labels=3), apply_thresholds(scores, thresholds)
    )


def test_at_least_one_label() -> None:
    scores = np.array([[0.2, 0.3, 0.9], [0.8, 0.1, 0.9], [np.nan] * 3, [0.1, np.nan, np.nan]])
    thresholds = np.array([0.5, 0.9, np.inf])
    found = apply_thresholds(scores, thresholds, at_least_one=True)
    np.testing.assert_array_equal(found, [[0, 1, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0]])
    never = apply_thresholds(scores, np.full(3, np.inf), at_least_one=True)
    assert not never.any()


@given(cases(), st.integers(1, 3))
@settings(deadline=None, max_examples=60)
def test_limits_only_take_and_the_least_only_adds(case: tuple[Matrix, Matrix], most: int) -> None:
    truth, scores = case
    thresholds = best_thresholds(truth, scores)
    plain = apply_thresholds(scores, thresholds)
    few = apply_thresholds(scores, thresholds, max_labels=most)
    some = apply_thresholds(scores, thresholds, at_least_one=True)
    assert (few <= plain).all()
    assert (few.sum(axis=1) == np.minimum(plain.sum(axis=1), most)).all()
    assert (some >= plain).all()
    assert (some[plain.any(axis=1)] == plain[plain.any(axis=1)]).all()
    possible = ~np.isnan(scores[:, np.isfinite(thresholds)]).all(axis=1)
    assert (some.sum(axis=1)[possible] >= 1).all()
