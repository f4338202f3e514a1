"""Saliency maps of a poster for a run: class activation maps or Grad-CAM, checked by occlusion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.backbones import BackboneSpec, Weights, get_backbone, resolve_weights
from hybrid.backbones.registry import HUB, ONNX
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
from hybrid.extraction.configured_spec import configured_spec
from hybrid.features import PosterFeatures
from hybrid.heads import HybridClassifier
from hybrid.inspection.poster_input import background_image, load_input
from hybrid.runs.predict import extracted_backbones, find_weights, recorded_options
from hybrid.runs.record import RunRecord
from hybrid.runs.record_parts import BackboneRecord
from hybrid.runs.recorded_networks import is_recorded_tuned
from hybrid.utils.options import one_or_each

if TYPE_CHECKING:
    from hybrid.backbones.feature_maps import FeatureMapModel

# Engines and precisions agree to a cosine of 0.999 (see `hybrid.backbones.weights.fingerprint_fields`).
MIN_COSINE = 0.99
Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class PosterBlock:
    """A poster block of a fitted model.

    Parameters
    ----------
    name : str
    effect : BlockCoefficients
    features : PosterFeatures
        Fitted.
    backbone : dict
        The backbone as the run recorded it.

    Examples
    --------
    See `poster_blocks`.
    """

    name: str
    effect: BlockCoefficients
    features: PosterFeatures
    backbone: BackboneRecord

    @property
    def coef(self) -> Floats:
        """Block weight times coefficient of each dimension of the embedding, (L, D)."""
        return self.effect.coef[:, : self.effect.first_named]


@dataclass(frozen=True, eq=False)
class PosterSaliency:
    """Saliency maps of one poster, and for each block the image that they are drawn on.

    Parameters
    ----------
    maps : tuple of SaliencyMap
    pixels : dict of str to ndarray of shape (height, width, 3), dtype uint8
        Block to image: the input of the backbone where that is cropped or padded, else the poster in its
        own aspect ratio.

    Examples
    --------
    >>> PosterSaliency((), {}).maps
    ()
    """

    maps: tuple[SaliencyMap, ...]
    pixels: dict[str, Pixels]


def poster_blocks(model: HybridClassifier, record: RunRecord) -> tuple[PosterBlock, ...]:
    """Poster blocks of a fitted model.

    Parameters
    ----------
    model : HybridClassifier
        Fitted, with a linear head.
    record : RunRecord

    Returns
    -------
    tuple of PosterBlock

    Raises
    ------
    SettingError
        If the model has none.

    Examples
    --------
    >>> [block.name for block in poster_blocks(run.model, run.record)]  # doctest: +SKIP
    ['poster']
    """
    backbones = extracted_backbones(record)
    effects = {effect.name: effect for effect in read_linear_head(model).blocks}
    found = tuple(
        PosterBlock(name, effects[name], block, backbones[name])
        for name, block in model.fusion_.fitted_
        if isinstance(block, PosterFeatures)
    )
    if not found:
        raise SettingError(
            f"{record.name or 'the run'}: expected a run with a poster block, found "
            f"{', '.join(model.fusion_.names)}. Fit one with hybrid fit-svm --blocks "
            "poster,text,metadata."
        )
    return found


def resolve_backbones(
    folder: Path, blocks: Sequence[PosterBlock], weights: Sequence[str] = ()
) -> list[tuple[BackboneSpec, Weights]]:
    """Backbone and weights of each block, as the run recorded them.

    Parameters
    ----------
    folder : Path
        The run folder.
    blocks : sequence of PosterBlock
    weights : sequence of str, default=()
        Files of weights, one for all blocks or one for each. Empty: those that the run recorded.

    Returns
    -------
    list of (BackboneSpec, Weights)

    Raises
    ------
    SettingError
        If the number of files does not fit.
    WeightsError
        If the weights are not found, or differ from those of the run.

    Examples
    --------
    >>> ((spec, weights),) = resolve_backbones(run.folder, blocks)  # doctest: +SKIP
    """
    nets = []
    each = one_or_each("--weights", weights, len(blocks))
    for block, path in zip(blocks, each, strict=True):
        recorded = block.backbone
        seed, name = recorded.weights.seed, recorded.name
        if name.endswith(ONNX) or name.startswith(HUB):
            raise SettingError(
                f"--map: expected a backbone of the registry, whose gradients are known, found "
                f"{name}. Leave the option out."
            )
        if is_recorded_tuned(recorded):
            raise SettingError(
                f"--map: expected a backbone of one network, found {name}, which is several that were "
                "tuned. Leave the option out."
            )
        found = resolve_weights(get_backbone(name), find_weights(folder, recorded, path), seed)
        nets.append((configured_spec(name, recorded_options(recorded)), found))
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
    """Saliency maps of a poster for a linear head: class activation maps, or Grad-CAM.

    Parameters
    ----------
    blocks : sequence of PosterBlock
    nets : sequence of (BackboneSpec, Weights)
        Of each block.
    item : DataFrame of 1 row
    path : str
        Of the poster.
    genres : mapping of str to int
        Genre to its index in the head.
    occlude : bool, default=False
        Whether to check each map by occlusion: one forward pass for each patch.

    Returns
    -------
    PosterSaliency

    Raises
    ------
    SettingError
        If there is no poster, or no feature map.
    ExtractionError
        If the backbone does not compute the embedding that is in the cache.

    Examples
    --------
    >>> blocks = poster_blocks(run.model, run.record)  # doctest: +SKIP
    >>> nets = resolve_backbones(run.folder, blocks)  # doctest: +SKIP
    >>> head_saliency(blocks, nets, run.frame.iloc[[0]], path, {"Horror": 3})  # doctest: +SKIP
    PosterSaliency(...)
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
    """Grad-CAM of a deep baseline.

    Parameters
    ----------
    model : FeatureMapModel
        From posters to the log-odds of L genres.
    path : str
        Of the poster.
    genres : mapping of str to int
        Genre to its index among the L.
    occlude : bool, default=False
        Whether to check each map by occlusion.

    Returns
    -------
    PosterSaliency

    Raises
    ------
    SettingError
        If there is no poster.

    Examples
    --------
    >>> network_saliency(run.feature_map_model(0), path, {"Horror": 3})  # doctest: +SKIP
    PosterSaliency(...)
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


def _block_saliency(
    block: PosterBlock,
    model: FeatureMapModel,
    item: pd.DataFrame,
    poster: Pixels,
    genres: Mapping[str, int],
    occlude: bool,
) -> list[SaliencyMap]:
    """Saliency maps of one block."""
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
    """Saliency maps of cells of shape (L, h, w)."""
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
    """Decrease of the scores when each patch is occluded, (L, rows, columns).

    `score` computes scores (n, L) from the outputs of the network (n, D).
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
            f"--map: expected the backbone to compute the embedding of the block {block.name} that is in "
            f"the cache, found one with a cosine similarity of {a @ b / lengths:.3f} to it. The cache was "
            "written by another version: extract the posters again."
        )
