"""How images are prepared for an ONNX network: what its metadata and the file beside it say.

Understood are the keys of hybrid, of transformers' ``preprocessor_config.json``, of timm's ``config.json``
(``pretrained_cfg``) and of open_clip's ``open_clip_config.json`` (``preprocess_cfg``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from hybrid.backbones.onnx_sidecar import find_sidecar
from hybrid.errors import WeightsError
from hybrid.utils.reading import parse_json, read_json_object

BESIDE = ("preprocessor_config.json", "open_clip_config.json", "config.json")
LAYOUTS = ("NCHW", "NHWC")
_NESTED = ("pretrained_cfg", "preprocess_cfg")


@dataclass(frozen=True)
class OnnxSettings:
    """How images are prepared; None for what is not said."""

    input_size: tuple[int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    scale: float | None = None
    layout: str | None = None
    output: str | None = None
    pooling: str | None = None
    licence: str | None = None


KEYS = frozenset(
    field.name for field in fields(OnnxSettings)
)  # what is said in a file of hybrid's own


def read_settings(path: Path, metadata: Mapping[str, str]) -> OnnxSettings:
    """What is said beside an ONNX file, else in its metadata.

    Parameters
    ----------
    path : Path
        Of the ONNX file. Beside it ``NAME.json`` or ``NAME.onnx.json`` is read, or what names its digest
        (`hybrid.backbones.onnx_sidecar.find_sidecar`); without them ``preprocessor_config.json``,
        ``open_clip_config.json`` or ``config.json``.
    metadata : mapping
        Of the file: values are JSON or plain text.

    Raises
    ------
    WeightsError
        If a value is of another kind; the message lists all.
    """
    others = (p for p in map(path.with_name, BESIDE) if p.is_file())
    beside = find_sidecar(path, KEYS) or next(others, None)
    inside = {key: _parsed(value) for key, value in metadata.items()}
    said = _checked(f"{path} (metadata)", _flat(inside))
    if beside is None:
        return said
    found = read_json_object(beside, WeightsError, remedy="Mend it, or take it away.")
    more = vars(_checked(str(beside), _flat(found)))
    return replace(said, **{key: value for key, value in more.items() if value is not None})


def _parsed(value: str) -> Any:
    try:
        return parse_json(value)
    except ValueError:
        return value


def _flat(told: Mapping[str, Any]) -> dict[str, Any]:
    inner = [told[key] for key in _NESTED if isinstance(told.get(key), Mapping)]
    return {**told, **{key: value for each in inner for key, value in each.items()}}


def _checked(where: str, told: Mapping[str, Any]) -> OnnxSettings:
    problems: list[str] = []

    def take(names: tuple[str, ...], expected: str, read: Any) -> Any:
        for name in names:
            if told.get(name) is not None:
                try:
                    found = read(told[name])
                except (TypeError, ValueError, KeyError):
                    found = None
                if found is None:
                    shown = json.dumps(told[name], default=str)[:80]
                    problems.append(f"{where}: {name}: expected {expected}, found {shown}.")
                return found
        return None

    numbers = "three numbers"
    mean = take(("mean", "image_mean"), numbers, _triple)
    std = take(("std", "image_std"), numbers, _triple)
    size = take(("crop_size", "input_size", "size"), "height and width", _size)
    scale = take(("rescale_factor", "scale"), "a number above 0", _positive)
    layout = take(("layout",), " or ".join(LAYOUTS), lambda v: v if v in LAYOUTS else None)
    texts = {
        ours: take((ours, *others), "a text", lambda v: v if isinstance(v, str) else None)
        for ours, *others in (("output",), ("pooling",), ("licence", "license"))
    }
    if told.get("do_normalize") is False:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if told.get("do_rescale") is False:
        scale = 1.0
    if problems:
        raise WeightsError("\n".join(problems))
    return OnnxSettings(size, mean, std, scale, layout, **texts)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError
    return float(value)


def _positive(value: Any) -> float | None:
    return _number(value) if _number(value) > 0 else None


def _triple(value: Any) -> tuple[float, ...] | None:
    several = value if isinstance(value, list) else [value] * 3
    return tuple(map(_number, several)) if len(several) == 3 else None


def _size(value: Any) -> tuple[int, int] | None:
    """``224``, ``[224, 168]``, ``[3, 224, 168]``, ``{"height": …, "width": …}``, ``{"shortest_edge": …}``."""
    if isinstance(value, Mapping):
        edge = value.get("shortest_edge")
        value = [value["height"], value["width"]] if edge is None else edge
    sides = value if isinstance(value, list) else [value, value]
    if len(sides) == 3:
        sides = sides[1:]
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        return None
    return sides[0], sides[1]
