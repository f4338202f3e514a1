"""Posters as the input of a backbone, and as the background of saliency maps."""

from __future__ import annotations

import io
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hybrid.backbones import BackboneSpec
from hybrid.catalogue import Catalogue
from hybrid.errors import SettingError
from hybrid.images.decode import BadPoster
from hybrid.images.files import load_poster
from hybrid.images.thumbnails import load_thumbnail

SIDE = 360  # longer side of the background in pixels

Pixels = NDArray[np.uint8]
T = TypeVar("T")


def load_input(path: str, spec: BackboneSpec) -> Pixels:
    """Poster as the input of a backbone.

    Parameters
    ----------
    path : str
    spec : BackboneSpec

    Returns
    -------
    ndarray of shape (height, width, 3), dtype uint8

    Raises
    ------
    SettingError
        If the poster cannot be read.

    Examples
    --------
    >>> from hybrid.backbones import get_backbone
    >>> load_input("missing.jpg", get_backbone("mobilenet"))
    Traceback (most recent call last):
    hybrid.errors.SettingError: --map: expected an item with a poster, found: file not found.
    """
    return _require_poster(load_poster(path, spec.input_size, spec.fit))


def first_readable(catalogue: Catalogue, row: int) -> str:
    """The first poster of an item that can be decoded; the first where none can."""
    paths = catalogue.several_posters.get(row, [catalogue.poster_paths[row]])
    good = (p for p in paths if not isinstance(load_poster(p, (SIDE, SIDE)), BadPoster))
    return next(good, paths[0]) if len(paths) > 1 else paths[0]


def background_image(path: str, spec: BackboneSpec, poster: Pixels) -> Pixels:
    """Image that the saliency maps are drawn on.

    Parameters
    ----------
    path : str
    spec : BackboneSpec
    poster : ndarray of shape (height, width, 3), dtype uint8
        Input of the backbone.

    Returns
    -------
    ndarray of shape (height, width, 3), dtype uint8
        The poster in its own aspect ratio where the input is squashed, else the input.

    Examples
    --------
    >>> import numpy as np
    >>> from hybrid.backbones import configure, get_backbone
    >>> spec = configure(get_backbone("mobilenet"), fit="crop")
    >>> background_image("unused.jpg", spec, np.zeros((224, 224, 3), dtype=np.uint8)).shape
    (224, 224, 3)
    """
    if spec.fit != "squash":
        return poster
    image = _require_poster(load_thumbnail(path, SIDE))
    return np.asarray(Image.open(io.BytesIO(image)))


def _require_poster(poster: T | BadPoster) -> T:
    if isinstance(poster, BadPoster):
        raise SettingError(f"--map: expected an item with a poster, found: {poster.reason}.")
    return poster
