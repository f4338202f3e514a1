"""A poster's bytes → its look: 128 bits that stay nearly the same when a picture is saved anew.

Half of them are a difference hash (is a patch brighter than the one to its left?), half a perceptual
hash (is a low frequency of the cosine transform above the median?). On films, either alone takes some
dark posters with a title in the middle for one another; together they do not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from hybrid.images.decode import decode_poster

SIDE = 32
BITS = 128
BLANK = bytes(BITS // 8)  # the hash of a picture that shows nothing
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
PLAIN = 2.0  # grey values; a standard deviation below this is one colour and noise


def perceptual_hash(data: bytes) -> bytes | None:
    """The look of an encoded image, 16 bytes; None where it cannot be decoded."""
    pixels = decode_poster(data, (SIDE, SIDE))
    return perceptual_hash_of_pixels(pixels) if isinstance(pixels, np.ndarray) else None


def perceptual_hash_of_pixels(pixels: NDArray[np.uint8]) -> bytes:
    """The look of an image of shape (32, 32, 3), uint8, RGB; `BLANK` where all of it is one colour."""
    grey = pixels.astype(np.float32) @ LUMA
    if grey.std() < PLAIN:
        return BLANK
    bits = np.concatenate([_difference_bits(grey), _frequency_bits(grey)])
    return np.packbits(bits).tobytes()


def _difference_bits(grey: NDArray[np.float32]) -> NDArray[np.bool_]:
    """64 bits: 8 rows of 9 patches, each but the first against the one to its left."""
    edges = np.rint(np.linspace(0, SIDE, 10)).astype(int)
    columns = np.add.reduceat(grey, edges[:-1], axis=1) / np.diff(edges)
    patches = columns.reshape(8, SIDE // 8, 9).mean(axis=1)
    return (patches[:, 1:] > patches[:, :-1]).ravel()


def _frequency_bits(grey: NDArray[np.float32]) -> NDArray[np.bool_]:
    """64 bits: the 8 x 8 lowest frequencies against their median; the mean brightness counts as below."""
    low = dctn(grey, norm="ortho")[:8, :8].ravel()
    bits = low > np.median(low[1:])
    bits[0] = False
    return bits
