"""The optimizer of a tuning against Keras' own, and against the formula."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from hybrid.tuning.batches import States, TextBatches, TrainingBatches
from hybrid.tuning.optimizer import FusedAdamW, LayerwiseAdamW, LinearSchedule, make_optimizer
from hybrid.tuning.options import TuneOptions
from hybrid.tuning.train import train

only_on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="of TensorFlow"
)


def steps(optimizer: Any, n: int = 3) -> list[Any]:
    """Two variables after some steps with known gradients."""
    variables = [keras.Variable(values, dtype="float32") for values in ([1.0, -2.0], [0.5])]
    optimizer.build(variables)
    for step in range(n):
        gradients = [np.array([0.3, -0.1 * step]), np.array([0.2 + step])]
        optimizer.apply([keras.ops.convert_to_tensor(g, "float32") for g in gradients])
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def by_hand(
    rates: Any, factors: Any, decays: Any, clip: float = np.inf, n: int = 3
) -> list[np.ndarray[Any, Any]]:
    """The same, by Loshchilov and Hutter, 2019, in which each variable has a rate of its own."""
    values = [np.array([1.0, -2.0]), np.array([0.5])]
    first, second = [0.0 * v for v in values], [0.0 * v for v in values]
    for step in range(n):
        gradients = [np.array([0.3, -0.1 * step]), np.array([0.2 + step])]
        norm = np.sqrt(sum(float((g**2).sum()) for g in gradients))
        for i, gradient in enumerate(gradients):
            g = gradient * min(1.0, clip / norm)
            rate = rates(step) * factors[i]
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g**2
            m, v = first[i] / (1 - 0.9 ** (step + 1)), second[i] / (1 - 0.999 ** (step + 1))
            values[i] = values[i] - rate * decays[i] * values[i]
            values[i] = values[i] - rate * m / (np.sqrt(v) + 1e-7)
    return values


@pytest.mark.parametrize(
    "kind", [LayerwiseAdamW, pytest.param(FusedAdamW, marks=only_on_tensorflow)]
)
def test_it_is_adamw_with_rates_and_decays_of_each_variable(kind: type[LayerwiseAdamW]) -> None:
    """Rates that rise, then fall; a clipped gradient; a decay that is scaled by the variable's own rate."""
    schedule = LinearSchedule(0.05, 2, 4)
    found = steps(kind([1.0, 15.0], [0.1, 0.3], learning_rate=schedule, global_clipnorm=1.0))
    expected = by_hand(lambda step: [0.025, 0.05, 0.05][step], [1, 15], [0.1, 0.3], clip=1.0)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5)


def test_with_factors_1_it_is_adamw() -> None:
    settings: dict[str, Any] = {"learning_rate": 0.05, "weight_decay": 0.1}
    found = steps(LayerwiseAdamW([1.0, 1.0], [0.1, 0.1], learning_rate=0.05))
    expected = steps(keras.optimizers.AdamW(**settings))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_each_variable_has_its_rate() -> None:
    """Without weight decay, a variable with the factor f moves as with a rate that is f times as high."""
    found = steps(LayerwiseAdamW([1.0, 0.25], [0.0, 0.0], learning_rate=0.08))
    for number, rate in ((0, 0.08), (1, 0.02)):
        alone = steps(keras.optimizers.AdamW(learning_rate=rate, weight_decay=0.0))
        np.testing.assert_allclose(found[number], alone[number], rtol=1e-6)
    # By the formula: the first step of Adam is the rate, whatever the gradient.
    first = steps(LayerwiseAdamW([1.0, 0.25], [0.0, 0.0], learning_rate=0.08), n=1)
    np.testing.assert_allclose(first[1], [0.5 - 0.02], rtol=1e-5)


@only_on_tensorflow
def test_tensorflows_own_step_of_adam_is_that_of_keras() -> None:
    settings: dict[str, Any] = {"learning_rate": 0.05, "global_clipnorm": 1.0}
    found = steps(FusedAdamW([1.0, 15.0], [0.1, 0.0], **settings), n=20)
    expected = steps(LayerwiseAdamW([1.0, 15.0], [0.1, 0.0], **settings), n=20)
    for one, other in zip(found, expected, strict=True):  # 1 - 0.999 has 5 digits in float32
        np.testing.assert_allclose(one, other, rtol=2e-5)


@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_lower_layers_and_the_head_have_their_factors(decay: float) -> None:
    inputs = keras.Input((2,))
    lower = keras.layers.Dense(2, name="layer_4_up")(inputs)
    upper = keras.layers.Dense(2, name="layer_5_up")(lower)
    model = keras.Model(inputs, keras.layers.Dense(1, name="head")(upper))
    options = TuneOptions(decay=decay, learning_rate=1e-3, head_rate=2e-2)
    made = make_optimizer(model, options)
    assert made.factors == [decay, decay, 1, 1, 20, 20]
    assert made.decays == [0.01, 0, 0.01, 0, 0.01, 0]  # of kernels alone


def make_model() -> keras.Model:
    """A pooled linear model, whose weights are the same each time."""
    states, lengths = keras.Input((None, 3)), keras.Input((), dtype="int32")
    outputs = keras.layers.Dense(2, name="head")(keras.ops.mean(states, axis=1))
    model = keras.Model([states, lengths], outputs)
    model.set_weights([np.zeros((3, 2)), np.zeros(2)])
    return model


def make_texts(n: int = 24) -> tuple[States, np.ndarray[Any, Any]]:
    """Labels that are noise: a training that goes on makes others' loss worse."""
    random = np.random.default_rng(0)
    values = random.standard_normal((4 * n, 3)).astype(np.float16)
    return States(values, np.full(n, 4)), random.integers(0, 2, (n, 2)).astype(np.uint8)


def batches(states: States, labels: Any, texts: Any) -> TrainingBatches:
    return TrainingBatches(states, labels, np.asarray(texts), 4, seed=7)


def test_a_training_stops_and_keeps_the_best_epoch() -> None:
    states, labels = make_texts()
    own, watched = np.arange(8), np.arange(8, 24)
    options = TuneOptions(epochs=30, patience=2, batch_size=4, head_rate=0.3, warm_up=0.0)
    losses: list[float] = []
    stopped = make_model()
    best = train(
        *(stopped, batches(states, labels, own), labels, options),
        judge=TextBatches(states, labels, watched, 5),
        after_epoch=lambda epoch, loss: losses.append(loss),
    )
    assert best == int(np.argmin(losses)) + 1
    assert len(losses) == best + options.patience < options.epochs
    # Against a training that ends after that epoch, in the midst of the same schedule.
    plain = make_model()
    assert train(plain, batches(states, labels, own), labels, options, epochs=best) == best
    for one, other in zip(stopped.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # The loss is that of the items that are watched, by the formula: summed over labels.
    inputs = [states.rows(watched, 16), np.full(16, 4)]  # as wide as their batches
    scores = plain.predict(inputs, verbose=0).astype(float)
    loss = np.logaddexp(0, scores) - labels[watched] * scores
    np.testing.assert_allclose(losses[best - 1], loss.sum(axis=1).mean(), rtol=1e-5)


def test_batches_of_any_width_follow_one_another() -> None:
    """`keras.Model.fit` takes the width of the first two batches for that of all, where it is the same."""
    lengths = np.repeat([40, 40, 100], 4)
    values = np.random.default_rng(0).standard_normal((int(lengths.sum()), 3)).astype(np.float16)
    states, labels = States(values, lengths), np.eye(2, dtype=np.uint8)[np.arange(12) % 2]
    losses: list[float] = []
    data = batches(states, labels, np.arange(12))
    data.batches = data.cut(np.arange(12))  # in ascending order
    train(make_model(), data, labels, TuneOptions(epochs=1), after_batch=losses.append)
    assert len(losses) == 3


def test_a_model_that_is_trained_again_is_not_traced_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights as at first, however wide the batches, by what TensorFlow has traced already."""
    traced: list[int] = []
    decay = LayerwiseAdamW.decay

    def count(self: Any, variable: Any, number: int, rate: Any) -> Any:
        traced.append(number)
        return decay(self, variable, number, rate)

    monkeypatch.setattr(LayerwiseAdamW, "decay", count)
    lengths = np.repeat(np.arange(8, 128, 8), 4)
    values = np.random.default_rng(0).standard_normal((int(lengths.sum()), 3)).astype(np.float16)
    states, labels = States(values, lengths), np.eye(2, dtype=np.uint8)[np.arange(60) % 2]
    model, found = make_model(), []
    fresh = model.get_weights()
    for _ in range(3):
        model.set_weights(fresh)
        options = TuneOptions(epochs=2, batch_size=4)
        train(model, batches(states, labels, np.arange(60)), labels, options)
        found.append(model.get_weights())
    for one, *others in zip(*found, strict=True):
        for other in others:
            np.testing.assert_array_equal(one, other)
    if keras.backend.backend() == "tensorflow":
        assert 1 <= traced.count(0) <= 2
