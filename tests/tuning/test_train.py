"""The optimizer of a tuning against Keras' own, and against the formula."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from hybrid.tuning.batches import States, TrainingBatches
from hybrid.tuning.options import TuneOptions
from hybrid.tuning.train import LayerwiseAdamW, add_head, make_optimizer, train


def steps(optimizer: Any, n: int = 3) -> list[Any]:
    """Two variables after some steps with known gradients."""
    variables = [keras.Variable(np.array([1.0, -2.0])), keras.Variable(np.array([0.5]))]
    optimizer.build(variables)
    for step in range(n):
        gradients = [np.array([0.3, -0.1 * step]), np.array([0.2 + step])]
        optimizer.apply([keras.ops.convert_to_tensor(g, "float32") for g in gradients])
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def test_with_factors_1_it_is_adamw() -> None:
    settings: dict[str, Any] = {"learning_rate": 0.05, "weight_decay": 0.1}
    found = steps(LayerwiseAdamW([1.0, 1.0], **settings))
    expected = steps(keras.optimizers.AdamW(**settings))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_each_variable_has_its_rate() -> None:
    """Without weight decay, a variable with the factor f moves as with a rate that is f times as high."""
    found = steps(LayerwiseAdamW([1.0, 0.25], learning_rate=0.08, weight_decay=0.0))
    for number, rate in ((0, 0.08), (1, 0.02)):
        alone = steps(keras.optimizers.AdamW(learning_rate=rate, weight_decay=0.0))
        np.testing.assert_allclose(found[number], alone[number], rtol=1e-6)
    # By the formula: the first step of Adam is the rate, whatever the gradient.
    first = steps(LayerwiseAdamW([1.0, 0.25], learning_rate=0.08, weight_decay=0.0), n=1)
    np.testing.assert_allclose(first[1], [0.5 - 0.02], rtol=1e-5)


@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_lower_layers_and_the_head_have_their_factors(decay: float) -> None:
    inputs = keras.Input((2,))
    lower = keras.layers.Dense(2, name="layer_4_up")(inputs)
    upper = keras.layers.Dense(2, name="layer_5_up")(lower)
    model = keras.Model(inputs, keras.layers.Dense(1, name="head")(upper))
    options = TuneOptions(decay=decay, learning_rate=1e-3, head_rate=2e-2)
    assert make_optimizer(model, 10, options).factors == [decay, decay, 1, 1, 20, 20]


def test_widths_of_batches_may_differ_after_the_first_two() -> None:
    """`fit` of Keras on TensorFlow takes the shapes of all batches from the first two."""
    lengths = np.array([40, 40, 40, 40, 40, 40, 8, 8])
    states = States(np.ones((lengths.sum(), 3), np.float16), lengths)
    labels, rows = np.eye(8, 2, dtype=np.uint8), np.arange(8)
    seed = 1
    widths = [batch[0][0].shape[1] for batch in TrainingBatches(states, labels, rows, 2, seed)]
    assert widths[:2] == [48, 48]
    assert 16 in widths[2:]
    tokens, lengths_in = keras.Input((None, 3)), keras.Input((), dtype="int32")
    body = keras.Model([tokens, lengths_in], keras.layers.GlobalAveragePooling1D()(tokens))
    losses: list[float] = []
    train(
        add_head(body, labels, 0),
        states,
        labels,
        rows,
        TuneOptions(epochs=3, batch_size=2, head_rate=0.1),
        seed,
        after_batch=losses.append,
    )
    assert len(losses) == 3 * 4
    assert all(np.isfinite(losses))
