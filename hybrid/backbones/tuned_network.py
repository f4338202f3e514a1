"""The network of a tuned backbone: frozen layers that its K encoders share, and what each has of its own."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from hybrid.backbones.folding import fold_batch_norm
from hybrid.backbones.networks import cut_and_pool, layers_by_name
from hybrid.backbones.registry import BackboneSpec
from hybrid.backbones.tuned import FOLD
from hybrid.backbones.tuned_folder import encoder_files
from hybrid.backbones.unfreezing import boundary, unfrozen_layers
from hybrid.errors import WeightsError
from hybrid.utils.reading import WEIGHTS, checked

Arrays = Mapping[str, NDArray[np.float32]]
HEAD = ("head.kernel", "head.bias")


def take_arrays(application: keras.Model, learns: list[Any], head: Any) -> Arrays:
    """The weights of the layers that learn, and of the head, by names that are the same in each process.

    Parameters
    ----------
    application : keras.Model
        See `hybrid.backbones.networks.build_application`.
    learns : list of layers
        See `hybrid.backbones.unfreezing.unfrozen_layers`.
    head : keras.layers.Dense

    Returns
    -------
    dict of str to ndarray
    """
    own = {id(layer) for layer in learns}
    found = {
        f"{name}.{number}": np.asarray(array, dtype=np.float32)
        for name, layer in layers_by_name(application).items()
        if id(layer) in own
        for number, array in enumerate(layer.get_weights())
    }
    return found | dict(zip(HEAD, map(np.asarray, head.get_weights()), strict=True))


def pack_arrays(arrays: Arrays) -> bytes:
    """Arrays as the content of an ``.npz`` file; the same arrays give the same bytes.

    Examples
    --------
    >>> pack_arrays({"head.bias": np.zeros(2, np.float32)})[:2]
    b'PK'
    """
    content = io.BytesIO()
    np.savez(content, **dict(arrays))  # type: ignore[arg-type]
    return content.getvalue()


def read_arrays(path: Path) -> Arrays:
    """Read what `pack_arrays` made.

    Raises
    ------
    WeightsError
        If the file is damaged.
    """
    try:
        with np.load(checked(path, WEIGHTS), allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise WeightsError(
            f"{path}: expected the arrays of an encoder, found: {error}. Copy the folder again."
        ) from error


def join_encoders(
    spec: BackboneSpec, base: BackboneSpec, build: Callable[[], keras.Model]
) -> keras.Model:
    """Make one network of the encoders of a tuned backbone.

    Parameters
    ----------
    spec : BackboneSpec
        Of the tuned backbone.
    base : BackboneSpec
        That it started from.
    build : callable
        Makes the application of the base, with its weights.

    Returns
    -------
    keras.Model
        (n, height, width, 3), preprocessed → scores of all encoders (n, K * L), float32, or (n, (K + 1) * L).

    Raises
    ------
    WeightsError
        If the arrays of an encoder are not those of its layers.
    """
    assert spec.tuned is not None, "a tuned backbone"
    posters = keras.Input((*spec.input_size, 3))
    shared, scores = None, []
    for name in encoder_files(FOLD, spec.tuned.folds, spec.tuned.refit):
        path = spec.tuned.folder / name
        application, arrays = build(), read_arrays(path)
        body = cut_and_pool(base, application)
        learns = unfrozen_layers(base, application, spec.tuned.trains)
        edge = boundary(application, body, learns)
        if shared is None:
            shared = posters
            if edge is not None:
                shared = fold_batch_norm(keras.Model(application.input, edge))(posters)
        x = shared
        if learns:
            _set_arrays(path, application, learns, arrays)
            start = application.input if edge is None else edge
            x = fold_batch_norm(keras.Model(start, body.output))(x)
        scores.append(_head(path, arrays, x, spec.dimension))
    joined = scores[0] if len(scores) == 1 else layers.Concatenate(dtype="float32")(scores)
    return keras.Model(posters, joined)


def _set_arrays(path: Path, application: keras.Model, learns: list[Any], arrays: Arrays) -> None:
    own = {id(layer) for layer in learns}
    for name, layer in layers_by_name(application).items():
        if id(layer) in own and layer.weights:
            wanted = [tuple(weight.shape) for weight in layer.weights]
            found = [arrays.get(f"{name}.{number}") for number in range(len(wanted))]
            shapes = [None if array is None else array.shape for array in found]
            if shapes != wanted:
                raise _misfit(path, name, wanted, shapes)
            layer.set_weights(found)


def _head(path: Path, arrays: Arrays, x: Any, labels: int) -> Any:
    wanted = [(int(x.shape[-1]), labels), (labels,)]
    found = [arrays.get(name) for name in HEAD]
    shapes = [None if array is None else array.shape for array in found]
    if shapes != wanted:
        raise _misfit(path, "the head", wanted, shapes)
    head = layers.Dense(labels, dtype="float32")
    scores = head(x)
    head.set_weights(found)
    return scores


def _misfit(path: Path, name: str, wanted: Any, found: Any) -> WeightsError:
    return WeightsError(
        f"{path}: expected arrays of shapes {wanted} for {name}, found {found}. Copy the folder again, or "
        "make it with hybrid tune."
    )
