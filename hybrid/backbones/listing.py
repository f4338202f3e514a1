"""List the backbones, and the layers of one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hybrid.backbones.configure import configure
from hybrid.backbones.onnx_images import list_outputs
from hybrid.backbones.registry import BACKBONES, BackboneSpec, get_backbone
from hybrid.backbones.startup import start_keras
from hybrid.backbones.weights import must_download


def list_backbones() -> list[dict[str, Any]]:
    """List all backbones, and whether their ImageNet weights are on this machine.

    Returns
    -------
    list of dict
        The fields of `BackboneSpec`, and ``"weights"``: where they are, in words.

    Examples
    --------
    >>> [row["name"] for row in list_backbones()][:3]
    ['scratch', 'small', 'inception']
    """
    rows = [{**asdict(spec), "weights": _where(spec)} for spec in BACKBONES.values()]
    return [
        {key: value for key, value in row.items() if key not in ("onnx", "hub", "tuned")}
        for row in rows
    ]


def list_layers(name: str) -> list[dict[str, Any]]:
    """List the layers of a backbone that an embedding can be taken from, from input to output.

    Parameters
    ----------
    name : str
        Of the backbone, or an ONNX file, whose outputs are listed; or a preset of keras-hub.

    Returns
    -------
    list of dict
        ``"name"``, and ``"shape"`` of the output for one poster at the registry's input size. An output
        (height, width, D) is pooled to D, and so are the tokens (t, D) of a preset; an output (D,) is used
        as it is.

    Raises
    ------
    SettingError
        If there is no such backbone.

    Examples
    --------
    >>> list_layers("vgg16")[-1]
    {'name': 'block5_pool', 'shape': (7, 7, 512)}
    """
    spec = get_backbone(name)
    if spec.onnx is not None:
        return list_outputs(spec.onnx.file)
    if spec.hub is not None or spec.tuned is not None:
        spec = configure(spec)
    if spec.tuned is not None:
        return [{"name": "last", "shape": (spec.dimension,)}]
    if not spec.application:
        return [{"name": "last", "shape": (spec.dimension,)}]
    start_keras()
    from hybrid.backbones.networks import build_application, layers_by_name

    layers = layers_by_name(build_application(spec))
    outputs = {name: tuple(layer.output.shape[1:]) for name, layer in layers.items()}
    ranks = (1, 3) if spec.hub is None else (1, 2, 3)
    return [{"name": n, "shape": shape} for n, shape in outputs.items() if len(shape) in ranks]


def _where(spec: BackboneSpec) -> str:
    if not spec.weights_url:
        return "train it with hybrid fit-deep"
    return "to be downloaded" if must_download(spec) else "on this machine"
