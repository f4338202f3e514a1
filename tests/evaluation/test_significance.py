"""Permutation tests and Holm's correction, against all permutations and by hand."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score

from hybrid.errors import SettingError
from hybrid.evaluation import METRICS, Outputs, holm, permutation_test

Matrix = NDArray[Any]


def two_models(n: int, seed: int, skill: float = 0.0) -> tuple[Matrix, Outputs, Outputs]:
    """Truth, a model of skill 1, and one of more."""
    random = np.random.default_rng(seed)
    truth = (random.random((n, 2)) < 0.4).astype(np.uint8)
    models = []
    for extra in (0.0, skill):
        scores = (1 + extra) * truth + random.normal(size=truth.shape)
        models.append(Outputs((scores > 0.5).astype(np.uint8), scores))
    return truth, *models


def every_swap(truth: Matrix, one: Outputs, other: Outputs, metric: str, groups: Any) -> float:
    """The exact p-value, from all ways to swap, each metric by scikit-learn."""

    def difference(kept: Matrix) -> float:
        first, second = (
            Outputs(
                np.where(mask[:, None], one.labels, other.labels),
                np.where(mask[:, None], one.scores, other.scores),
            )
            for mask in (kept, ~kept)
        )
        if metric == "map_macro":
            return average_precision_score(truth, first.scores) - average_precision_score(
                truth, second.scores
            )
        return f1_score(truth, first.labels, average="micro", zero_division=0) - f1_score(
            truth, second.labels, average="micro", zero_division=0
        )

    names = np.unique(groups)
    observed = abs(difference(np.ones(len(truth), dtype=bool)))
    as_large = [
        abs(difference(np.isin(groups, names[list(choice)]))) >= observed - 1e-12
        for choice in itertools.product([False, True], repeat=len(names))
    ]
    return float(np.mean(as_large))


@pytest.mark.parametrize("metric", ["f1_micro", "map_macro"])
@pytest.mark.parametrize("groups", [list(range(8)), [0, 0, 1, 2, 3, 3, 3, 4]])
@pytest.mark.parametrize("seed", [0, 1])
def test_p_values_are_those_of_all_permutations(metric: str, groups: Any, seed: int) -> None:
    truth, one, other = two_models(8, seed, skill=2.0)
    expected = every_swap(truth, one, other, metric, groups)
    found = permutation_test(truth, one, other, metric, groups=groups, draws=4000)
    assert found == pytest.approx(expected, abs=0.03)  # 4 standard errors


@pytest.mark.parametrize("metric", METRICS)
def test_identical_models_do_not_differ(metric: str) -> None:
    truth, one, _ = two_models(30, 0)
    assert permutation_test(truth, one, one, metric, draws=50) == 1.0


@pytest.mark.parametrize("metric", METRICS)
def test_a_much_better_model_differs_whichever_is_first(metric: str) -> None:
    truth, one, other = two_models(150, 1, skill=4.0)
    forth = permutation_test(truth, one, other, metric, draws=99)
    assert forth == permutation_test(truth, other, one, metric, draws=99) == 0.01


def test_p_values_of_equal_models_are_uniform() -> None:
    found = []
    for seed in range(200):
        truth, one, other = two_models(40, seed)
        found.append(permutation_test(truth, one, other, "f1_weighted", draws=99, seed=seed))
    # Each share is within 3.5 standard errors.
    for limit in (0.05, 0.2, 0.5):
        spread = 3.5 * (limit * (1 - limit) / len(found)) ** 0.5
        assert np.mean(np.array(found) <= limit) == pytest.approx(limit, abs=spread)


def test_an_undefined_metric_has_no_p_value() -> None:
    truth = np.zeros((4, 2), np.uint8)
    answers = Outputs(truth, np.zeros((4, 2)))
    assert np.isnan(permutation_test(truth, answers, answers, "map_macro", draws=5))


def test_unknown_metric() -> None:
    truth, one, other = two_models(5, 0)
    with pytest.raises(SettingError, match=r"unknown metric .*f1_weighted"):
        permutation_test(truth, one, other, "f1_weigthed")


def test_holm_by_hand() -> None:
    # Sorted: 0.01 x 4, 0.02 x 3, 0.03 x 2, 0.04 x 1, none below the one before.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    assert holm([0.03]) == pytest.approx([0.03])
    assert holm([]).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.floats(0, 0.99))
def test_holm_rejects_what_the_step_down_procedure_rejects(p: list[float], limit: float) -> None:
    rejected = set()
    for step, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        if p[i] * (len(p) - step) > limit:
            break
        rejected.add(i)
    assert {i for i, raised in enumerate(holm(p)) if raised <= limit} == rejected


@pytest.mark.parametrize("p", [[0.5, 1.5], [-0.1], [float("nan")], [[0.1]]])
def test_what_is_no_p_value_is_an_error(p: Any) -> None:
    with pytest.raises(SettingError, match="p_values: expected numbers from 0 to 1"):
        holm(p)
