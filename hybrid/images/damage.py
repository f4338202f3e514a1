"""Damage that the bytes of an image file tell, though decoders overlook it."""

from __future__ import annotations

import zlib
from typing import Any

from PIL import Image

from hybrid.images.formats import open_image
from hybrid.images.jpeg import Damaged
from hybrid.images.jpeg_damage import find_jpeg_damage
from hybrid.images.libtiff import STARTS
from hybrid.images.memory import LIMIT

PNG_START = b"\x89PNG\r\n\x1a\n"
_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT"})  # chunks that a wrong pixel can come from
# Tags of TIFF
_BITS, _COMPRESSION, _SAMPLES, _ROWS, _PLANES = 258, 259, 277, 278, 284
_STRIPS, _STRIP_BYTES, _TILES, _TILE_BYTES = 273, 279, 324, 325
_PLAIN, _DEFLATE = 1, (8, 32946)


def find_damage(data: bytes) -> str:
    """Say what is wrong with the bytes of an image file: damage for sure, whatever its pixels look like.

    Parameters
    ----------
    data : bytes
        The content of an image file.

    Returns
    -------
    str
        Empty where nothing is found. Of a JPEG the markers and the coded data are followed; of a PNG, and of
        a TIFF with Deflate, checksums are compared; of a WebP and a TIFF the lengths of their parts. GIF,
        BMP, AVIF and HEIC files hold nothing to compare.

    Examples
    --------
    >>> import numpy as np
    >>> from hybrid.images.thumbnails import encode_png
    >>> data = encode_png(np.zeros((60, 40, 3), dtype=np.uint8))
    >>> find_damage(data)
    ''
    >>> find_damage(data.replace(b"IDAT", b"IDAT?", 1)[:-1])
    'is damaged: the checksum of a chunk of the PNG (IDAT) is wrong'
    """
    try:
        if data[:2] == b"\xff\xd8":
            found = find_jpeg_damage(data)
        elif data[:8] == PNG_START:
            found = _png_damage(data)
        elif data[:4] == b"RIFF":
            found = _webp_damage(data)
        elif data[:4] in STARTS:
            found = _tiff_damage(data)
        else:
            found = ""
    except Damaged as error:
        found = str(error)
    return f"is damaged: {found}" if found else ""


def _png_damage(data: bytes) -> str:
    at = 8
    while at + 12 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 8 + size
        if kind == b"IEND":
            return ""
        if kind in _PIXELS:
            if end + 4 > len(data):
                return "the image is cut short"
            checksum = int.from_bytes(data[end : end + 4], "big")
            if zlib.crc32(memoryview(data)[at + 4 : end]) != checksum:
                return f"the checksum of a chunk of the PNG ({kind.decode()}) is wrong"
        at = end + 4
    return ""  # what ends without its last chunk has all of its pixels, or no decoder takes it


def _webp_damage(data: bytes) -> str:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        return "the image is cut short"
    at = 12
    while at + 8 <= end:
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > end:
            return "a chunk of the WebP goes beyond the end of the file"
        if kind == b"VP8 " and size >= 10:
            partition = int.from_bytes(data[at + 8 : at + 11], "little") >> 5
            if partition > size - 10:
                return "a partition of the WebP goes beyond the end of its chunk"
        at += 8 + size + size % 2
    return ""


def _tiff_damage(data: bytes) -> str:
    with open_image(data) as image:
        tags = getattr(image, "tag_v2", {})
        tiled = _TILES in tags
        starts = _numbers(tags, _TILES if tiled else _STRIPS)
        sizes = _numbers(tags, _TILE_BYTES if tiled else _STRIP_BYTES)
        if not starts or len(starts) != len(sizes):
            return ""  # decoders have their own ways with such files
        if any(start + size > len(data) for start, size in zip(starts, sizes, strict=True)):
            return "a strip of the TIFF goes beyond the end of the file"
        compression = tags.get(_COMPRESSION, _PLAIN)
        if not tiled and compression == _PLAIN:
            return _short_strip(image, tags, sizes)
    if compression in _DEFLATE:
        left = LIMIT
        for start, size in zip(starts, sizes, strict=True):
            left -= _inflated(data[start : start + size], left)
    return ""


def _numbers(tags: Any, tag: int) -> tuple[int, ...]:
    found = tags.get(tag, ())
    found = found if isinstance(found, tuple) else (found,)
    return found if all(isinstance(each, int) for each in found) else ()


def _short_strip(image: Image.Image, tags: Any, sizes: tuple[int, ...]) -> str:
    """Whether the strips of an uncompressed TIFF hold less than all rows."""
    bits = sum(_numbers(tags, _BITS)) or 1
    if tags.get(_PLANES, 1) != 1 or tags.get(_SAMPLES, 1) != len(_numbers(tags, _BITS)):
        return ""
    needed = -(-image.width * bits // 8) * image.height
    return "the strips of the TIFF are shorter than its pixels" if sum(sizes) < needed else ""


def _inflated(packed: bytes, limit: int) -> int:
    """Bytes that compressed data holds, if it is whole and its checksum right."""
    inflater, size = zlib.decompressobj(), 0
    try:
        while packed and not inflater.eof and size <= limit:
            size += len(inflater.decompress(packed, 2**20))
            packed = inflater.unconsumed_tail
    except zlib.error:
        pass
    if not inflater.eof:
        raise Damaged("the compressed data of a strip of the TIFF is wrong")
    return size
