"""Thumbnails: posters and pictures as small JPEGs, and as ``data:`` URIs inside a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hybrid.images.decode import BadPoster, decode_reduced
from hybrid.images.files import first_good, held_poster, load_poster

QUALITY = 80
# Of the thumbnails in a page:
SIZE = (168, 112)  # height and width in pixels
QUALITIES = (72, 45, 20)  # the first that is small enough is taken
MAX_BYTES = 12 * 1024
MAX_TOTAL = 400 * 1024


@dataclass(frozen=True)
class Thumbnail:
    """A thumbnail as a ``data:`` URI, or the reason why there is none.

    Parameters
    ----------
    source : str, default=""
        For the ``src`` attribute of an image; empty if there is none.
    reason : str, default=""
        Why there is none.

    Examples
    --------
    >>> Thumbnail(reason="file not found").source
    ''
    """

    source: str = ""
    reason: str = ""


def encode_jpeg(
    image: Image.Image | NDArray[np.uint8],
    quality: int = QUALITY,
    *,
    optimize: bool = False,
    full_colour: bool = False,
) -> bytes:
    """Encode an image as JPEG, without any metadata.

    Parameters
    ----------
    image : PIL.Image.Image or ndarray of shape (height, width, 3), uint8
        In RGB.
    quality : int, default=80
        From 1 to 95, as Pillow counts it.
    optimize : bool, default=False
        Spend time on a smaller file.
    full_colour : bool, default=False
        Keep the colour of each pixel (no chroma subsampling); the file is larger.

    Returns
    -------
    bytes
        The content of a JPEG file.

    Examples
    --------
    >>> encode_jpeg(np.zeros((24, 16, 3), dtype=np.uint8))[:2].hex()
    'ffd8'
    """
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    file = io.BytesIO()
    subsampling = 0 if full_colour else -1
    picture.save(file, "JPEG", quality=quality, optimize=optimize, subsampling=subsampling)
    return file.getvalue()


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode an image as PNG, as small as Pillow can make it.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3) or (height, width), uint8

    Returns
    -------
    bytes
        The content of a PNG file.

    Examples
    --------
    >>> encode_png(np.zeros((24, 16, 3), dtype=np.uint8))[1:4]
    b'PNG'
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return file.getvalue()


def data_uri(data: bytes, kind: str = "jpeg") -> str:
    """Write an image file as a ``data:`` URI (RFC 2397), so that it can stand inside a page.

    Parameters
    ----------
    data : bytes
        The content of the file.
    kind : str, default="jpeg"
        Subtype of the media type ``image/…``.

    Examples
    --------
    >>> data_uri(b"GIF", "gif")
    'data:image/gif;base64,R0lG'
    """
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def make_thumbnail(data: bytes, side: int) -> bytes | BadPoster:
    """Make a thumbnail of an image file; its aspect ratio is kept, its metadata is not.

    Parameters
    ----------
    data : bytes
        The content of the file.
    side : int
        Pixels of the longer side, at most.

    Returns
    -------
    bytes or BadPoster
        A JPEG, or the reason why the image cannot be decoded.

    Examples
    --------
    >>> large = encode_jpeg(np.zeros((300, 200, 3), dtype=np.uint8))
    >>> Image.open(io.BytesIO(make_thumbnail(large, 120))).size
    (80, 120)
    """
    pixels = decode_reduced(data, side)
    if isinstance(pixels, BadPoster):
        return pixels
    image = Image.fromarray(pixels)
    image.thumbnail((side, side))
    return encode_jpeg(image)


def load_thumbnail(path: str, side: int) -> bytes | BadPoster:
    """Make a thumbnail of a poster file. See `make_thumbnail`.

    Examples
    --------
    >>> load_thumbnail("no-such-file.jpg", 120)
    BadPoster(reason='file not found')
    """
    with held_poster(path) as data:
        return data if isinstance(data, BadPoster) else make_thumbnail(data, side)


def make_thumbnails(items: Sequence[Sequence[str]], limit: int = MAX_TOTAL) -> list[Thumbnail]:
    """Make the thumbnails of a page, 112 x 168 pixels each.

    Parameters
    ----------
    items : sequence of n sequences of str
        The poster files of each item: the first that can be decoded is shown.
    limit : int, default=409600
        Bytes of all thumbnails together; those that would go beyond are left out.

    Returns
    -------
    list of n Thumbnail

    Examples
    --------
    >>> make_thumbnails([[], ["no-such-file.jpg"]])
    [Thumbnail(source='', reason='no poster named'), Thumbnail(source='', reason='file not found')]
    """
    made, left = [], limit
    for paths in items:
        data = first_good(paths, _page_thumbnail)
        if isinstance(data, bytes) and len(data) > left:
            data = BadPoster("left out to keep the page small")
        if isinstance(data, BadPoster):
            made.append(Thumbnail(reason=data.reason))
            continue
        left -= len(data)
        made.append(Thumbnail(data_uri(data)))
    return made


def _page_thumbnail(path: str) -> bytes | BadPoster:
    pixels = load_poster(path, SIZE, "crop")
    if isinstance(pixels, BadPoster):
        return pixels
    for quality in QUALITIES:
        data = encode_jpeg(pixels, quality, optimize=True)
        if len(data) <= MAX_BYTES:
            return data
    return BadPoster(f"a picture of it takes more than {MAX_BYTES // 1024} KiB")
