"""Feature maps of a backbone: the last one, gradients with respect to it, and the first filters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from hybrid.backbones.backend import compile_gradient
from hybrid.backbones.load import load_network
from hybrid.backbones.networks import GeneralizedMean, with_preprocessing
from hybrid.backbones.registry import BackboneSpec
from hybrid.backbones.weights import Weights
from hybrid.errors import SettingError

POOLS = {
    layers.GlobalAveragePooling2D: "avg",
    layers.GlobalMaxPooling2D: "max",
    GeneralizedMean: "gem",
}
BATCH = 16  # posters at once

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


class FeatureMapModel:
    """A network with two outputs: its last feature map and its embedding.

    Parameters
    ----------
    spec : BackboneSpec
        The backbone, whose preprocessing is applied.
    body : keras.Model
        Preprocessed posters (n, height, width, 3) → (n, D): the embedding of a backbone, or the logits of
        a head on top of it.

    Attributes
    ----------
    spec : BackboneSpec
    pooling : {"avg", "max", "gem", ""}
        The pooling between feature map and embedding; ``""`` if there is more than a pooling.

    Raises
    ------
    SettingError
        If no single feature map lies between input and output.

    Examples
    --------
    >>> import numpy as np
    >>> from hybrid.backbones import configure, get_backbone, resolve_weights
    >>> spec = configure(get_backbone("small"), input_size=(32, 24))
    >>> model = load_feature_map_model(spec, resolve_weights(spec, "random"))
    >>> features, embeddings = model.predict(np.zeros((1, 32, 24, 3), dtype=np.uint8))
    >>> features.shape, embeddings.shape, model.pooling
    ((1, 2, 1, 64), (1, 64), '')
    >>> model.gradients(features[0], np.ones((3, 64))).shape
    (3, 2, 1, 64)
    """

    def __init__(self, spec: BackboneSpec, body: keras.Model) -> None:
        self.spec = spec
        self._body = body
        features = last_feature_map(spec, body)
        self._tail = _tail(spec, features, body.output)
        self.pooling = _pooling(self._tail)
        self._network = with_preprocessing(spec, keras.Model(body.input, [features, body.output]))

    def predict(self, posters: Pixels) -> tuple[Floats, Floats]:
        """Compute the last feature maps and the embeddings of posters.

        Parameters
        ----------
        posters : ndarray of shape (n, height, width, 3), dtype uint8, RGB

        Returns
        -------
        features : ndarray of shape (n, h, w, C), dtype float32
        embeddings : ndarray of shape (n, D), dtype float32
        """
        starts = range(0, len(posters), BATCH)
        found = [self._network.predict_on_batch(posters[i : i + BATCH]) for i in starts]
        features, embeddings = (
            np.concatenate(part).astype(np.float32, copy=False) for part in zip(*found, strict=True)
        )
        return features, embeddings

    def gradients(self, features: Floats, directions: NDArray[Any]) -> Floats:
        """Compute gradients of projections of the embedding with respect to a feature map.

        Parameters
        ----------
        features : ndarray of shape (h, w, C)
            The feature map of one poster.
        directions : ndarray of shape (L, D)
            The gradient of ``direction @ embedding`` is computed for each.

        Returns
        -------
        ndarray of shape (L, h, w, C), dtype float32
        """
        weights = ops.convert_to_tensor(directions.astype(np.float32))
        # One copy of the map for each direction, so that one backward pass gives all gradients.
        copies = np.repeat(features[None].astype(np.float32), len(directions), axis=0)
        return compile_gradient(lambda x: ops.sum(self._tail(x, training=False) * weights))(copies)

    def first_filters(self) -> Floats:
        """Return the kernels of the first convolution on RGB.

        Returns
        -------
        ndarray of shape (filters, height, width, 3), dtype float32
            The last axis is red, green, blue. The scale of a filter means nothing: a batch normalisation
            after the convolution is folded into it.

        Raises
        ------
        SettingError
            If the network has no convolution with three input channels.
        """
        for layer in _all_layers(self._body):
            if isinstance(layer, layers.Conv2D) and tuple(layer.kernel.shape)[2] == 3:
                kernel = np.moveaxis(ops.convert_to_numpy(layer.kernel), -1, 0)
                return kernel[..., ::-1] if self.spec.preprocessing == "caffe" else kernel
        raise SettingError(
            f"{self.spec.name}: expected a convolution of red, green and blue, found none."
        )


def load_feature_map_model(spec: BackboneSpec, weights: Weights) -> FeatureMapModel:
    """Load a backbone in float32 so that its last feature map can be read.

    Parameters
    ----------
    spec : BackboneSpec
    weights : Weights

    Raises
    ------
    SettingError
        If the backbone has no feature map, see `FeatureMapModel`.
    WeightsError
        If the weights do not fit the network.

    Examples
    --------
    >>> from hybrid.backbones import get_backbone, resolve_weights
    >>> spec = get_backbone("small")
    >>> model = load_feature_map_model(spec, resolve_weights(spec, "random"))
    >>> model.first_filters().shape
    (32, 3, 3, 3)
    """
    return FeatureMapModel(spec, load_network(spec, weights).layers[-1])


def last_feature_map(spec: BackboneSpec, body: keras.Model) -> Any:
    """The symbolic tensor (n, h, w, C) of the last feature map that an embedding is computed from.

    Parameters
    ----------
    spec : BackboneSpec
        Named in the error.
    body : keras.Model

    Raises
    ------
    SettingError
        If there is none.

    Examples
    --------
    >>> from hybrid.backbones import get_backbone
    >>> from hybrid.backbones.networks import build_body
    >>> spec = get_backbone("vgg16")
    >>> last_feature_map(spec, build_body(spec)).shape
    (None, 7, 7, 512)
    """
    for layer in reversed(body.layers):
        if type(layer) in POOLS:
            return layer.input
        if len(layer.output.shape) == 4 and not isinstance(layer, layers.LayerNormalization):
            return layer.output
    raise SettingError(f"{spec.name}: expected a layer with a feature map, found none.")


def _tail(spec: BackboneSpec, features: Any, embedding: Any) -> keras.Model:
    """The part of the network after a feature map."""
    try:
        return keras.Model(features, embedding)
    except ValueError as error:  # Keras' own message is about its graph
        raise SettingError(
            f"--map: expected a layer of {spec.name} whose output is a feature map, found "
            f"{spec.layer!r}, which several branches lead to. Extract another --layer."
        ) from error


def _pooling(tail: keras.Model) -> str:
    """Name of the pooling if the tail is nothing but a pooling, else the empty string."""
    first, *others = tail.layers[1:]
    if all(isinstance(layer, layers.Identity) for layer in others):
        return POOLS.get(type(first), "")
    return ""


def _all_layers(network: keras.Model) -> Iterator[Any]:
    """All layers, including those of nested models."""
    for layer in network.layers:
        yield from _all_layers(layer) if isinstance(layer, keras.Model) else (layer,)
