"""A batch that is computed in pieces, so that it takes less memory, teaches what it teaches whole."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.dataset import Batches
from hybrid.deep.items import Arrays
from hybrid.deep.losses import make_loss
from hybrid.deep.network import count_activations, count_pieces
from hybrid.deep.options import DeepOptions
from hybrid.deep.registry import Stage
from hybrid.deep.train import compile_stage


def linear() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5,))
    return keras.Model(inputs, keras.layers.Dense(3)(inputs))


@pytest.mark.parametrize("n", [3, 10, 16])
def test_pieces_are_one_step_along_the_gradient_of_the_batch(n: int) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(n, 5)).astype(np.float32)
    y = (random.random((n, 3)) < 0.5).astype(np.uint8)
    loss = make_loss("plain", y)
    whole, parted = linear(), linear()
    whole.compile(optimizer=keras.optimizers.SGD(0.1), loss=loss)
    expected = whole.train_on_batch(x, y)
    batches = Batches(Arrays(x), 16, y, pieces=4)
    compile_stage(parted, Stage("all", "all", "sgd", 0.1), loss, DeepOptions(), pieces=4)
    history = parted.fit(batches, shuffle=False, verbose=0).history
    assert len(batches) == 4
    assert history["mean_loss"] == [pytest.approx(float(expected), rel=1e-5)]
    for found, right in zip(parted.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-6)


def test_large_posters_are_learnt_from_in_pieces_and_small_ones_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = DeepBaseline("scratch")
    model._build(20)
    learner = model.network_.whole()
    # 222 x 222 x 16 of the first convolution alone, 111 x 111 x 16 of its pooling
    assert count_activations(learner) > 222 * 222 * 16 + 111 * 111 * 16
    assert count_pieces(learner, 128) > 4
    assert count_pieces(learner, 16) == 1
    assert count_pieces(linear(), 4096) == 1
    monkeypatch.setattr("hybrid.deep.network.backend_has_gpu", lambda: True)
    assert count_pieces(learner, 128) == 1
