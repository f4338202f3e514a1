"""A registry's spec → the spec of what the user wants of it. Keras only where it must count."""

from __future__ import annotations

from collections.abc import Iterable
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
) -> BackboneSpec:
    """Choose the layer, pooling, input size and fit of a backbone.

    Parameters
    ----------
    spec : BackboneSpec
        From the registry.
    layer : str
        Whose output is pooled; ``"last"``, or a name that `hybrid.backbones.listing.list_layers`
        gives.
    pooling : {"avg", "max", "gem"}, optional
        The registry's where it is not given.
    input_size : (height, width), optional
        Pixels; the registry's where it is not given. They may differ.
    fit : {"squash", "pad", "crop"}
        How a poster is brought to the input size.

    Returns
    -------
    BackboneSpec
        With the `dimension` that this layer has. `gflops` (and `parameters` of a net with dense layers) stay
        those of the registry's input size and the whole network.

    Raises
    ------
    SettingError
        Lists everything that is wrong.
    """
    chosen = replace(
        spec,
        layer=layer,
        pooling=spec.pooling if pooling is None else pooling,
        input_size=spec.input_size if input_size is None else (input_size[0], input_size[1]),
        fit=fit,
    )
    problems = [*_size_problems(chosen), *_name_problems(chosen)]
    if spec.application and layer != "last":
        try:
            chosen = replace(chosen, dimension=_dimension(spec, layer))
        except SettingError as error:
            problems.append(str(error))
    if problems:
        raise SettingError("\n".join(problems))
    return chosen


def _size_problems(spec: BackboneSpec) -> Iterable[str]:
    height, width = spec.input_size
    if min(height, width) < spec.min_side:
        yield (
            f"--input-size: expected height and width of {spec.min_side} or more, which is what "
            f"{spec.name} can take, found {height} x {width}."
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
    """Length of what a layer gives; it depends neither on the pooling nor on the input size."""
    start_keras()
    from hybrid.backbones.networks import build_body

    return int(build_body(replace(spec, layer=layer)).output_shape[-1])
