"""Maps of a poster → the poster in grey with colours over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hybrid.explain.saliency import SaliencyMap
from hybrid.images.thumbnails import encode_jpeg

# Blue and orange as in the card, which the colour-blind can tell apart, lighter since they lie over grey.
FOR, AGAINST = (0, 130, 215), (235, 100, 0)
STRONGEST = 0.9  # of the colour where the map is largest; the rest is the poster

Pixels = NDArray[np.uint8]


def draw_heatmaps(maps: Sequence[SaliencyMap], pixels: Mapping[str, Pixels]) -> list[bytes]:
    """A JPEG of each map.

    Parameters
    ----------
    maps : sequence of SaliencyMap
        Those of one block are on one scale: the strongest cell of them all has the full colour.
    pixels : mapping of str to ndarray of shape (height, width, 3), uint8
        Block → the part of the poster that its maps lie on.
    """
    strongest = dict.fromkeys(pixels, 0.0)
    for found in maps:
        strongest[found.block] = max(strongest[found.block], float(np.abs(found.cells).max()))
    return [
        draw_heatmap(pixels[found.block], np.array(found.cells), strongest[found.block])
        for found in maps
    ]


def draw_heatmap(pixels: Pixels, cells: NDArray[Any], strongest: float) -> bytes:
    """Lay a map over a poster.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8
    cells : ndarray of shape (h, w)
    strongest : float
        What has the full colour.

    Returns
    -------
    bytes
        A JPEG.
    """
    size = pixels.shape[1], pixels.shape[0]
    grey = np.asarray(Image.fromarray(pixels).convert("L"), dtype=np.float64)
    heat = Image.fromarray((cells / (strongest or 1.0)).astype(np.float32))
    smooth = np.asarray(heat.resize(size, Image.Resampling.BICUBIC), dtype=np.float64)[..., None]
    amount = STRONGEST * np.clip(np.abs(smooth), 0, 1)
    # Light and shade stay, so that the poster can be seen under the strongest colour.
    light = (0.55 + 0.65 * grey / 255)[..., None]
    colour = np.where(smooth > 0, np.array(FOR), np.array(AGAINST)) * light
    mixed = (1 - amount) * (0.8 * grey + 30)[..., None] + amount * colour
    return encode_jpeg(np.rint(np.clip(mixed, 0, 255)).astype(np.uint8), 82)
