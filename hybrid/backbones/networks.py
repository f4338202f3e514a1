"""Build the Keras network of a backbone, from uint8 posters to embeddings; its weights are not set.

Weights files belong to a whole application as Keras builds it, so they are loaded between two steps:
`build_application`, then `cut_and_pool`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import keras
from keras import layers, ops

from hybrid.backbones.registry import BESIDE, POOLINGS, BackboneSpec
from hybrid.errors import SettingError, unknown_name

# Mean of the ImageNet training images, blue, green, red, as in keras.applications' "caffe" mode.
CAFFE_MEAN = (103.939, 116.779, 123.68)
# Mean and standard deviation of x / 255 over them, red, green, blue, as in its "torch" mode.
TORCH_MEAN = (0.485, 0.456, 0.406)
TORCH_STD = (0.229, 0.224, 0.225)


def build_body(spec: BackboneSpec) -> keras.Model:
    """Build a backbone from preprocessed posters to embeddings.

    Parameters
    ----------
    spec : BackboneSpec

    Returns
    -------
    keras.Model
        (n, height, width, 3) → (n, D).

    Raises
    ------
    SettingError
        See `cut_and_pool`.

    Examples
    --------
    >>> from hybrid.backbones import get_backbone
    >>> build_body(get_backbone("scratch")).output_shape
    (None, 1024)
    """
    return cut_and_pool(spec, build_application(spec))


def build_application(spec: BackboneSpec) -> keras.Model:
    """Build the whole network that weights files are made for.

    Parameters
    ----------
    spec : BackboneSpec

    Returns
    -------
    keras.Model
        The application without its top and without pooling: (n, height, width, 3) → a feature map
        (n, h, w, D), or the tokens (n, t, D) of a preset of keras-hub. For `scratch` and `small` the network
        up to the embedding (n, D).

    Examples
    --------
    >>> from hybrid.backbones import get_backbone
    >>> build_application(get_backbone("vgg16")).output_shape
    (None, 7, 7, 512)
    """
    shape = (*spec.input_size, 3)
    if spec.hub is not None:
        from hybrid.backbones.hub_network import build_network

        return build_network(spec)
    if not spec.application:
        return _OWN[spec.name](shape, spec.dimension)
    application = getattr(keras.applications, spec.application)
    return application(
        include_top=False, weights=None, input_shape=shape, pooling=None, **dict(spec.arguments)
    )


def cut_and_pool(spec: BackboneSpec, application: keras.Model) -> keras.Model:
    """Cut an application at the layer of a spec and pool its output, in float32.

    Parameters
    ----------
    spec : BackboneSpec
    application : keras.Model
        From `build_application`; layers and weights are shared, not copied.

    Returns
    -------
    keras.Model
        (n, height, width, 3) → (n, D), float32 whatever Keras' dtype policy. An output of shape (n, D)
        is not pooled; several layers are pooled each for itself and put side by side. `scratch` and
        `small` are returned unchanged.

    Raises
    ------
    SettingError
        If there is no such layer or pooling, a layer is named twice, or its output is no feature map.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from hybrid.backbones import get_backbone
    >>> spec = get_backbone("vgg16")
    >>> application = build_application(spec)
    >>> cut_and_pool(replace(spec, layer="block3_pool"), application).output_shape
    (None, 256)
    >>> cut_and_pool(replace(spec, layer="last+block3_pool"), application).output_shape
    (None, 768)
    """
    if not spec.application:
        _check_own(spec)
        return application
    names = spec.layer.split(BESIDE)
    if len(set(names)) < len(names):
        raise SettingError(f"--layer: expected different layers, found {spec.layer!r}.")
    pooled = [_pooled(replace(spec, layer=name), application) for name in names]
    beside = layers.Concatenate(dtype="float32")(pooled) if len(pooled) > 1 else pooled[0]
    # A preset of keras-hub can name its only input.
    return keras.Model(application.inputs[0], beside)


def _pooled(spec: BackboneSpec, application: keras.Model) -> Any:
    """The output of one layer, pooled: (n, D), float32."""
    features, normalize = _features(spec, application)
    rank = len(features.shape)
    if rank == 2:
        pool = layers.Identity(dtype="float32")
    elif rank == 4:
        pool = _pooling(spec.pooling)
    elif rank == 3 and spec.hub is not None:
        pool = _token_pooling(spec.pooling)
    else:
        raise SettingError(
            f"--layer: expected a layer of {spec.name} with output (n, height, width, D) or (n, D), "
            f"found {spec.layer!r} with {features.shape}. {_how_to_list(spec)}"
        )
    return normalize(pool(features))


def with_preprocessing(spec: BackboneSpec, body: keras.Model) -> keras.Model:
    """Add the preprocessing of a spec in front of a network, so that it takes uint8 posters.

    Parameters
    ----------
    spec : BackboneSpec
    body : keras.Model
        (n, height, width, 3), dtype float32 → anything.

    Returns
    -------
    keras.Model
        (n, height, width, 3), dtype uint8 → what the body computes.

    Examples
    --------
    >>> from hybrid.backbones import get_backbone
    >>> spec = get_backbone("small")
    >>> with_preprocessing(spec, build_body(spec)).inputs[0].dtype
    'uint8'
    """
    posters = keras.Input((*spec.input_size, 3), dtype="uint8", name="posters")
    if spec.hub is not None:
        prepare = layers.Rescaling(spec.hub.scale, spec.hub.offset, dtype="float32")
    else:
        prepare = Preprocess(spec.preprocessing, dtype="float32")
    return keras.Model(posters, body(prepare(posters)))


def layers_by_name(application: keras.Model) -> dict[str, keras.layers.Layer]:
    """Return the layers of an application by names that do not depend on what was built before.

    Keras counts layers without a name of their own through the whole process: the first convolution of
    InceptionV3 is "conv2d" in a fresh process and "conv2d_94" after another InceptionV3. Here the numbers of
    each kind start at 0, so the names are those of a fresh process.

    Parameters
    ----------
    application : keras.Model

    Returns
    -------
    dict of str to keras.layers.Layer
        From input to output.

    Examples
    --------
    >>> from hybrid.backbones import get_backbone
    >>> list(layers_by_name(build_application(get_backbone("small"))))[1:4]
    ['conv2d', 'max_pooling2d', 'conv2d_1']
    """
    counted = [(*_kind_and_number(layer), layer) for layer in application.layers]
    first: dict[str, int] = {}
    for kind, number, _ in counted:
        first[kind] = min(number, first.get(kind, number))
    named = {}
    for kind, number, layer in counted:
        again = number - first[kind]
        named[layer.name if not kind else f"{kind}_{again}" if again else kind] = layer
    return named


def _kind_and_number(layer: keras.layers.Layer) -> tuple[str, int]:
    """``conv2d_7`` → ``("conv2d", 7)``; kind ``""`` where the name is the layer's own."""
    kind, number = re.fullmatch(r"(.*?)(?:_(\d+))?", layer.name).groups()  # type: ignore[union-attr]
    if kind.replace("_", "") != type(layer).__name__.lower():
        return "", 0
    return kind, int(number or 0)


def _features(spec: BackboneSpec, application: keras.Model) -> tuple[Any, keras.layers.Layer]:
    """The tensor to pool, and the layer after the pooling."""
    if spec.layer != "last":
        return named_layer(spec, application).output, layers.Identity(dtype="float32")
    last = application.layers[-1]
    if isinstance(last, layers.LayerNormalization) and spec.hub is None:
        # ConvNeXt normalises after the pooling; without pooling Keras normalises the feature map.
        last.dtype_policy = "float32"
        return last.input, last
    return application.output, layers.Identity(dtype="float32")


def named_layer(spec: BackboneSpec, application: keras.Model) -> keras.layers.Layer:
    """The layer of an application that a spec names.

    Raises
    ------
    SettingError
        If there is no such layer.
    """
    known = layers_by_name(application)
    if spec.layer not in known:
        error = unknown_name(f"layer of {spec.name}", spec.layer, known)
        short = str(error).partition(" Known:")[0]  # there are hundreds
        raise SettingError(f"--layer: {short} {_how_to_list(spec)}")
    return known[spec.layer]


def _how_to_list(spec: BackboneSpec) -> str:
    return f"List the layers with: hybrid backbones --layers {spec.name}"


def _pooling(name: str) -> keras.layers.Layer:
    if name == "avg":
        return layers.GlobalAveragePooling2D(dtype="float32")
    if name == "max":
        return layers.GlobalMaxPooling2D(dtype="float32")
    if name == "gem":
        return GeneralizedMean(dtype="float32")
    raise unknown_name("pooling", name, POOLINGS)


def _token_pooling(name: str) -> keras.layers.Layer:
    if name == "cls":
        return FirstToken(dtype="float32")
    if name == "max":
        return layers.GlobalMaxPooling1D(dtype="float32")
    return layers.GlobalAveragePooling1D(dtype="float32")


def _check_own(spec: BackboneSpec) -> None:
    if (spec.pooling, spec.layer) != ("dense", "last"):
        raise SettingError(
            f"--backbone {spec.name}: expected layer 'last' and pooling 'dense', the only ones it has, "
            f"found layer {spec.layer!r} and pooling {spec.pooling!r}."
        )


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


def _small_body(shape: tuple[int, int, int], dimension: int) -> keras.Model:
    """Three 3x3 convolutions, each halved by max pooling, and a dense layer, the embedding."""
    x = inputs = keras.Input(shape)
    for filters in (32, 32, 64):
        x = layers.Conv2D(filters, 3, activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(dimension, activation="relu")(x))


_OWN = {"scratch": _scratch_body, "small": _small_body}


class GeneralizedMean(layers.Layer):
    """Generalized-mean pooling (GeM): mean(max(x, 1e-6) ** 3) ** (1 / 3) over height and width.

    From Radenović, Tolias and Chum, "Fine-tuning CNN image retrieval with no human annotation", 2018
    (arXiv:1711.02512), with p = 3. p = 1 is the average, p → ∞ the maximum.

    Examples
    --------
    >>> import numpy as np
    >>> features = np.array([0.0, 2.0], dtype=np.float32).reshape(1, 1, 2, 1)
    >>> round(float(GeneralizedMean()(features)[0, 0]) ** 3, 3)
    4.0
    """

    power = 3.0
    floor = 1e-6

    def call(self, features: Any) -> Any:
        """Pool feature maps of shape (n, h, w, D) to (n, D)."""
        raised = ops.power(ops.maximum(features, self.floor), self.power)
        return ops.power(ops.mean(raised, axis=(1, 2)), 1.0 / self.power)


class FirstToken(layers.Layer):
    """The first of the tokens of an image, which stands for all of it.

    Examples
    --------
    >>> import numpy as np
    >>> FirstToken()(np.array([[[1.0, 2.0], [3.0, 4.0]]])).numpy().tolist()
    [[1.0, 2.0]]
    """

    def call(self, tokens: Any) -> Any:
        """Tokens (n, t, D) → (n, D)."""
        return ops.cast(tokens[:, 0], "float32")


class Preprocess(layers.Layer):
    """The preprocessing of ``keras.applications.*.preprocess_input`` as a layer.

    Parameters
    ----------
    mode : {"tf", "caffe", "torch", "unit", "none"}
        See `hybrid.backbones.BackboneSpec`.
    **kwargs
        Of `keras.layers.Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> white = np.full((1, 1, 1, 3), 255, dtype=np.uint8)
    >>> Preprocess("tf")(white)[0, 0, 0].numpy().tolist()
    [1.0, 1.0, 1.0]
    """

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
        if self.mode == "torch":
            mean, std = (ops.convert_to_tensor(v, dtype=x.dtype) for v in (TORCH_MEAN, TORCH_STD))
            return (x / 255.0 - mean) / std
        if self.mode == "unit":
            return x / 255.0
        return x
