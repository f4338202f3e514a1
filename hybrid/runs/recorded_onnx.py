"""Backbones of ONNX files as a run has recorded them."""

from __future__ import annotations

from typing import Any

from hybrid.backbones.registry import ONNX
from hybrid.runs.record_parts import BackboneRecord


def backbone_or_file(backbone: BackboneRecord, weights: str) -> str:
    """The name of a recorded backbone, or the ONNX file that is found for it, network and weights in one.

    Examples
    --------
    >>> backbone_or_file(BackboneRecord(name="vit.onnx"), "models/vit.onnx")
    'models/vit.onnx'
    """
    return weights if backbone.name.endswith(ONNX) else backbone.name


def recorded_colours(said: Any) -> dict[str, Any]:
    """Mean and standard deviation, as options, of an ONNX file that takes colours as numbers.

    Examples
    --------
    >>> recorded_colours({"mean": [0, 0, 0], "std": [1, 1, 1], "dtype": "float32"})["std"]
    (1.0, 1.0, 1.0)
    >>> recorded_colours("caffe")
    {}
    """
    if isinstance(said, str) or said["dtype"] == "uint8":
        return {}
    return {name: tuple(map(float, said[name])) for name in ("mean", "std")}
