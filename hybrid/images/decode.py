"""Decoding of posters: image file → uint8 RGB array, or the reason why not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from hybrid.images import libtiff
from hybrid.images.formats import MissingDecoder, open_image, what_else
from hybrid.images.memory import BUDGET, ORIENTED, TooLarge, memory_of
from hybrid.images.picture import Picture, Pixels
from hybrid.images.work import has_sane_exif

MIN_SIDE = 16
MAX_PIXELS = 89_478_485  # Pillow's own limit: a quarter of a GiB as 24-bit RGB

Decoded = TypeVar("Decoded")

FITS = ("squash", "pad", "crop")
# Mean colour of the ImageNet training images, which is neutral to networks trained on them:
# 255 x (0.485, 0.456, 0.406), rounded.
PAD_COLOUR = (124, 116, 104)

# Everything here that changes a pixel; with the fit it is part of the fingerprint of a store.
IMAGE_RULES = {
    "version": 2,
    "resampling": "bilinear, the width first",
    "exif": "orientation applied",
    "alpha": "over white",
    "sixteen_bit": "divided by 257",
    "animation": "first frame",
}


@dataclass(frozen=True)
class BadPoster:
    """Why a poster cannot be used.

    Parameters
    ----------
    reason : str
        For instance ``"file not found"``.

    Examples
    --------
    >>> BadPoster("file not found").reason
    'file not found'
    """

    reason: str


@dataclass(frozen=True)
class Geometry:
    """How an image is brought into the shape of a backbone's input.

    Parameters
    ----------
    size : (height, width)
        Pixels of the input.
    fit : str, default="squash"
        ``"squash"``: stretched to the input, its aspect ratio not kept. ``"pad"``: the whole image, as
        large as the input allows, on the mean colour of ImageNet. ``"crop"``: the middle of the image, cut
        to the input's aspect ratio.

    Examples
    --------
    >>> Geometry((224, 224)).reach
    448
    """

    size: tuple[int, int]
    fit: str = "squash"

    @property
    def reach(self) -> int:
        """Pixels that the sides of a JPEG keep when it is decoded at a fraction of its size.

        Twice the target leaves the resize enough to average over.
        """
        return 2 * max(self.size)


def decode_poster(data: bytes, size: tuple[int, int], fit: str = "squash") -> Pixels | BadPoster:
    """Decode an image for one backbone. See `decode_for`.

    Parameters
    ----------
    data : bytes
        The content of an image file.
    size : (height, width)
    fit : str, default="squash"
        See `Geometry`.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8, RGB; or BadPoster

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (40, 60), "red").save(file, "PNG")
    >>> decode_poster(file.getvalue(), (2, 2))[0].tolist()
    [[255, 0, 0], [255, 0, 0]]
    >>> decode_poster(b"<html></html>", (2, 2))
    BadPoster(reason='is a web page (HTML or XML), not an image')
    """
    found = decode_for(data, (Geometry(size, fit),))
    return found if isinstance(found, BadPoster) else found[0]


def decode_for(data: bytes, geometries: Sequence[Geometry]) -> list[Pixels] | BadPoster:
    """Decode an image once, for several backbones.

    The pixels for one backbone do not depend on the others: where they need a large JPEG at different
    fractions of its size, it is decoded once for each of these.

    Parameters
    ----------
    data : bytes
        The content of an image file; the format is detected from it, not from the name of the file.
    geometries : sequence of Geometry

    Returns
    -------
    list of ndarray of shape (height, width, 3), uint8, RGB; or BadPoster
        EXIF orientation is applied, transparency laid over white, 16-bit grey scaled to 8 bits,
        CMYK converted; of an animation the first frame is taken.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (40, 60), "red").save(file, "PNG")
    >>> small, large = decode_for(file.getvalue(), (Geometry((8, 8)), Geometry((32, 16), "crop")))
    >>> small.shape, large.shape
    ((8, 8, 3), (32, 16, 3))
    """
    with contextlib.ExitStack() as held:
        found = _guarded(data, lambda: _decode_scales(data, geometries, held))
        if isinstance(found, BadPoster):
            return found
        return [_fitted(*each) for each in zip(found, geometries, strict=True)]


def decode_reduced(data: bytes, side: int) -> Pixels | BadPoster:
    """Decode an image in its own shape; a large one at a fraction of its size.

    Parameters
    ----------
    data : bytes
        The content of the file.
    side : int
        At least twice as many pixels are left of the shorter side, unless the image has fewer.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8, RGB; or BadPoster

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (1600, 2400), "red").save(file, "JPEG")
    >>> decode_reduced(file.getvalue(), 100).shape
    (300, 200, 3)
    """
    with contextlib.ExitStack() as held:
        found = _guarded(data, lambda: _decode_scales(data, (Geometry((side, side)),), held))
        if isinstance(found, BadPoster):
            return found
        (picture,) = found
        height, width = picture.shape
        if picture.is_small:
            return picture.rows(0, height)
        from hybrid.images.resize import resize

        times = max(1, min(height, width) // (2 * side))
        return resize(picture, (height // times, width // times))


def image_header(data: bytes) -> tuple[str, tuple[int, int]] | BadPoster:
    """Read the header of an image file: format, as Pillow names it, and (width, height); no pixels.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (40, 60), "red").save(file, "PNG")
    >>> image_header(file.getvalue())
    ('PNG', (40, 60))
    """

    def read() -> tuple[str, tuple[int, int]]:
        with open_image(data) as image:
            _check_size(image.size)
            return str(image.format), image.size

    return _guarded(data, read)


def _guarded(data: bytes, decode: Callable[[], Decoded]) -> Decoded | BadPoster:
    """Result of `decode`, or why the image cannot be decoded."""
    if data[:4] not in libtiff.STARTS:
        return _attempted(data, decode)
    with libtiff.collected_errors() as said:
        found = _attempted(data, decode)
    line = next((line for line in said if libtiff.tells_of_damage(line)), "")
    if line and (not isinstance(found, BadPoster) or found.reason.startswith("cannot be decoded")):
        return BadPoster(f"is damaged: {line}")
    return found


def _attempted(data: bytes, decode: Callable[[], Decoded]) -> Decoded | BadPoster:
    try:
        return decode()
    except UnidentifiedImageError:
        return BadPoster(what_else(data))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return BadPoster(f"more than {MAX_PIXELS:,} pixels (a decompression bomb?)")
    except (_WrongSize, TooLarge, MissingDecoder) as error:
        return BadPoster(str(error))
    except MemoryError:
        raise  # this machine's fault, not the image's
    except Exception as error:  # a hostile file can make a decoder raise anything
        return BadPoster(f"cannot be decoded: {error or type(error).__name__}")


def _decode_scales(
    data: bytes, geometries: Sequence[Geometry], held: contextlib.ExitStack
) -> list[Picture]:
    """Decode an image once for each scale; `held` keeps its memory reserved."""
    image = open_image(data)
    _check_size(image.size)
    scales = _scales(image, geometries)
    held.enter_context(BUDGET.reserve(memory_of(image, data, scales)))
    decoded: dict[int, Picture] = {}
    for scale, geometry in zip(scales, geometries, strict=True):
        if scale not in decoded:
            with open_image(data) if decoded else image as source:
                decoded[scale] = _decode(source, geometry)
    return [decoded[scale] for scale in scales]


def _decode(image: Image.Image, geometry: Geometry) -> Picture:
    image.draft(None, (geometry.reach, geometry.reach))
    image.load()
    oriented = ORIENTED & image.info.keys() or not isinstance(image, JpegImageFile)
    if oriented and has_sane_exif(image):
        # The pixels are there: what is broken now is the metadata, which costs the orientation at most.
        with contextlib.suppress(Exception):
            ImageOps.exif_transpose(image, in_place=True)
    return Picture(image)


def _scales(image: Image.Image, geometries: Sequence[Geometry]) -> list[int]:
    """The scale at which libjpeg decodes for each geometry, as Pillow's `draft` chooses it."""
    # One of several pictures (MPO) is a JPEG, too, and is decoded at a fraction of its size.
    if not isinstance(image, JpegImageFile):
        return [1] * len(geometries)
    reached = [min(image.size) // geometry.reach for geometry in geometries]
    return [next((scale for scale in (8, 4, 2) if times >= scale), 1) for times in reached]


def _fitted(image: Picture, geometry: Geometry) -> Pixels:
    from hybrid.images.resize import resize

    (height, width), (h, w) = geometry.size, image.shape
    if geometry.fit == "crop":
        scale = min(h / height, w / width)
        top, left = (h - height * scale) / 2, (w - width * scale) / 2
        return resize(image, geometry.size, (left, top, w - left, h - top))
    if geometry.fit == "pad":
        wide = w * height > h * width  # then the borders are above and below
        rows = max(1, round(h / w * width)) if wide else height
        columns = width if wide else max(1, round(w / h * height))
        top, left = round((height - rows) / 2), round((width - columns) / 2)
        canvas = np.full((height, width, 3), PAD_COLOUR, dtype=np.uint8)
        canvas[top : top + rows, left : left + columns] = resize(image, (rows, columns))
        return canvas
    return resize(image, geometry.size)


class _WrongSize(Exception):
    """An image that is too small or too large."""


def _check_size(size: tuple[int, int]) -> None:
    width, height = size
    if min(size) < MIN_SIDE:
        raise _WrongSize(
            f"too small: {width} x {height} pixels, at least {MIN_SIDE} a side are needed"
        )
    if width * height > MAX_PIXELS:
        raise _WrongSize(
            f"{width} x {height} is more than {MAX_PIXELS:,} pixels (a decompression bomb?)"
        )
