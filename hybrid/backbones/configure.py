"""Configure a backbone: layer, pooling, input size, and how a poster is resized to it.

Keras is started only to find the dimension of an intermediate layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache

from hybrid.backbones.registry import FITS, POOLINGS, BackboneSpec
from hybrid.backbones.startup import start_keras
from hybrid.errors import SettingError


def configure(
    spec: BackboneSpec,
    *,
    layer: str = "last",
    pooling: str | None = None,
    input_size: tuple[int, int] | None = None,
    fit: str = "squash",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> BackboneSpec:
    """Change layer, pooling, input size or resizing of a backbone.

    Parameters
    ----------
    spec : BackboneSpec
        From the registry.
    layer : str, default="last"
        Name of the layer whose output is pooled, one of `hybrid.backbones.listing.list_layers`; or
        ``"last"``. Several, such as ``"last+block4_pool"``, are computed in one pass and put side by side.
    pooling : {"avg", "max", "gem"}, optional
        By default that of the registry.
    input_size : tuple of (int, int), optional
        Height and width in pixels; by default those of the registry.
    fit : {"squash", "pad", "crop"}, default="squash"
        How a poster is resized to the input size: stretched; whole, with borders; its centre.

    mean, std : sequence of three float, optional
        Of an ONNX file or a preset of keras-hub alone; for those, see
        `hybrid.backbones.onnx_images.read_onnx_backbone` and
        `hybrid.backbones.hub_presets.read_hub_backbone`.

    Returns
    -------
    BackboneSpec
        Its `dimension` is that of the layer, or of the layers together. Its `gflops` (and its
        `parameters`, if the network has dense layers) still are those of the registry's input size and of
        the whole network.

    Raises
    ------
    SettingError
        If anything is out of range; the message lists all problems.

    Examples
    --------
    >>> from hybrid.backbones import get_backbone
    >>> spec = configure(get_backbone("vgg16"), pooling="max", input_size=(272, 184))
    >>> spec.pooling, spec.input_size, spec.dimension
    ('max', (272, 184), 512)
    >>> configure(get_backbone("vgg16"), fit="stretch")
    Traceback (most recent call last):
    ...
    hybrid.errors.SettingError: --fit: expected squash or pad or crop, found 'stretch'.
    """
    if spec.onnx is not None:
        from hybrid.backbones.onnx_images import read_onnx_backbone

        return read_onnx_backbone(
            spec.onnx.file,
            layer=layer,
            pooling=pooling,
            input_size=input_size,
            fit=fit,
            mean=mean,
            std=std,
            known=spec,
        )
    if spec.hub is not None:
        from hybrid.backbones.hub_presets import read_hub_backbone

        return read_hub_backbone(
            spec,
            layer=layer,
            pooling=pooling,
            input_size=input_size,
            fit=fit,
            mean=mean,
            std=std,
        )
    colours = _colour_problems(spec, mean, std)
    if spec.tuned is not None:
        from hybrid.backbones.tuned import read_tuned_backbone

        if colours:
            raise SettingError("\n".join(colours))
        return read_tuned_backbone(
            spec, layer=layer, pooling=pooling, input_size=input_size, fit=fit
        )
    chosen = replace(
        spec,
        layer=layer,
        pooling=spec.pooling if pooling is None else pooling,
        input_size=spec.input_size if input_size is None else (input_size[0], input_size[1]),
        fit=fit,
    )
    problems = [*_size_problems(chosen), *_name_problems(chosen), *colours]
    if spec.application and layer != "last":
        try:
            chosen = replace(chosen, dimension=_dimension(spec, layer))
        except SettingError as error:
            problems.append(str(error))
    if problems:
        raise SettingError("\n".join(problems))
    return chosen


def _colour_problems(
    spec: BackboneSpec, mean: Sequence[float] | None, std: Sequence[float] | None
) -> list[str]:
    if not (mean or std):
        return []
    return [
        f"--mean, --std: expected an ONNX file or a preset of keras-hub with them, found {spec.name}."
    ]


def _size_problems(spec: BackboneSpec) -> Iterable[str]:
    height, width = spec.input_size
    if min(height, width) < spec.min_side:
        yield (
            f"--input-size: expected height and width of {spec.min_side} or more for {spec.name}, "
            f"found {height} x {width}."
        )


def _name_problems(spec: BackboneSpec) -> Iterable[str]:
    poolings = POOLINGS if spec.application else ("dense",)
    if spec.pooling not in poolings:
        yield _unexpected("--pooling", poolings, spec.pooling, f" for {spec.name}")
    if not spec.application and spec.layer != "last":
        yield _unexpected("--layer", ("last",), spec.layer, f" for {spec.name}")
    if spec.fit not in FITS:
        yield _unexpected("--fit", FITS, spec.fit)


def _unexpected(option: str, expected: Iterable[str], found: str, where: str = "") -> str:
    return f"{option}: expected {' or '.join(expected)}{where}, found {found!r}."


@cache
def _dimension(spec: BackboneSpec, layer: str) -> int:
    """Embedding dimension of a layer; it depends neither on the pooling nor on the input size."""
    start_keras()
    from hybrid.backbones.networks import build_body

    return int(build_body(replace(spec, layer=layer)).output_shape[-1])
