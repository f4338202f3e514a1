"""A network opened: its last feature map, its first filters, and what excites a number of its embedding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.compiled import Gradient, compile_gradient
from hybrid.backbones.load import load_network
from hybrid.backbones.networks import GeneralizedMean, with_preprocessing
from hybrid.backbones.quiet import quiet_start
from hybrid.backbones.registry import BackboneSpec
from hybrid.backbones.weights import Weights
from hybrid.errors import SettingError

with quiet_start():
    import keras
    from keras import layers, ops

POOLS = {
    layers.GlobalAveragePooling2D: "avg",
    layers.GlobalMaxPooling2D: "max",
    GeneralizedMean: "gem",
}
BATCH = 16  # posters at once
DREAM_SIDE = (
    128  # pixels of an image that excites a number; as many as the net needs if that is more
)
DREAMS = 12  # images at once
STEPS = 96  # for each
START = 0.3  # standard deviation of the first image, in the space whose sigmoid are the pixels
STEP = 0.12  # root mean square of a step, in the same space
DECAY = 0.01  # of that space's numbers a step: pulls to grey what excites nothing
DAMPING = (
    1.5  # power of the frequency that a gradient's waves are divided by; photographs have about 1
)
SHIFT = 8  # pixels, at most, that the image is moved at each step

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


class Inside:
    """A network whose last feature map can be looked at.

    Parameters
    ----------
    spec : BackboneSpec
        What the network's body is.
    body : keras.Model
        Preprocessed posters (n, height, width, 3) → (n, D): a backbone's embedding, or what a head of its
        own makes of it.

    Attributes
    ----------
    spec : BackboneSpec
    pooling : str
        ``"avg"``, ``"max"`` or ``"gem"`` where nothing but that lies between feature map and embedding;
        else ``""``.

    Raises
    ------
    SettingError
        If the network has no feature map that all it gives is made from.
    """

    def __init__(self, spec: BackboneSpec, body: keras.Model) -> None:
        self.spec = spec
        self._body = body
        features = _last_map(spec, body)
        self._tail = _tail(spec, features, body.output)
        self.pooling = _pooling(self._tail)
        self._network = with_preprocessing(spec, keras.Model(body.input, [features, body.output]))

    def look(self, posters: Pixels) -> tuple[Floats, Floats]:
        """The last feature maps of posters, and their embeddings.

        Parameters
        ----------
        posters : ndarray of shape (n, height, width, 3), uint8, RGB

        Returns
        -------
        features : ndarray of shape (n, h, w, C), float32
        embeddings : ndarray of shape (n, D), float32
        """
        starts = range(0, len(posters), BATCH)
        found = [self._network.predict_on_batch(posters[i : i + BATCH]) for i in starts]
        features, embeddings = (
            np.concatenate(part).astype(np.float32, copy=False) for part in zip(*found, strict=True)
        )
        return features, embeddings

    def gradients(self, features: Floats, directions: NDArray[Any]) -> Floats:
        """How the embedding, seen in some directions, changes with a feature map.

        Parameters
        ----------
        features : ndarray of shape (h, w, C)
        directions : ndarray of shape (L, D)

        Returns
        -------
        ndarray of shape (L, h, w, C), float32
            The gradient of ``direction @ embedding``.
        """
        weights = ops.convert_to_tensor(directions.astype(np.float32))
        # One copy of the map for each direction, so that all gradients are found at once.
        copies = np.repeat(features[None].astype(np.float32), len(directions), axis=0)
        return compile_gradient(lambda x: ops.sum(self._tail(x, training=False) * weights))(copies)

    def first_filters(self) -> Floats:
        """The kernels of the first convolution that looks at colours.

        Returns
        -------
        ndarray of shape (filters, height, width, 3), float32
            The last axis is red, green, blue. A batch normalisation behind it is folded in, so a filter
            counts up to a factor.

        Raises
        ------
        SettingError
            If the backbone has none.
        """
        for layer in _all_layers(self._body):
            if isinstance(layer, layers.Conv2D) and tuple(layer.kernel.shape)[2] == 3:
                kernel = np.moveaxis(ops.convert_to_numpy(layer.kernel), -1, 0)
                return kernel[..., ::-1] if self.spec.preprocessing == "caffe" else kernel
        raise SettingError(
            f"{self.spec.name}: expected a convolution of red, green and blue, found none."
        )


def open_backbone(spec: BackboneSpec, weights: Weights) -> Inside:
    """A backbone with its weights, in float32, opened.

    Raises
    ------
    SettingError
        See `Inside`.
    WeightsError
        If the weights do not fit.
    """
    return Inside(spec, load_network(spec, weights).layers[-1])


def dream(
    spec: BackboneSpec,
    weights: Weights,
    numbers: Sequence[int],
    seed: int = 0,
    advance: Callable[[int], None] = lambda steps: None,
) -> Pixels:
    """Images that excite single numbers of the embedding as much as can be.

    Gradient ascent on the pixels (Erhan et al., "Visualizing higher-layer features of a deep network", 2009),
    with what keeps it from noise in Olah, Mordvintsev and Schubert, "Feature visualization", 2017: steps
    along the gradient with its fine detail damped (by its frequency, as photographs are), a small random
    shift before each, and a decay towards grey.

    Parameters
    ----------
    spec : BackboneSpec
    weights : Weights
    numbers : sequence of n int
        Which of the D; at least one.
    seed : int
    advance : callable
        Told how many of the ``n * STEPS`` steps are done.

    Returns
    -------
    ndarray of shape (n, height, width, 3), uint8, RGB
        Smaller than the backbone's input, where the net can be built so.
    """
    if spec.application:
        small = min(DREAM_SIDE, *spec.input_size)
        side = max(small, spec.min_side)
        spec = replace(spec, input_size=(side, side))
    network = load_network(spec, weights)
    preprocess, answers = network.layers[-2], _answers(spec, network.layers[-1])
    found = []
    for start in range(0, len(numbers), DREAMS):
        chosen = list(numbers[start : start + DREAMS])
        weight = ops.convert_to_tensor(np.eye(answers.output_shape[-1], dtype=np.float32)[chosen])

        def excitement(x: Any, weight: Any = weight) -> Any:
            pixels = preprocess(255.0 * ops.sigmoid(x))
            return ops.sum(answers(pixels, training=False) * weight)

        # The same start for all: what differs between two images is what the numbers look for.
        random = np.random.default_rng(seed)
        found.append(
            _ascend(compile_gradient(excitement), spec.input_size, len(chosen), random, advance)
        )
    return np.concatenate(found)


def _ascend(
    gradient: Gradient,
    size: tuple[int, int],
    n: int,
    random: np.random.Generator,
    advance: Callable[[int], None],
) -> Pixels:
    """Climb with n images at once."""
    damping = _damping(*size)
    x = np.repeat(_noise(random, size, damping), n, axis=0)
    for _ in range(STEPS):
        shift = tuple(random.integers(-SHIFT, SHIFT + 1, 2))
        moved = np.roll(x, shift, axis=(1, 2)).astype(np.float32)
        found = np.roll(gradient(moved).astype(np.float64), (-shift[0], -shift[1]), axis=(1, 2))
        step = np.fft.irfft2(np.fft.rfft2(found, axes=(1, 2)) * damping, size, (1, 2))
        length = np.sqrt((step**2).mean(axis=(1, 2, 3), keepdims=True))
        x = (1 - DECAY) * x + STEP * step / np.where(length > 0, length, 1.0)
        advance(n)
    return np.rint(255 / (1 + np.exp(-x))).astype(np.uint8)


def _damping(height: int, width: int) -> NDArray[np.float64]:
    """1 / frequency ** DAMPING for each wave; shape (height, width // 2 + 1, 1)."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    return (np.maximum(frequency, 1.0 / max(height, width)) ** -DAMPING)[..., None]


def _noise(
    random: np.random.Generator, size: tuple[int, int], damping: NDArray[np.float64]
) -> NDArray[np.float64]:
    """One image of noise with as little fine detail as the steps have, (1, height, width, 3)."""
    height, width = size
    waves = np.fft.rfft2(random.normal(size=(height, width, 3)), axes=(0, 1)) * damping
    noise = np.fft.irfft2(waves, (height, width), (0, 1))
    return np.asarray(START * noise / noise.std())[None]


def _answers(spec: BackboneSpec, body: keras.Model) -> keras.Model:
    """What is to be excited: the embedding, or where it is what an activation lets through, what it gets.

    A unit that is shut for the first image has no gradient, so no step would open it.
    """
    features = _last_map(spec, body)
    maker = next((layer for layer in body.layers if layer.output is features), None)
    if spec.application and isinstance(maker, (layers.ReLU, layers.Activation)):
        return keras.Model(body.input, layers.GlobalAveragePooling2D()(maker.input))
    return body


def _last_map(spec: BackboneSpec, body: keras.Model) -> Any:
    """The last feature map that an embedding is made from."""
    for layer in reversed(body.layers):
        if type(layer) in POOLS:
            return layer.input
        if len(layer.output.shape) == 4 and not isinstance(layer, layers.LayerNormalization):
            return layer.output
    raise SettingError(f"{spec.name}: expected a layer with a feature map, found none.")


def _tail(spec: BackboneSpec, features: Any, embedding: Any) -> keras.Model:
    """What comes after a feature map."""
    try:
        return keras.Model(features, embedding)
    except ValueError as error:  # Keras' own words are of its graph
        raise SettingError(
            f"--map: expected a layer of {spec.name} whose output is a feature map, found "
            f"{spec.layer!r}, to which several lead. Extract another --layer."
        ) from error


def _pooling(tail: keras.Model) -> str:
    """The pooling that a tail is, or nothing where it is more than that."""
    first, *others = tail.layers[1:]
    if all(isinstance(layer, layers.Identity) for layer in others):
        return POOLS.get(type(first), "")
    return ""


def _all_layers(network: keras.Model) -> Iterator[Any]:
    """All layers, those of models within the model as well."""
    for layer in network.layers:
        yield from _all_layers(layer) if isinstance(layer, keras.Model) else (layer,)
