"""Backbones that come with their weights (ONNX files, presets, tuned ones), as a run has recorded them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hybrid.backbones import BackboneSpec, get_backbone
from hybrid.backbones.hub_presets import downloads_folder, find_preset
from hybrid.backbones.hub_record import WEIGHTS_FILE, HubImages
from hybrid.backbones.onnx_record import OnnxImages, Triple
from hybrid.backbones.registry import HUB
from hybrid.errors import HybridError, WeightsError
from hybrid.runs.record_parts import BackboneRecord
from hybrid.runs.recorded_files import find_weights_file


def find_recorded_file(folder: Path, backbone: BackboneRecord) -> str:
    """Find the file of weights of a recorded backbone, as `find_weights_file` does.

    A preset of keras-hub may lie among the downloads of kagglehub, too; one that is not there any more is
    taken from where it came from.

    Parameters
    ----------
    folder : Path
        The run folder.
    backbone : BackboneRecord

    Raises
    ------
    WeightsError
        If there is none.
    """
    if not backbone.name.startswith(HUB):
        return find_weights_file(folder, backbone.name, backbone.weights)
    try:
        return find_weights_file(folder, backbone.name, backbone.weights, downloads_folder())
    except WeightsError as error:
        try:
            return str(find_preset(backbone.name.removeprefix(HUB)) / WEIGHTS_FILE)
        except HybridError:
            raise error from None


def recorded_spec(backbone: BackboneRecord, weights: str) -> BackboneSpec:
    """The backbone of a record, for weights that are found for it.

    A network that comes with its weights keeps the recorded name and preparation, wherever it lies and
    whatever it is called: the digest tells whether it is the one.

    Parameters
    ----------
    backbone : BackboneRecord
    weights : str
        An ONNX file, the file or folder of a preset of keras-hub, or ``tuned.json`` of a tuned backbone or
        its folder; not used for other backbones.

    Examples
    --------
    >>> spec = recorded_spec(BackboneRecord(name="vit.onnx"), "models/renamed.onnx")
    >>> spec.name, spec.own_file.name
    ('vit.onnx', 'renamed.onnx')
    """
    path = Path(weights)
    if is_recorded_tuned(backbone):
        return get_backbone(str(path if path.is_dir() else path.parent))
    spec = get_backbone(backbone.name)
    said = backbone.key.get("preprocessing")
    said = said if isinstance(said, Mapping) else {}
    if spec.onnx is not None:
        kinds = {"layout": str, "scale": float}
        known = {name: said[name] for name, kind in kinds.items() if type(said.get(name)) is kind}
        return replace(spec, onnx=OnnxImages(path, **known))
    if spec.hub is not None:
        folder = path if path.is_dir() else path.absolute().parent
        scale, offset = _triple(said.get("scale")), _triple(said.get("offset"))
        return replace(spec, hub=HubImages(spec.hub.preset, folder, scale=scale, offset=offset))
    return spec


def is_recorded_tuned(backbone: BackboneRecord) -> bool:
    """Whether a recorded backbone is one that was tuned to labels.

    Examples
    --------
    >>> is_recorded_tuned(BackboneRecord(name="vgg16"))
    False
    """
    return bool(backbone.key.get("tuned"))


def _triple(value: Any) -> Triple | None:
    if isinstance(value, list | tuple) and [type(each) for each in value] == [float] * 3:
        return value[0], value[1], value[2]
    return None


def recorded_colours(said: Any) -> dict[str, Any]:
    """Mean and standard deviation, as options, of an ONNX file that takes colours as numbers.

    A preset of keras-hub has them as scale and offset, see `recorded_spec`.

    Examples
    --------
    >>> recorded_colours({"mean": [0, 0, 0], "std": [1, 1, 1], "dtype": "float32"})["std"]
    (1.0, 1.0, 1.0)
    >>> recorded_colours("caffe")
    {}
    """
    if isinstance(said, str) or "network" in said or said["dtype"] == "uint8":
        return {}
    return {name: tuple(map(float, said[name])) for name in ("mean", "std")}
