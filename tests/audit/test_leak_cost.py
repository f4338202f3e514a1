"""What leaks are worth: against scikit-learn on the items with and without the leaked ones."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, hamming_loss

from hybrid.audit.leak_cost import leakage_cost
from hybrid.errors import SettingError
from hybrid.evaluation import METRICS, Outputs


def made(n: int = 300, leaked: int = 100) -> tuple[np.ndarray, Outputs, np.ndarray]:
    """Outputs that are right for leaked items and a coin for others."""
    random = np.random.default_rng(0)
    truth = (random.random((n, 4)) < 0.4).astype(np.uint8)
    scores = random.random((n, 4))
    scores[:leaked] = truth[:leaked]
    return truth, Outputs((scores > 0.5).astype(np.uint8), scores), np.arange(n) < leaked


def test_both_figures_are_those_of_scikit_learn() -> None:
    truth, answers, leaked = made()
    costs = leakage_cost(truth, answers, leaked, draws=50)
    assert set(costs) == set(METRICS)
    for name, average in (("f1_weighted", "weighted"), ("f1_macro", "macro")):
        all_items = f1_score(truth, answers.labels, average=average)
        clean = f1_score(truth[~leaked], answers.labels[~leaked], average=average)
        assert costs[name].all.value == pytest.approx(all_items)
        assert costs[name].clean.value == pytest.approx(clean)
        assert costs[name].difference.value == pytest.approx(all_items - clean)
    loss = hamming_loss(truth[~leaked], answers.labels[~leaked])
    assert costs["hamming_loss"].clean.value == pytest.approx(loss)


def test_the_interval_tells_a_leak_that_helps_from_one_that_does_not() -> None:
    truth, answers, leaked = made()
    assert leakage_cost(truth, answers, leaked, draws=300)["f1_weighted"].difference.low > 0.1
    other = np.random.default_rng(1).permutation(leaked)
    found = leakage_cost(
        truth[100:], Outputs(answers.labels[100:], answers.scores[100:]), other[100:]
    )
    assert found["f1_weighted"].difference.low < 0 < found["f1_weighted"].difference.high


def test_the_interval_is_that_of_a_bootstrap_one_draw_at_a_time() -> None:
    truth, answers, leaked = made(60, 20)
    found = leakage_cost(truth, answers, leaked, draws=200, seed=5)["f1_micro"].difference
    random = np.random.default_rng(5)
    draws = []
    for pick in random.integers(0, 60, size=(200, 60)):
        clean = pick[~leaked[pick]]
        draws.append(
            f1_score(truth[pick], answers.labels[pick], average="micro")
            - f1_score(truth[clean], answers.labels[clean], average="micro")
        )
    low, high = np.quantile(draws, [0.025, 0.975])
    assert (found.low, found.high) == (pytest.approx(low, abs=0.03), pytest.approx(high, abs=0.03))


def test_nothing_leaked_or_everything_costs_nothing_that_can_be_told() -> None:
    truth, answers, leaked = made(30, 10)
    assert leakage_cost(truth, answers, np.zeros(30, dtype=bool)) == {}
    assert leakage_cost(truth, answers, np.ones(30, dtype=bool)) == {}
    with pytest.raises(SettingError, match="expected truth, labels, scores and leaked of the same"):
        leakage_cost(truth, answers, leaked[:5])
