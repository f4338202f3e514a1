"""What the channels of a backbone look for → one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.explain.channels import FeatureVisualisation
from hybrid.images.thumbnails import data_uri, encode_jpeg, encode_png, make_thumbnails
from hybrid.report.page import environment, part_of, write_page

# Bytes of posters before base64, which adds a third: with the other pictures the page stays below 5 MB.
MAX_POSTER_BYTES = 2_500_000
TILE = 32  # pixels of a filter, at least
ACROSS = 16  # filters in a row
MAX_FILTERS = 128


@dataclass(frozen=True, eq=False)
class BackboneImages:
    """The pictures of a block's backbone.

    Parameters
    ----------
    block, backbone : str
    filters : ndarray of shape (filters, height, width, 3), float32
        The first convolution's kernels, red, green, blue.
    maximised : dict of int to ndarray of shape (height, width, 3), uint8
        Channel → the image that excites it.
    """

    block: str
    backbone: str
    filters: NDArray[np.float32]
    maximised: dict[int, NDArray[np.uint8]]


def draw_filters(filters: NDArray[Any]) -> NDArray[np.uint8]:
    """Filters side by side, each on its own scale: mid-grey is 0.

    Parameters
    ----------
    filters : ndarray of shape (filters, height, width, 3)

    Returns
    -------
    ndarray of shape (rows, columns, 3), uint8
    """
    shown = filters[:MAX_FILTERS]
    size = np.abs(shown).max(axis=(1, 2, 3), keepdims=True)
    grey = np.rint(127.5 + 127.5 * shown / np.where(size > 0, size, 1)).astype(np.uint8)
    times = -(-TILE // grey.shape[1])
    tiles = np.pad(
        grey.repeat(times, axis=1).repeat(times, axis=2),
        [(0, -len(grey) % ACROSS), (2, 2), (2, 2), (0, 0)],
        constant_values=255,
    )
    tiles[len(grey) :] = 255
    _, h, w, _ = tiles.shape
    rows = tiles.reshape(-1, ACROSS, h, w, 3).transpose(0, 2, 1, 3, 4)
    return rows.reshape(-1, ACROSS * w, 3)


def render_feature_page(
    learned: FeatureVisualisation, plates: Sequence[BackboneImages], paths: Mapping[str, str]
) -> str:
    """The page as a string. Everything that comes from a catalogue is escaped.

    Parameters
    ----------
    learned : FeatureVisualisation
    plates : sequence of BackboneImages
        Of each block.
    paths : mapping of str to str
        Item → its poster file.

    Returns
    -------
    str
        HTML without scripts and without anything to load, below 5 MB.
    """
    made = environment()
    style, style_hash = part_of(made, "card.css.j2")
    thumbnails = make_thumbnails(list(paths.values()), MAX_POSTER_BYTES)
    return made.get_template("learned.html.j2").render(
        learned=learned,
        style=style,
        style_hash=style_hash,
        thumbnails=dict(zip(paths, thumbnails, strict=True)),
        blocks=[_view(learned, plate) for plate in plates],
    )


def _view(learned: FeatureVisualisation, plate: BackboneImages) -> dict[str, Any]:
    """One block as the page draws it."""
    return {
        "name": plate.block,
        "backbone": plate.backbone,
        "count": len(plate.filters),
        "shown": min(len(plate.filters), MAX_FILTERS),
        "filters": data_uri(encode_png(draw_filters(plate.filters)), "png"),
        "channels": [
            (channel, _jpeg_uri(plate.maximised[channel.number]))
            for channel in learned.channels
            if channel.block == plate.block
        ],
    }


def _jpeg_uri(pixels: NDArray[np.uint8]) -> str:
    # In full colour: the colours of such an image are as fine as its shapes.
    return data_uri(encode_jpeg(pixels, 85, optimize=True, full_colour=True))


def write_feature_page(
    learned: FeatureVisualisation,
    plates: Sequence[BackboneImages],
    paths: Mapping[str, str],
    path: Path,
) -> None:
    """Write the page.

    Raises
    ------
    SettingError
        If `path` is not the name of a page.
    RunError
        If it cannot be written.
    """
    write_page(path, render_feature_page(learned, plates, paths))
