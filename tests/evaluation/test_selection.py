"""Chance of being best, and the figure of the chosen model: by hand, by SciPy and by simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from hybrid.errors import SettingError
from hybrid.evaluation import Outputs, evaluate, select_best
from hybrid.evaluation.selection import best_probability

Matrix = NDArray[Any]


def recall_models(n: int, chances: Any, seed: int) -> tuple[Matrix, list[Outputs]]:
    """One genre that all items have; each model gives it with its own chance, which is its recall."""
    random = np.random.default_rng(seed)
    said = (random.random((len(chances), n, 1)) < np.reshape(chances, (-1, 1, 1))).astype(np.uint8)
    return np.ones((n, 1), np.uint8), [Outputs(each, each.astype(float)) for each in said]


def by_integration(difference: float, variance: float) -> float:
    """Chance that the first of two models is best, by the formula of the normal posterior."""
    shares = (np.arange(20) + 0.5) / 20
    spread = variance * (1 - shares) / shares
    evidence = scipy.stats.norm.pdf(difference, scale=np.sqrt(spread + variance))
    mean = difference * (1 - shares)
    chance = scipy.stats.norm.cdf(mean / np.sqrt(variance * (1 - shares)))
    return float((evidence * chance).sum() / evidence.sum())


@pytest.mark.parametrize("difference", [0.0, 0.5, 1.5, 3.0])
def test_the_chance_of_two_models_is_that_of_the_formula(difference: float) -> None:
    noise = np.random.default_rng(0).normal(size=(20_000, 2)) @ [[1, 0.6], [0, 0.8]]
    chance = best_probability(np.array([difference, 0.0]), noise)
    variance = float((noise[:, 0] - noise[:, 1]).var())
    assert chance[0] == pytest.approx(by_integration(difference, variance), abs=0.02)
    assert chance.sum() == pytest.approx(1.0)


def test_identical_models_share_the_chance() -> None:
    truth, models = recall_models(80, (0.9, 0.2), 0)
    assert select_best(truth, [models[0]] * 4, draws=100).best_probability == (0.25,) * 4
    found = select_best(truth, [models[0], models[0], models[1]], draws=100).best_probability
    assert found[0] == pytest.approx(found[1], abs=1e-9)
    assert found[0] == pytest.approx(0.5, abs=0.01)


def test_a_much_better_model_is_surely_best() -> None:
    truth, models = recall_models(300, (0.3, 0.9, 0.4), 0)
    found = select_best(truth, models, "recall_macro", draws=200)
    assert found.best == 1
    assert found.best_probability[1] > 0.99
    # Chosen in every draw: nothing to correct.
    value = evaluate(truth, models[1], ["a"], draws=20).metrics["recall_macro"].value
    assert found.corrected.value == pytest.approx(value)


def test_of_losses_the_lowest_is_best() -> None:
    truth, models = recall_models(200, (0.3, 0.9), 0)
    found = select_best(truth, models, "hamming_loss", draws=200)
    assert found.best == 1
    assert found.best_probability[1] > 0.99
    assert 0 <= found.corrected.low <= found.corrected.value <= found.corrected.high


def test_the_corrected_figure_by_hand() -> None:
    # Three items, two models that are right on other ones, all 27 draws of three items by hand.
    truth = np.ones((3, 1), np.uint8)
    right = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    models = [Outputs(r[:, None].astype(np.uint8), r[:, None]) for r in right]
    draws = np.array(np.meshgrid([0, 1, 2], [0, 1, 2], [0, 1, 2])).reshape(3, -1).T
    rows = [(d, np.setdiff1d([0, 1, 2], d)) for d in draws]
    rows = [(d, rest) for d, rest in rows if len(rest)]
    outside = np.array([right[:, rest].mean(axis=1) for _, rest in rows])
    chosen = np.array([right[:, d].mean(axis=1).argmax() for d, _ in rows])
    apart = outside[np.arange(len(rows)), chosen] - outside.mean(axis=0)[chosen]
    expected = (right.mean(axis=1)[chosen] + apart).mean()
    found = select_best(truth, models, "recall_macro", draws=20_000).corrected.value
    assert found == pytest.approx(expected, abs=0.01)


def test_one_model_was_not_chosen() -> None:
    truth, models = recall_models(50, (0.6,), 0)
    found = select_best(truth, models, "recall_macro", draws=100, seed=3)
    expected = evaluate(truth, models[0], ["a"], draws=100, seed=3).metrics["recall_macro"]
    assert (found.best_probability, found.corrected) == ((1.0,), expected)


def test_copies_of_items_in_one_group_tell_nothing_new() -> None:
    truth, models = recall_models(60, (0.6, 0.65, 0.7), 1)
    copied = [
        Outputs(np.repeat(m.labels, 4, axis=0), np.repeat(m.scores, 4, axis=0)) for m in models
    ]
    once = select_best(truth, models, "recall_macro", draws=100)
    groups = np.repeat(np.arange(60), 4)
    four = select_best(
        np.repeat(truth, 4, axis=0), copied, "recall_macro", groups=groups, draws=100
    )
    assert four.best_probability == pytest.approx(once.best_probability)
    assert vars(four.corrected) == pytest.approx(vars(once.corrected))


def test_a_model_without_a_figure_is_never_best() -> None:
    truth = np.array([[1], [0], [1], [0]], np.uint8)
    nothing = np.full((4, 1), np.nan)
    models = [Outputs(truth, truth.astype(float)), Outputs(truth, nothing)]
    found = select_best(truth, models, "f1_micro", draws=50)
    assert found.best == 0
    empty = select_best(np.zeros((4, 1)), models, "map_macro", draws=50)
    assert np.isnan(empty.corrected.value)


def test_no_model() -> None:
    with pytest.raises(SettingError, match="models: expected at least one, found none"):
        select_best(np.ones((3, 1)), [])


def test_the_corrected_figure_of_equal_models_is_unbiased_and_covers() -> None:
    # The true figure of every model is 0.7; the best of eight by chance is about 1.4 standard errors above.
    n, rounds = 100, 150
    raw, corrected, held = [], [], 0
    for seed in range(rounds):
        truth, models = recall_models(n, [0.7] * 8, seed)
        found = select_best(truth, models, "recall_macro", draws=200, seed=seed)
        raw.append(models[found.best].labels.mean())
        corrected.append(found.corrected.value)
        held += found.corrected.low <= 0.7 <= found.corrected.high
    assert np.mean(raw) > 0.7 + 0.04
    assert np.mean(corrected) == pytest.approx(0.7, abs=0.008)  # 4 standard errors of the mean
    assert held / rounds >= 0.9


def test_chances_of_being_best_are_calibrated() -> None:
    # True figures that differ about as much as chance makes the observed ones differ.
    rounds, random = 200, np.random.default_rng(7)
    said, right = [], []
    for seed in range(rounds):
        chances = np.clip(0.7 + 0.05 * random.normal(size=4), 0.05, 0.95)
        truth, models = recall_models(100, chances, seed)
        found = select_best(truth, models, "recall_macro", draws=200, seed=seed)
        said.append(found.best_probability[found.best])
        right.append(found.best == chances.argmax())
    # Shares of draws would say 0.1 too much.
    assert np.mean(said) == pytest.approx(np.mean(right), abs=0.08)
