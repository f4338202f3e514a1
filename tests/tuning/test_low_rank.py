"""Low-rank updates against the formula, and merged against unmerged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import ml_dtypes
import numpy as np
from keras import ops

from hybrid.text_encoders.arrays import read_arrays
from hybrid.text_encoders.folder import read_text_encoder
from hybrid.text_encoders.tuned_arrays import array_names
from hybrid.tuning.encoder import build_body, take_arrays
from hybrid.tuning.low_rank import LowRankDense, ProductDense, affine_weights
from hybrid.tuning.optimizer import make_optimizer
from hybrid.tuning.options import TuneOptions
from hybrid.tuning.train import add_head

FULL = TuneOptions(layers=2, dropout=0.0)
LOW = replace(FULL, lora_rank=3, lora_alpha=6.0)  # the scale is 2
WIDTH, WIDE = 16, 24  # of the tiny encoder
LABELS = np.array([[0, 1], [1, 0]], np.uint8)


def inputs() -> list[Any]:
    states = np.random.default_rng(0).standard_normal((4, 7, WIDTH)).astype(np.float32)
    return [states, np.array([7, 2, 5, 1], np.int32)]


def build(folder: Path, options: TuneOptions) -> keras.Model:
    spec = read_text_encoder(folder)
    return add_head(build_body(spec, read_arrays(spec), options, "float32"), LABELS, seed=0)


def low_ranks(model: keras.Model) -> list[LowRankDense]:
    return [layer for layer in model.layers if isinstance(layer, LowRankDense)]


def run(model: keras.Model) -> Any:
    return ops.convert_to_numpy(model(inputs()))


def test_it_changes_nothing_at_first(text_encoder: Path) -> None:
    low = build(text_encoder, LOW)
    assert len(low_ranks(low)) == 2 * 4
    np.testing.assert_array_equal(run(low), run(build(text_encoder, FULL)))


def test_only_the_updates_and_the_head_learn(text_encoder: Path) -> None:
    low = build(text_encoder, LOW)
    names = {variable.name for variable in low.trainable_variables}
    assert names == {"lora_a", "lora_b", "kernel", "bias"}
    found = sum(int(np.prod(variable.shape)) for variable in low.trainable_variables)
    # Query, key and value have an update each; W of m x n has one of r (m + n) numbers.
    layer = 3 * 3 * (WIDTH + WIDTH) + 3 * (WIDTH + WIDTH) + 2 * 3 * (WIDTH + WIDE)
    assert found == 2 * layer + (WIDTH + 1) * 2
    before = [ops.convert_to_numpy(v) for v in low.non_trainable_variables]
    low.compile(optimizer=make_optimizer(low, LOW), loss="mse")
    low.train_on_batch(inputs(), np.ones((4, 2), np.float32))
    assert all(ops.convert_to_numpy(layer.lora_b).any() for layer in low_ranks(low))
    for one, other in zip(before, low.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(one, ops.convert_to_numpy(other))


def test_the_formula() -> None:
    """Hu et al., 2021: h = W x + alpha / r B A x; of each of three parts on its own."""
    random = np.random.default_rng(1)
    layer = LowRankDense(6, rank=2, scale=0.5, parts=3, name="layer_0_attention")
    x = random.standard_normal((5, 4)).astype(np.float32)
    layer(x)
    kernel, bias = random.standard_normal((4, 6)), random.standard_normal(6)
    a, b = random.standard_normal((3, 4, 2)), random.standard_normal((3, 2, 2))
    for variable, value in zip(
        (layer.kernel, layer.bias, layer.lora_a, layer.lora_b), (kernel, bias, a, b), strict=True
    ):
        variable.assign(value)
    wanted = x @ kernel + bias
    for part in range(3):
        wanted[:, 2 * part : 2 * part + 2] += 0.5 * x @ a[part] @ b[part]
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), wanted, rtol=1e-5, atol=1e-5)
    merged, offset = affine_weights(layer)
    np.testing.assert_allclose(x @ merged + offset, wanted, rtol=1e-5, atol=1e-5)


def test_merged_it_computes_the_same(text_encoder: Path) -> None:
    spec = read_text_encoder(text_encoder)
    arrays = read_arrays(spec)
    low = add_head(build_body(spec, arrays, LOW, "float32"), LABELS, seed=0)
    random = np.random.default_rng(2)
    for layer in low_ranks(low):
        layer.lora_b.assign(random.standard_normal(layer.lora_b.shape))
    made = take_arrays(low, 0, 2)
    plain = add_head(build_body(spec, arrays, FULL, "float32"), LABELS, seed=0)
    unmerged = run(plain)
    for name in array_names(0, 2):
        place, _, end = name.partition(".")
        if "norm" not in place:
            getattr(plain.get_layer(place), end).assign(made[name])
    np.testing.assert_allclose(run(plain), run(low), rtol=1e-5, atol=1e-5)
    assert np.abs(unmerged - run(low)).max() > 1e-2  # the updates do something


def test_products_in_bfloat16_and_the_rest_in_float32() -> None:
    """Against numpy with factors that are rounded to 8 bits, and a bias that is not."""
    random = np.random.default_rng(3)
    x, kernel = random.standard_normal((5, 4)), random.standard_normal((4, 6))
    layer = ProductDense(6, products="bfloat16")
    layer(x.astype(np.float32))
    layer.set_weights([kernel, np.full(6, 1.001)])
    rounded = [each.astype(ml_dtypes.bfloat16).astype(np.float64) for each in (x, kernel)]
    found = ops.convert_to_numpy(layer(x.astype(np.float32))).astype(np.float64) - 1.001
    np.testing.assert_allclose(found, rounded[0] @ rounded[1], rtol=2**-7, atol=1e-2)
    # The product is a bfloat16; the bias is added to it in float32.
    again = found.astype(ml_dtypes.bfloat16).astype(np.float64)
    np.testing.assert_allclose(found, again, atol=1e-6)
