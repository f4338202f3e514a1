"""Comparison of all pairs of models: against other tests, by hand and by simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from hybrid.errors import SettingError
from hybrid.evaluation import (
    METRICS,
    Outputs,
    compare_pairs,
    compare_with_reference,
    paired_difference,
    permutation_test,
)

Matrix = NDArray[Any]


def draw_models(
    n: int, skills: Any, seed: int, rates: Any = (0.4, 0.2, 0.1)
) -> tuple[Matrix, list[Outputs]]:
    """Models of these skills whose errors are correlated, as those of models on the same items are."""
    random = np.random.default_rng(seed)
    truth = (random.random((n, len(rates))) < rates).astype(np.uint8)
    shared, models = random.normal(size=truth.shape), []
    for skill in skills:
        scores = skill * truth + 0.7 * shared + 0.7 * random.normal(size=truth.shape)
        models.append(Outputs((scores > 0.8).astype(np.uint8), scores))
    return truth, models


def excludes_zero(found: Any) -> Matrix:
    return (found.low > 0) | (found.high < 0)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("grouped", [False, True])
def test_two_models_are_compared_by_the_paired_permutation_test(metric: str, grouped: bool) -> None:
    truth, (one, other) = draw_models(60, (1.0, 1.4), 0)
    options: Any = {"groups": np.arange(60) // 2 if grouped else None, "draws": 300, "seed": 2}
    found = compare_pairs(truth, [one, other], metric, **options)
    assert found.p_value[0, 1] == permutation_test(truth, one, other, metric, **options)
    expected = paired_difference(truth, one, other, metric, draws=5).value
    assert found.interval(0, 1).value == pytest.approx(expected)


def test_the_largest_of_all_pairs_by_hand() -> None:
    # One genre that all items have, so that recall is the share of items with the label, and the difference
    # of two models the mean of their differences. All swaps of six items are 64.
    n, random = 6, np.random.default_rng(0)
    labels = random.integers(0, 2, (4, n)).astype(np.uint8)
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    gaps = np.array([labels[i].astype(float) - labels[j] for i, j in pairs])
    signs = np.array([[1 if k >> i & 1 else -1 for i in range(n)] for k in range(2**n)])
    swapped = np.abs(signs @ gaps.T) / n
    spread = np.sqrt((gaps**2).sum(axis=1)) / n  # the root mean square over all swaps
    known = np.flatnonzero(spread > 0)
    largest = (swapped[:, known] / spread[known]).max(axis=1)
    models = [Outputs(each[:, None], each[:, None].astype(float)) for each in labels]
    found = compare_pairs(np.ones((n, 1)), models, "recall_macro", draws=20_000)
    assert len(known) > 3
    for p in known:
        observed = abs(gaps[p].mean()) / spread[p]
        # The spread is estimated from the draws, so that ties between pairs fall either way.
        most, least = ((largest >= observed + off).mean() for off in (-0.03, 0.03))
        assert least - 0.02 <= found.p_value[pairs[p]] <= most + 0.02, pairs[p]


def test_intervals_of_a_mean_are_those_of_t() -> None:
    # Recall of one genre is a mean over items, and the difference of two models has Student's interval.
    random = np.random.default_rng(1)
    n = 400
    said = (random.random((2, n)) < [[0.7], [0.5]]).astype(np.uint8)
    models = [Outputs(each[:, None], each[:, None].astype(float)) for each in said]
    found = compare_pairs(np.ones((n, 1)), models, "recall_macro", draws=20_000).interval(0, 1)
    gap = said[0].astype(float) - said[1]
    t = scipy.stats.ttest_1samp(gap, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((t.low, t.high), abs=0.004)


def test_far_apart_models_have_intervals_as_wide_as_by_bootstrap() -> None:
    truth, (one, other) = draw_models(500, (0.5, 2.0), 0)
    found = compare_pairs(truth, [one, other]).interval(0, 1)
    plain = paired_difference(truth, one, other)
    assert found.high - found.low == pytest.approx(plain.high - plain.low, rel=0.2)


@pytest.mark.parametrize("seed", range(12))
def test_intervals_and_p_values_never_contradict_each_other(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth, models = draw_models(80, random.choice([0.5, 1.0, 1.1, 1.6], 5), seed)
    found = compare_pairs(truth, [*models, models[0]], draws=199, seed=seed)
    off = ~np.eye(6, dtype=bool)
    assert (excludes_zero(found)[off] == (found.p_value <= 0.05)[off]).all()
    assert (found.low <= found.difference).all()
    assert (found.difference <= found.high).all()
    for matrix in (found.low, found.difference, found.high):
        assert np.isfinite(matrix).all()
    assert np.array_equal(found.low, -found.high.T)
    assert np.array_equal(found.p_value, found.p_value.T)
    assert found.p_value[0, 5] == 1.0  # a model and itself
    assert (found.low[0, 5], found.high[0, 5]) == (0.0, 0.0)


def test_one_pair_with_a_reference_is_a_pair() -> None:
    truth, (one, other) = draw_models(80, (1.0, 1.4), 1)
    options: Any = {"groups": np.arange(80) // 2, "draws": 300, "seed": 2}
    for metric in ("f1_weighted", "map_macro"):
        [found] = compare_with_reference(truth, [one], other, metric, **options)
        same = compare_pairs(truth, [one, other], metric, **options).interval(0, 1)
        assert vars(found) == pytest.approx(vars(same))


def test_comparisons_with_a_reference_hold_at_once_and_are_narrower_than_all_pairs() -> None:
    wrong, alone, rounds = 0, 0, 60
    for seed in range(rounds):
        truth, models = draw_models(60, [1.0] * 8, seed)
        found = compare_with_reference(truth, models[1:], models[0], draws=199, seed=seed)
        wrong += any(not each.low <= 0 <= each.high for each in found)
        pairs = compare_pairs(truth, models[:1] + models[1:], draws=199, seed=seed)
        alone += found[0].high - found[0].low < pairs.high[1, 0] - pairs.low[1, 0]
    assert wrong <= 10  # 3 expected at most; more than 10 once in 3,000 times
    assert alone > 0.9 * rounds


def test_more_models_make_p_values_larger_and_intervals_wider() -> None:
    truth, models = draw_models(150, (1.0, 1.3, *[1.0] * 8), 3)
    two, ten = compare_pairs(truth, models[:2]), compare_pairs(truth, models)
    assert two.p_value[0, 1] < ten.p_value[0, 1]
    assert ten.low[0, 1] < two.low[0, 1] < two.high[0, 1] < ten.high[0, 1]
    assert ten.difference[0, 1] == two.difference[0, 1]


def test_copies_of_items_in_one_group_tell_nothing_new() -> None:
    truth, models = draw_models(50, (1.0, 1.5, 1.2), 4)
    copied = [
        Outputs(np.repeat(m.labels, 4, axis=0), np.repeat(m.scores, 4, axis=0)) for m in models
    ]
    once = compare_pairs(truth, models, draws=200)
    groups = np.repeat(np.arange(50), 4)
    four = compare_pairs(np.repeat(truth, 4, axis=0), copied, groups=groups, draws=200)
    for name in ("difference", "low", "high", "p_value"):
        assert getattr(four, name) == pytest.approx(getattr(once, name)), name
    alone = compare_pairs(np.repeat(truth, 4, axis=0), copied, draws=200)
    assert alone.high[0, 1] - alone.low[0, 1] < 0.7 * (once.high[0, 1] - once.low[0, 1])


def test_too_few_draws_or_items_reject_nothing() -> None:
    truth, models = draw_models(30, (0.2, 3.0), 0)
    found = compare_pairs(truth, models, draws=10)
    assert (found.low[0, 1], found.high[0, 1]) == (-1.0, 1.0)
    truth, models = draw_models(3, (0.2, 3.0), 0)
    assert not excludes_zero(compare_pairs(truth, models)).any()


def test_a_metric_that_is_not_defined_has_no_difference() -> None:
    truth = np.zeros((8, 2), np.uint8)
    models = [Outputs(truth, np.random.default_rng(k).random((8, 2))) for k in range(3)]
    found = compare_pairs(truth, models, "map_macro", draws=30)
    assert np.isnan(found.p_value[0, 1])
    assert np.isnan(found.low[0, 1])


def test_one_model_has_no_pairs() -> None:
    truth, models = draw_models(10, (1.0,), 0)
    assert compare_pairs(truth, models, draws=20).difference.tolist() == [[0.0]]


def test_unknown_metric() -> None:
    truth, models = draw_models(10, (1.0, 1.0), 0)
    with pytest.raises(SettingError, match=r"unknown metric .*f1_weighted"):
        compare_pairs(truth, models, "f1_weigthed")


def error_rate(models: int, rounds: int) -> float:
    """Share of rounds in which any of equal models is found to differ from the best."""
    wrong = 0
    for seed in range(rounds):
        truth, made = draw_models(100, [1.0] * models, seed)
        wrong += bool((compare_pairs(truth, made, draws=199, seed=seed).p_value <= 0.05).any())
    return wrong / rounds


@pytest.mark.parametrize("models", [2, 6])
def test_equal_models_are_rarely_found_to_differ(models: int) -> None:
    # 5 % expected; more than 9.5 % once in 1,000 times. Without adjustment it is 30 % at 6 models.
    assert error_rate(models, 200) <= 0.095
