"""Unknown labels are left out of every metric, as scikit-learn computes it on the known cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, label_ranking_loss

from hybrid.evaluation import Outputs, classification_report, evaluate, reliability
from hybrid.evaluation.evaluate import measure_all, paired_difference
from hybrid.evaluation.metrics import METRICS
from hybrid.evaluation.significance import permutation_test

Case = tuple[np.ma.MaskedArray[Any, Any], Outputs]


@pytest.fixture
def case() -> Case:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 2, (60, 4)).astype(np.uint8)
    scores = rng.random((60, 4)) + 0.4 * truth
    mask = rng.random((60, 4)) < 0.25
    mask[:, 0] = False
    return np.ma.MaskedArray(truth, mask), Outputs((scores > 0.7).astype(np.uint8), scores)


def test_scores_of_a_genre_are_those_of_the_items_where_it_is_known(case: Case) -> None:
    truth, outputs = case
    found = evaluate(truth, outputs, "abcd", draws=20)
    f1, ap, support = [], [], []
    for j in range(4):
        rows = ~truth.mask[:, j]
        real, said = truth.data[rows, j], outputs.labels[rows, j]
        f1.append(f1_score(real, said))
        ap.append(average_precision_score(real, outputs.scores[rows, j]))
        support.append(int(real.sum()))
    assert [g.f1.value for g in found.genres] == pytest.approx(f1)
    assert [g.average_precision.value for g in found.genres] == pytest.approx(ap)
    assert [g.support for g in found.genres] == support
    metrics = found.metrics
    assert metrics["f1_macro"].value == pytest.approx(np.mean(f1))
    assert metrics["f1_weighted"].value == pytest.approx(np.average(f1, weights=support))
    known = ~truth.mask
    flat = f1_score(truth.data[known], outputs.labels[known])
    assert metrics["f1_micro"].value == pytest.approx(flat)
    assert metrics["f1_micro"].low <= flat <= metrics["f1_micro"].high
    report = classification_report(truth, outputs.labels, list("abcd"))
    assert [row.f1 for row in report.genres] == pytest.approx(f1)


def test_scores_of_an_item_are_those_of_its_known_genres(case: Case) -> None:
    truth, outputs = case
    found = measure_all(truth, outputs)
    f1, hamming, right, loss = [], [], [], []
    for i in range(len(truth)):
        of = ~truth.mask[i]
        real, said = truth.data[i, of], outputs.labels[i, of]
        f1.append(f1_score(real, said, zero_division=0))
        hamming.append(np.mean(real != said))
        right.append(bool((real == said).all()))
        loss.append(label_ranking_loss([real], [outputs.scores[i, of]]) if len(real) > 1 else 0.0)
    assert found["f1_samples"] == pytest.approx(np.mean(f1))
    assert found["hamming_loss"] == pytest.approx(np.mean(hamming))
    assert found["subset_accuracy"] == pytest.approx(np.mean(right))
    assert found["ranking_loss"] == pytest.approx(np.mean(loss))


def test_what_lies_beneath_the_mask_changes_nothing(case: Case) -> None:
    truth, outputs = case
    other = np.ma.MaskedArray(np.where(truth.mask, 1 - truth.data, truth.data), truth.mask)
    nan = np.where(truth.mask, np.nan, truth.data)
    shifted = Outputs(np.where(truth.mask, 1 - outputs.labels, outputs.labels), outputs.scores)
    expected = measure_all(truth, outputs)
    assert measure_all(other, outputs) == expected
    assert measure_all(nan, outputs) == expected
    ranked = {"lrap", "ranking_loss", "coverage_error", "map_macro", "map_micro"}
    moved = measure_all(truth, shifted)
    assert all(moved[name] == expected[name] for name in set(METRICS) - ranked)
    assert paired_difference(truth, outputs, shifted, draws=20).value == 0
    assert permutation_test(truth, outputs, shifted, draws=20) == 1.0
    chances = np.clip(outputs.scores, 0, 1)
    known = ~truth.mask
    one, two = reliability(truth, chances), reliability(truth.data[known], chances[known])
    assert (one.error, one.count) == (two.error, two.count)


def test_nothing_unknown_is_the_same_to_the_digit(case: Case) -> None:
    truth, outputs = case
    nothing = np.ma.MaskedArray(truth.data, np.zeros(truth.shape, dtype=bool))
    assert measure_all(nothing, outputs) == measure_all(truth.data, outputs)
