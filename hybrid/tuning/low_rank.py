"""Low-rank updates of the kernels of an encoder (LoRA), merged into them when they have learnt."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hybrid.text_encoders.keras_network import Dense
from hybrid.tuning.options import TuneOptions

QUERY_KEY_VALUE = "_attention"  # end of the name of the layer that computes the three side by side


class ProductDense(keras.layers.Dense):
    """A dense layer whose matrix products are in another precision than all else.

    Parameters
    ----------
    units : int
    products : str, optional
        Such as ``"bfloat16"``; by default that of the layer.
    **settings
        See `keras.layers.Dense`.
    """

    def __init__(self, units: int, products: str | None = None, **settings: Any) -> None:
        super().__init__(units, **settings)
        self.products = products

    def call(self, inputs: Any, training: Any = None) -> Any:
        """The layer."""
        found = self.multiply(inputs, self.kernel) + self.bias
        return found if self.activation is None else self.activation(found)

    def multiply(self, x: Any, kernel: Any) -> Any:
        """The product of two matrices."""
        if self.products is None:
            return ops.matmul(x, kernel)
        found = ops.matmul(ops.cast(x, self.products), ops.cast(kernel, self.products))
        return ops.cast(found, self.compute_dtype)


class LowRankDense(ProductDense):
    """A dense layer whose kernel W and bias are fixed, and whose update learns: x → x W + b + s (x A) B.

    A is Gaussian and B zero at first, so that nothing is changed yet (Hu et al., 2021).

    Parameters
    ----------
    units : int
    rank : int
        Columns of A, rows of B.
    scale : float
        s.
    parts : int, default=1
        Outputs side by side that have an A and a B each.
    **settings
        See `keras.layers.Dense`.
    """

    def __init__(
        self, units: int, rank: int, scale: float, parts: int = 1, **settings: Any
    ) -> None:
        super().__init__(units, **settings)
        self.rank, self.scale, self.parts = rank, scale, parts

    def build(self, input_shape: Any) -> None:
        """Make A and B, and freeze the rest."""
        super().build(input_shape)
        self.kernel.trainable = self.bias.trainable = False
        size = input_shape[-1]
        self.lora_a = self.add_weight(
            shape=(self.parts, size, self.rank),
            initializer=keras.initializers.RandomNormal(stddev=size**-0.5),
            name="lora_a",
        )
        self.lora_b = self.add_weight(
            shape=(self.parts, self.rank, self.units // self.parts),
            initializer="zeros",
            name="lora_b",
        )

    def call(self, inputs: Any, training: Any = None) -> Any:
        """The layer with its update."""
        a, b = ops.convert_to_tensor(self.lora_a), ops.convert_to_tensor(self.lora_b)
        updates = [self.multiply(self.multiply(inputs, a[i]), b[i]) for i in range(self.parts)]
        found = self.multiply(inputs, self.kernel) + self.bias
        found = found + self.scale * ops.concatenate(updates, axis=-1)
        return found if self.activation is None else self.activation(found)

    def merged(self) -> NDArray[np.float32]:
        """W + s A B: the kernel of a plain layer that computes the same."""
        kernel, a, b = (
            ops.convert_to_numpy(each).astype(np.float64)
            for each in (self.kernel, self.lora_a, self.lora_b)
        )
        return np.asarray(kernel + self.scale * np.concatenate(a @ b, axis=-1), dtype=np.float32)


def choose_dense(options: TuneOptions, products: str | None = None) -> Dense:
    """What makes the dense layers that learn.

    Parameters
    ----------
    options : TuneOptions
    products : str, optional
        See `ProductDense`.

    Returns
    -------
    callable
        Units, by name `activation` and `name` → layer.
    """
    if not options.lora_rank:
        return partial(ProductDense, products=products)

    def make(units: int, *, name: str, **settings: Any) -> LowRankDense:
        parts = 3 if name.endswith(QUERY_KEY_VALUE) else 1
        how = {"products": products, "name": name, **settings}
        return LowRankDense(units, options.lora_rank, options.lora_scale, parts, **how)

    return make


def freeze_rest(model: keras.Model) -> None:
    """Freeze the normalisations of a model that has low-rank updates."""
    if any(isinstance(layer, LowRankDense) for layer in model.layers):
        for layer in model.layers:
            if isinstance(layer, keras.layers.LayerNormalization):
                layer.trainable = False


def affine_weights(layer: keras.layers.Layer) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Kernel and bias of a layer, or scale and offset; low-rank updates are merged.

    Parameters
    ----------
    layer : Dense, LowRankDense or LayerNormalization

    Returns
    -------
    ndarray, ndarray
    """
    if isinstance(layer, LowRankDense):
        return layer.merged(), np.asarray(ops.convert_to_numpy(layer.bias), dtype=np.float32)
    kernel, bias = layer.get_weights()
    return np.asarray(kernel, dtype=np.float32), np.asarray(bias, dtype=np.float32)
