"""What a record says of groups, parameters, rates and cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import BernoulliNB

from hybrid.evaluation import Outputs, evaluate, reliability
from hybrid.heads import MultilabelLinearSVC
from hybrid.heads.decision_rule import DecisionOptions, DecisionRule, fit_decision, threshold_spread
from hybrid.heads.parameter_count import count_parameters
from hybrid.runs.record_metrics import (
    describe_decision,
    describe_thresholds,
    evaluate_test_items,
    grouped_ids,
)


def test_only_groups_of_several_items_are_named() -> None:
    ids, groups = np.array(list("abcdef")), np.array(["x", "y", "x", "z", "w", "z"])
    assert grouped_ids(ids, groups) == (("a", "c"), ("d", "f"))


def made(seed: int = 0) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    truth = (random.random((80, 2)) < [0.4, 0.2]).astype(np.uint8)
    return truth, truth + random.normal(size=truth.shape)


def test_judged_as_by_the_functions_themselves() -> None:
    truth, scores = made()
    said = 1 / (1 + np.exp(-scores))
    said[:5] = np.nan  # items that nothing is said of
    answers = Outputs((said > 0.5).astype(np.uint8), said)
    groups = np.arange(80) // 2
    metrics, found = evaluate_test_items(truth, answers, ["a", "b"], groups, seed=3)
    expected = evaluate(truth, answers, ["a", "b"], groups=groups, seed=3).metrics["f1_micro"]
    assert metrics["f1_micro"] == expected
    assert found.all.error == reliability(truth[5:], said[5:], groups=groups[5:]).error
    one = reliability(truth[5:, 1], said[5:, 1], groups=groups[5:])
    assert found.genres[1].debiased == one.debiased


def test_nothing_said_has_no_reliability() -> None:
    truth, _ = made()
    answers = Outputs(np.zeros_like(truth), np.full(truth.shape, np.nan))
    _, found = evaluate_test_items(truth, answers, ["a", "b"], np.arange(80), seed=0)
    assert found.all.error is None
    assert found.all.count == ()


def test_the_decision_is_described() -> None:
    truth, scores = made()
    truth[:, 1] = 0
    decision = fit_decision(truth, scores, DecisionOptions(max_labels=1))
    thresholds, spread = describe_thresholds(truth, scores, decision, np.arange(80), seed=0)
    assert thresholds == (decision.thresholds[0], None)
    low, high = spread[0]
    assert low <= decision.thresholds[0] <= high
    assert spread[1] == (None, None)
    assert [low, high] == pytest.approx(threshold_spread(truth, scores, decision)[0])
    found = describe_decision(decision)
    assert found.shrinkage == 1.0
    assert found.max_labels == 1
    plain = DecisionRule(None, np.array([0.5, 0.5]), DecisionOptions())
    assert describe_thresholds(truth, scores, plain, np.arange(80), seed=0)[1] == ()
    assert describe_decision(plain).calibrated_by == ()


def test_a_decision_can_be_written_and_read() -> None:
    truth, scores = made()
    truth[:, 1] = 0
    decision = fit_decision(truth, scores, DecisionOptions(at_least_one=True))
    again = DecisionRule.from_plain(decision.as_plain())
    probabilities = decision.probabilities(scores)
    np.testing.assert_array_equal(again.probabilities(scores), probabilities)
    np.testing.assert_array_equal(again.label(probabilities), decision.label(probabilities))
    assert again.options == decision.options


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (MultilabelLinearSVC(), 2 * 5 + 2),
        (OneVsRestClassifier(LogisticRegression()), 2 * 5 + 2),
        (OneVsRestClassifier(BernoulliNB()), 2 * (2 * 5 + 2)),
        (OneVsRestClassifier(DummyClassifier(strategy="prior")), None),
    ],
)
def test_parameters_are_counted(head: Any, expected: int | None) -> None:
    truth, _ = made()
    X = np.random.default_rng(0).random((80, 5))
    assert count_parameters(head.fit(X, truth)) == expected


def test_parameters_of_a_forest_are_those_of_its_trees() -> None:
    truth, _ = made()
    X = np.random.default_rng(0).random((80, 5))
    stump = RandomForestClassifier(n_estimators=3, max_depth=1, random_state=0)
    # A stump: one split with its threshold, two leaves.
    assert count_parameters(stump.fit(X, truth[:, 0])) == 3 * 4
