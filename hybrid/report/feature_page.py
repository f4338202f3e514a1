"""Feature visualisation of backbones as a self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.explain.channels import Channel, FeatureVisualisation
from hybrid.images.thumbnails import data_uri, encode_jpeg, encode_png, make_thumbnails
from hybrid.report.page import make_environment, render_asset, write_page

FEATURE_PAGE = "page of channels"
# Before base64, which adds a third. With the other images the page stays below 5 MB.
MAX_POSTER_BYTES = 2_500_000
TILE = 32  # minimum side of a filter in pixels
FILTERS_PER_ROW = 16
MAX_FILTERS = 128


@dataclass(frozen=True, eq=False)
class BackboneImages:
    """Images of a block's backbone.

    Parameters
    ----------
    block, backbone : str
    filters : ndarray of shape (filters, height, width, 3), dtype float32
        Kernels of the first convolution, RGB.
    maximised : dict of int to ndarray of shape (height, width, 3), dtype uint8
        Channel to the image found by activation maximisation.
    noise : frozenset of int, default=frozenset()
        Channels whose image excites them no more than random images do.

    Examples
    --------
    >>> import numpy as np
    >>> BackboneImages("poster", "vgg16", np.ones((2, 3, 3, 3), np.float32), {}).filters.shape
    (2, 3, 3, 3)
    """

    block: str
    backbone: str
    filters: NDArray[np.float32]
    maximised: dict[int, NDArray[np.uint8]]
    noise: frozenset[int] = frozenset()


def draw_filters(filters: NDArray[Any]) -> NDArray[np.uint8]:
    """Tile convolution kernels into one image.

    Parameters
    ----------
    filters : ndarray of shape (filters, height, width, 3)
        At most the first 128 are drawn, 16 in a row.

    Returns
    -------
    ndarray of shape (height, width, 3), dtype uint8
        Each filter is scaled by its own maximum; mid-grey is 0.

    Examples
    --------
    >>> import numpy as np
    >>> draw_filters(np.ones((2, 32, 32, 3))).shape
    (36, 576, 3)
    """
    shown = filters[:MAX_FILTERS]
    size = np.abs(shown).max(axis=(1, 2, 3), keepdims=True)
    grey = np.rint(127.5 + 127.5 * shown / np.where(size > 0, size, 1)).astype(np.uint8)
    times = -(-TILE // grey.shape[1])
    tiles = np.pad(
        grey.repeat(times, axis=1).repeat(times, axis=2),
        [(0, -len(grey) % FILTERS_PER_ROW), (2, 2), (2, 2), (0, 0)],
        constant_values=255,
    )
    tiles[len(grey) :] = 255
    _, h, w, _ = tiles.shape
    rows = tiles.reshape(-1, FILTERS_PER_ROW, h, w, 3).transpose(0, 2, 1, 3, 4)
    return rows.reshape(-1, FILTERS_PER_ROW * w, 3)


def render_feature_page(
    visualisation: FeatureVisualisation,
    images: Sequence[BackboneImages],
    paths: Mapping[str, Sequence[str]],
) -> str:
    """Render a feature visualisation as HTML. Text from the catalogue is escaped.

    Parameters
    ----------
    visualisation : FeatureVisualisation
    images : sequence of BackboneImages
        Of each block.
    paths : mapping of str to sequence of str
        Item id to its poster files.

    Returns
    -------
    str
        HTML without scripts and external resources, below 5 MB.

    Examples
    --------
    >>> from hybrid.explain.channels import FeatureVisualisation
    >>> "<h1>Feature visualisation" in render_feature_page(FeatureVisualisation("svm", 9, (), ()), [], {})
    True
    """
    made = make_environment()
    style, style_hash = render_asset(made, "card.css.j2")
    thumbnails = make_thumbnails(list(paths.values()), MAX_POSTER_BYTES)
    return made.get_template("feature_page.html.j2").render(
        visualisation=visualisation,
        style=style,
        style_hash=style_hash,
        thumbnails=dict(zip(paths, thumbnails, strict=True)),
        blocks=[_view(visualisation, block) for block in images],
        others=_other_channels(visualisation),
    )


def _view(visualisation: FeatureVisualisation, images: BackboneImages) -> dict[str, Any]:
    """Template variables of one block."""
    return {
        "name": images.block,
        "backbone": images.backbone,
        "count": len(images.filters),
        "shown": min(len(images.filters), MAX_FILTERS),
        "filters": data_uri(encode_png(draw_filters(images.filters)), "png"),
        "channels": [
            (
                channel,
                _jpeg_uri(images.maximised[channel.number]),
                channel.number in images.noise,
            )
            for channel in visualisation.channels
            if channel.block == images.block
        ],
    }


def _other_channels(visualisation: FeatureVisualisation) -> dict[str, list[Channel]]:
    """Channels of texts and imported embeddings, which have no images, by block."""
    found: dict[str, list[Channel]] = {}
    for channel in visualisation.channels:
        if channel.items:
            found.setdefault(channel.block, []).append(channel)
    return found


def _jpeg_uri(pixels: NDArray[np.uint8]) -> str:
    """A JPEG with colour at full resolution, as a ``data:`` URI."""
    return data_uri(encode_jpeg(pixels, 85, optimize=True, full_colour=True))


def write_feature_page(
    visualisation: FeatureVisualisation,
    images: Sequence[BackboneImages],
    paths: Mapping[str, Sequence[str]],
    path: Path,
) -> None:
    """Write a feature visualisation.

    Parameters
    ----------
    visualisation, images, paths
        See `render_feature_page`.
    path : Path
        Ends in ``.html`` or ``.htm``.

    Raises
    ------
    SettingError
        If `path` does not end in ``.html`` or ``.htm``.
    RunError
        If the file cannot be written.

    Examples
    --------
    >>> write_feature_page(visualisation, [], {}, Path("features.html"))  # doctest: +SKIP
    """
    write_page(path, render_feature_page(visualisation, images, paths), FEATURE_PAGE)
