"""Heat maps: saliency maps drawn over the poster in grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hybrid.explain.saliency import SaliencyMap
from hybrid.images.thumbnails import encode_jpeg

# Blue and orange as on the item card, distinguishable by colour-blind readers; lighter, since over grey.
POSITIVE, NEGATIVE = (0, 130, 215), (235, 100, 0)
MAX_OPACITY = 0.9  # where the map is largest

Pixels = NDArray[np.uint8]


def draw_heatmaps(maps: Sequence[SaliencyMap], pixels: Mapping[str, Pixels]) -> list[bytes]:
    """Draw saliency maps over their poster.

    Parameters
    ----------
    maps : sequence of SaliencyMap
        Maps of one block share one scale: the largest absolute cell has full opacity.
    pixels : mapping of str to ndarray of shape (height, width, 3), dtype uint8
        Block to the image that its maps are drawn on.

    Returns
    -------
    list of bytes
        A JPEG for each map.

    Examples
    --------
    >>> import numpy as np
    >>> found = SaliencyMap("Horror", "poster", "exact", ((0.3, -0.1),), 0.2, 0.0, "left", "right")
    >>> (jpeg,) = draw_heatmaps([found], {"poster": np.zeros((60, 40, 3), dtype=np.uint8)})
    >>> jpeg[:2].hex()
    'ffd8'
    """
    strongest = dict.fromkeys(pixels, 0.0)
    for found in maps:
        strongest[found.block] = max(strongest[found.block], float(np.abs(found.cells).max()))
    return [
        draw_heatmap(pixels[found.block], np.array(found.cells), strongest[found.block])
        for found in maps
    ]


def draw_heatmap(pixels: Pixels, cells: NDArray[Any], strongest: float) -> bytes:
    """Draw a saliency map over a poster: blue where positive, orange where negative.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), dtype uint8
    cells : ndarray of shape (h, w)
    strongest : float
        Absolute value drawn with full opacity.

    Returns
    -------
    bytes
        A JPEG.

    Examples
    --------
    >>> import numpy as np
    >>> draw_heatmap(np.zeros((60, 40, 3), dtype=np.uint8), np.eye(3), 1.0)[:2].hex()
    'ffd8'
    """
    size = pixels.shape[1], pixels.shape[0]
    grey = np.asarray(Image.fromarray(pixels).convert("L"), dtype=np.float64)
    coarse = Image.fromarray((cells / (strongest or 1.0)).astype(np.float32))
    smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=np.float64)[..., None]
    opacity = MAX_OPACITY * np.clip(np.abs(smooth), 0, 1)
    # Keeps the poster's shading visible under full opacity.
    shading = (0.55 + 0.65 * grey / 255)[..., None]
    colour = np.where(smooth > 0, np.array(POSITIVE), np.array(NEGATIVE)) * shading
    mixed = (1 - opacity) * (0.8 * grey + 30)[..., None] + opacity * colour
    return encode_jpeg(np.rint(np.clip(mixed, 0, 255)).astype(np.uint8), 82)
