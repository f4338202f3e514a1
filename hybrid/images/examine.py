"""Examination of a downloaded image: its format and size, and whether it is whole."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid.images.damage import find_damage
from hybrid.images.decode import MAX_PIXELS, BadPoster, decode_reduced, image_header

# Format, as Pillow names it → the ending of its files.
ENDINGS = {
    "JPEG": "jpg",
    "MPO": "jpg",
    "PNG": "png",
    "GIF": "gif",
    "WEBP": "webp",
    "BMP": "bmp",
    "TIFF": "tif",
    "PPM": "ppm",
    "AVIF": "avif",
    "HEIF": "heic",
}
CUT_SHORT = "the image is cut short"
SIDE = (
    16  # pixels; any side proves that the whole file can be decoded, a small one in the least time
)
_SCAN, _END = b"\xff\xda", b"\xff\xd9"  # of JPEG: start of a scan, end of the image


@dataclass(frozen=True)
class ImageFacts:
    """What the bytes of an image file tell.

    Parameters
    ----------
    ending : str
        Of a file in its format, without the dot.
    width, height : int
        Pixels, before any EXIF orientation.

    Examples
    --------
    >>> ImageFacts("jpg", 200, 300).ending
    'jpg'
    """

    ending: str
    width: int
    height: int


def examine_image(data: bytes, max_pixels: int = MAX_PIXELS) -> ImageFacts | BadPoster:
    """Examine an image file: the format by its bytes, the size, and whether it is whole and undamaged.

    Parameters
    ----------
    data : bytes
        The content of the file.
    max_pixels : int, default=89478485
        Larger images are refused before they are decoded.

    Returns
    -------
    ImageFacts or BadPoster

    Examples
    --------
    >>> import numpy as np
    >>> from hybrid.images.thumbnails import encode_jpeg
    >>> data = encode_jpeg(np.zeros((300, 200, 3), dtype=np.uint8))
    >>> examine_image(data)
    ImageFacts(ending='jpg', width=200, height=300)
    >>> examine_image(data[:-2]).reason, examine_image(data, 100).reason
    ('the image is cut short', '200 x 300 is more than 100 pixels')
    """
    header = image_header(data)
    if isinstance(header, BadPoster):
        return header
    kind, (width, height) = header
    if width * height > max_pixels:
        return BadPoster(f"{width} x {height} is more than {max_pixels:,} pixels")
    if _is_cut_short(data, kind):
        return BadPoster(CUT_SHORT)
    pixels = decode_reduced(data, SIDE)
    if isinstance(pixels, BadPoster):
        return BadPoster(CUT_SHORT) if "truncated" in pixels.reason else pixels
    if damage := find_damage(data):
        return BadPoster(damage)
    return ImageFacts(ENDINGS[kind], width, height)


def _is_cut_short(data: bytes, kind: str) -> bool:
    """Tell whether the end of the file is missing; decoders overlook it where few bytes are."""
    if kind in ("JPEG", "MPO"):  # inside a scan neither marker can occur
        return data.rfind(_END) < data.rfind(_SCAN)
    if kind == "PNG":
        return b"IEND" not in data[-4096:]
    if kind == "WEBP":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    return False
