"""Shapley values, against the mean over all orders and Shapley's axioms."""

from __future__ import annotations

import numpy as np

from hybrid.explain.shapley import shapley_values
from tests.explain.shapley_orders import by_orders


def test_each_value_is_the_mean_over_all_orders() -> None:
    random = np.random.default_rng(0)
    for n in range(6):
        scores = random.normal(size=(2**n, 3))
        found = shapley_values(scores)
        assert found.shape == (n, 3)
        np.testing.assert_allclose(found, by_orders(scores), atol=1e-12)
        np.testing.assert_allclose(found.sum(axis=0), scores[-1] - scores[0], atol=1e-12)


def test_a_part_of_a_sum_has_its_own_value_and_one_that_adds_nothing_none() -> None:
    own = np.array([2.0, -1.0, 0.0])
    scores = np.array([own[[i for i in range(3) if s >> i & 1]].sum() for s in range(8)])
    np.testing.assert_allclose(shapley_values(5 + scores), own, atol=1e-12)
    one = shapley_values(np.array([1.0, 4.0], dtype=np.float32))
    assert one.tolist() == [3.0]
    assert shapley_values(np.zeros((1, 2))).shape == (0, 2)
