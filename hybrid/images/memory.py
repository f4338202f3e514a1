"""What decoding an image takes in memory, told from its header; and a limit to it over all threads.

A decompression bomb is refused before a pixel is touched: an image that would take too much, or one that
takes a good deal though its file is far smaller than any picture of that size.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from hybrid.images.jpeg import count_scans

LIMIT = 320 * 2**20  # bytes, of all images that are being decoded at a time
FILES_LIMIT = 128 * 2**20  # bytes, of the files of these images; a larger one is read alone
FREE = 48 * 2**20  # bytes; an image that takes no more is decoded however small its file is
# Pixels for each byte of a file. Pictures have less than 100; those of one colour have, of formats that
# code a block of pixels with a fraction of a bit, up to 600, and of the others 150 and more.
DENSEST = {"WEBP": 1000, "AVIF": 1000, "HEIF": 1000}
DENSEST_OF_OTHERS = 150
MAX_SCANS = 100  # of a progressive JPEG: each runs over all of the image; files have about ten
MAX_SCANNED = 1_500_000_000  # pixels, times the scans that run over them
BAND = 2**20  # pixels that are converted to RGB at a time

# Bytes a pixel: of Pillow's image, by its mode; of the decoder, by the format, measured.
_STORED = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
_DECODER = {"WEBP": 12, "AVIF": 10, "HEIF": 10, "GIF": 2, "BMP": 2}
_CONVERTED = 16  # of a band that has transparency; others take less
_COPIED = 6  # of a band that is RGB
# What Pillow takes an orientation from; a TIFF has a tag of its own.
ORIENTED = frozenset({"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"})
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # tags of TIFF


class TooLarge(Exception):
    """An image that would take too much memory or time; the message says what its header tells."""


def check_webp(data: bytes) -> None:
    """Refuse a WebP bomb by its bytes: Pillow reserves memory for all of its pixels when it opens it.

    Parameters
    ----------
    data : bytes
        The content of an image file of any format.

    Raises
    ------
    TooLarge

    Examples
    --------
    >>> check_webp(b"no WebP")
    """
    if (size := _webp_size(data)) is not None:
        _check(size, size[0] * size[1] * (4 + _DECODER["WEBP"]), "WEBP", len(data))


def memory_of(image: Image.Image, data: bytes, scales: Collection[int] = (1,)) -> int:
    """Bytes that decoding takes at most.

    Parameters
    ----------
    image : PIL.Image.Image
        Opened, not loaded.
    data : bytes
        The content of its file.
    scales : collection of int, default=(1,)
        The fractions of its size, 1, 2, 4 or 8, at which it is decoded one after another; all results are
        kept.

    Returns
    -------
    int

    Raises
    ------
    TooLarge
        If it is more than `LIMIT`, or more than the size of the file can account for.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> Image.new("L", (400, 600)).save(file, "PNG")
    >>> memory_of(Image.open(file), file.getvalue()) // (400 * 600)
    17
    """
    width, height = image.size
    left = sum(-(-width // scale) * -(-height // scale) for scale in set(scales))
    stored = left * _STORED.get(image.mode, 4)
    need = stored + min(left, BAND) * (_COPIED if image.mode == "RGB" else _CONVERTED)
    if isinstance(image, JpegImageFile):
        need += _coefficients(image, data)
    else:
        need += width * height * _DECODER.get(str(image.format), 0)
        if [each[0] for each in getattr(image, "tile", ())[:1]] == ["bmp_rle"]:
            need += 255 * width  # a run of empty rows goes beyond the image
    if isinstance(image, TiffImageFile):
        need += stored + _tile(image)  # a strip may hold all of the image
    if ORIENTED & image.info.keys():
        need += stored  # a rotated copy
    _check(image.size, need, str(image.format), len(data))
    return need


class Budget:
    """Memory that threads share: one waits while the others have what it needs. They wait in line.

    Parameters
    ----------
    limit : int
        Bytes.

    Examples
    --------
    >>> budget = Budget(100)
    >>> with budget.reserve(60):
    ...     budget.used
    60
    >>> budget.used
    0
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._changed = threading.Condition()
        self._line: deque[object] = deque()

    @contextmanager
    def reserve(self, need: int) -> Iterator[None]:
        """Wait until so many bytes are left, or nobody has any, and keep them."""
        place = object()
        with self._changed:
            self._line.append(place)
            try:
                self._changed.wait_for(lambda: self._line[0] is place and self._has(need))
                self.used += need
            finally:
                self._line.remove(place)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self.used -= need
                self._changed.notify_all()

    def _has(self, need: int) -> bool:
        return not self.used or self.used + need <= self.limit


# Of this process. Who has room for decoding never waits for that of a file, so that neither waits for ever.
BUDGET = Budget(LIMIT)
FILES = Budget(FILES_LIMIT)


def _check(size: tuple[int, int], need: int, kind: str, file_bytes: int) -> None:
    width, height = size
    with_file = need + max(
        0, file_bytes - FREE
    )  # of a smaller file it is what others may have, too
    if with_file > LIMIT:
        raise TooLarge(
            f"{width} x {height} pixels take {with_file / 2**20:,.0f} MiB to decode, more than "
            f"{LIMIT // 2**20} (a decompression bomb?)"
        )
    if need > FREE and width * height > file_bytes * DENSEST.get(kind, DENSEST_OF_OTHERS):
        raise TooLarge(
            f"{width} x {height} pixels in a file of {file_bytes:,} bytes (a decompression bomb?)"
        )


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a WebP file of any of its three kinds."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    kind, head = data[12:16], data[20:30]
    if kind == b"VP8X":
        return (
            1 + int.from_bytes(head[4:7], "little"),
            1 + int.from_bytes(head[7:10], "little"),
        )
    if kind == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(
            head[8:10], "little"
        ) & 0x3FFF
    return None


def _coefficients(image: JpegImageFile, data: bytes) -> int:
    """Bytes of the coefficients that libjpeg keeps of an image in several scans, whatever the scale."""
    scans = count_scans(data)
    if scans <= 1:
        return 0
    if scans > MAX_SCANS:
        raise TooLarge(f"{scans:,} scans, more than {MAX_SCANS} (a decompression bomb?)")
    if scans * image.size[0] * image.size[1] > MAX_SCANNED:
        raise TooLarge(
            f"{scans:,} scans of {image.size[0]} x {image.size[1]} pixels (a decompression bomb?)"
        )
    factors = [(across, down) for _, across, down, _ in image.layer]
    most = max((across * down for across, down in factors), default=1)
    share = sum(across * down for across, down in factors) / max(most, 1)
    return round(2 * image.size[0] * image.size[1] * share)


def _tile(image: TiffImageFile) -> int:
    """Bytes of one tile, which may be larger than the image."""
    sides = [image.tag_v2.get(tag, 0) for tag in (_TILE_WIDTH, _TILE_LENGTH)]
    if not all(isinstance(side, int) for side in sides):
        return 0
    return int(sides[0] * sides[1]) * 4
