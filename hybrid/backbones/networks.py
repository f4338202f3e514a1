"""A spec → a Keras network from uint8 posters to embeddings, its weights not yet set."""

from __future__ import annotations

from typing import Any

from hybrid.backbones.quiet import quiet_start
from hybrid.backbones.registry import BackboneSpec

with quiet_start():
    import keras
    from keras import layers, ops

    ops.zeros(1)  # makes the backend look for devices now, inside this block

# Mean of the ImageNet training images, blue, green, red, as in keras.applications' "caffe" mode.
CAFFE_MEAN = (103.939, 116.779, 123.68)


def build_body(spec: BackboneSpec) -> keras.Model:
    """The network of a spec: preprocessed float posters → embeddings, weights not yet set."""
    shape = (*spec.input_size, 3)
    if not spec.application:
        return _scratch_body(shape, spec.dimension)
    application = getattr(keras.applications, spec.application)
    return application(
        include_top=False,
        weights=None,
        input_shape=shape,
        pooling=spec.pooling,
        **dict(spec.arguments),
    )


def with_preprocessing(spec: BackboneSpec, body: keras.Model) -> keras.Model:
    """Put uint8 input and the spec's preprocessing in front of a network."""
    posters = keras.Input((*spec.input_size, 3), dtype="uint8", name="posters")
    return keras.Model(posters, body(Preprocess(spec.preprocessing)(posters)))


def _scratch_body(shape: tuple[int, int, int], dimension: int) -> keras.Model:
    """Four 3x3 convolutions, each halved by max pooling, and two dense layers, the last the embedding."""
    x = inputs = keras.Input(shape)
    for filters in (16, 32, 64, 128):
        x = layers.Conv2D(filters, 3, activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(dimension, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    x = layers.Dense(dimension, activation="relu")(x)
    return keras.Model(inputs, x)


class Preprocess(layers.Layer):
    """The scaling of ``keras.applications.*.preprocess_input``, inside the compiled network."""

    def __init__(self, mode: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mode = mode

    def call(self, posters: Any) -> Any:
        """Scale uint8 RGB posters of shape (n, height, width, 3) to the network's floats."""
        x = ops.cast(posters, self.compute_dtype)
        if self.mode == "tf":
            return x / 127.5 - 1.0
        if self.mode == "caffe":
            return ops.flip(x, axis=-1) - ops.convert_to_tensor(CAFFE_MEAN, dtype=x.dtype)
        if self.mode == "unit":
            return x / 255.0
        return x
