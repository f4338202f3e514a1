"""Description of a network: its layers, what learns in which stage, and every setting of its training."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from typing import Any

import keras
import numpy as np

from hybrid.backbones.load import dtype_policy
from hybrid.backbones.networks import build_application, cut_and_pool
from hybrid.backbones.unfreezing import unfrozen_blocks
from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.fused import FusedBaseline
from hybrid.deep.fused_network import FusedNetwork
from hybrid.deep.network import SHEAR, ZOOM, InferenceMode, count_elements
from hybrid.deep.registry import ALL, HEAD
from hybrid.features import PosterFeatures
from hybrid.utils.counts import counted


@dataclass(frozen=True)
class LayerDescription:
    """One layer.

    Parameters
    ----------
    part : str
        ``"body"`` or ``"head"``.
    name, type : str
        As Keras has them.
    output_shape : tuple of (int or None)
        Without the items; None where the data tell.
    kernel : tuple of int
        Height and width of a convolution or pooling window; empty for other layers.
    units : int or None
        Filters of a convolution, or units of a dense layer.
    parameters : int or None
        None where the data tell.
    learns_in : tuple of str
        Stages that change its parameters.
    """

    part: str
    name: str
    type: str
    output_shape: tuple[int | None, ...]
    kernel: tuple[int, ...]
    units: int | None
    parameters: int | None
    learns_in: tuple[str, ...]


@dataclass(frozen=True)
class StageDescription:
    """One stage of a training.

    Parameters
    ----------
    name, trains : str
        See `hybrid.deep.registry.Stage`.
    parameters : int or None
        That it changes; None where the data tell.
    optimizer : str
    learning_rate, momentum : float
    augmentation : str
        ``"none"``, or what is done to the posters.
    learns : tuple of str
        ``"head"``, and the blocks of the backbone that learn, from the lowest; ``"all"`` for all of them.
    """

    name: str
    trains: str
    parameters: int | None
    optimizer: str
    learning_rate: float
    momentum: float
    augmentation: str
    learns: tuple[str, ...]


@dataclass(frozen=True)
class NetworkDescription:
    """A network and its training.

    Parameters
    ----------
    name : str
    labels : int
    parameters : int or None
        None where the data tell.
    layers : tuple of LayerDescription
        From the input upwards.
    stages : tuple of StageDescription
    settings : dict
        Name → value of everything else.
    """

    name: str
    labels: int
    parameters: int | None
    layers: tuple[LayerDescription, ...]
    stages: tuple[StageDescription, ...]
    settings: dict[str, Any]


def describe_baseline(model: DeepBaseline) -> NetworkDescription:
    """Describe the network of a deep baseline.

    Parameters
    ----------
    model : DeepBaseline
        Built: fitted, loaded, or by `build_baseline`.

    Returns
    -------
    NetworkDescription

    Examples
    --------
    >>> from hybrid.deep.options import DeepOptions
    >>> model = build_baseline("small", DeepOptions(input_size=(32, 32)), n_labels=3)
    >>> found = describe_baseline(model)
    >>> found.layers[-1].type, found.layers[-1].units, found.layers[-1].parameters
    ('Dense', 3, 195)
    >>> found.parameters == sum(layer.parameters for layer in found.layers)
    True
    """
    network, spec = model.network_, model.spec
    parts = [("head", layer) for layer in _leaves(network.head)]
    if spec.backbone is not None:
        parts = [("body", layer) for layer in _leaves(network.body)] + parts
    learnt: dict[str, set[int]] = {}
    counts = {}
    for stage in spec.stages:
        network.freeze(stage)
        _, learner = model.parts_of(stage)
        learnt[stage.name] = {id(variable) for variable in learner.trainable_variables}
        counts[stage.name] = count_elements(learner.trainable_variables)
    return NetworkDescription(
        name=spec.name,
        labels=model.n_labels,
        parameters=network.count_params(),
        layers=tuple(_describe_layer(part, layer, learnt) for part, layer in parts),
        stages=tuple(
            StageDescription(
                stage.name,
                stage.trains,
                counts[stage.name],
                stage.optimizer,
                stage.learning_rate,
                stage.momentum,
                f"horizontal flips, shear {SHEAR:g}, zoom {ZOOM:g}" if stage.augment else "none",
                _learns(model, stage.trains),
            )
            for stage in spec.stages
        ),
        settings=_settings(model),
    )


def build_baseline(network: str, options: Any, n_labels: int) -> DeepBaseline:
    """Build a network on posters without its weights.

    Parameters
    ----------
    network : str
    options : DeepOptions
    n_labels : int

    Examples
    --------
    >>> from hybrid.deep.options import DeepOptions
    >>> build_baseline("scratch", DeepOptions(), n_labels=20).network_.count_params()
    20042932
    """
    model = DeepBaseline(network, options)
    model._build(n_labels)
    return model


def describe_without_data(network: str, options: Any, n_labels: int) -> NetworkDescription:
    """Describe a network on text or on fused blocks, as far as it is known before there are data.

    How wide text and metadata are comes from the data. The network is built with two widths: what they change
    is None.

    Parameters
    ----------
    network : {"text", "fused"}
    options : DeepOptions
    n_labels : int

    Examples
    --------
    >>> from hybrid.deep.options import DeepOptions
    >>> found = describe_without_data("text", DeepOptions(), n_labels=20)
    >>> [(layer.type, layer.units, layer.parameters) for layer in found.layers if layer.units]
    [('Dense', 256, None), ('Dense', 20, 5140)]
    """
    model, poster, parts = FusedBaseline(network, options), None, {}
    spec, found = model.spec, []
    with dtype_policy(model.options.precision):
        if spec.backbone is not None:
            application = build_application(spec.body)
            body = cut_and_pool(spec.body, application)
            size, poster = body.output.shape[-1], PosterFeatures()
            poster.mean_, poster.scale_ = np.zeros(size), np.ones(size)
            parts = {"application": application, "body": body, "poster": poster}
        for width in (2, 3):
            columns = dict.fromkeys(spec.blocks, width)
            if poster is not None:
                columns["poster"] = size + 1
            model.network_, model.n_labels = FusedNetwork(spec, n_labels, columns), n_labels
            vars(model.network_).update(parts)
            found.append(describe_baseline(model))
    agreed: NetworkDescription = _agreed(*found)
    return agreed


def _agreed(one: Any, other: Any) -> Any:
    """What two descriptions of one network agree on; None for numbers that differ."""
    if is_dataclass(one) and not isinstance(one, type):
        names = [field.name for field in fields(one)]
        return replace(one, **{n: _agreed(getattr(one, n), getattr(other, n)) for n in names})
    if isinstance(one, tuple):
        return tuple(_agreed(*pair) for pair in zip(one, other, strict=True))
    return None if isinstance(one, int) and one != other else one


def _learns(model: DeepBaseline, trains: str) -> tuple[str, ...]:
    """The head, and the names of the blocks of the backbone that a stage trains."""
    if trains in (HEAD, ALL) or model.spec.backbone is None:
        return (trains,)
    return (HEAD, *unfrozen_blocks(model.spec.body, model.network_.application, trains))


def _settings(model: DeepBaseline) -> dict[str, Any]:
    """Every setting that is not one of a stage."""
    spec, options = model.spec, asdict(model.options)
    body = spec.backbone
    of_stages = ("stages", "unfreeze", "learning_rate", "fine_learning_rate")
    replaced = {
        "input_size": body and tuple(body.input_size),
        "preprocessing": body and body.preprocessing,
        "weights": options["weights"] or ("imagenet" if spec.pretrained else None),
        "blocks": spec.blocks,
        "head_units": spec.head_units,
        "dropout": spec.dropout,
        "batch_size": spec.batch_size,
        "early_stopping": f"after {counted(options['patience'], 'epoch')} without a lower validation loss; "
        "the best epoch's weights are kept",
    }
    kept = {name: value for name, value in options.items() if name not in of_stages}
    return {**kept, **replaced}


def _leaves(network: keras.Model) -> list[Any]:
    """Layers of a model, those of nested models in their place; without inputs."""
    found = []
    for layer in network.layers:
        inner = layer.network if isinstance(layer, InferenceMode) else layer
        if isinstance(inner, keras.Model):
            found += _leaves(inner)
        elif not isinstance(inner, keras.layers.InputLayer):
            found.append(inner)
    return found


def _describe_layer(part: str, layer: Any, learnt: dict[str, set[int]]) -> LayerDescription:
    own = {id(variable) for variable in layer.variables}
    window = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    units = getattr(layer, "filters", None) or getattr(layer, "units", None)
    return LayerDescription(
        part=part,
        name=layer.name,
        type=type(layer).__name__,
        output_shape=tuple(keras.tree.flatten(layer.output)[0].shape[1:]),
        kernel=tuple(window) if isinstance(window, (tuple, list)) else (),
        units=int(units) if isinstance(units, int) else None,
        parameters=int(layer.count_params()),
        learns_in=tuple(name for name, variables in learnt.items() if own & variables),
    )
