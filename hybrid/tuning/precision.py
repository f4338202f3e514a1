"""The precision that an encoder is trained in."""

from __future__ import annotations

from hybrid.backbones.devices import gpu_has_bfloat16, has_gpu
from hybrid.tuning.options import TuneOptions


def split_precision(precision: str) -> tuple[str, str | None]:
    """The precision of the layers of a text encoder, and that of their matrix products where it is another.

    A processor with bfloat16 multiplies matrices in it, but has no other operations in it: all else is
    faster in float32, and more exact.
    """
    if precision == "bfloat16" and not has_gpu():
        return "float32", precision
    return precision, None


def choose_precision(options: TuneOptions) -> str:
    """Precision of the matrix products: that of the options, ``"auto"`` settled for this machine.

    Examples
    --------
    >>> choose_precision(TuneOptions(precision="bfloat16"))
    'bfloat16'
    """
    if options.precision != "auto":
        return options.precision
    return "bfloat16" if has_gpu() and gpu_has_bfloat16() else "float32"
