"""Losses, schedules and optimisers of the deep baselines, against numbers worked out by hand and Keras."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.deep.losses import (
    Asymmetric,
    ClassCrossEntropy,
    CrossEntropy,
    Focal,
    WeightedCrossEntropy,
    genre_weights,
    make_loss,
)
from hybrid.deep.optimizers import make_optimizer, make_schedule
from hybrid.deep.options import DeepOptions
from hybrid.deep.registry import Stage
from hybrid.errors import SettingError

TRUTH = np.array([[1, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0]])
SAID = np.array([[0.9, 0, 0, 0.3, 0, 0.2]] * 2, dtype=np.float32)


@pytest.mark.parametrize(
    ("last_weight", "expected"), [(1.0, (2.0715, 0.6852)), (0.1, (0.6230, 0.4843))]
)
def test_weighted_cross_entropy_is_the_studys(
    last_weight: float, expected: tuple[float, float]
) -> None:
    loss = WeightedCrossEntropy([1, 1, 1, 1, 1, last_weight])
    found = [float(loss(TRUTH[i : i + 1], SAID[i : i + 1])) for i in range(2)]
    assert found == pytest.approx(expected, abs=1e-4)
    copy = WeightedCrossEntropy.from_config(loss.get_config())
    assert float(copy(TRUTH, SAID)) == pytest.approx(np.mean(expected), abs=1e-4)


def test_genre_weights_by_hand() -> None:
    labels = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 1, 0]], dtype=np.uint8)
    np.testing.assert_array_equal(genre_weights(labels), [1.0, 2.0, 0.0])


def test_focal_by_hand_and_as_in_keras() -> None:
    y, p = np.array([[1, 0]]), np.array([[0.8, 0.4]], dtype=np.float32)
    by_hand = -(0.25 * 0.2**2 * math.log(0.8) + 0.75 * 0.4**2 * math.log(0.6))
    assert float(Focal()(y, p)) == pytest.approx(by_hand, rel=1e-5)
    theirs = keras.losses.BinaryFocalCrossentropy(apply_class_balancing=True)
    assert float(Focal()(y, p)) == pytest.approx(2 * float(theirs(y, p)), rel=1e-5)


def test_asymmetric_by_hand() -> None:
    y, p = np.array([[1, 0, 0]]), np.array([[0.8, 0.4, 0.04]], dtype=np.float32)
    by_hand = -(math.log(0.8) + 0.35**4 * math.log(0.65))  # 0.04 is below the margin
    assert float(Asymmetric()(y, p)) == pytest.approx(by_hand, rel=1e-5)
    harder = Asymmetric(positive=1.0, negative=2.0, margin=0.0)
    by_hand = -(0.2 * math.log(0.8) + 0.16 * math.log(0.6) + 0.04**2 * math.log(0.96))
    assert float(harder(y, p)) == pytest.approx(by_hand, rel=1e-5)


def test_class_cross_entropy_is_that_of_keras() -> None:
    y, x = np.eye(3)[[0, 2]], np.array([[1.0, 2.0, -1.0], [0.5, 0.1, 3.0]], dtype=np.float32)
    theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    ours = ClassCrossEntropy([1, 1, 1], from_logits=True, label_smoothing=0.1)
    assert float(ours(y, x)) == pytest.approx(float(theirs(y, x)), rel=1e-5)
    p = np.array([[0.2, 0.5, 0.3]], dtype=np.float32)
    assert float(ClassCrossEntropy([3, 1, 1])(y[:1], p)) == pytest.approx(
        -3 * math.log(0.2), rel=1e-5
    )


def test_label_smoothing_by_hand() -> None:
    y, p = np.array([[1, 0]]), np.array([[0.8, 0.4]], dtype=np.float32)
    by_hand = -(
        0.9 * math.log(0.8) + 0.1 * math.log(0.2) + 0.1 * math.log(0.4) + 0.9 * math.log(0.6)
    )
    assert float(CrossEntropy(label_smoothing=0.2)(y, p)) == pytest.approx(by_hand, rel=1e-5)


LOSSES = [
    CrossEntropy(from_logits=True),
    WeightedCrossEntropy([2.0], from_logits=True),
    Focal(from_logits=True),
    Asymmetric(from_logits=True),
]


@given(st.sampled_from(LOSSES), st.integers(0, 1), st.floats(-10, 10, width=32))
def test_log_odds_give_the_loss_of_their_probabilities(
    loss: CrossEntropy, y: int, x: float
) -> None:
    config = {**loss.get_config(), "from_logits": False}
    p = np.float32(1 / (1 + math.exp(-x)))
    expected = float(type(loss)(**config)(np.array([[y]]), np.array([[p]])))
    found = float(loss(np.array([[y]]), np.array([[x]], dtype=np.float32)))
    assert found == pytest.approx(expected, rel=2e-2, abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_a_confident_mistake_has_a_finite_loss_that_still_grows(loss: CrossEntropy) -> None:
    y = np.array([[1]])
    near, far = (float(loss(y, np.array([[x]], dtype=np.float32))) for x in (-100.0, -200.0))
    assert far == pytest.approx(2 * near, rel=1e-3)
    assert math.isfinite(far)


def test_unknown_loss_lists_all() -> None:
    with pytest.raises(SettingError, match=r"unknown loss 'focl'\. Did you mean focal"):
        make_loss("focl", np.ones((2, 2), dtype=np.uint8))


def rates(schedule: str, epochs: int, losses: list[float], done: int = 0) -> list[float]:
    """Learning rates of the epochs with these validation losses, resumed after `done` of them."""
    options = DeepOptions(schedule=schedule, epochs=epochs)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.2))
    callbacks = keras.callbacks.CallbackList(
        make_schedule(Stage("all", "all", "sgd", 0.2), options, losses[:done]), model=model
    )
    callbacks.on_train_begin()
    found = []
    for epoch in range(done, len(losses)):
        callbacks.on_epoch_begin(epoch)
        found.append(float(model.optimizer.learning_rate))
        callbacks.on_epoch_end(epoch, {"val_mean_loss": losses[epoch]})
    return found


def test_cosine_goes_from_the_first_rate_to_nearly_none() -> None:
    half = math.sqrt(0.5)
    expected = [0.2, 0.1 * (1 + half), 0.1, 0.1 * (1 - half)]
    assert rates("cosine", 4, [1.0] * 4) == pytest.approx(expected)
    assert rates("cosine", 4, [1.0] * 4, done=2) == pytest.approx(expected[2:])
    assert rates("constant", 4, [1.0, 2.0]) == pytest.approx([0.2, 0.2])


@pytest.mark.parametrize("done", range(13))
def test_plateau_lowers_the_rate_after_3_epochs_that_lower_no_loss(done: int) -> None:
    losses = [5.0, 4.0, 4.5, 4.2, 4.1, 3.9, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0]
    expected = [0.2] * 5 + [0.04] * 4 + [0.008] * 3 + [0.0016]
    assert rates("plateau", 100, losses, done) == pytest.approx(expected[done:], rel=1e-5)


@pytest.mark.parametrize("name", ["adam", "nadam", "rmsprop", "sgd"])
def test_optimizer_has_the_settings(name: str) -> None:
    options = DeepOptions(weight_decay=0.01, accumulate=3)
    made = make_optimizer(Stage("fine", "all", name, 1e-4, momentum=0.9), options)
    assert type(made).__name__.lower() == name
    config = made.get_config()
    assert config["weight_decay"] == 0.01
    assert config["gradient_accumulation_steps"] == 3
    assert config["learning_rate"] == pytest.approx(1e-4)
    if name == "sgd":
        assert config["momentum"] == 0.9
