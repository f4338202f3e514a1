"""Wiring: run + poster → which parts of it speak for which genre."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from hybrid.backbones import BackboneSpec, Weights, get_backbone, resolve_weights
from hybrid.backbones.startup import start_keras
from hybrid.errors import ExtractionError, SettingError
from hybrid.explain.linear import BlockCoefficients, read_linear_head
from hybrid.explain.saliency import (
    SaliencyMap,
    as_nested_tuple,
    class_activation_maps,
    compare_with_occlusion,
    grad_cam,
    occlude_patches,
    peak_location,
    score_gradient,
)
from hybrid.extraction.lookup import one_or_each
from hybrid.extraction.plan import chosen_spec
from hybrid.features import PosterFeatures
from hybrid.heads import HybridClassifier
from hybrid.images.decode import BadPoster, load_poster, read_poster
from hybrid.images.thumbnails import make_thumbnail
from hybrid.runs.folder import recorded_backbones
from hybrid.runs.predict import find_weights, recorded_options

if TYPE_CHECKING:
    from hybrid.backbones.feature_maps import FeatureMapModel

# Engines and precisions agree to a cosine of 0.999 (see `hybrid.backbones.weights.fingerprint_fields`).
MIN_COSINE = 0.99
SIDE = 360  # pixels of the longer side of the picture that maps lie on
Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class PosterBlock:
    """A block of posters of a fitted model: its name, its part of the head, and its backbone's record."""

    name: str
    effect: BlockCoefficients
    features: PosterFeatures
    backbone: dict[str, Any]

    @property
    def coef(self) -> Floats:
        """Block weight times coefficient of each number of the embedding, (L, D)."""
        return self.effect.coef[:, : self.effect.first_named]


@dataclass(frozen=True, eq=False)
class PosterSaliency:
    """The maps of one poster, and for each block the picture that they lie on.

    Where the backbone saw the poster cut or padded that is what it saw; else the poster, not squashed.
    """

    maps: tuple[SaliencyMap, ...]
    pixels: dict[str, Pixels]


def poster_blocks(model: HybridClassifier, record: Mapping[str, Any]) -> tuple[PosterBlock, ...]:
    """The blocks of posters that a run has.

    Raises
    ------
    SettingError
        If it has none.
    """
    backbones = recorded_backbones(dict(record))
    effects = {effect.name: effect for effect in read_linear_head(model).blocks}
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


def resolve_backbones(
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


def head_saliency(
    blocks: Sequence[PosterBlock],
    nets: Sequence[tuple[BackboneSpec, Weights]],
    item: pd.DataFrame,
    path: str,
    genres: Mapping[str, int],
    *,
    occlude: bool = False,
) -> PosterSaliency:
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
    start_keras()
    from hybrid.backbones.feature_maps import load_feature_map_model

    maps: list[SaliencyMap] = []
    pixels: dict[str, Pixels] = {}
    for block, (spec, weights) in zip(blocks, nets, strict=True):
        poster = load_input(path, spec)
        maps += _block_saliency(
            block, load_feature_map_model(spec, weights), item, poster, genres, occlude
        )
        pixels[block.name] = background_image(path, spec, poster)
    return PosterSaliency(tuple(maps), pixels)


def network_saliency(
    model: FeatureMapModel, path: str, genres: Mapping[str, int], *, occlude: bool = False
) -> PosterSaliency:
    """Which parts of a poster speak for each genre to a network with a head of its own: Grad-CAM.

    Parameters
    ----------
    model : FeatureMapModel
        What its posters lead to are the log-odds of L genres.
    path : str
        Of the poster.
    genres : mapping of str to int
        The genres to look for, and their numbers among the L.
    occlude : bool
        Check each map by covering the poster patch by patch.

    Raises
    ------
    SettingError
        If there is no poster.
    """
    poster = load_input(path, model.spec)
    features, log_odds = model.predict(poster[None])
    numbers = list(genres.values())
    directions = np.eye(log_odds.shape[1])[numbers]
    cells = grad_cam(features[0], model.gradients(features[0], directions))
    drops = None
    if occlude:
        drops = _occlusion_drops(model, poster, cells.shape[1:], lambda found: found[:, numbers])
    maps = _make_maps("poster", genres, "grad-cam", cells, None, None, drops)
    return PosterSaliency(tuple(maps), {"poster": background_image(path, model.spec, poster)})


def load_input(path: str, spec: BackboneSpec) -> Pixels:
    """The poster as a backbone sees it, (height, width, 3).

    Raises
    ------
    SettingError
        If it cannot be read.
    """
    return _require_poster(load_poster(path, spec.input_size, spec.fit))


def background_image(path: str, spec: BackboneSpec, poster: Pixels) -> Pixels:
    """What maps lie on: the poster in its own shape where the backbone saw it squashed, else as seen."""
    if spec.fit != "squash":
        return poster
    data = read_poster(path)
    image = _require_poster(data if isinstance(data, BadPoster) else make_thumbnail(data, SIDE))
    return np.asarray(Image.open(io.BytesIO(image)))


def _require_poster(poster: T | BadPoster) -> T:
    if isinstance(poster, BadPoster):
        raise SettingError(f"--map: expected an item with a poster, found: {poster.reason}.")
    return poster


def _block_saliency(
    block: PosterBlock,
    model: FeatureMapModel,
    item: pd.DataFrame,
    poster: Pixels,
    genres: Mapping[str, int],
    occlude: bool,
) -> list[SaliencyMap]:
    """The maps of one block."""
    embedding = block.features.read(item)[0]
    features, again = model.predict(poster[None])
    _check_embedding(block, embedding, again[0])
    mean, scale = block.features.mean_, block.features.scale_
    coef = block.coef[list(genres.values())]
    directions = score_gradient(coef, scale, embedding, mean)
    contributions = directions @ (embedding.astype(np.float64) - mean)
    if model.pooling:
        found = class_activation_maps(features[0], model.pooling, embedding, mean, directions)
        method, (cells, rounding) = "exact", found
    else:
        cells = grad_cam(features[0], model.gradients(features[0], directions))
        method, rounding = "grad-cam", directions @ (embedding.astype(np.float64) - again[0])
    drops = None
    if occlude:
        drops = _occlusion_drops(
            model,
            poster,
            cells.shape[1:],
            lambda found: block.features.transform(found) @ coef.T,
        )
    return _make_maps(block.name, genres, method, cells, contributions, rounding, drops)


def _make_maps(
    block: str,
    genres: Iterable[str],
    method: str,
    cells: Floats,
    contributions: Floats | None,
    rounding: Floats | None,
    drops: Floats | None,
) -> list[SaliencyMap]:
    """A record of each genre's cells, of shape (L, h, w), and of what belongs to them."""
    return [
        SaliencyMap(
            genre,
            block,
            method,
            as_nested_tuple(cells[j]),
            None if contributions is None else float(contributions[j]),
            None if rounding is None else float(rounding[j]),
            peak_location(cells[j]),
            peak_location(-cells[j]),
            None if drops is None else compare_with_occlusion(cells[j], drops[j]),
        )
        for j, genre in enumerate(genres)
    ]


def _occlusion_drops(
    model: FeatureMapModel,
    poster: Pixels,
    shape: tuple[int, int],
    score: Callable[[NDArray[np.float32]], NDArray[Any]],
) -> Floats:
    """How much lower the scores are with each patch covered, (L, rows, columns).

    `score` makes scores (n, L) of what the network gives (n, D).
    """
    covered = occlude_patches(poster, shape)
    grid, images = covered.shape[:2], covered.reshape(-1, *poster.shape)
    _, found = model.predict(np.concatenate([poster[None], images]))
    scores = score(found).astype(np.float64)
    return np.asarray((scores[0] - scores[1:]).T.reshape(-1, *grid))


def _check_embedding(block: PosterBlock, cached: NDArray[Any], computed: NDArray[Any]) -> None:
    a, b = cached.astype(np.float64), computed.astype(np.float64)
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    if lengths and a @ b < MIN_COSINE * lengths:
        raise ExtractionError(
            f"--map: expected the backbone to give the embedding of the block {block.name} that is in the "
            f"cache, found one with a cosine of {a @ b / lengths:.3f} to it. The cache was written by "
            "another version; extract the posters anew."
        )
