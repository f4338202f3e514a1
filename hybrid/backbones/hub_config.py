"""The files of a preset of keras-hub, read without running anything of them.

``config.json`` names a class and its arguments. The class must be one of `NETWORKS`, and the arguments plain
numbers, words and lists: Keras' own loader, which makes any object that a file names, is not used.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hybrid.backbones.hub_record import WEIGHTS_FILE
from hybrid.backbones.weightfile import read_layers
from hybrid.errors import WeightsError
from hybrid.utils.counts import counted
from hybrid.utils.reading import read_json_object

# Image encoders of keras-hub: posters → feature maps or tokens.
NETWORKS = (
    *("CSPNetBackbone", "DeiTBackbone", "DenseNetBackbone", "DINOV2Backbone", "DINOV3Backbone"),
    *("EfficientNetBackbone", "HGNetV2Backbone", "MiTBackbone", "MobileNetBackbone"),
    *(
        "ResNetBackbone",
        "SwinTransformerBackbone",
        "VGGBackbone",
        "ViTBackbone",
        "XceptionBackbone",
    ),
)
CONFIG, CONVERTER = "config.json", "image_converter.json"
SIZES = ("image_shape", "input_shape")  # arguments: the size of an image
NOT_ARGUMENTS = ("name", "trainable", "dtype", "data_format")
LONGEST = 100  # list or text of an argument
LARGEST = 4096  # height or width in pixels


def read_network(folder: Path) -> tuple[str, str, Any]:
    """Read the network that a preset's ``config.json`` describes.

    Returns
    -------
    network : str
        One of `NETWORKS`.
    config : str
        Its arguments in canonical JSON, without the size of an image.
    shape : object
        The size of an image as the file says it.

    Raises
    ------
    WeightsError
        If the file is damaged, names another class, or has anything but plain values.
    """
    path = folder / CONFIG
    found = _read_object(path)
    network, config = found.get("class_name"), found.get("config")
    if network not in NETWORKS or found.get("registered_name") != f"keras_hub>{network}":
        raise WeightsError(
            f"{path}: expected a preset of keras-hub that is an image encoder ({', '.join(NETWORKS)}), found "
            f"{str(found.get('registered_name') or network)[:80]!r}. Export other encoders to ONNX."
        )
    if not isinstance(config, Mapping):
        raise WeightsError(f"{path}: expected the arguments of {network} at config, found none.")
    arguments = {name: value for name, value in config.items() if name not in NOT_ARGUMENTS}
    shape = next((arguments.pop(name) for name in SIZES if name in arguments), None)
    problems = list(_plain_problems(arguments, _limits(folder)))
    if problems:
        raise WeightsError("\n".join(f"{path}: {problem}" for problem in problems))
    return str(network), json.dumps(arguments, sort_keys=True), shape


def _read_object(path: Path) -> dict[str, Any]:
    return read_json_object(path, WeightsError, "JSON, as keras-hub's save_to_preset writes it")


def _limits(folder: Path) -> tuple[int, int]:
    """What the weights allow: the largest width and the number of layers, so that nothing larger is built."""
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise WeightsError(
            f"{path}: expected the weights of the preset in one file, found none. Those of several files are "
            "not read: save the preset again, with max_shard_size=None."
        )
    shapes = [shape for layer in read_layers(path) for shape in layer.shapes]
    return max([1024, *(4 * max(shape, default=1) for shape in shapes)]), len(shapes)


def _plain_problems(arguments: Mapping[str, Any], limits: tuple[int, int]) -> Iterator[str]:
    largest, most = limits
    depth = 0
    for name, value in arguments.items():
        values = list(_leaves(value))
        if not all(_is_plain(each) for each in values) or len(values) > LONGEST:
            yield f"{name}: expected plain numbers, words or lists, found {str(value)[:80]}."
            continue
        numbers = [each for each in values if isinstance(each, int | float)]
        most_here = LARGEST if name == "position_embedding_shape" else largest
        if any(abs(each) > most_here for each in numbers):
            found = max(numbers, key=abs)
            yield f"{name}: expected at most {most_here:,}, as the weights have it, found {found:,}."
        if any(word in name for word in ("num_layers", "repeat", "num_blocks", "depths")):
            depth += sum(int(each) for each in numbers)
    if depth > most:
        yield f"expected at most {counted(most, 'layer')}, as the weights have arrays, found {depth:,}."


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    else:
        yield value


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, int)


def read_converter(folder: Path) -> dict[str, Any]:
    """How an image is prepared: the arguments of the preset's image converter; empty where it has none."""
    path = folder / CONVERTER
    if not path.is_file():
        return {}
    config = _read_object(path).get("config")
    return dict(config) if isinstance(config, Mapping) else {}


def read_size(value: Any) -> tuple[int, int] | None:
    """``[224, 168]`` or ``[224, 168, 3]``; None where a side is open."""
    sides = value[:2] if isinstance(value, list) and len(value) in (2, 3) else []
    if len(sides) != 2 or not all(type(side) is int for side in sides):
        return None
    return sides[0], sides[1]
