"""Formats of images: which are read, how one is recognised by its bytes, and what others are."""

from __future__ import annotations

from PIL import Image

from hybrid.images.memory import check_webp
from hybrid.images.work import CountedBytes, allow_runs, check_pieces

# Formats that Pillow decodes itself; for PostScript, for one, it would start another program.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM")
Image.init()  # without it Pillow knows only the most common of them
AVIF, HEIF = "AVIF", "HEIF"
AVIF_BRANDS = frozenset({b"avif", b"avis"})
HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)


class MissingDecoder(Exception):
    """An image in a format whose decoder is not installed; the message says how to install it."""


def formats_of(data: bytes) -> tuple[str, ...]:
    """The formats, as Pillow names them, that the bytes of an image may be in.

    Parameters
    ----------
    data : bytes
        The content of the file.

    Raises
    ------
    MissingDecoder
        If it is AVIF or HEIC, and nothing is installed that decodes it.

    Examples
    --------
    >>> formats_of(b"no image")[:2]
    ('JPEG', 'PNG')
    """
    brands = _brands(data)
    if brands & AVIF_BRANDS:
        if AVIF not in Image.OPEN:
            raise MissingDecoder(
                "is an AVIF image, which Pillow reads from 11.3 on: pip install 'pillow>=11.3'"
            )
        return (AVIF,)
    if brands & HEIF_BRANDS:
        _register_heif()
        return (HEIF,)
    return FORMATS


def open_image(data: bytes) -> Image.Image:
    """Open an image file: its header is read, no pixels. What Pillow raises is passed on.

    Raises
    ------
    TooLarge
        If it is a WebP that would take too much memory, or in so many pieces that reading it takes long.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (40, 60), "red").save(file, "PNG")
    >>> open_image(file.getvalue()).size
    (40, 60)
    """
    formats = formats_of(data)
    check_webp(data)
    check_pieces(data)
    try:
        image: Image.Image = Image.open(CountedBytes(data), formats=formats)
    except UserWarning:  # of broken EXIF, in a process that makes errors of warnings
        image = Image.open(CountedBytes(without_exif(data)), formats=formats)
    allow_runs(image)
    return image


def without_exif(data: bytes) -> bytes:
    r"""A JPEG file without its EXIF segments; other files as they are.

    Examples
    --------
    >>> without_exif(b"\xff\xd8\xff\xe1\x00\x04ab\xff\xda\x00\x02c").hex()
    'ffd8ffda000263'
    """
    parts, at = [data[:2]], 2
    if data[:2] != b"\xff\xd8":
        return data
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1 : at + 2] != b"\xe1":
            parts.append(data[at:end])
        at = end
    return b"".join([*parts, data[at:]])


def what_else(data: bytes) -> str:
    """Say what a file is that is no image.

    Examples
    --------
    >>> what_else(b"<!doctype html>")
    'is a web page (HTML or XML), not an image'
    """
    start = data[:256].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        return "is a web page (HTML or XML), not an image"
    return "is not an image in a known format"


def _brands(data: bytes) -> set[bytes]:
    """The brands that the first box of an ISO media file names; none for other files."""
    if data[4:8] != b"ftyp":
        return set()
    box = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    return {box[i : i + 4] for i in range(0, len(box), 4)}


def _register_heif() -> None:
    if HEIF in Image.OPEN:
        return
    try:
        import pillow_heif
    except ImportError:
        raise MissingDecoder(
            "is a HEIC image, which needs pillow-heif: pip install 'hybrid-posters[heic]'"
        ) from None
    pillow_heif.register_heif_opener()
