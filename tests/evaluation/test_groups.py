"""Groups are drawn whole, everywhere: copies of items in one group tell nothing new."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hybrid
from hybrid.audit.leak_cost import leakage_cost
from hybrid.evaluation import Outputs, evaluate_multiclass, likeliest, reliability
from hybrid.heads.decision_rule import DecisionOptions, fit_decision, threshold_spread
from hybrid.heads.thresholds import threshold_draws
from hybrid.studies.learning_curve import evaluate_curve

Matrix = NDArray[Any]
ITEMS, COPIES = 60, 4
GROUPS = np.repeat(np.arange(ITEMS), COPIES)
GENRES = ("Drama", "Horror")
# Whatever these return has intervals; evaluate.py passes what it is given on.
WITH_INTERVALS = {
    "compare_pairs", "evaluate", "evaluate_all", "evaluate_curve", "evaluate_multiclass",
    "leakage_cost", "paired_difference", "permutation_test", "reliability", "select_best",
    "threshold_draws", "threshold_spread",
}  # fmt: skip


def made(seed: int = 0) -> tuple[Matrix, Outputs]:
    random = np.random.default_rng(seed)
    truth = (random.random((ITEMS, 2)) < 0.4).astype(np.uint8)
    scores = np.clip(0.4 * truth + 0.6 * random.random(truth.shape), 0, 1)
    return truth, Outputs((scores > 0.5).astype(np.uint8), scores)


def copied(truth: Matrix, outputs: Outputs) -> tuple[Matrix, Outputs]:
    def copy(matrix: Matrix) -> Matrix:
        return np.repeat(matrix, COPIES, axis=0)

    return copy(truth), Outputs(copy(outputs.labels), copy(outputs.scores))


def plain(found: Any) -> Any:
    return pytest.approx(np.array(found, dtype=float), nan_ok=True)


def test_the_cost_of_leaks() -> None:
    leaked = np.arange(ITEMS) < 20
    once = leakage_cost(*made(), leaked, draws=100)
    four = leakage_cost(*copied(*made()), np.repeat(leaked, COPIES), groups=GROUPS, draws=100)
    for name, cost in once.items():
        for part in ("all", "clean", "difference"):
            expected = vars(getattr(cost, part))
            assert vars(getattr(four[name], part)) == pytest.approx(expected), (name, part)


@pytest.mark.parametrize("objective", ["genre", "micro"])
def test_thresholds(objective: str) -> None:
    truth, outputs = made()
    more, answers = copied(truth, outputs)
    once = threshold_draws(truth, outputs.scores, objective=objective, draws=30)
    four = threshold_draws(more, answers.scores, objective=objective, groups=GROUPS, draws=30)
    assert four == plain(once)
    rule = fit_decision(truth, outputs.scores, DecisionOptions(objective=objective, shrinkage=0.0))
    spread = threshold_spread(truth, outputs.scores, rule)
    assert threshold_spread(more, answers.scores, rule, groups=GROUPS) == plain(spread)


def test_the_learning_curve() -> None:
    sizes = [(10, made(1)[1]), (20, made()[1])]
    truth, more = made()[0], copied(*made())[0]
    copies = [(n, copied(truth, outputs)[1]) for n, outputs in sizes]
    once = evaluate_curve(truth, sizes, (), GENRES)
    four = evaluate_curve(more, copies, (), GENRES, groups=GROUPS)
    assert once.gain is not None
    assert four.gain is not None
    for one, other in [*zip(once.points, four.points, strict=True), (once.gain, four.gain)]:
        assert vars(other.f1_weighted) == pytest.approx(vars(one.f1_weighted))
        assert vars(other.map_macro) == pytest.approx(vars(one.map_macro))


def test_several_classes() -> None:
    scores = np.random.default_rng(0).random((ITEMS, 2))
    scores /= scores.sum(axis=1, keepdims=True)
    truth = np.eye(2, dtype=np.uint8)[np.random.default_rng(1).integers(0, 2, ITEMS)]
    outputs = Outputs(likeliest(scores), scores)
    once = evaluate_multiclass(truth, outputs, GENRES, draws=100).metrics
    more, answers = copied(truth, outputs)
    four = evaluate_multiclass(more, answers, GENRES, groups=GROUPS, draws=100).metrics
    for name, interval in once.items():
        assert list(vars(four[name]).values()) == plain(list(vars(interval).values())), name


@pytest.mark.parametrize("rare", [False, True])
def test_reliability(rare: bool) -> None:
    truth, outputs = made()
    truth = truth * (not rare)  # nothing varies in any bin
    once = reliability(truth[:, 0], outputs.scores[:, 0])
    more, answers = copied(truth, outputs)
    four = reliability(more[:, 0], answers.scores[:, 0], groups=GROUPS)
    for name in ("predicted", "observed", "low", "high", "error", "debiased"):
        assert getattr(four, name) == plain(getattr(once, name)), name
    alone = reliability(truth[:, 0], outputs.scores[:, 0], groups=np.arange(ITEMS))
    assert (alone.low, alone.debiased) == (plain(once.low), plain(once.debiased))
    # Of all genres together, cells of one item are not independent either.
    both, apart = (reliability(more, answers.scores, groups=g) for g in (GROUPS, None))
    assert (np.array(both.high) - both.low > np.array(apart.high) - apart.low).all()


def test_every_caller_passes_groups() -> None:
    root = Path(hybrid.__file__).parent
    calls = []
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            name = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id
            if name in WITH_INTERVALS:
                given = {keyword.arg for keyword in node.keywords}  # None: `**options`
                calls.append((f"{path.relative_to(root)}: {name}", bool(given & {"groups", None})))
    assert len(calls) > 10
    assert [call for call, passed in calls if not passed] == []
