"""Presets of keras-hub as backbones: found by name or folder."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from hybrid.backbones.hub_config import (
    CONFIG,
    CONVERTER,
    LARGEST,
    NETWORKS,
    read_converter,
    read_network,
    read_size,
)
from hybrid.backbones.hub_record import WEIGHTS_FILE, HubImages
from hybrid.backbones.licences import UNKNOWN, read_licence
from hybrid.backbones.onnx_record import Triple
from hybrid.backbones.registry import BESIDE, FITS, HUB, BackboneSpec, get_backbone
from hybrid.backbones.startup import start_keras
from hybrid.errors import (
    MissingExtraError,
    NotDownloadedError,
    SettingError,
    WeightsError,
    unknown_name,
)
from hybrid.utils.environment import home_folder
from hybrid.utils.read_only import may_download
from hybrid.utils.reading import parse_json

# Those whose first token stands for the whole image.
WITH_CLASS_TOKEN = ("DeiTBackbone", "DINOV2Backbone", "DINOV3Backbone", "ViTBackbone")
POOLINGS = {2: ("none",), 3: ("cls", "mean", "max"), 4: ("avg", "max", "gem")}
# By the start of a preset's name: as its page says, https://huggingface.co/keras.
LICENCES = {"resnet_": "Apache-2.0", "efficientnet_": "Apache-2.0", "densenet_": "BSD 3-clause"}


def read_hub_backbone(
    known: BackboneSpec,
    *,
    layer: str = "last",
    pooling: str | None = None,
    input_size: tuple[int, int] | None = None,
    fit: str = "squash",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> BackboneSpec:
    """Read a preset of keras-hub, and build its network once to see what it gives.

    Parameters
    ----------
    known : BackboneSpec
        With its name or folder. Scale and offset that it has count before the preset's.
    layer : str, default="last"
    pooling : {"avg", "max", "gem", "cls", "mean", "none"}, optional
        Of feature maps ``"avg"`` (the default), ``"max"`` or ``"gem"``; of tokens ``"cls"``, the first (the
        default where it stands for the image), ``"mean"`` or ``"max"``.
    input_size : tuple of (int, int), optional
        Height and width; by default the preset's.
    fit : {"squash", "pad", "crop"}, default="squash"
    mean, std : sequence of three float, optional
        Of red, green, blue, as numbers from 0 to 1; by default the preset's.

    Returns
    -------
    BackboneSpec

    Raises
    ------
    MissingExtraError
        Without the package keras-hub.
    WeightsError
        If the preset cannot be found or downloaded, is damaged, or is no image encoder.
    SettingError
        If an option does not fit it, or size or colours are said nowhere.

    Examples
    --------
    >>> from hybrid.backbones import get_backbone
    >>> read_hub_backbone(get_backbone("keras-hub:resnet_18_imagenet")).dimension  # doctest: +SKIP
    512
    """
    assert known.hub is not None, "a preset of keras-hub"
    require_keras_hub()
    folder = known.hub.folder or find_preset(known.hub.preset)
    network, config, shape = read_network(folder)
    said = read_converter(folder)
    size = input_size or read_size(said.get("image_size")) or read_size(shape) or (0, 0)
    problems = list(_size_problems(known.name, size))
    if fit not in FITS:
        problems.append(f"--fit: expected {' or '.join(FITS)}, found {fit!r}.")
    scale, offset = _colours(known, folder, said, mean, std, problems)
    if problems:
        raise SettingError("\n".join(problems))
    hub = HubImages(known.hub.preset, folder, network, config, scale, offset)
    spec = replace(
        known,
        application=network,
        arguments=(("config", config),),
        input_size=size,
        preprocessing=f"{scale} * x + {offset}",
        pooling=pooling or "",
        layer=layer,
        fit=fit,
        licence=_licence(known.name, folder),
        source=str(folder),
        hub=hub,
    )
    return _measured(spec, pooling)


def require_keras_hub() -> None:
    """Raise where the package keras-hub is not installed."""
    if importlib.util.find_spec("keras_hub") is None:
        raise MissingExtraError(
            "--backbone keras-hub:…: expected the package keras-hub, found that it is not installed. Install "
            'it with: pip install "hybrid-posters[keras-hub]"'
        )


def downloads_folder() -> Path:
    """The folder where kagglehub, through which keras-hub downloads, keeps its files.

    Examples
    --------
    >>> downloads_folder().is_absolute()
    True
    """
    said = os.environ.get("KAGGLEHUB_CACHE")
    return Path(said).absolute() if said else home_folder() / ".cache" / "kagglehub"


def find_preset(preset: str, *, download: bool = True) -> Path:
    """The folder of a preset of keras-hub; it is downloaded if need be.

    Parameters
    ----------
    preset : str
        Its name.
    download : bool, default=True
        Whether one that is not on this machine is downloaded, unless for a plan; else it is an error.

    Raises
    ------
    MissingExtraError
        Without the package keras-hub.
    SettingError
        If keras-hub has no preset of this name.
    WeightsError
        If it is not on this machine, and cannot or shall not be downloaded.
    """
    require_keras_hub()
    start_keras()
    from hybrid.backbones.hub_network import download_preset, preset_handles

    handles = preset_handles(NETWORKS)
    if preset not in handles:
        found = unknown_name("preset of keras-hub", preset, handles)
        short = str(found).partition(" Known:")[0]  # there are hundreds
        raise SettingError(
            f"--backbone {HUB}{preset}: expected a folder, or the name of an image encoder. {short}"
        )
    folder = downloads_folder() / "models" / handles[preset].removeprefix("kaggle://")
    here = (folder / CONFIG).is_file() and (folder / WEIGHTS_FILE).is_file()
    download = download and may_download()
    if not here and not download:
        raise NotDownloadedError(_absent(preset, "this command downloads nothing."))
    if not download:
        return folder
    try:
        return download_preset(handles[preset], (CONFIG, WEIGHTS_FILE), (CONVERTER,))
    except Exception as error:
        # Of several libraries: network, server, disk, name.
        if here:
            return folder
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        raise WeightsError(_absent(preset, f"cannot be downloaded: {first}")) from error


def without_download(spec: BackboneSpec) -> BackboneSpec:
    """A backbone whose preset, where it is one, is found on this machine.

    Raises
    ------
    WeightsError
        If it would have to be downloaded.
    """
    if spec.hub is None or spec.hub.folder is not None:
        return spec
    folder = find_preset(spec.hub.preset, download=False)
    return replace(spec, hub=replace(spec.hub, folder=folder))


def _absent(preset: str, why: str) -> str:
    return (
        f"the preset {preset} of keras-hub is not on this machine, and {why}\nWhere a network is, run: hf "
        f"download keras/{preset} --local-dir FOLDER; then name the folder with --backbone {HUB}FOLDER."
    )


def _size_problems(name: str, size: tuple[int, int]) -> Iterator[str]:
    if not all(size):
        yield f"--input-size: expected that of {name}, which leaves it open, found none. Give the option."
    elif not all(1 <= side <= LARGEST for side in size):
        yield f"--input-size: expected height and width from 1 to {LARGEST}, found {size[0]} x {size[1]}."


def _colours(
    known: BackboneSpec,
    folder: Path,
    said: Mapping[str, Any],
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    problems: list[str],
) -> tuple[Triple, Triple]:
    """Scale and offset of pixels: of the options, else as known, else of the preset; they are not guessed."""
    unit, nothing = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
    if (mean is None) != (std is None):
        problems.append("--mean, --std: expected both or none of them, found one.")
        return unit, nothing
    if mean is not None and std is not None:
        if min(std) <= 0:
            problems.append(f"--std: expected three numbers above 0, found {tuple(std)}.")
            return unit, nothing
        return _triple(1 / (255 * s) for s in std), _triple(
            -m / s for m, s in zip(mean, std, strict=True)
        )
    if known.hub is not None and known.hub.scale and known.hub.offset:
        return known.hub.scale, known.hub.offset
    path = folder / CONVERTER
    if not said:
        problems.append(
            f"--mean, --std: expected what {known.name} was trained with, found no {path}. Give both options."
        )
        return unit, nothing
    found = {}
    for name, otherwise in (("scale", unit), ("offset", nothing)):
        value = said.get(name)
        several = value if isinstance(value, list) else [value] * 3
        if value is None and not {"mean", "variance"} & said.keys():
            found[name] = otherwise
        elif len(several) == 3 and all(_is_number(each) for each in several):
            found[name] = _triple(several)
        else:
            problems.append(
                f"{path}: expected a number or three at {name}, found {str(value)[:80]}. Say the colours "
                "with --mean and --std."
            )
            found[name] = otherwise
    return found["scale"], found["offset"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _triple(values: Any) -> Triple:
    first, second, third = map(float, values)
    return first, second, third


def _licence(name: str, folder: Path) -> str:
    """Of the preset's own page, which its folder may have; else of the table of known presets."""
    said = read_licence(folder)
    if said != UNKNOWN or not folder.is_relative_to(downloads_folder()):
        return said
    return preset_licence(name.removeprefix(HUB))


def preset_licence(preset: str) -> str:
    """The licence of a preset of keras-hub by its name; ``"unknown"`` where the name does not tell.

    Examples
    --------
    >>> preset_licence("resnet_18_imagenet"), preset_licence("vit_base_patch16_224_imagenet")
    ('Apache-2.0', 'unknown')
    """
    known = (found for start, found in LICENCES.items() if preset.startswith(start))
    return next(known, UNKNOWN)


def _measured(spec: BackboneSpec, pooling: str | None) -> BackboneSpec:
    """The spec with the rank of its layer's output, its length, and the number of parameters."""
    assert spec.hub is not None, "a preset of keras-hub"
    network = HubImages("", None, spec.hub.network, spec.hub.config)
    shapes, parameters = _measure(network, spec.input_size, spec.layer, spec.name)
    ranks, lengths = {len(shape) for shape in shapes}, [shape[-1] for shape in shapes]
    rank = min(ranks)
    if len(ranks) > 1 or rank not in POOLINGS or None in lengths:
        raise SettingError(
            "--layer: expected an output (n, D), (n, tokens, D) or of feature maps, of several the same "
            f"kind, found {', '.join(map(str, shapes))} at {spec.layer!r}. List the layers with: hybrid "
            f"backbones --layers {spec.name}"
        )
    tokens = "cls" if _has_class_token(spec.hub) else "mean"
    chosen = pooling or {3: tokens}.get(rank, POOLINGS[rank][0])
    if chosen not in POOLINGS[rank]:
        raise SettingError(
            f"--pooling: expected {' or '.join(POOLINGS[rank])} for {spec.name}, found {chosen!r}."
        )
    return replace(
        spec,
        pooling=chosen,
        dimension=sum(length or 0 for length in lengths),
        parameters=parameters,
        hub=replace(spec.hub, rank=rank),
    )


@cache
def _measure(
    hub: HubImages, size: tuple[int, int], layer: str, name: str
) -> tuple[list[tuple[int | None, ...]], int]:
    """Shape of the output of each layer, and number of parameters of the whole network."""
    start_keras()
    from hybrid.backbones.networks import build_application, named_layer

    spec = replace(get_backbone(name), application=hub.network, input_size=size, hub=hub)
    application = build_application(spec)
    outputs = [
        application.outputs[0]
        if each == "last"
        else named_layer(replace(spec, layer=each), application).output
        for each in layer.split(BESIDE)
    ]
    return [tuple(output.shape) for output in outputs], int(application.count_params())


def _has_class_token(hub: HubImages) -> bool:
    wanted = parse_json(hub.config).get("use_class_token", True) is not False
    return hub.network in WITH_CLASS_TOKEN and wanted
