"""What looks like damage in the pixels of an image whose bytes cannot tell: never for sure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hybrid.images.decode import BadPoster, decode_reduced
from hybrid.images.picture import Pixels

TELLS = (b"\xff\xd8", b"\x89PNG")  # JPEG and PNG: what their bytes do not tell is sound
LARGEST = 1024  # pixels of a side; larger images are looked at in a smaller size, and less is seen
ROWS = 2  # a run of one colour is at least as long as so many rows
BESIDE = 16  # pixels, at least, of the first and of the last row of it
NOISY_ROWS = 3
# Of a WebP: how much more neighbours differ at the edges of 4 x 4 blocks than within, in both directions; and
# that in logarithms, four times across, with how much more detail there is above some row than below. Both
# are beyond what 3,448 film posters have, but for one and for two.
EDGES, FADE = 1.34, 2.67
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
SMALLEST = 64  # pixels of a side, of which measures of detail can be trusted
# Grey values: mean difference of neighbours in random bytes is 85; of posters it is below 60.
NOISE = (78.0, 92.0)


def find_look(data: bytes) -> str:
    r"""Say what makes an image look damaged, where its file holds nothing that tells.

    Parameters
    ----------
    data : bytes
        The content of an image file that can be decoded, and in which no damage was found.

    Returns
    -------
    str
        Empty for a JPEG or PNG.

    Examples
    --------
    >>> find_look(b"\xff\xd8 a JPEG")
    ''
    """
    if data.startswith(TELLS):
        return ""
    pixels = decode_reduced(data, LARGEST)
    if isinstance(pixels, BadPoster):
        return ""
    if data[:4] == b"RIFF":
        return "its blocks do not fit together" if _is_garbled(pixels) else ""
    upside_down = data[:2] == b"BM"  # the last row comes first
    return find_suspicion(pixels[::-1] if upside_down else pixels)


def find_suspicion(pixels: Pixels) -> str:
    """Say what makes an image look damaged.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8
        In the order in which the file holds them, at full size.

    Returns
    -------
    str
        Empty where nothing does.

    Examples
    --------
    >>> pixels = np.random.default_rng(0).integers(90, 99, (60, 40, 3), dtype=np.uint8)
    >>> find_suspicion(pixels)
    ''
    >>> pixels.reshape(-1)[2460:4020] = 0
    >>> find_suspicion(pixels)
    'a run of one colour begins and ends in the middle of a row'
    """
    if _has_run(pixels):
        return "a run of one colour begins and ends in the middle of a row"
    if _has_noise(pixels):
        return "some rows are noise"
    return ""


def _has_run(pixels: Pixels) -> bool:
    """Whether pixels of one colour fill rows from the middle of one to the middle of another.

    A border or a letterbox does not: what is above its first pixels, or below its last, is of its colour.
    """
    width = pixels.shape[1]
    flat = pixels.reshape(-1, 3)
    edges = np.flatnonzero((flat[1:] != flat[:-1]).any(axis=1)) + 1
    starts = np.concatenate([[0], edges])
    stops = np.concatenate([edges, [len(flat)]])
    long = np.flatnonzero(stops - starts >= ROWS * width)
    return any(_stands_alone(flat, width, int(starts[i]), int(stops[i])) for i in long.tolist())


def _stands_alone(flat: Pixels, width: int, start: int, stop: int) -> bool:
    if start < width or stop > len(flat) - width:
        return False
    if width - start % width < BESIDE or stop % width < BESIDE or start % width == 0:
        return False
    row_end, row_start = start - start % width, stop - stop % width
    above, below = flat[start - width : row_end], flat[row_start + width : stop + width]
    return bool(
        (above != flat[start]).any(axis=1).all() and (below != flat[start]).any(axis=1).all()
    )


def _has_noise(pixels: Pixels) -> bool:
    """Whether neighbours in some rows, one below the other, differ as random bytes do; channels, too."""
    rows: NDArray[np.float64] = np.abs(np.diff(pixels.astype(np.int16), axis=1)).mean(axis=1)
    channels = np.abs(pixels[..., 0].astype(np.int16) - pixels[..., 1]).mean(axis=1)
    low, high = NOISE
    noisy = (
        ((rows > low) & (rows < high)).all(axis=1) & (channels > low - 8) & (channels < high + 8)
    )
    return bool(
        noisy.any() and np.convolve(noisy, np.ones(NOISY_ROWS), "valid").max() == NOISY_ROWS
    )


def _is_garbled(pixels: Pixels) -> bool:
    """Whether the decoder of a WebP has lost its place: then blocks have little to do with their neighbours.

    Where zeros were read, there is no detail from there on, but steps between the blocks.
    """
    grey = pixels.astype(np.float32) @ LUMA
    if min(grey.shape) < SMALLEST:
        return False
    across, down = np.abs(np.diff(grey, axis=1)), np.abs(np.diff(grey, axis=0))
    within = np.delete(across, np.s_[3::4], axis=1).mean(axis=1)
    edges_across = across[:, 3::4].mean() / (within.mean() + 0.1)
    edges_down = down[3::4].mean() / (np.delete(down, np.s_[3::4], axis=0).mean() + 0.1)
    if min(edges_across, edges_down) > EDGES:
        return True
    rows = len(within)
    cuts = np.arange(rows // 5, 4 * rows // 5, 8)
    above = np.cumsum(within)[cuts - 1]
    detail = np.log((above / cuts + 1) / ((within.sum() - above) / (rows - cuts) + 1))
    return bool(detail.max() + 4 * np.log(max(edges_across, 0.01)) > FADE)
