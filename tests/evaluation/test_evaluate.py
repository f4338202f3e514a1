"""Metrics, intervals and paired differences, against scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    coverage_error,
    f1_score,
    hamming_loss,
    label_ranking_average_precision_score,
    label_ranking_loss,
    precision_score,
    recall_score,
)

from hybrid.errors import SettingError
from hybrid.evaluation import (
    LOSSES,
    METRICS,
    Outputs,
    bootstrap,
    evaluate,
    evaluate_all,
    paired_difference,
    ranking,
)

Matrix = NDArray[Any]


def average_precisions(truth: Matrix, scores: Matrix) -> list[float]:
    """scikit-learn's, with NaN scores below all others; NaN for a genre without positives."""
    scores = np.where(np.isnan(scores), -1e9, scores)
    return [
        average_precision_score(truth[:, j], scores[:, j]) if truth[:, j].any() else np.nan
        for j in range(truth.shape[1])
    ]


def one_by_one(score: Callable[..., float], truth: Matrix, labels: Matrix) -> list[float]:
    """scikit-learn's score of each genre; NaN for one without positives."""
    return [
        float(score(truth[:, j], labels[:, j], zero_division=0)) if truth[:, j].any() else np.nan
        for j in range(truth.shape[1])
    ]


def known_mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan


def by_sklearn(truth: Matrix, labels: Matrix, scores: Matrix) -> dict[str, float]:
    """Every metric as scikit-learn computes it, averages over genres over those that an item has."""
    tested = np.flatnonzero(truth.any(axis=0))

    def of(score: Callable[..., float], average: str) -> float:
        if average != "macro":
            return score(truth, labels, average=average, zero_division=0)
        if truth.shape[1] == 1:  # scikit-learn takes a single column for two classes
            alone = score(truth, labels, zero_division=0) if len(tested) else np.nan
            return float(alone)
        if not len(tested):
            return np.nan
        return score(truth, labels, labels=tested, average="macro", zero_division=0)

    counted = {"f1": f1_score, "precision": precision_score, "recall": recall_score}
    last = np.where(np.isnan(scores), -1e9, scores)
    return {
        **{
            f"{name}_{average}": of(score, average)
            for name, score in counted.items()
            for average in ("micro", "macro", "weighted", "samples")
        },
        "map_macro": known_mean(average_precisions(truth, scores)),
        "map_micro": average_precision_score(truth, last, average="micro")
        if truth.any()
        else np.nan,
        "lrap": label_ranking_average_precision_score(truth, last),
        "ranking_loss": label_ranking_loss(truth, last),
        "coverage_error": coverage_error(truth, last),
        "hamming_loss": hamming_loss(truth, labels),
        "subset_accuracy": accuracy_score(truth, labels),
    }


def names(truth: Matrix) -> list[str]:
    return [f"g{j}" for j in range(truth.shape[1])]


def make_case(n: int = 40, genres: int = 4, seed: int = 0, skill: float = 1.0) -> tuple[Any, ...]:
    """Truth and the answers of a model that is better than chance."""
    random = np.random.default_rng(seed)
    truth = (random.random((n, genres)) < 0.4).astype(np.uint8)
    scores = np.round(skill * truth + random.normal(size=truth.shape), 1)
    return truth, Outputs((scores > 0.5).astype(np.uint8), scores)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Matrix, Outputs]:
    """Few items, so that empty genres, empty answers and ties are common; some scores are NaN."""
    shape = (draw(st.integers(1, 8)), draw(st.integers(2, 4)))
    truth = draw(arrays(np.uint8, shape, elements=st.integers(0, 1)))
    labels = draw(arrays(np.uint8, shape, elements=st.integers(0, 1)))
    scores = draw(arrays(np.float64, shape, elements=st.sampled_from([-2.0, 0.0, 0.5, np.nan])))
    return truth, Outputs(labels, scores)


# Point estimates


@given(cases())
@settings(deadline=None, max_examples=60)
def test_metrics_are_those_of_sklearn(case: tuple[Matrix, Outputs]) -> None:
    truth, answers = case
    found = evaluate(truth, answers, names(truth), draws=2)
    expected = by_sklearn(truth, answers.labels, answers.scores)
    assert set(found.metrics) == set(expected) == set(METRICS)
    for name, value in expected.items():
        assert found.metrics[name].value == pytest.approx(value, abs=1e-12, nan_ok=True), name


@given(cases())
@settings(deadline=None, max_examples=40)
def test_scores_of_each_genre_are_those_of_sklearn(case: tuple[Matrix, Outputs]) -> None:
    truth, answers = case
    found = evaluate(truth, answers, names(truth), draws=2)
    assert [g.genre for g in found.genres] == names(truth)
    assert [g.support for g in found.genres] == truth.sum(axis=0).tolist()
    for metric, score in [("precision", precision_score), ("recall", recall_score)]:
        expected = one_by_one(score, truth, answers.labels)
        assert [getattr(g, metric).value for g in found.genres] == pytest.approx(
            expected, nan_ok=True
        )
    f1 = one_by_one(f1_score, truth, answers.labels)
    assert [g.f1.value for g in found.genres] == pytest.approx(f1, nan_ok=True)
    assert [g.average_precision.value for g in found.genres] == pytest.approx(
        average_precisions(truth, answers.scores), nan_ok=True
    )


def test_one_genre_is_measured_as_its_positive_class() -> None:
    truth, answers = make_case(genres=1)
    found = evaluate(truth, answers, ["g"], draws=2).metrics
    expected = f1_score(truth.ravel(), answers.labels.ravel())
    for name in ("f1_micro", "f1_macro", "f1_weighted"):
        assert found[name].value == pytest.approx(expected)
    assert found["map_macro"].value == pytest.approx(
        average_precision_score(truth.ravel(), answers.scores.ravel())
    )


def test_a_genre_without_items_is_left_out_of_the_mean_average_precision() -> None:
    truth = np.array([[1, 0], [0, 0], [1, 0]], dtype=np.uint8)
    scores = np.array([[0.9, 0.1], [0.5, 0.2], [0.4, 0.3]])
    found = evaluate(truth, Outputs(truth, scores), ["a", "b"], draws=5)
    assert found.metrics["map_macro"].value == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(found.genres[1].average_precision.value)
    assert found.genres[1].support == 0


@pytest.mark.parametrize("said", [0, 1])
def test_a_genre_without_items_is_left_out_of_every_average(said: int) -> None:
    truth = np.array([[1, 0, 0], [0, 0, 1], [1, 0, 1], [0, 0, 0]], dtype=np.uint8)
    labels = np.array([[1, said, 0], [1, 0, 1], [1, 0, 0], [0, said, 0]], dtype=np.uint8)
    outputs, rest = Outputs(labels, labels.astype(float)), [0, 2]
    found = evaluate(truth, outputs, "abc", draws=50)
    without = Outputs(labels[:, rest], labels[:, rest].astype(float))
    expected = evaluate(truth[:, rest], without, "ac", draws=50)
    for name in ("f1_macro", "precision_macro", "recall_macro", "map_macro", "f1_weighted"):
        assert found.metrics[name] == expected.metrics[name], name
    assert found.metrics["f1_macro"].value == pytest.approx((4 / 5 + 2 / 3) / 2)
    lacking = found.genres[1]
    for part in (lacking.f1, lacking.precision, lacking.recall, lacking.average_precision):
        assert np.isnan([part.value, part.low, part.high]).all()


def test_no_positive_at_all_gives_no_average_over_genres() -> None:
    truth = np.zeros((3, 2), dtype=np.uint8)
    found = evaluate(truth, Outputs(truth, np.zeros((3, 2))), "ab", draws=5).metrics
    for name in ("map_macro", "f1_macro", "precision_macro", "recall_macro"):
        interval = found[name]
        assert np.isnan([interval.value, interval.low, interval.high]).all()


@pytest.mark.parametrize(("nan", "expected"), [(0, 1 / 2), (1, 1.0)])
def test_nan_scores_rank_last(nan: int, expected: float) -> None:
    scores = np.array([[0.5], [0.5]])
    scores[nan] = np.nan
    truth = np.array([[1], [0]], dtype=np.uint8)
    found = evaluate(truth, Outputs(truth, scores), "a", draws=2)
    assert found.genres[0].average_precision.value == pytest.approx(expected)


def test_several_models_are_measured_as_if_alone() -> None:
    truth, one = make_case(seed=1)
    other = Outputs(1 - one.labels, -one.scores)
    assert evaluate_all(truth, [one, other], names(truth), draws=20, seed=5) == [
        evaluate(truth, answers, names(truth), draws=20, seed=5) for answers in (one, other)
    ]


# Bootstrap


def test_intervals_are_quantiles_over_resampled_items() -> None:
    n, draws, seed = 12, 20, 7
    truth, answers = make_case(n, genres=3, seed=3)
    picks = np.random.default_rng(seed).integers(0, n, size=(draws, n))
    resampled = [by_sklearn(truth[p], answers.labels[p], answers.scores[p]) for p in picks]
    found = evaluate(truth, answers, names(truth), draws=draws, seed=seed, method="percentile")
    for name in METRICS:
        low, high = np.nanquantile([draw[name] for draw in resampled], [0.025, 0.975])
        assert (found.metrics[name].low, found.metrics[name].high) == pytest.approx((low, high))
    for j, genre in enumerate(found.genres):
        f1 = [one_by_one(f1_score, truth[p], answers.labels[p])[j] for p in picks]
        assert (genre.f1.low, genre.f1.high) == pytest.approx(
            tuple(np.nanquantile(f1, [0.025, 0.975]))
        )


def test_paired_difference_uses_the_same_draws_for_both() -> None:
    n, draws, seed = 12, 20, 2
    truth, first = make_case(n, genres=3, seed=4)
    second = Outputs(make_case(n, genres=3, seed=5)[1].labels, first.scores)
    picks = np.random.default_rng(seed).integers(0, n, size=(draws, n))

    def difference(p: Matrix) -> float:
        a, b = (
            by_sklearn(truth[p], model.labels[p], model.scores[p])["f1_macro"]
            for model in (first, second)
        )
        return a - b

    low, high = np.nanquantile([difference(p) for p in picks], [0.025, 0.975])
    found = paired_difference(
        truth, first, second, "f1_macro", draws=draws, seed=seed, method="percentile"
    )
    assert found.value == pytest.approx(difference(np.arange(n)))
    assert (found.low, found.high) == pytest.approx((low, high))


def test_intervals_narrow_with_more_items() -> None:
    widths = []
    for n in (50, 800):
        truth, answers = make_case(n)
        found = evaluate(truth, answers, names(truth), draws=200).metrics["f1_micro"]
        widths.append(found.high - found.low)
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.35)  # the root of 16 times the items


@pytest.mark.parametrize("cells", [1, 30, 100])
def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    truth, answers = make_case(15)
    whole = evaluate(truth, answers, names(truth), draws=33, seed=1)
    monkeypatch.setattr(bootstrap, "CHUNK_CELLS", cells)
    monkeypatch.setattr(ranking, "WIDTH", 2)
    monkeypatch.setattr(ranking, "CELLS", cells)
    chunked = evaluate(truth, answers, names(truth), draws=33, seed=1)
    for name, interval in whole.metrics.items():
        # A product of one row may round its last digit in another way.
        assert astuple(chunked.metrics[name]) == pytest.approx(astuple(interval), rel=1e-12)


def test_the_seed_decides_the_draws() -> None:
    truth, answers = make_case()
    one, same, other = (
        evaluate(truth, answers, names(truth), draws=20, seed=seed) for seed in (1, 1, 2)
    )
    assert one == same
    assert one.metrics["f1_micro"].low != other.metrics["f1_micro"].low
    assert one.metrics["f1_micro"].value == other.metrics["f1_micro"].value


# Paired differences


@pytest.mark.parametrize("metric", METRICS)
def test_identical_models_do_not_differ(metric: str) -> None:
    truth, answers = make_case()
    copy = Outputs(answers.labels.copy(), answers.scores.copy())
    found = paired_difference(truth, answers, copy, metric, draws=50)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("metric", METRICS)
def test_a_clearly_better_model_differs(metric: str) -> None:
    truth, good = make_case(200, seed=1, skill=3.0)
    _, bad = make_case(200, seed=1, skill=0.0)
    better = paired_difference(truth, good, bad, metric, draws=100)
    worse = paired_difference(truth, bad, good, metric, draws=100)
    if metric in LOSSES:
        better, worse = worse, better
    assert 0 < better.low < better.value < better.high
    assert (worse.low, worse.value, worse.high) == pytest.approx(
        (-better.high, -better.value, -better.low)
    )


# Arguments


@pytest.mark.parametrize(
    ("truth", "labels", "scores"),
    [
        ((4, 3), (4, 2), (4, 3)),
        ((4, 3), (4, 3), (5, 3)),
        ((4,), (4,), (4,)),
        ((0, 3), (0, 3), (0, 3)),
    ],
)
def test_shapes_that_do_not_fit_are_an_error(truth: Any, labels: Any, scores: Any) -> None:
    answers = Outputs(np.zeros(labels, dtype=np.uint8), np.zeros(scores))
    with pytest.raises(SettingError, match=r"one shape \(items, genres\), found"):
        evaluate(np.zeros(truth), answers, ["a", "b", "c"])
    with pytest.raises(SettingError, match=r"one shape \(items, genres\), found"):
        paired_difference(np.zeros(truth), answers, answers)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "f2"}, r"unknown metric 'f2'.*f1_micro"),
        ({"draws": 0}, "draws: expected 1 to 100,000, found 0"),
        ({"draws": 10**9}, "draws: expected 1 to 100,000, found 1,000,000,000"),
        ({"method": "normal"}, r"unknown method 'normal'.*bca"),
        ({"groups": [1, 2]}, r"groups: expected shape \(40,\), found \(2,\)"),
    ],
)
def test_wrong_settings_are_an_error(options: dict[str, Any], message: str) -> None:
    truth, answers = make_case()
    with pytest.raises(SettingError, match=message):
        paired_difference(truth, answers, answers, **options)


@pytest.mark.parametrize("genres", ["abc", "abcde"])
def test_names_that_do_not_fit_are_an_error(genres: str) -> None:
    truth, answers = make_case(genres=4)
    with pytest.raises(SettingError, match="expected 4 genres, found"):
        evaluate(truth, answers, genres, draws=2)


def test_inputs_are_not_changed() -> None:
    truth, answers = make_case()
    answers.scores[0] = np.nan
    before = [a.copy() for a in (truth, answers.labels, answers.scores)]
    evaluate(truth, answers, names(truth), draws=5)
    paired_difference(truth, answers, answers, draws=5)
    for now, then in zip((truth, answers.labels, answers.scores), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_truth_may_be_a_list_of_lists() -> None:
    truth, answers = make_case()
    assert evaluate(truth.tolist(), answers, names(truth), draws=5) == evaluate(
        truth, answers, names(truth), draws=5
    )
