"""The weights of one fold of a tuned text encoder: its last layers and its head, in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybrid.errors import WeightsError
from hybrid.text_encoders.arrays import Affine, EncoderArrays, LayerArrays, read_tensors

Floats = NDArray[np.float32]
HEAD = "head"
PARTS = tuple(part.name for part in fields(LayerArrays))
ENDS = ("kernel", "bias")


def array_names(first: int, layers: int) -> list[str]:
    """Names of all arrays of a fold whose layers from `first` on learnt.

    Examples
    --------
    >>> array_names(1, 2)[:2], array_names(1, 2)[-1]
    (['layer_1_attention.kernel', 'layer_1_attention.bias'], 'head.bias')
    """
    places = [f"layer_{number}_{part}" for number in range(first, layers) for part in PARTS]
    return [f"{place}.{end}" for place in (*places, HEAD) for end in ENDS]


def read_fold(path: Path, base: EncoderArrays, layers: int) -> tuple[EncoderArrays, Affine]:
    """Read the weights of one encoder.

    Parameters
    ----------
    path : Path
    base : EncoderArrays
        Of the encoder that it started from.
    layers : int
        Number of the last layers that learnt.

    Returns
    -------
    EncoderArrays, Affine
        All its layers, and its head.

    Raises
    ------
    WeightsError
        If the file is damaged, or of another encoder.
    """
    found = read_tensors(path)
    number = len(base.layers)
    wanted = array_names(number - layers, number)
    if set(found) != set(wanted):
        raise WeightsError(
            f"{path}: expected the arrays {wanted[0]} to {wanted[-1]}, found others, {len(found)} in all."
        )
    own = tuple(_layer(path, found, i, base.layers[i]) for i in range(number - layers, number))
    head = Affine(found[f"{HEAD}.kernel"], found[f"{HEAD}.bias"])
    return replace(base, layers=base.layers[: number - layers] + own), head


def _layer(path: Path, found: Mapping[str, Floats], number: int, like: LayerArrays) -> LayerArrays:
    parts = {}
    for part in PARTS:
        place, before = f"layer_{number}_{part}", getattr(like, part)
        read = Affine(found[f"{place}.kernel"], found[f"{place}.bias"])
        if read.kernel.shape != before.kernel.shape or read.bias.shape != before.bias.shape:
            raise WeightsError(
                f"{path}: expected {place} of shape {before.kernel.shape}, found {read.kernel.shape}."
            )
        parts[part] = read
    return LayerArrays(**parts)
