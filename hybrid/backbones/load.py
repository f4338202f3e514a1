"""A spec and weights → a Keras network from posters to embeddings."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hybrid.backbones.folding import fold
from hybrid.backbones.networks import build_body, keras, with_preprocessing
from hybrid.backbones.registry import BackboneSpec
from hybrid.backbones.weights import Weights
from hybrid.errors import WeightsError

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}


def load_network(spec: BackboneSpec, weights: Weights, precision: str = "float32") -> keras.Model:
    """Build a backbone and give it its weights.

    Parameters
    ----------
    spec : BackboneSpec
    weights : Weights
    precision : str
        ``"float32"``, ``"bfloat16"`` or ``"float16"``: of the products; variables, and the pooled
        embeddings, are float32.

    Returns
    -------
    keras.Model
        uint8 posters of shape (n, height, width, 3) → embeddings of shape (n, D).

    Raises
    ------
    WeightsError
        If the file does not fit the architecture.
    """
    with _policy(POLICIES[precision]):
        body = build_body(spec)
        give_weights(spec, body, weights)
        return with_preprocessing(spec, fold(body))


@contextmanager
def _policy(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def give_weights(spec: BackboneSpec, body: keras.Model, weights: Weights) -> None:
    """Draw random weights, or read a file."""
    if weights.path is None:
        draw_weights(body, weights.seed)
    else:
        _read_weights(spec, body, weights.path)


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
