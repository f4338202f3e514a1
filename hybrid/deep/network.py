"""Keras models of a network: body, head, and the parts of them that a stage trains."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import layers

from hybrid.backbones.backend import backend_has_gpu
from hybrid.backbones.load import load_weights
from hybrid.backbones.networks import Preprocess, build_application, cut_and_pool
from hybrid.backbones.unfreezing import boundary, unfrozen_layers
from hybrid.backbones.weights import Weights
from hybrid.deep.registry import HEAD, NetworkSpec, Stage

# The study's: horizontal flips, shear 0.2, zoom 0.2.
SHEAR = ZOOM = 0.2
MAX_ACTIVATION_BYTES = 2**27  # bytes that the outputs of all layers may take on a processor …
MIN_PIECE = 16  # … unless fewer items than these would be computed at once


class InferenceMode(layers.Layer):
    """Layer that runs a network in inference mode also in training, so that batch statistics stay.

    To call the network with ``training=False`` when a model is made is not enough: Keras calls each layer
    of a model that is trained with ``training=True``.

    Parameters
    ----------
    network : keras.Model

    Examples
    --------
    >>> dropout = keras.Sequential([keras.Input((2,)), layers.Dropout(0.9)])
    >>> np.asarray(InferenceMode(dropout)(np.ones((1, 2)), training=True)).tolist()
    [[1.0, 1.0]]
    """

    def __init__(self, network: keras.Model) -> None:
        super().__init__(autocast=False)
        self.network = network

    def call(self, x: Any) -> Any:
        """Return the network's output; its trainable variables still get gradients."""
        return self.network(x, training=False)


class Network:
    """Body and head of a network, and the models that they make up.

    Parameters
    ----------
    spec : NetworkSpec
    n_labels : int

    Attributes
    ----------
    application : keras.Model
        The body as weights files have it.
    body : keras.Model
        Preprocessed posters → embeddings of shape (n, D).
    head : keras.Model
        Embeddings → log-odds of shape (n, L), float32.

    Examples
    --------
    >>> from hybrid.deep.options import DeepOptions
    >>> from hybrid.deep.registry import configure_network, get_network
    >>> spec = configure_network(get_network("small"), DeepOptions(input_size=(32, 32)))
    >>> network = Network(spec, n_labels=3)
    >>> network.whole().output_shape
    (None, 3)
    """

    def __init__(self, spec: NetworkSpec, n_labels: int) -> None:
        self.spec = spec
        self.n_labels = n_labels
        self.application = build_application(spec.body)
        self.body = _build_body(spec, self.application)
        self.head = build_head(spec, self.body.output_shape[-1], n_labels)

    def load_weights(self, weights: Weights | None) -> None:
        """Set the body's weights; None leaves them as Keras initialized them."""
        if weights is not None:
            load_weights(self.spec.body, self.application, weights)

    def whole(self, augment: bool = False) -> keras.Model:
        """Make the model from posters of shape (n, height, width, 3), uint8, to log-odds.

        A pretrained body runs in inference mode, so that batch normalization keeps its statistics.
        """
        posters = keras.Input((*self.spec.body.input_size, 3), dtype="uint8", name="posters")
        x = augmentation()(posters) if augment else posters
        x = Preprocess(self.spec.body.preprocessing, dtype="float32")(x)
        body = InferenceMode(self.body) if self.spec.pretrained else self.body
        return keras.Model(posters, self.head(body(x)))

    def embedding_head(self) -> keras.Model:
        """Return the model from embeddings of shape (n, D) to log-odds."""
        return self.head

    def count_params(self) -> int:
        """Return the number of parameters of the whole network."""
        return int(self.whole().count_params())

    def freeze(self, stage: Stage) -> None:
        """Set which layers of the body are trainable in a stage."""
        learns = {
            id(layer) for layer in unfrozen_layers(self.spec.body, self.application, stage.trains)
        }
        self.body.trainable = True
        for layer in self.application.layers:
            layer.trainable = id(layer) in learns

    def lower(self, stage: Stage) -> keras.Model | None:
        """Make the model of the frozen layers: posters → activations; None if none are frozen."""
        edge = self._boundary(stage)
        if edge is None:
            return None
        posters = keras.Input((*self.spec.body.input_size, 3), dtype="uint8", name="posters")
        x = Preprocess(self.spec.body.preprocessing, dtype="float32")(posters)
        frozen = keras.Model(self.application.input, edge)
        return keras.Model(posters, frozen(x))

    def upper(self, stage: Stage) -> keras.Model:
        """Make the model of what the stage trains: activations of `lower` → log-odds."""
        if stage.trains == HEAD:
            return self.head
        edge = self._boundary(stage)
        activations = keras.Input(edge.shape[1:])
        part = InferenceMode(keras.Model(edge, self.body.output))
        return keras.Model(activations, self.head(part(activations)))

    def _boundary(self, stage: Stage) -> Any:
        """Return the tensor between the frozen and the trainable layers."""
        learns = unfrozen_layers(self.spec.body, self.application, stage.trains)
        return boundary(self.application, self.body, learns)


def build_head(spec: NetworkSpec, dimension: int, n_labels: int) -> keras.Model:
    """Make the dense layers from embeddings to log-odds.

    Parameters
    ----------
    spec : NetworkSpec
    dimension : int
        Of an embedding.
    n_labels : int

    Returns
    -------
    keras.Model
        Embeddings of shape (n, dimension) → log-odds of shape (n, n_labels), float32.

    Examples
    --------
    >>> from hybrid.deep.registry import get_network
    >>> build_head(get_network("vgg16-fc"), dimension=512, n_labels=20).count_params()
    75220
    """
    x = inputs = keras.Input((dimension,))
    if not spec.head_units:
        x = layers.Dropout(spec.dropout)(x)
    for units in spec.head_units:
        x = layers.Dense(units, activation="relu")(x)
        x = layers.Dropout(spec.dropout)(x)
    return keras.Model(inputs, layers.Dense(n_labels, dtype="float32")(x))


def augmentation() -> keras.Sequential:
    """Make the data augmentation: random flips, shears and zooms, in training only.

    Examples
    --------
    >>> tuple(augmentation()(np.zeros((1, 8, 8, 3), dtype=np.uint8)).shape)
    (1, 8, 8, 3)
    """
    return keras.Sequential(
        [
            layers.RandomFlip("horizontal"),
            layers.RandomShear(x_factor=SHEAR, fill_mode="nearest"),
            layers.RandomZoom((-ZOOM, ZOOM), (-ZOOM, ZOOM), fill_mode="nearest"),
        ],
        name="augmentation",
    )


def count_activations(network: keras.Model) -> int:
    """Count the outputs of all layers for one item.

    Examples
    --------
    >>> count_activations(keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2)]))
    5
    """
    total = 0
    for layer in network.layers:
        inner = layer.network if isinstance(layer, InferenceMode) else layer
        if isinstance(inner, keras.Model):
            total += count_activations(inner)
        else:
            outputs = keras.tree.flatten(layer.output)
            total += sum(int(np.prod(output.shape[1:])) for output in outputs)
    return total


def count_elements(variables: Iterable[Any]) -> int:
    """Return the number of elements of variables, for instance the parameters of a network.

    Examples
    --------
    >>> network = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    >>> count_elements(network.trainable_variables)
    15
    """
    return sum(int(np.prod(variable.shape)) for variable in variables)


def count_pieces(learner: keras.Model, batch_size: int) -> int:
    """Return the number of pieces that a batch is computed in, one after the other, to save memory.

    On a GPU that is 1. A processor is as fast on a piece, and the activations of a whole batch of large
    posters would take most of the memory.

    Parameters
    ----------
    learner : keras.Model
    batch_size : int

    Examples
    --------
    >>> count_pieces(keras.Sequential([keras.Input((4,)), layers.Dense(3)]), batch_size=128)
    1
    """
    if backend_has_gpu():
        return 1
    wanted = 4 * batch_size * count_activations(learner)
    return max(1, min(batch_size // MIN_PIECE, -(-wanted // MAX_ACTIVATION_BYTES)))


def _build_body(spec: NetworkSpec, application: keras.Model) -> keras.Model:
    if not spec.flatten:
        return cut_and_pool(spec.body, application) if spec.pretrained else application
    flat = layers.Flatten(dtype="float32")(application.output)
    return keras.Model(application.input, flat)
