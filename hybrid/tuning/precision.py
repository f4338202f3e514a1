"""The precision that an encoder is trained in."""

from __future__ import annotations

from hybrid.backbones.devices import gpu_has_bfloat16, has_gpu
from hybrid.tuning.options import TuneOptions


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
