"""Fold batch normalisation into the convolution before it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

FOLDABLE = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)


def fold_batch_norm(network: keras.Model) -> keras.Model:
    """Copy a network with its batch normalisations folded into convolutions.

    The copy computes the same function at inference, in fewer steps. A convolution y = k * x + b that is
    normalised to g (y - m) / sqrt(v + e) + h becomes one convolution with kernel s k and bias s (b - m) + h,
    where s = g / sqrt(v + e) for each channel.

    Parameters
    ----------
    network : keras.Model
        Not changed. A convolution is folded if it has no activation and its output is used by nothing but
        the batch normalisation.

    Returns
    -------
    keras.Model
        The network itself if there is nothing to fold.

    Examples
    --------
    >>> inputs = keras.Input((8, 8, 3))
    >>> network = keras.Model(inputs, layers.BatchNormalization()(layers.Conv2D(4, 3)(inputs)))
    >>> [type(layer).__name__ for layer in fold_batch_norm(network).layers]
    ['InputLayer', 'Conv2D', 'Identity']
    """
    pairs = _pairs(network)
    if not pairs:
        return network
    normalisations = {normalisation.name for normalisation in pairs.values()}

    def copy(layer: Any) -> Any:
        if layer.name in normalisations:
            return layers.Identity(name=layer.name, dtype=layer.dtype_policy.name)
        settings = layer.get_config()
        if layer.name in pairs:
            settings["use_bias"] = True
            # Its weights are set below: others need not be drawn first.
            settings |= {name: "zeros" for name in settings if name.endswith("_initializer")}
        return type(layer).from_config(settings)

    def call(layer: Any, *inputs: Any, **arguments: Any) -> Any:
        return layer(*inputs) if layer.name in normalisations else layer(*inputs, **arguments)

    folded = keras.models.clone_model(network, clone_function=copy, call_function=call)
    for layer in network.layers:
        if layer.name in pairs:
            folded.get_layer(layer.name).set_weights(_folded(layer, pairs[layer.name]))
        elif layer.weights and layer.name not in normalisations:
            folded.get_layer(layer.name).set_weights(layer.get_weights())
    return folded


def _pairs(network: keras.Model) -> dict[str, Any]:
    """Map the name of each convolution that can be folded to its batch normalisation."""
    outputs = {id(tensor) for tensor in network.outputs}
    pairs = {}
    for layer in network.layers:
        if not isinstance(layer, FOLDABLE) or layer.activation is not keras.activations.linear:
            continue
        if len(layer._inbound_nodes) != 1 or id(layer.output) in outputs:
            continue
        users = [node.operation for node in layer._outbound_nodes]
        users = [user for user in users if user in network.layers]
        if len(users) == 1 and isinstance(users[0], layers.BatchNormalization):
            pairs[layer.name] = users[0]
    return pairs


def _folded(convolution: Any, normalisation: Any) -> list[NDArray[np.float32]]:
    *kernels, last = convolution.get_weights()
    bias = last if convolution.use_bias else np.float64(0)
    if not convolution.use_bias:
        kernels.append(last)
    ones = np.ones(1)
    scale = _numbers(normalisation, "gamma", ones) / np.sqrt(
        _numbers(normalisation, "moving_variance", ones) + normalisation.epsilon
    )
    shift = _numbers(normalisation, "beta", 0 * ones)
    mean = _numbers(normalisation, "moving_mean", ones)
    kernel = kernels[-1].astype(np.float64)
    if isinstance(convolution, layers.DepthwiseConv2D):
        # Kernel (height, width, channels, multiplier): output channels are the last two together.
        kernel = kernel * scale.reshape(kernel.shape[2:])
    else:
        kernel = kernel * scale
    folded = [*kernels[:-1], kernel, scale * (bias - mean) + shift]
    return [np.asarray(array, dtype=np.float32) for array in folded]


def _numbers(normalisation: Any, name: str, otherwise: NDArray[Any]) -> NDArray[np.float64]:
    variable = getattr(normalisation, name, None)
    return otherwise if variable is None else np.asarray(variable, dtype=np.float64)
