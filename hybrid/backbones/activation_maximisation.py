"""Activation maximisation: images that excite single units of an embedding, by gradient ascent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from hybrid.backbones.backend import Gradient, compile_gradient
from hybrid.backbones.feature_maps import Pixels, last_feature_map
from hybrid.backbones.load import load_network
from hybrid.backbones.registry import BackboneSpec
from hybrid.backbones.weights import Weights

SIDE = 128  # pixels of an image, or as many as the network needs if that is more
IMAGES = 12  # computed together
STEPS = 96  # of gradient ascent
START = 0.3  # standard deviation of the first image, in logits of the pixels
STEP = 0.12  # root mean square of a step, in logits
DECAY = 0.01  # of the logits in each step: pulls to grey what has no effect
DAMPING = 1.5  # power of the frequency that a gradient is divided by; photographs have about 1
RANDOM = 64  # random images that an image is compared with, half of them of white noise
CONTRAST = 1.5  # standard deviation of the others, in logits: near that of found images
SHIFT = 8  # pixels, at most, that the image is moved by before each step


def maximise_activations(
    spec: BackboneSpec,
    weights: Weights,
    units: Sequence[int],
    seed: int = 0,
    advance: Callable[[int], None] = lambda steps: None,
) -> Pixels:
    """Synthesise an image for each unit of the embedding that excites it as much as possible.

    Gradient ascent on the pixels (Erhan et al., "Visualizing higher-layer features of a deep network", 2009)
    with three regularisers against noise from Olah, Mordvintsev and Schubert, "Feature visualization", 2017:
    gradients whose high frequencies are damped, a small random shift before each step, and a decay towards
    grey.

    Parameters
    ----------
    spec : BackboneSpec
    weights : Weights
    units : sequence of int
        Indices into the embedding, at least one, each from 0 to D - 1.
    seed : int, default=0
        Seed of the first image and of the shifts. All units start from the same image.
    advance : callable, optional
        Called with the number of steps that are done, ``len(units) * STEPS`` in all. By default nothing
        is called.

    Returns
    -------
    ndarray of shape (n_units, height, width, 3), dtype uint8, RGB
        128 pixels a side, or the backbone's input size if that is smaller, or its smallest input size if
        that is larger.

    Raises
    ------
    SettingError
        If the network has no feature map.
    WeightsError
        If the weights do not fit the network.

    Examples
    --------
    >>> from hybrid.backbones import configure, get_backbone, resolve_weights
    >>> spec = configure(get_backbone("small"), input_size=(24, 32))
    >>> images = maximise_activations(spec, resolve_weights(spec, "random"), [0, 7])
    >>> images.shape, images.dtype
    ((2, 24, 32, 3), dtype('uint8'))
    """
    if spec.application:
        side = max(min(SIDE, *spec.input_size), spec.min_side)
        spec = replace(spec, input_size=(side, side))
    preprocess, target = _load(spec, weights)
    images = []
    for start in range(0, len(units), IMAGES):
        chosen = list(units[start : start + IMAGES])
        one_hot = ops.convert_to_tensor(np.eye(target.output_shape[-1], dtype=np.float32)[chosen])

        def activation(x: Any, one_hot: Any = one_hot) -> Any:
            pixels = preprocess(255.0 * ops.sigmoid(x))
            return ops.sum(target(pixels, training=False) * one_hot)

        # The same start for all: two images then differ only by what their units respond to.
        random = np.random.default_rng(seed)
        images.append(
            _ascend(compile_gradient(activation), spec.input_size, len(chosen), random, advance)
        )
    return np.concatenate(images)


def find_noise(
    spec: BackboneSpec, weights: Weights, units: Sequence[int], images: Pixels, seed: int = 0
) -> list[bool]:
    """Say which images excite their units no more than random images do.

    Such an image shows nothing of the unit: gradient ascent has not found what excites it.

    Parameters
    ----------
    spec, weights, units
        As for `maximise_activations`.
    images : ndarray of shape (n_units, height, width, 3), dtype uint8
        What it returned.
    seed : int, default=0
        Of 64 random images of the same size: 32 of white noise, and 32 whose frequencies are damped as those
        of photographs are.

    Returns
    -------
    list of n_units bool
        Whether some random image excites the unit as much.

    Examples
    --------
    >>> from hybrid.backbones import configure, get_backbone, resolve_weights
    >>> spec = configure(get_backbone("small"), input_size=(24, 32))
    >>> grey = np.full((1, 24, 32, 3), 128, dtype=np.uint8)
    >>> find_noise(spec, resolve_weights(spec, "random"), [0], grey)
    [True]
    """
    height, width = images.shape[1:3]
    preprocess, target = _load(replace(spec, input_size=(height, width)), weights)

    def activations(pixels: Pixels) -> NDArray[np.float64]:
        return np.asarray(target(preprocess(pixels), training=False), dtype=np.float64)

    reached = activations(_random_images(seed, (height, width)))[:, list(units)].max(axis=0)
    own = activations(images)[np.arange(len(units)), list(units)]
    return [bool(noise) for noise in ~(own > reached)]


def _load(spec: BackboneSpec, weights: Weights) -> tuple[Any, keras.Model]:
    """Preprocessing of pixels, and the network whose output is maximised."""
    network = load_network(spec, weights)
    return network.layers[-2], _pre_activation(spec, network.layers[-1])


def _random_images(seed: int, size: tuple[int, int]) -> Pixels:
    random = np.random.default_rng(seed)
    white = random.integers(0, 256, (RANDOM // 2, *size, 3))
    damping = _damping(*size)
    damped = [_noise(random, size, damping, CONTRAST) for _ in range(RANDOM // 2)]
    return np.concatenate([white.astype(np.uint8), _to_pixels(np.concatenate(damped))])


def _to_pixels(logits: NDArray[np.float64]) -> Pixels:
    return np.rint(255 / (1 + np.exp(-logits))).astype(np.uint8)


def _ascend(
    gradient: Gradient,
    size: tuple[int, int],
    n: int,
    random: np.random.Generator,
    advance: Callable[[int], None],
) -> Pixels:
    """Gradient ascent on n images at once; returns their pixels (n, height, width, 3)."""
    damping = _damping(*size)
    x = np.repeat(_noise(random, size, damping, START), n, axis=0)
    for _ in range(STEPS):
        shift = tuple(random.integers(-SHIFT, SHIFT + 1, 2))
        moved = np.roll(x, shift, axis=(1, 2)).astype(np.float32)
        found = np.roll(gradient(moved).astype(np.float64), (-shift[0], -shift[1]), axis=(1, 2))
        step = np.fft.irfft2(np.fft.rfft2(found, axes=(1, 2)) * damping, size, (1, 2))
        length = np.sqrt((step**2).mean(axis=(1, 2, 3), keepdims=True))
        x = (1 - DECAY) * x + STEP * step / np.where(length > 0, length, 1.0)
        advance(n)
    return _to_pixels(x)


def _damping(height: int, width: int) -> NDArray[np.float64]:
    """1 / frequency ** DAMPING for each Fourier coefficient; shape (height, width // 2 + 1, 1)."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    return (np.maximum(frequency, 1.0 / max(height, width)) ** -DAMPING)[..., None]


def _noise(
    random: np.random.Generator,
    size: tuple[int, int],
    damping: NDArray[np.float64],
    deviation: float,
) -> NDArray[np.float64]:
    """An image of noise whose frequencies are damped as the gradients are, (1, height, width, 3)."""
    height, width = size
    waves = np.fft.rfft2(random.normal(size=(height, width, 3)), axes=(0, 1)) * damping
    noise = np.fft.irfft2(waves, (height, width), (0, 1))
    return np.asarray(deviation * noise / noise.std())[None]


def _pre_activation(spec: BackboneSpec, body: keras.Model) -> keras.Model:
    """The network whose output is maximised: the embedding, or what its last activation receives.

    A unit that is 0 behind a ReLU for the first image has no gradient, so no step could excite it.
    """
    features = last_feature_map(spec, body)
    maker = next((layer for layer in body.layers if layer.output is features), None)
    if spec.application and isinstance(maker, (layers.ReLU, layers.Activation)):
        return keras.Model(body.input, layers.GlobalAveragePooling2D()(maker.input))
    return body
