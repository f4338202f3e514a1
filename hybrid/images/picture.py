"""Decoded images as RGB: small ones at once, large ones a band of rows at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hybrid.images.memory import BAND

Pixels = NDArray[np.uint8]


class Picture:
    """The pixels of a decoded image, in RGB, whatever mode Pillow has them in.

    Parameters
    ----------
    image : PIL.Image.Image
        Loaded.

    Raises
    ------
    ValueError
        If its mode cannot be converted to RGB.

    Attributes
    ----------
    shape : (height, width)

    Examples
    --------
    >>> Picture(Image.new("L", (40, 60), 7)).rows(10, 12).shape
    (2, 40, 3)
    """

    def __init__(self, image: Image.Image) -> None:
        self.shape = image.height, image.width
        self._image = image
        self._pixels = np.asarray(_to_rgb(image)) if self.is_small else None
        if self._pixels is None:
            self.rows(0, 1)  # what cannot be converted raises now

    @property
    def is_small(self) -> bool:
        """Whether all of it is one band."""
        return self.shape[0] * self.shape[1] <= BAND

    @property
    def band(self) -> int:
        """Rows that are best asked for at a time."""
        return self.shape[0] if self.is_small else max(1, BAND // self.shape[1])

    def rows(self, start: int, stop: int) -> Pixels:
        """Some rows: shape (stop - start, width, 3)."""
        if self._pixels is not None:
            return self._pixels[start:stop]
        return np.asarray(_to_rgb(self._image.crop((0, start, self.shape[1], stop))))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        grey = np.clip(np.asarray(image, dtype=np.float64) / 257, 0, 255)
        return Image.fromarray(np.rint(grey).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
