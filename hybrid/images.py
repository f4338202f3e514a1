"""A poster file → uint8 RGB array, or the reason why not."""

from __future__ import annotations

import hashlib
import io
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

# Formats that Pillow decodes by itself; PostScript, for one, would start another program.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM")
Image.init()  # else Pillow knows only the most common ones of them
MIN_SIDE = 16
MAX_PIXELS = 89_478_485  # Pillow's own limit: a quarter of a GiB as 24-bit RGB
MAX_BYTES = 256 * 2**20

# Everything here that changes a pixel; it is part of the cache's fingerprint.
IMAGE_RULES = {
    "version": 1,
    "fit": "squash",
    "resampling": "bilinear",
    "exif": "orientation applied",
    "alpha": "over white",
    "sixteen_bit": "divided by 257",
    "animation": "first frame",
}


@dataclass(frozen=True)
class BadPoster:
    """Why a poster cannot be used."""

    reason: str


def read_poster(path: str | Path) -> bytes | BadPoster:
    """Read a poster file, and nothing that is not a regular file of a sane size."""
    path = Path(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return BadPoster("is a folder, not a file")
        if not stat.S_ISREG(status.st_mode):
            return BadPoster("is not a regular file")
        if status.st_size > MAX_BYTES:
            return BadPoster(f"the file is larger than {MAX_BYTES // 2**20} MiB")
        data = path.read_bytes()
    except FileNotFoundError:
        return BadPoster("file not found")
    except (OSError, ValueError) as error:
        return BadPoster(f"cannot be read: {getattr(error, 'strerror', None) or error}")
    return data or BadPoster("the file is empty")


def poster_key(data: bytes) -> bytes:
    """The key of a poster in the cache: SHA-256 of its bytes, 32 bytes."""
    return hashlib.sha256(data).digest()


def hash_poster(path: str) -> bytes | BadPoster:
    """The key of a poster file, or why there is none; ``""`` stands for an item without a poster."""
    data = read_poster(path) if path else BadPoster("no poster named")
    return data if isinstance(data, BadPoster) else poster_key(data)


def decode_poster(data: bytes, size: tuple[int, int]) -> NDArray[np.uint8] | BadPoster:
    """Decode an image and resize it to a backbone's input.

    Parameters
    ----------
    data : bytes
        The file's content; the format is told from it, not from the file's name.
    size : (height, width)
        Pixels of the result; the aspect ratio is not kept.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8, RGB; or BadPoster
        EXIF orientation is applied, transparency laid over white, 16-bit grey scaled to 8 bits,
        CMYK converted; of an animation the first frame is taken.
    """
    height, width = size
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            problem = _size_problem(image.size)
            if problem:
                return BadPoster(problem)
            # A JPEG much larger than needed is decoded at a fraction of its size, which is faster;
            # twice the target leaves the resize enough to average over.
            side = 2 * max(height, width)
            image.draft(None, (side, side))
            upright = ImageOps.exif_transpose(image)
            rgb = _to_rgb(upright)
            resized = rgb.resize((width, height), Image.Resampling.BILINEAR)
    except UnidentifiedImageError:
        return BadPoster(_what_else(data))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return BadPoster(f"more than {MAX_PIXELS:,} pixels (a decompression bomb?)")
    except Exception as error:  # a hostile file can make a decoder raise anything
        return BadPoster(f"cannot be decoded: {error or type(error).__name__}")
    return np.asarray(resized, dtype=np.uint8)


def load_poster(path: str, size: tuple[int, int]) -> NDArray[np.uint8] | BadPoster:
    """Read and decode a poster file; ``""`` stands for an item without one. See `decode_poster`."""
    data = read_poster(path) if path else BadPoster("no poster named")
    return data if isinstance(data, BadPoster) else decode_poster(data, size)


def _size_problem(size: tuple[int, int]) -> str:
    width, height = size
    if min(size) < MIN_SIDE:
        return f"too small: {width} x {height} pixels, at least {MIN_SIDE} a side are needed"
    if width * height > MAX_PIXELS:
        return f"{width} x {height} is more than {MAX_PIXELS:,} pixels (a decompression bomb?)"
    return ""


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        grey = np.clip(np.asarray(image, dtype=np.float64) / 257, 0, 255)
        return Image.fromarray(np.rint(grey).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _what_else(data: bytes) -> str:
    start = data[:256].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        return "is a web page (HTML or XML), not an image"
    return "is not an image in a known format"
