"""Wiring: run + poster → which parts of it speak for which genre."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from hybrid.backbones import BackboneSpec, Weights, get_backbone, resolve_weights
from hybrid.backbones.quiet import quiet_start
from hybrid.errors import ExtractionError, SettingError
from hybrid.explain import BlockEffect, read_head
from hybrid.features import PosterFeatures
from hybrid.heads import HybridClassifier
from hybrid.images import BadPoster, load_poster, make_thumbnail, read_poster
from hybrid.jobs import chosen_spec
from hybrid.maps import (
    PosterMap,
    as_rows,
    check_by_occlusion,
    cover,
    direct,
    exact_cells,
    gradient_cells,
    name_place,
)
from hybrid.predict import find_weights, recorded_options
from hybrid.runs import recorded_backbones
from hybrid.stores import one_or_each

if TYPE_CHECKING:
    from hybrid.backbones.inside import Inside

# Engines and precisions agree to a cosine of 0.999 (see `hybrid.backbones.weights.stands_for`).
ALIKE = 0.99
SIDE = 360  # pixels of the longer side of the picture that maps lie on
Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class PosterBlock:
    """A block of posters of a fitted model: its name, its part of the head, and its backbone's record."""

    name: str
    effect: BlockEffect
    features: PosterFeatures
    backbone: dict[str, Any]

    @property
    def per_unit(self) -> Floats:
        """Block weight times coefficient of each number of the embedding, (L, D)."""
        return self.effect.per_unit[:, : self.effect.first]


@dataclass(frozen=True, eq=False)
class Seen:
    """The maps of one poster, and for each block the picture that they lie on.

    Where the backbone saw the poster cut or padded that is what it saw; else the poster, not squashed.
    """

    maps: tuple[PosterMap, ...]
    pixels: dict[str, Pixels]


def poster_blocks(model: HybridClassifier, record: Mapping[str, Any]) -> tuple[PosterBlock, ...]:
    """The blocks of posters that a run has.

    Raises
    ------
    SettingError
        If it has none.
    """
    backbones = recorded_backbones(dict(record))
    effects = {effect.name: effect for effect in read_head(model).blocks}
    found = tuple(
        PosterBlock(name, effects[name], block, backbones[name])
        for name, block in model.fusion_.fitted_
        if isinstance(block, PosterFeatures)
    )
    if not found:
        raise SettingError(
            f"{record.get('name', 'the run')}: expected a run with a block of posters, found "
            f"{', '.join(model.fusion_.names)}. Fit one with --blocks poster,text,metadata."
        )
    return found


def find_nets(
    folder: Path, blocks: Sequence[PosterBlock], weights: Sequence[str] = ()
) -> list[tuple[BackboneSpec, Weights]]:
    """The backbone of each block as the run recorded it, and its weights.

    Parameters
    ----------
    folder : Path
        The run.
    blocks : sequence of PosterBlock
    weights : sequence of str
        Files of weights, one for all blocks or for each; by default those that the run recorded.

    Raises
    ------
    WeightsError
        If the weights are not there, or are other ones.
    """
    nets = []
    each = one_or_each("--weights", weights, len(blocks))
    for block, given in zip(blocks, each, strict=True):
        said = block.backbone
        seed, name = said["weights"]["seed"], said["name"]
        found = resolve_weights(get_backbone(name), find_weights(folder, said, given), seed)
        nets.append((chosen_spec(name, recorded_options(said)), found))
    return nets


def see_poster(
    blocks: Sequence[PosterBlock],
    nets: Sequence[tuple[BackboneSpec, Weights]],
    item: pd.DataFrame,
    path: str,
    genres: Mapping[str, int],
    *,
    occlude: bool = False,
) -> Seen:
    """Which parts of a poster speak for each genre.

    Parameters
    ----------
    blocks : sequence of PosterBlock
    nets : sequence of (BackboneSpec, Weights)
        Of each block.
    item : DataFrame of 1 row
    path : str
        Of its poster.
    genres : mapping of str to int
        The genres to look for, and their numbers in the head.
    occlude : bool
        Check each map by covering the poster patch by patch: one forward pass a patch.

    Raises
    ------
    SettingError
        If there is no poster, or no feature map.
    ExtractionError
        If the backbone does not give the embedding that is in the cache.
    """
    with quiet_start():
        from hybrid.backbones.inside import Inside

    maps: list[PosterMap] = []
    pixels: dict[str, Pixels] = {}
    for block, (spec, weights) in zip(blocks, nets, strict=True):
        poster = load_poster(path, spec.input_size, spec.fit)
        if isinstance(poster, BadPoster):
            raise SettingError(f"--map: expected an item with a poster, found: {poster.reason}.")
        maps += _map_block(block, Inside(spec, weights), item, poster, genres, occlude)
        pixels[block.name] = _unsquashed(path) if spec.fit == "squash" else poster
    return Seen(tuple(maps), pixels)


def _unsquashed(path: str) -> Pixels:
    """The poster in its own shape."""
    data = read_poster(path)
    image = data if isinstance(data, BadPoster) else make_thumbnail(data, SIDE)
    if isinstance(image, BadPoster):
        raise SettingError(f"--map: expected an item with a poster, found: {image.reason}.")
    return np.asarray(Image.open(io.BytesIO(image)))


def _map_block(
    block: PosterBlock,
    inside: Inside,
    item: pd.DataFrame,
    poster: Pixels,
    genres: Mapping[str, int],
    occlude: bool,
) -> list[PosterMap]:
    """The maps of one block."""
    embedding = block.features.read(item)[0]
    features, again = inside.look(poster[None])
    _check_same(block, embedding, again[0])
    mean, scale = block.features.mean_, block.features.scale_
    per_unit = block.per_unit[list(genres.values())]
    directions = direct(per_unit, scale, embedding, mean)
    contributions = directions @ (embedding.astype(np.float64) - mean)
    if inside.pooling:
        found = exact_cells(features[0], inside.pooling, embedding, mean, directions)
        method, (cells, rounding) = "exact", found
    else:
        cells = gradient_cells(features[0], inside.gradients(features[0], directions))
        method, rounding = "grad-cam", directions @ (embedding.astype(np.float64) - again[0])
    drops = _drops(block, inside, poster, per_unit, cells.shape[1:]) if occlude else None
    return [
        PosterMap(
            genre,
            block.name,
            method,
            as_rows(cells[j]),
            float(contributions[j]),
            float(rounding[j]),
            name_place(cells[j]),
            name_place(-cells[j]),
            None if drops is None else check_by_occlusion(cells[j], drops[j]),
        )
        for j, genre in enumerate(genres)
    ]


def _drops(
    block: PosterBlock, inside: Inside, poster: Pixels, per_unit: Floats, shape: tuple[int, int]
) -> Floats:
    """How much less a poster adds to the scores with each patch covered, (L, rows, columns)."""
    covered = cover(poster, shape)
    grid, images = covered.shape[:2], covered.reshape(-1, *poster.shape)
    _, embeddings = inside.look(np.concatenate([poster[None], images]))
    parts = block.features.transform(embeddings).astype(np.float64) @ per_unit.T
    return np.asarray((parts[0] - parts[1:]).T.reshape(-1, *grid))


def _check_same(block: PosterBlock, cached: NDArray[Any], computed: NDArray[Any]) -> None:
    a, b = cached.astype(np.float64), computed.astype(np.float64)
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    if lengths and a @ b < ALIKE * lengths:
        raise ExtractionError(
            f"--map: expected the backbone to give the embedding of the block {block.name} that is in the "
            f"cache, found one with a cosine of {a @ b / lengths:.3f} to it. The cache was written by "
            "another version; extract the posters anew."
        )
