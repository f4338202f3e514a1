"""How posters go into a network of an ONNX file, and embeddings come out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

Triple = tuple[float, float, float]
NOTHING, UNIT = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class OnnxImages:
    """How posters go into an ONNX network, and embeddings come out.

    Parameters
    ----------
    file : Path
    input, output : str
        Names of its input and output.
    layout : {"NCHW", "NHWC", ""}
        Order of the axes of its input, and of feature maps; ``""`` while the file is not read.
    dtype : {"float32", "float16", "uint8"}
        Of the input.
    mean, std : tuple of three float
        Of red, green, blue: a value v of a pixel becomes (scale * v - mean) / std.
    scale : float
        0 while the file is not read.
    rank : {2, 3, 4}
        Number of axes of the output: embeddings (n, D), tokens (n, t, D), feature maps.
    batch : int or None
        Posters that the network takes at once, where the file fixes it.
    """

    file: Path
    input: str = ""
    output: str = ""
    layout: str = ""
    dtype: str = "float32"
    mean: Triple = NOTHING
    std: Triple = UNIT
    scale: float = 0.0
    rank: int = 2
    batch: int | None = None

    @property
    def preprocessing(self) -> dict[str, Any]:
        """What of it changes an embedding, as the fingerprint has it."""
        return {
            "mean": list(self.mean),
            "std": list(self.std),
            "scale": self.scale,
            "layout": self.layout,
            "dtype": self.dtype,
        }
