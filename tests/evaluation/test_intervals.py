"""Bootstrap of items and groups, percentile and BCa intervals: against SciPy, by hand and by simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from hybrid.errors import SettingError
from hybrid.evaluation import METRICS, Outputs, evaluate, paired_difference
from hybrid.evaluation.bootstrap import bootstrap, jackknife, make_units
from hybrid.evaluation.intervals import bca_interval, percentile_interval

Matrix = NDArray[Any]


def draw_case(
    n: int, random: np.random.Generator, rates: Any, hit: float = 0.7, alarm: float = 0.1
) -> tuple[Matrix, Outputs]:
    """Genres of these rates, and a model with known chances of a hit and of a false alarm."""
    truth = (random.random((n, len(rates))) < rates).astype(np.uint8)
    said = random.random(truth.shape) < np.where(truth, hit, alarm)
    return truth, Outputs(said.astype(np.uint8), said + 0.1 * random.random(truth.shape))


def true_f1(rates: Any, hit: float = 0.7, alarm: float = 0.1) -> dict[str, float]:
    """F1 of the whole population: 2 TP / (predicted + real), each a share of all items."""
    rates = np.asarray(rates)
    above, below = 2 * rates * hit, rates * hit + (1 - rates) * alarm + rates
    f1 = above / below
    return {
        "f1_micro": above.sum() / below.sum(),
        "f1_macro": f1.mean(),
        "f1_weighted": (f1 * rates).sum() / rates.sum(),
    }


# Resampling


def test_groups_are_drawn_whole() -> None:
    groups = np.array(["b", "a", "b", "c", "a", "b"])
    weights = np.concatenate(list(bootstrap(make_units(6, groups), 50, seed=0)))
    assert weights.shape == (50, 6)
    for members in ([0, 2, 5], [1, 4]):
        assert (weights[:, members] == weights[:, members[:1]]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()  # as many groups as there are
    assert len(np.unique(weights, axis=0)) > 5


def test_groups_of_one_are_items() -> None:
    truth, answers = draw_case(30, np.random.default_rng(0), [0.4, 0.3])
    alone = evaluate(truth, answers, "ab", draws=40, groups=[f"{i:02}" for i in range(30)])
    assert alone == evaluate(truth, answers, "ab", draws=40)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_copies_of_items_in_one_group_tell_nothing_new(method: str) -> None:
    truth, answers = draw_case(40, np.random.default_rng(1), [0.4, 0.3])
    thrice = Outputs(np.repeat(answers.labels, 3, axis=0), np.repeat(answers.scores, 3, axis=0))
    options: Any = {"draws": 60, "seed": 3, "method": method}
    once = evaluate(truth, answers, "ab", **options).metrics
    copied = evaluate(
        np.repeat(truth, 3, axis=0), thrice, "ab", groups=np.repeat(np.arange(40), 3), **options
    ).metrics
    for name in METRICS:
        assert vars(copied[name]) == pytest.approx(vars(once[name])), name


def test_the_jackknife_leaves_out_each_unit_once() -> None:
    weights = np.concatenate(list(jackknife(make_units(5, ["x", "y", "x", "z", "z"]))))
    assert {tuple(row) for row in weights.tolist()} == {
        (0, 1, 0, 1, 1),
        (1, 0, 1, 1, 1),
        (1, 1, 1, 0, 0),
    }


def test_lots_of_units_give_nearly_the_same_acceleration(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, answers = draw_case(4000, np.random.default_rng(2), [0.02, 0.3])
    whole = evaluate(truth, answers, "ab", draws=300, method="bca").metrics
    monkeypatch.setattr("hybrid.evaluation.bootstrap.PARTS", 1000)
    lots = evaluate(truth, answers, "ab", draws=300, method="bca").metrics
    plain = evaluate(truth, answers, "ab", draws=300, method="percentile").metrics
    for name in ("f1_macro", "map_macro"):
        moved = max(abs(whole[name].low - plain[name].low), 1e-4)
        assert lots[name].low == pytest.approx(whole[name].low, abs=moved)
        assert lots[name].high == pytest.approx(whole[name].high, abs=moved)


# Intervals


@pytest.mark.parametrize("seed", range(5))
def test_bca_is_that_of_scipy(seed: int) -> None:
    random = np.random.default_rng(seed)
    sample = random.exponential(
        size=25
    )  # hardly any draw equals the estimate: scipy does not see all
    draws = scipy.stats.bootstrap((sample,), np.mean, n_resamples=400, method="BCa", rng=random)
    left = np.array([np.delete(sample, i).mean() for i in range(len(sample))])
    found = bca_interval(sample.mean(), draws.bootstrap_distribution, left)
    assert (found.low, found.high) == pytest.approx(tuple(draws.confidence_interval))


def test_draws_that_equal_the_estimate_count_half_however_they_are_rounded() -> None:
    draws = np.array([0.1, 0.2, 0.3, 0.3, 0.3, 0.4, 0.5, 0.6])
    rounded = draws + np.array([0, 0, -1e-16, 1e-16, 6e-17, 0, 0, 0])
    left = np.array([0.2, 0.3, 0.4])
    one, other = (bca_interval(0.3, some, left) for some in (draws, rounded))
    assert (other.low, other.high) == pytest.approx((one.low, one.high), abs=1e-12)
    # 2 of 8 below and 3 equal: 3.5 / 8; without skew the tails are ndtr(2 bias + z).
    bias = scipy.stats.norm.ppf(3.5 / 8)
    tails = scipy.stats.norm.cdf(2 * bias + scipy.stats.norm.ppf([0.025, 0.975]))
    assert (one.low, one.high) == pytest.approx(tuple(np.quantile(draws, tails)))


def test_bca_without_bias_and_skew_is_percentile() -> None:
    draws = np.linspace(-1, 1, 201)
    left = np.array([-1.0, 1.0])
    found, plain = bca_interval(0.0, draws, left), percentile_interval(0.0, draws)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high))


@pytest.mark.parametrize(
    ("value", "draws", "left", "expected"),
    [
        (0.5, [0.5] * 9, [0.5] * 4, (0.5, 0.5)),  # nothing varies
        (np.nan, [np.nan] * 4, [np.nan] * 4, (np.nan, np.nan)),
        (1.0, [np.nan] * 4, [1.0], (1.0, 1.0)),  # nothing can be drawn
        (np.nan, [0.25, 0.25], [0.25], (0.25, 0.25)),
    ],
)
def test_edges(value: float, draws: Any, left: Any, expected: tuple[float, float]) -> None:
    found = bca_interval(value, np.array(draws), np.array(left))
    assert (found.low, found.high) == pytest.approx(expected, nan_ok=True)
    assert found.value == pytest.approx(value, nan_ok=True)


def test_bca_stays_within_the_draws_when_all_are_on_one_side() -> None:
    draws = np.linspace(0.1, 0.4, 50)
    found = bca_interval(0.5, draws, np.array([0.4, 0.5, 0.6]))
    assert 0.1 <= found.low <= found.high <= 0.4


def test_nan_draws_are_left_out() -> None:
    draws = np.array([np.nan, 0.1, 0.2, 0.3, np.nan])
    assert percentile_interval(0.2, draws) == percentile_interval(0.2, draws[1:4])


def test_bca_of_a_metric_is_computed_from_deleted_items() -> None:
    n, seed = 14, 5
    truth, answers = draw_case(n, np.random.default_rng(3), [0.4, 0.3])
    picks = np.random.default_rng(seed).integers(0, n, size=(60, n))

    def f1(rows: Matrix) -> float:
        return f1_score(truth[rows], answers.labels[rows], average="macro", zero_division=0)

    left = np.array([f1(np.delete(np.arange(n), i)) for i in range(n)])
    expected = bca_interval(f1(np.arange(n)), np.array([f1(p) for p in picks]), left)
    found = evaluate(truth, answers, "ab", draws=60, seed=seed, method="bca").metrics["f1_macro"]
    assert vars(found) == pytest.approx(vars(expected))


# Coverage


def coverage(
    method: str, rounds: int, n: int, rates: Any, draws: int, group: int = 1
) -> dict[str, float]:
    """Share of the rounds in which the interval holds the value of the population.

    With `group`, each item stands there that often, and the copies are one group.
    """
    expected = true_f1(rates)
    held = dict.fromkeys(expected, 0)
    for seed in range(rounds):
        truth, answers = draw_case(n, np.random.default_rng(seed), rates)
        truth = np.repeat(truth, group, axis=0)
        answers = Outputs(
            np.repeat(answers.labels, group, axis=0), np.repeat(answers.scores, group, axis=0)
        )
        groups = np.repeat(np.arange(n), group)
        found = evaluate(
            truth, answers, "abcdef"[: len(rates)], groups=groups, draws=draws, seed=seed,
            method=method,
        )  # fmt: skip
        for name, value in expected.items():
            interval = found.metrics[name]
            held[name] += interval.low <= value <= interval.high
    return {name: count / rounds for name, count in held.items()}


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_intervals_cover_what_they_claim(method: str) -> None:
    # Within 3.5 standard errors of 0.95 in 150 rounds.
    for name, share in coverage(method, 150, 150, [0.4, 0.2], 300, group=2).items():
        assert share >= 0.88, name


@pytest.mark.slow
@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("rates", [(0.4, 0.2), (0.4, 0.2, 0.05, 0.01)])
def test_intervals_cover_what_they_claim_at_length(method: str, rates: Any) -> None:
    found = coverage(method, 1000, 400, rates, 1000)
    print(f"{method}, rates {rates}: {found}")
    for name, share in found.items():
        assert 0.93 <= share <= 0.97, name


def test_differences_that_are_none_are_rarely_found() -> None:
    rounds, found = 100, 0
    for seed in range(rounds):
        random = np.random.default_rng(seed)
        truth, one = draw_case(150, random, [0.4, 0.2])
        said = random.random(truth.shape) < np.where(truth, 0.7, 0.1)
        other = Outputs(said.astype(np.uint8), one.scores)
        interval = paired_difference(truth, one, other, "f1_micro", draws=200, seed=seed)
        found += not interval.low <= 0 <= interval.high
    assert found <= 13  # 5 expected; more than 13 once in 2,500 times


def test_a_wrong_group_is_an_error() -> None:
    truth, answers = draw_case(10, np.random.default_rng(0), [0.5])
    with pytest.raises(SettingError, match=r"groups: expected shape \(10,\), found \(3,\)"):
        evaluate(truth, answers, "a", groups=[1, 2, 3])
