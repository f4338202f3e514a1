"""A spec and weights → a callable from posters to embeddings."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.networks import build_application, cut_and_pool, with_preprocessing
from hybrid.backbones.registry import BackboneSpec
from hybrid.backbones.weights import Weights
from hybrid.errors import WeightsError

if TYPE_CHECKING:
    import keras


class Backbone:
    """A loaded backbone.

    Parameters
    ----------
    spec : BackboneSpec
    weights : Weights
    network : keras.Model
        uint8 posters → embeddings, preprocessing included.
    """

    def __init__(self, spec: BackboneSpec, weights: Weights, network: keras.Model) -> None:
        self.spec = spec
        self.weights = weights
        self.network = network

    def __call__(self, posters: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed one batch.

        Parameters
        ----------
        posters : ndarray of shape (n, height, width, 3), uint8, RGB
            Height and width are the spec's input size.

        Returns
        -------
        ndarray of shape (n, D), float32
        """
        embeddings = self.network.predict_on_batch(posters)
        return np.asarray(embeddings, dtype=np.float32)


def load_backbone(spec: BackboneSpec, weights: Weights) -> Backbone:
    """Build a backbone and give it its weights.

    Raises
    ------
    WeightsError
        If the file does not fit the architecture.
    """
    application = build_application(spec)
    if weights.path is None:
        draw_weights(application, weights.seed)
    else:
        _read_weights(spec, application, weights.path)
    return Backbone(spec, weights, with_preprocessing(spec, cut_and_pool(spec, application)))


def draw_weights(network: keras.Model, seed: int) -> None:
    """Set kernels to He-normal draws that are the same with every Keras version and backend."""
    random = np.random.Generator(np.random.PCG64(seed))
    for variable in network.weights:
        shape = tuple(variable.shape)
        if len(shape) < 2:
            continue  # biases and batch-norm statistics keep their neutral start
        depthwise = shape[-1] == 1
        fan_in = int(np.prod(shape[:2] if depthwise else shape[:-1]))
        variable.assign(random.standard_normal(shape, dtype=np.float32) * np.sqrt(2.0 / fan_in))


def _read_weights(spec: BackboneSpec, body: keras.Model, path: Path) -> None:
    try:
        with warnings.catch_warnings():
            # Keras only warns where it leaves a layer as it was drawn.
            warnings.simplefilter("error", UserWarning)
            body.load_weights(str(path))
    except (UserWarning, ValueError, OSError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{path}: expected the weights of {spec.name} without its top: {spec.parameters:,} "
            f"parameters in {sum(bool(layer.weights) for layer in body.layers)} layers, input "
            f"{spec.input_size[0]} x {spec.input_size[1]}; found a file that does not fit: "
            f"{str(error).partition(chr(10))[0]}"
        ) from error
