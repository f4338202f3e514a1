"""Unknown labels weigh nothing in the losses and metrics of a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hybrid.deep.dataset import Batches
from hybrid.deep.items import Arrays
from hybrid.deep.losses import make_loss
from hybrid.deep.training_metrics import epoch_metrics
from hybrid.utils.unknown_labels import CODE, as_codes

RNG = np.random.default_rng(2)
TRUTH = RNG.integers(0, 2, (30, 3)).astype(np.uint8)
MASK = RNG.random((30, 3)) < 0.3
ODDS = RNG.normal(size=(30, 3)).astype(np.float32)
MASKED: Any = np.ma.MaskedArray(TRUTH, MASK)


@pytest.mark.parametrize("name", ["weighted", "plain", "focal", "asymmetric"])
def test_the_loss_of_an_item_is_that_of_its_known_labels(name: str) -> None:
    loss = make_loss(name, MASKED)
    found = np.asarray(loss.call(as_codes(MASKED), ODDS))
    plain = make_loss(name, TRUTH)
    if name == "weighted":
        plain.weights = loss.weights
    each = np.zeros(ODDS.shape)
    rest = np.asarray(plain.call(TRUTH, ODDS))
    for j in range(3):
        # What a label adds: the loss with it less the loss without, the others as they are.
        surely = np.where(np.arange(3) == j, np.where(TRUTH == 1, 60.0, -60.0), ODDS)
        each[:, j] = rest - np.asarray(plain.call(TRUTH, surely.astype(np.float32)))
    np.testing.assert_allclose(found, np.where(MASK, 0.0, each).sum(axis=1), atol=1e-4)


def test_weights_of_genres_count_the_known_labels() -> None:
    counts = np.where(MASK, 0, TRUTH).sum(axis=0)
    np.testing.assert_allclose(make_loss("weighted", MASKED).weights, counts.max() / counts)


def test_metrics_of_an_epoch_leave_unknown_labels_out() -> None:
    loss = make_loss("plain", MASKED)
    flipped: Any = np.ma.MaskedArray(np.where(MASK, 1 - TRUTH, TRUTH), MASK)
    odds = np.where(MASK, -ODDS, ODDS)
    values = []
    for truth, said in ((MASKED, ODDS), (flipped, odds)):
        metrics = epoch_metrics(loss, 3, multiclass=False)
        for metric in metrics:
            metric.update_state(as_codes(truth), said)
        values.append([float(metric.result()) for metric in metrics])
    assert values[0] == values[1]
    hits = ((ODDS > 0) & (TRUTH == 1) & ~MASK).sum(axis=0)
    said = ((ODDS > 0) & ~MASK).sum(axis=0)
    support = np.where(MASK, 0, TRUTH).sum(axis=0)
    expected = np.average(2 * hits / (said + support), weights=support)
    assert values[0][1] == pytest.approx(expected)


def test_batches_hold_the_code_of_unknown_labels() -> None:
    batches = Batches(Arrays(ODDS), 30, labels=MASKED)
    np.testing.assert_array_equal(batches[0][1] == CODE, MASK)
    plain = Batches(Arrays(ODDS), 30, labels=TRUTH)
    np.testing.assert_array_equal(plain[0][1], TRUTH)


def test_the_loss_of_known_labels_is_not_touched() -> None:
    assert not make_loss("plain", TRUTH).masks
