"""Image encoders in ONNX files: how posters go in, and embeddings come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hybrid.backbones.onnx_header import OnnxHeader, OnnxTensor, read_onnx_header
from hybrid.backbones.onnx_record import NOTHING, UNIT, OnnxImages, Triple
from hybrid.backbones.onnx_settings import KEYS, OnnxSettings, read_settings
from hybrid.backbones.onnx_sidecar import describe_strays
from hybrid.backbones.registry import FITS, BackboneSpec, get_backbone
from hybrid.errors import SettingError, WeightsError

# Pooling by the number of axes of the output; the first is the default.
POOLINGS = {2: ("none",), 3: ("cls", "mean"), 4: ("avg", "max")}
INPUTS = ("float32", "float16", "uint8")
OUTPUTS = ("float32", "float16")
LARGEST = 4096  # height or width in pixels
KNOWN = (
    "timm and torchvision mostly use --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225; SigLIP --mean "
    "0.5,0.5,0.5 --std 0.5,0.5,0.5; CLIP --mean 0.4815,0.4578,0.4082 --std 0.2686,0.2613,0.2758"
)


def read_onnx_backbone(
    path: str | Path,
    *,
    layer: str = "last",
    pooling: str | None = None,
    input_size: tuple[int, int] | None = None,
    fit: str = "squash",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    known: BackboneSpec | None = None,
) -> BackboneSpec:
    """Read an ONNX file's inputs and outputs, and the file beside it that says how images are prepared.

    Parameters
    ----------
    path : str or Path
    layer : str, default="last"
        Name of the output; ``"last"`` where there is one.
    pooling : {"none", "cls", "mean", "avg", "max"}, optional
        Of tokens ``"cls"`` (the first; the default) or ``"mean"``, of feature maps ``"avg"`` (the default) or
        ``"max"``.
    input_size : tuple of (int, int), optional
        Height and width; by default those of the file, or of the file beside it.
    fit : {"squash", "pad", "crop"}, default="squash"
    mean, std : sequence of three float, optional
        Of red, green, blue, as numbers from 0 to 1.
    known : BackboneSpec, optional
        Its name, and layout and scale where it has them, count before what is said beside the file; by
        default nothing is known but the file.

    Returns
    -------
    BackboneSpec

    Raises
    ------
    WeightsError
        If the file is damaged, or takes or gives something else than images and embeddings.
    SettingError
        If input size, mean or standard deviation are said nowhere, or an option does not fit the file.

    Examples
    --------
    >>> read_onnx_backbone("vit.onnx", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)).dimension  # doctest: +SKIP
    768
    """
    path = Path(path)
    header = read_onnx_header(path)
    known = known or get_backbone(str(path))
    said = _said(path, header, known.onnx)
    image = _image_input(path, header)
    layout = _layout(path, image, said)
    output = _output(path, header, said.output if layer == "last" else layer)
    maps_first = layout == "NCHW"
    dimension = output.shape[1 if len(output.shape) == 4 and maps_first else -1]
    problems = [] if dimension else [_open_dimension(path, output)]
    height, width = image.shape[2:] if layout == "NCHW" else image.shape[1:3]
    size = input_size or said.input_size or (height or 0, width or 0)
    problems += _size_problems(path, size, (height, width), image)
    if fit not in FITS:
        problems.append(f"--fit: expected {' or '.join(FITS)}, found {fit!r}.")
    rank = len(output.shape)
    chosen = pooling or (said.pooling if said.pooling in POOLINGS[rank] else POOLINGS[rank][0])
    if chosen not in POOLINGS[rank]:
        problems.append(
            f"--pooling: expected {' or '.join(POOLINGS[rank])} for the output {output}, found {chosen!r}."
        )
    means, deviations = _colours(path, image, said, mean, std, problems)
    if problems:
        raise SettingError("\n".join(problems))
    return replace(
        known,
        input_size=size,
        pooling=chosen,
        dimension=dimension or 0,
        parameters=header.parameters,
        licence=said.licence or "unknown",
        source=str(path),
        layer=output.name,
        fit=fit,
        onnx=OnnxImages(
            file=path.absolute(),
            input=image.name,
            output=output.name,
            layout=layout,
            dtype=image.dtype,
            mean=means,
            std=deviations,
            scale=1.0 if image.dtype == "uint8" else said.scale or 1 / 255,
            rank=rank,
            batch=image.shape[0],
        ),
    )


def list_outputs(path: str | Path) -> list[dict[str, Any]]:
    """The outputs of an ONNX file, as `hybrid.backbones.listing.list_layers` lists layers."""
    return [
        {"name": each.name, "shape": tuple("?" if s is None else s for s in each.shape[1:])}
        for each in read_onnx_header(path).outputs
    ]


def _said(path: Path, header: OnnxHeader, known: OnnxImages | None) -> OnnxSettings:
    """What is said beside the file and in it, and what is known from before."""
    said = read_settings(path, header.metadata)
    if known is None:
        return said
    return replace(said, layout=known.layout or said.layout, scale=known.scale or said.scale)


def _image_input(path: Path, header: OnnxHeader) -> OnnxTensor:
    fits = [i for i in header.inputs if len(i.shape) == 4 and i.dtype in INPUTS]
    if len(header.inputs) != 1 or len(fits) != 1:
        found = "; ".join(map(str, header.inputs)) or "none"
        raise WeightsError(
            f"{path}: expected one input, of images: (n, 3, height, width) or (n, height, width, 3), "
            f"{' or '.join(INPUTS)}; found {found}. Export the image encoder alone."
        )
    return fits[0]


def _layout(path: Path, image: OnnxTensor, said: OnnxSettings) -> str:
    there = {"NCHW": image.shape[1], "NHWC": image.shape[3]}
    possible = [name for name, channels in there.items() if channels in (3, None)]
    certain = [name for name, channels in there.items() if channels == 3]
    layout = said.layout or (certain[0] if len(certain) == 1 else "")
    if not possible or (layout and layout not in possible):
        raise WeightsError(
            f"{path}: expected 3 channels{f' in the layout {layout}' if layout else ''}, found the input "
            f"{image}. Export the network for colour images."
        )
    if not layout:
        raise SettingError(
            f"{path}: expected a layout, found none in the input {image}. Say it in "
            f"{path.with_suffix('.json').name} as "
            '{"layout": "NCHW"} or "NHWC".'
        )
    return layout


def _output(path: Path, header: OnnxHeader, name: str | None) -> OnnxTensor:
    listed = "; ".join(map(str, header.outputs))
    chosen = [each for each in header.outputs if name in (None, each.name)]
    if len(chosen) != 1:
        wanted = "one output" if name is None else f"an output {name}"
        raise SettingError(
            f"{path}: expected {wanted}, found {listed}. Choose one with --layer NAME."
        )
    if len(chosen[0].shape) not in POOLINGS or chosen[0].dtype not in OUTPUTS:
        raise WeightsError(
            f"{path}: expected an output (n, D), (n, tokens, D) or of feature maps, {' or '.join(OUTPUTS)}, "
            f"found {chosen[0]}. Choose another with --layer NAME, or export the network without its "
            "classifier."
        )
    return chosen[0]


def _open_dimension(path: Path, output: OnnxTensor) -> str:
    return (
        f"{path}: expected an output whose length of an embedding is fixed, found {output}. Export the "
        "network with only the batch left open."
    )


def _size_problems(
    path: Path,
    size: tuple[int, int],
    fixed: tuple[int | None, int | None],
    image: OnnxTensor,
) -> list[str]:
    if not all(size):
        return [
            f"--input-size: expected the input size of {path}, found none: the file leaves it open "
            f"({image}). Give the option, or say it in the file beside it."
        ]
    if any(known not in (None, side) for known, side in zip(fixed, size, strict=True)):
        return [
            f"--input-size: expected {fixed[0] or '?'} x {fixed[1] or '?'}, which {path} fixes, found "
            f"{size[0]} x {size[1]}. Leave it out, or export the network for that size."
        ]
    if not all(1 <= side <= LARGEST for side in size):
        return [
            f"--input-size: expected height and width from 1 to {LARGEST}, found {size[0]} x {size[1]}."
        ]
    return []


def _colours(
    path: Path,
    image: OnnxTensor,
    said: OnnxSettings,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    problems: list[str],
) -> tuple[Triple, Triple]:
    """Mean and standard deviation: of the options, else as said; they are not guessed."""
    means, deviations = mean or said.mean, std or said.std
    if image.dtype == "uint8":
        if mean or std:
            problems.append(
                f"--mean, --std: expected neither for the input {image}, which takes pixels as they are."
            )
        return NOTHING, UNIT
    if means is None or deviations is None:
        lacks = [
            name for name, there in (("--mean", means), ("--std", deviations)) if there is None
        ]
        beside = f"{path.with_suffix('.json').name} or preprocessor_config.json"
        strays = describe_strays(path, KEYS)
        problems.append(
            f"{', '.join(lacks)}: expected what {path} was trained with, found it neither in the file nor "
            f"beside it ({beside}). {KNOWN}.{' ' * bool(strays)}{strays}"
        )
        return NOTHING, UNIT
    if min(deviations) <= 0:
        problems.append(f"--std: expected three numbers above 0, found {deviations}.")
    return (means[0], means[1], means[2]), (deviations[0], deviations[1], deviations[2])
