"""A network's record → Keras: body, head, and what a stage trains of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import layers

from hybrid.backbones.backend import backend_has_gpu
from hybrid.backbones.load import POLICIES, load_weights
from hybrid.backbones.networks import Preprocess, build_application, cut_and_pool
from hybrid.backbones.weights import Weights
from hybrid.deep.registry import HEAD, NetworkSpec, Stage
from hybrid.deep.unfreezing import unfrozen_layers

# The study's: horizontal flips, shear 0.2, zoom 0.2.
SHEAR = ZOOM = 0.2
MAX_ACTIVATION_BYTES = 2**27  # bytes that the outputs of all layers may take on a processor …
MIN_PIECE = 16  # … unless fewer items than these would be computed at once


class InferenceMode(layers.Layer):
    """A network that is run as for inference, also in training: batch normalisation keeps its statistics.

    What it is called with is not enough: Keras gives each layer of a model that is trained
    ``training=True``, whatever the layer was called with when the model was made.
    """

    def __init__(self, network: keras.Model) -> None:
        super().__init__(autocast=False)
        self.network = network

    def call(self, x: Any) -> Any:
        """What the network makes of x; gradients flow."""
        return self.network(x, training=False)


class Network:
    """A body and a head, from posters to log-odds.

    Parameters
    ----------
    spec : NetworkSpec
    n_labels : int

    Attributes
    ----------
    application : keras.Model
        What weights files are of.
    body : keras.Model
        Preprocessed posters → embeddings of shape (n, D).
    head : keras.Model
        Embeddings → log-odds of shape (n, L), float32.
    """

    def __init__(self, spec: NetworkSpec, n_labels: int) -> None:
        self.spec = spec
        self.n_labels = n_labels
        self.application = build_application(spec.body)
        self.body = _build_body(spec, self.application)
        self.head = build_head(spec, self.body.output_shape[-1], n_labels)

    def load_weights(self, weights: Weights | None) -> None:
        """Set the body's weights; without any, they stay as Keras drew them."""
        if weights is not None:
            load_weights(self.spec.body, self.application, weights)

    def whole(self, augment: bool = False) -> keras.Model:
        """Uint8 posters of shape (n, height, width, 3) → log-odds.

        A pretrained body is run as for inference, so that its batch normalisation keeps its statistics.
        """
        posters = keras.Input((*self.spec.body.input_size, 3), dtype="uint8", name="posters")
        x = augmentation()(posters) if augment else posters
        x = Preprocess(self.spec.body.preprocessing, dtype="float32")(x)
        body = InferenceMode(self.body) if self.spec.pretrained else self.body
        return keras.Model(posters, self.head(body(x)))

    def count_params(self) -> int:
        """Numbers that the whole network has."""
        return int(self.whole().count_params())

    def freeze(self, stage: Stage) -> None:
        """Let only what the stage trains learn."""
        learns = {
            id(layer) for layer in unfrozen_layers(self.spec.body, self.application, stage.trains)
        }
        self.body.trainable = True
        for layer in self.application.layers:
            layer.trainable = id(layer) in learns

    def lower(self, stage: Stage) -> keras.Model | None:
        """What the stage leaves frozen: uint8 posters → activations; None if that is nothing."""
        boundary = self._boundary(stage)
        if boundary is None:
            return None
        posters = keras.Input((*self.spec.body.input_size, 3), dtype="uint8", name="posters")
        x = Preprocess(self.spec.body.preprocessing, dtype="float32")(posters)
        frozen = keras.Model(self.application.input, boundary)
        return keras.Model(posters, frozen(x))

    def upper(self, stage: Stage) -> keras.Model:
        """What the stage trains: what `lower` gives → log-odds."""
        if stage.trains == HEAD:
            return self.head
        boundary = self._boundary(stage)
        activations = keras.Input(boundary.shape[1:])
        part = InferenceMode(keras.Model(boundary, self.body.output))
        return keras.Model(activations, self.head(part(activations)))

    def _boundary(self, stage: Stage) -> Any:
        """The tensor that goes from the frozen layers to those that learn."""
        if stage.trains == HEAD:
            return self.body.output
        learns = unfrozen_layers(self.spec.body, self.application, stage.trains)
        if len(learns) == len(self.application.layers):
            return None
        # Not the output of the layer below: ConvNeXt adds its residuals between the layers.
        return learns[0].input


def build_head(spec: NetworkSpec, dimension: int, n_labels: int) -> keras.Model:
    """Embeddings of shape (n, D) → log-odds of shape (n, L), in float32."""
    x = inputs = keras.Input((dimension,))
    if not spec.head_units:
        x = layers.Dropout(spec.dropout)(x)
    for units in spec.head_units:
        x = layers.Dense(units, activation="relu")(x)
        x = layers.Dropout(spec.dropout)(x)
    return keras.Model(inputs, layers.Dense(n_labels, dtype="float32")(x))


def augmentation() -> keras.Sequential:
    """Posters mirrored, sheared and zoomed at random, in training alone."""
    return keras.Sequential(
        [
            layers.RandomFlip("horizontal"),
            layers.RandomShear(x_factor=SHEAR, fill_mode="nearest"),
            layers.RandomZoom((-ZOOM, ZOOM), (-ZOOM, ZOOM), fill_mode="nearest"),
        ],
        name="augmentation",
    )


def count_activations(network: keras.Model) -> int:
    """Numbers that all layers give for one item."""
    total = 0
    for layer in network.layers:
        inner = layer.network if isinstance(layer, InferenceMode) else layer
        if isinstance(inner, keras.Model):
            total += count_activations(inner)
        else:
            outputs = keras.tree.flatten(layer.output)
            total += sum(int(np.prod(output.shape[1:])) for output in outputs)
    return total


def count_pieces(learner: keras.Model, batch_size: int) -> int:
    """In how many pieces, one after the other, a batch is learnt from: 1 on a GPU, which has to be filled.

    A processor is as fast on a piece, and what the layers give for a whole batch of large posters would
    be most of the memory.
    """
    if backend_has_gpu():
        return 1
    wanted = 4 * batch_size * count_activations(learner)
    return max(1, min(batch_size // MIN_PIECE, -(-wanted // MAX_ACTIVATION_BYTES)))


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Layers that are made inside compute in this precision; their variables are float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(POLICIES[name])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _build_body(spec: NetworkSpec, application: keras.Model) -> keras.Model:
    if not spec.flatten:
        return cut_and_pool(spec.body, application) if spec.pretrained else application
    flat = layers.Flatten(dtype="float32")(application.output)
    return keras.Model(application.input, flat)
