"""A spec and weights → a callable from posters to embeddings. The one place that builds backbones."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.quiet import quiet_start
from hybrid.backbones.registry import BackboneSpec
from hybrid.backbones.weights import Weights
from hybrid.errors import WeightsError

with quiet_start():
    import keras
    from keras import layers, ops

    ops.zeros(1)  # makes the backend look for devices now, inside this block

# Mean of the ImageNet training images, blue, green, red, as in keras.applications' "caffe" mode.
CAFFE_MEAN = (103.939, 116.779, 123.68)


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
    body = build_body(spec)
    if weights.path is None:
        draw_weights(body, weights.seed)
    else:
        _read_weights(spec, body, weights.path)
    return Backbone(spec, weights, with_preprocessing(spec, body))


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


def download_weights(spec: BackboneSpec, path: Path) -> Path:
    """Have Keras download the ImageNet weights of a spec to `path`, and check them.

    Raises
    ------
    WeightsError
        If they cannot be downloaded; says which file is wanted and where to put it.
    """
    temporary = f".tmp-{os.getpid()}-{path.name}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            found = keras.utils.get_file(
                temporary,
                origin=spec.weights_url,
                cache_subdir="",
                cache_dir=str(path.parent),
                file_hash=spec.weights_md5 or None,
            )
        return Path(found).replace(path)
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise WeightsError(
            f"the ImageNet weights of {spec.name} are not on this machine and cannot be downloaded "
            f"({error}).\nWanted: {spec.weights_url}\nPut the file at {path}, or name it with "
            "--weights PATH."
        ) from error
    finally:
        (path.parent / temporary).unlink(missing_ok=True)


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
