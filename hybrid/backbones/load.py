"""Load a backbone and its weights as a Keras network from posters to embeddings."""

from __future__ import annotations

import itertools
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np

from hybrid.backbones.folding import fold_batch_norm
from hybrid.backbones.networks import build_application, cut_and_pool, with_preprocessing
from hybrid.backbones.registry import BACKBONES, BackboneSpec
from hybrid.backbones.tuned import base_backbone
from hybrid.backbones.tuned_network import join_encoders
from hybrid.backbones.weightfile import SavedLayer, SavedWeights, open_weights
from hybrid.backbones.weights import Weights
from hybrid.errors import WeightsError
from hybrid.utils.counts import counted
from hybrid.utils.reading import WEIGHTS, checked

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}

# A layer of the network and one of the file; None where there is none.
Pair = tuple[SavedLayer | None, SavedLayer | None]


def load_network(spec: BackboneSpec, weights: Weights, precision: str = "float32") -> keras.Model:
    """Build a backbone, load its weights and fold its batch normalisations.

    Parameters
    ----------
    spec : BackboneSpec
    weights : Weights
    precision : {"float32", "bfloat16", "float16"}, default="float32"
        Of matrix products and convolutions. Variables, and the pooled embeddings, are float32.

    Returns
    -------
    keras.Model
        Posters of shape (n, height, width, 3), dtype uint8 → embeddings (n, D), dtype float32. Of a tuned
        backbone, the scores of all K encoders, one after another: (n, K * L).

    Raises
    ------
    WeightsError
        If the file does not fit the architecture.

    Examples
    --------
    >>> from hybrid.backbones import get_backbone, resolve_weights
    >>> spec = get_backbone("small")
    >>> network = load_network(spec, resolve_weights(spec, "random"))
    >>> network.input_shape, network.output_shape
    ((None, 150, 150, 3), (None, 64))
    """
    with dtype_policy(precision):
        if spec.tuned is not None:
            return _load_tuned(spec)
        application = build_application(spec)
        load_weights(spec, application, weights)
        return with_preprocessing(spec, fold_batch_norm(cut_and_pool(spec, application)))


def _load_tuned(spec: BackboneSpec) -> keras.Model:
    base, weights = base_backbone(spec)

    def build() -> keras.Model:
        application = build_application(base)
        load_weights(base, application, weights)
        return application

    return with_preprocessing(base, join_encoders(spec, base, build))


@contextmanager
def dtype_policy(precision: str) -> Iterator[None]:
    """Set Keras' dtype policy for layers that are made in a ``with`` block, and restore it.

    Parameters
    ----------
    precision : {"float32", "bfloat16", "float16"}
        Layers compute in this precision; their variables are float32.

    Examples
    --------
    >>> with dtype_policy("bfloat16"):
    ...     layer = keras.layers.Dense(3)
    >>> layer.compute_dtype, layer.variable_dtype, keras.config.dtype_policy().name
    ('bfloat16', 'float32', 'float32')
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(POLICIES[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def load_weights(spec: BackboneSpec, body: keras.Model, weights: Weights) -> None:
    """Set the weights of a network, from a file or at random.

    Parameters
    ----------
    spec : BackboneSpec
    body : keras.Model
        As `build_application` makes it. After an error its weights are undefined.
    weights : Weights

    Raises
    ------
    WeightsError
        If the file is damaged, unsafe, of another network or holds numbers that are not finite.

    Examples
    --------
    >>> from hybrid.backbones import get_backbone, resolve_weights
    >>> spec = get_backbone("small")
    >>> body = build_application(spec)
    >>> load_weights(spec, body, resolve_weights(spec, "random", seed=1))
    """
    if weights.path is None:
        init_random_weights(body, weights.seed)
        return
    with open_weights(weights.path, 4 * spec.parameters) as saved:
        # Keras checks names and order, but only after it has read what the file declares.
        expected = (layer for _, layer in _layers(body))
        if spec.hub is not None:
            _check_arrays(spec, body, saved, weights.path)
        elif sorted(map(_shapes, expected)) != sorted(map(_shapes, saved.layers)):
            raise WeightsError(_misfit(spec, weights.path, _pairs(body, saved)))
        _read_weights(spec, body, saved.path, weights.path)
    _check_finite(body, weights.path)


def init_random_weights(network: keras.Model, seed: int) -> None:
    """Initialise kernels by He-normal draws, the same with every version and backend of Keras.

    Parameters
    ----------
    network : keras.Model
        Changed in place. Biases and batch normalisations keep their initial values.
    seed : int

    Examples
    --------
    >>> network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> init_random_weights(network, seed=0)
    >>> round(float(network.get_weights()[0][0, 0]), 4)
    0.7903
    """
    random = np.random.Generator(np.random.PCG64(seed))
    for variable in network.weights:
        shape = tuple(variable.shape)
        if len(shape) < 2:
            continue  # biases and batch-norm statistics keep their neutral start
        depthwise = shape[-1] == 1
        fan_in = int(np.prod(shape[:2] if depthwise else shape[:-1]))
        variable.assign(random.standard_normal(shape, dtype=np.float32) * np.sqrt(2.0 / fan_in))


def _check_arrays(spec: BackboneSpec, body: keras.Model, saved: SavedWeights, path: Path) -> None:
    """Raise unless a file has the arrays of a preset's network, which are grouped in ways of its own."""
    expected = Counter(tuple(weight.shape) for weight in body.weights)
    found = Counter(shape for layer in saved.layers for shape in layer.shapes)
    if expected != found:
        lacks, more = list(expected - found)[:1], list(found - expected)[:1]
        raise WeightsError(
            f"{path}: expected {counted(expected.total(), 'array')} of {spec.application} at "
            f"{spec.input_size[0]} x {spec.input_size[1]}, found {found.total()}"
            f"{f'; none more of shape {lacks[0]}' if lacks else ''}"
            f"{f'; one of shape {more[0]}' if more else ''}. Leave --input-size out, or save the "
            "preset again."
        )


def _read_weights(spec: BackboneSpec, body: keras.Model, file: Path, path: Path) -> None:
    try:
        with warnings.catch_warnings():
            # Keras only warns where it leaves a layer as it was drawn.
            warnings.simplefilter("error", UserWarning)
            body.load_weights(str(checked(file, WEIGHTS)))
    except (
        UserWarning,
        ValueError,
        OSError,
        KeyError,
        TypeError,
        AttributeError,
        RuntimeError,
    ) as error:
        raise WeightsError(
            f"{path}: expected the weights of {spec.name} without its top, found the right shapes "
            f"in another order or a damaged file: {str(error).partition(chr(10))[0]}"
        ) from error


def _check_finite(body: keras.Model, path: Path) -> None:
    for layer in body.layers:
        if not all(np.isfinite(array).all() for array in layer.get_weights()):
            raise WeightsError(
                f"{path}: expected finite weights, found NaN or infinity in the layer {layer.name}. "
                "The training diverged or the file is damaged; take another one."
            )


def _layers(body: keras.Model) -> list[tuple[str, SavedLayer]]:
    """The layers that have weights, each with its name in a file of Keras 3."""
    layers, count = [], Counter[str]()
    for layer in body.layers:
        name = _snake_case(type(layer).__name__)
        saved_as = f"{name}_{count[name]}" if count[name] else name
        count[name] += 1
        if layer.weights:
            shapes = tuple(tuple(weight.shape) for weight in layer.weights)
            layers.append((saved_as, SavedLayer(layer.name, shapes)))
    return layers


def _snake_case(name: str) -> str:
    """Convert a class name as Keras 3 does for its files; it has no public function for this."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _pairs(body: keras.Model, saved: SavedWeights) -> list[Pair]:
    """Pair each layer of the network with the layer of the file that Keras would load into it."""
    layers = _layers(body)
    if saved.legacy:
        return list(itertools.zip_longest((layer for _, layer in layers), saved.layers))
    found = {layer.name: layer for layer in saved.layers}
    pairs: list[Pair] = [(layer, found.pop(name, None)) for name, layer in layers]
    return [*pairs, *((None, layer) for layer in found.values())]


def _shapes(layer: SavedLayer | None) -> list[tuple[int, ...]]:
    return sorted(layer.shapes) if layer else []


def _misfit(spec: BackboneSpec, path: Path, pairs: list[Pair]) -> str:
    """Message: what was expected, what was found, the first difference, what to do."""
    expected = [ours for ours, _ in pairs if ours]
    found = [theirs for _, theirs in pairs if theirs]
    differing = ((ours, theirs) for ours, theirs in pairs if _shapes(ours) != _shapes(theirs))
    ours, theirs = next(differing)
    return (
        f"{path}: expected the weights of {spec.name} without its top.\n"
        f"Expected: {_listing(expected)}\n"
        f"Found: {_listing(found)}\n"
        f"First difference: expected {ours or 'no more layers'}, "
        f"found {theirs or 'no such layer'}.\n{_advice(spec, pairs)}"
    )


def _listing(layers: list[SavedLayer]) -> str:
    first = "".join(f"; {layer}" for layer in layers[:3]) + ("; ..." if len(layers) > 3 else "")
    return f"{counted(len(layers), 'layer')}, {counted(_parameters(layers), 'parameter')}{first}"


def _parameters(layers: list[SavedLayer]) -> int:
    return sum(layer.parameters for layer in layers)


def _advice(spec: BackboneSpec, pairs: list[Pair]) -> str:
    found = [theirs for _, theirs in pairs if theirs]
    twin = next((n for n, s in BACKBONES.items() if s.parameters == _parameters(found)), spec.name)
    if twin != spec.name:
        return f"These are the weights of {twin}: use --backbone {twin}, or name another file."
    if all(_shapes(ours) == _shapes(theirs) for ours, theirs in pairs if ours):
        return f"The file has a classifier on top ({found[-1]}): use the file without top (notop)."
    whole = next((layer for layer in found if layer.parameters == spec.parameters), None)
    if whole:
        return (
            f"{whole.name} alone holds as many parameters as {spec.name}: the file is of a model "
            "around the network. Save the network by itself with its save_weights()."
        )
    return "Name a file that was saved from this network, or the --backbone that it was saved from."
