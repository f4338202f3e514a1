"""What reading an image takes in time, told by its bytes; and a limit to it.

Pillow reads what is around the pixels piece by piece, in Python. A file of millions of empty pieces is read
for minutes, though it is sound and small.
"""

from __future__ import annotations

import io
import struct

from PIL import Image

from hybrid.images.libtiff import STARTS
from hybrid.images.memory import TooLarge

# Of a sound file Pillow reads a few dozen pieces; of a PNG each 8 KiB in four.
READS, BYTES_A_READ = 10_000, 256
RUNS = 4 * 2**20  # of a BMP with run lengths, which Pillow decodes in Python
PIECES = 20_000  # strips or tiles of a TIFF that Pillow decodes one by one
ENTRIES = 2_000  # of the directory of EXIF
SMALL = 2**15  # bytes of a JPEG whose metadata cannot take long, whatever they are
TEXT = 4 * 2**20  # bytes of a PPM whose numbers are written as text
# Chunks of a PNG or WebP. libpng writes 8 KiB of pixels in each, others 4 to 64.
CHUNKS, BYTES_A_CHUNK = 2_500, 2_048
_PIECES = frozenset({273, 279, 324, 325})  # tags of TIFF: where they are, and how long
# How often these may be in a file: each piece of EXIF is copied with those before it; resources of Photoshop;
# texts of which each may be a MiB; comments of a PPM, of which each costs a copy of what follows.
OFTEN = {
    b"\xff\xd8": ((b"Exif\0\0", 64), (b"8BIM", 20_000)),
    b"\x89P": ((b"zTXt", 20), (b"iTXt", 20)),
    **dict.fromkeys((b"P1", b"P2", b"P3"), ((b"#", 1000),)),
}

_read = io.BytesIO.read  # `super()` takes longer than all else


class CountedBytes(io.BytesIO):
    """The bytes of a file, which may be read so many times.

    Parameters
    ----------
    data : bytes

    Examples
    --------
    >>> file = CountedBytes(b"two")
    >>> file.left = 1
    >>> file.read(1)
    b't'
    >>> file.read(1)
    Traceback (most recent call last):
    hybrid.images.memory.TooLarge: it is in too many pieces (a decompression bomb?)
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.left = READS + len(data) // BYTES_A_READ

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file."""
        self.left -= 1
        if self.left < 0:
            raise TooLarge("it is in too many pieces (a decompression bomb?)")
        return _read(self, size)


def check_pieces(data: bytes) -> None:
    """Refuse a file whose metadata would take long, before it is opened.

    Parameters
    ----------
    data : bytes
        The content of an image file of any format.

    Raises
    ------
    TooLarge

    Examples
    --------
    >>> check_pieces(b"no image")
    """
    start = data[:2]
    if start == b"\xff\xd8" and len(data) <= SMALL:
        return
    for piece, most in OFTEN.get(start, ()):
        if (count := data.count(piece)) > most:
            name = piece.rstrip(b"\0").decode()
            raise TooLarge(f"{count:,} pieces {name!r}, more than {most:,} (a decompression bomb?)")
    if start in (b"P1", b"P2", b"P3") and len(data) > TEXT:
        raise TooLarge(f"its pixels are written as text, of more than {TEXT // 2**20} MiB")
    if start == b"\xff\xd8":
        _check_exif_of_jpeg(data)
    elif start in (b"\x89P", b"RI"):
        _check_chunks(data, most=CHUNKS + len(data) // BYTES_A_CHUNK)
    elif data[:4] in STARTS and (count := _pieces_of_tiff(data)) > PIECES:
        raise TooLarge(f"{count:,} strips or tiles, more than {PIECES:,} (a decompression bomb?)")


def allow_runs(image: Image.Image) -> None:
    """Let the pixels of an opened BMP with run lengths be read, a run at a time.

    Examples
    --------
    >>> allow_runs(Image.new("L", (40, 60)))
    """
    file, tiles = getattr(image, "fp", None), getattr(image, "tile", ())
    if isinstance(file, CountedBytes) and tiles and tiles[0][0] == "bmp_rle":
        file.left = RUNS


def has_sane_exif(image: Image.Image) -> bool:
    """Whether the directory of the EXIF has no more entries than any camera or program writes.

    Examples
    --------
    >>> has_sane_exif(Image.new("L", (40, 60)))
    True
    """
    exif = image.info.get("exif", b"")
    return not isinstance(exif, bytes) or _entries(exif.removeprefix(b"Exif\0\0")) <= ENTRIES


def _check_chunks(data: bytes, most: int) -> None:
    """Refuse a PNG or WebP of more chunks; those after the first too many are not looked at."""
    is_png = data[:1] == b"\x89"
    at, sizes, order = (8, 0, "big") if is_png else (12, 4, "little")
    for _ in range(most):
        size = int.from_bytes(data[at + sizes : at + sizes + 4], order)  # type: ignore[arg-type]
        if is_png and not size and data[at + 4 : at + 8] == b"IEND":
            return
        at += 12 + size if is_png else 8 + size + size % 2
        if at >= len(data):
            return
    raise TooLarge(f"it is in more than {most:,} pieces (a decompression bomb?)")


def _check_exif_of_jpeg(data: bytes) -> None:
    """Of a JPEG Pillow reads EXIF when it opens it, for the resolution."""
    at = data.find(b"Exif\0\0")
    while at >= 0:
        if (count := _entries(data[at + 6 : at + 2**17])) > ENTRIES:
            raise TooLarge(
                f"{count:,} entries of EXIF, more than {ENTRIES:,} (a decompression bomb?)"
            )
        at = data.find(b"Exif\0\0", at + 6)


def _entries(exif: bytes) -> int:
    """Entries of the first directory of EXIF; 0 where it has none."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 0
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        return int(struct.unpack_from(order + "H", exif, start)[0])
    except struct.error:
        return 0


def _pieces_of_tiff(data: bytes) -> int:
    """Strips or tiles of the first picture of a TIFF, as far as its directory goes."""
    order = "<" if data[:2] == b"II" else ">"
    is_big = b"+" in data[2:4]
    count = struct.Struct(order + ("Q" if is_big else "H"))
    entry = struct.Struct(order + ("HHQQ" if is_big else "HHII"))
    try:
        (start,) = struct.unpack_from(order + ("Q" if is_big else "I"), data, 8 if is_big else 4)
        entries = min(count.unpack_from(data, start)[0], ENTRIES)
        start += count.size
        found = (entry.unpack_from(data, start + i * entry.size) for i in range(entries))
        return max((number for tag, _, number, _ in found if tag in _PIECES), default=0)
    except (struct.error, OverflowError):
        return 0  # it is broken, as opening it says
