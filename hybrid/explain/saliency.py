"""Which parts of a poster speak for a genre: pure functions of feature maps and coefficients.

What a poster adds to a genre's score is linear in its embedding, once the length that the fusion brings it
to is taken as given:

    contribution = sum over d of  g_d (e_d - mean_d),    g_d = weight x coefficient_d / (scale_d x length)

An embedding e is a pooled feature map, so each cell of the map has its own part of e, and of the
contribution. With average pooling this is class activation mapping (CAM).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]
GEM_POWER, GEM_FLOOR = 3.0, 1e-6  # of `hybrid.backbones.networks.GeneralizedMean`
# Patches on each side, if the map has so many cells. Smaller ones than thirds mostly tell what their own
# edges do: a cell has seen more of the poster than lies under it.
OCCLUSION_PATCHES = 3
_ROWS, _COLUMNS = ("upper", "middle", "lower"), ("left", "centre", "right")


@dataclass(frozen=True)
class Occlusion:
    """What covering parts of a poster does to what it adds to a score.

    Parameters
    ----------
    drops : tuple of tuple of float
        Rows and columns of patches; how much less the poster adds with that patch covered.
    correlation : float
        Spearman's, with the map's cells summed to these patches; NaN where either is the same all over.
    where : str
        Where covering takes most away.
    """

    drops: tuple[tuple[float, ...], ...]
    correlation: float
    where: str


@dataclass(frozen=True)
class SaliencyMap:
    """What each part of a poster says of one genre.

    Parameters
    ----------
    genre, block : str
    method : str
        ``"exact"``: the cells add up to `contribution`. ``"grad-cam"``: they do not; only their order counts.
    cells : tuple of tuple of float
        Rows and columns of the feature map, the upper left first.
    contribution : float or None
        What the poster adds to the score; None where the score is no sum.
    rounding : float or None
        How much of it is not in the feature map as computed now, but in the rounding of the cache. It is
        dealt evenly to the cells.
    where, against : str
        Where the largest and the smallest cell are; nothing if the cells are all the same.
    occlusion : Occlusion or None
        A check of the map, where it was asked for.
    """

    genre: str
    block: str
    method: str
    cells: tuple[tuple[float, ...], ...]
    contribution: float | None
    rounding: float | None
    where: str
    against: str
    occlusion: Occlusion | None = None


def pooling_contributions(features: NDArray[Any], pooling: str) -> Floats:
    """Each cell's part of a pooled feature map.

    Parameters
    ----------
    features : ndarray of shape (h, w, D)
    pooling : {"avg", "max", "gem"}
        The maximum is its cell's alone, or shared evenly by all that reach it. The generalized mean is
        homogeneous, so that by Euler's theorem it is the sum of each cell times its derivative:
        max(f, 1e-6)^3 / (h w e^2).

    Returns
    -------
    ndarray of shape (h, w, D), float64
        Sums over h and w to the embedding.
    """
    features = features.astype(np.float64)
    h, w = features.shape[:2]
    if pooling == "avg":
        return features / (h * w)
    if pooling == "max":
        best = features == features.max(axis=(0, 1))
        return np.where(best, features, 0.0) / best.sum(axis=(0, 1))
    raised = np.maximum(features, GEM_FLOOR) ** GEM_POWER
    pooled = raised.mean(axis=(0, 1)) ** (1.0 / GEM_POWER)
    return np.asarray(raised / (h * w * pooled ** (GEM_POWER - 1)))


def score_gradient(
    coef: NDArray[Any], scale: NDArray[Any], embedding: NDArray[Any], mean: Any
) -> Floats:
    """What one more of each of an embedding's numbers adds to the scores, this item's length as given.

    Parameters
    ----------
    coef : ndarray of shape (L, D)
        Block weight times coefficient.
    scale, mean : ndarray of shape (D,)
        Of the block's standardisation.
    embedding : ndarray of shape (D,)

    Returns
    -------
    ndarray of shape (L, D), float64
        ``score_gradient(...) @ (embedding - mean)`` is what the poster adds to the scores.
    """
    standard = (embedding.astype(np.float64) - mean) / scale
    length = float(np.linalg.norm(standard)) or 1.0
    return np.asarray(coef / (scale.astype(np.float64) * length))


def class_activation_maps(
    features: NDArray[Any],
    pooling: str,
    embedding: NDArray[Any],
    mean: NDArray[Any],
    directions: Floats,
) -> tuple[Floats, Floats]:
    """Each cell's part of what a poster adds to the scores.

    The average poster's embedding, which the standardisation takes away, is dealt evenly to the cells: a
    cell stands above 0 where it says more for the genre than its even share of the average poster. So is the
    difference between the embedding in the cache and the one that these features make.

    For average pooling these are the class activation maps of Zhou et al., "Learning deep features for
    discriminative localization", 2016.

    Parameters
    ----------
    features : ndarray of shape (h, w, D)
    pooling : {"avg", "max", "gem"}
    embedding : ndarray of shape (D,)
        As in the cache.
    mean : ndarray of shape (D,)
    directions : ndarray of shape (L, D)
        As `score_gradient` gives them.

    Returns
    -------
    cells : ndarray of shape (L, h, w), float64
        Each sums to what the poster adds to the score.
    rounding : ndarray of shape (L,), float64
        How much of that sum is the cache's difference.
    """
    shares = pooling_contributions(features, pooling)
    apart = embedding.astype(np.float64) - shares.sum(axis=(0, 1))
    even = (apart - mean) / (shares.shape[0] * shares.shape[1])
    return np.moveaxis((shares + even) @ directions.T, -1, 0), directions @ apart


def grad_cam(features: NDArray[Any], gradients: NDArray[Any]) -> Floats:
    """Grad-CAM: each channel of a feature map, weighted by the mean gradient of the score on it.

    From Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
    localization", 2017, without its last step, which cuts off what speaks against.

    Parameters
    ----------
    features : ndarray of shape (h, w, C)
    gradients : ndarray of shape (L, h, w, C)

    Returns
    -------
    ndarray of shape (L, h, w), float64
    """
    weights = gradients.astype(np.float64).mean(axis=(1, 2))
    return np.einsum("hwc,lc->lhw", features.astype(np.float64), weights)


def peak_location(cells: NDArray[Any]) -> str:
    """Where the largest cell is: ``"upper left"`` … ``"centre"``; nothing if all cells are the same."""
    if cells.max() == cells.min():
        return ""
    h, w = cells.shape
    row, column = np.unravel_index(int(cells.argmax()), cells.shape)
    named = f"{_ROWS[int(3 * (row + 0.5) / h)]} {_COLUMNS[int(3 * (column + 0.5) / w)]}"
    return "centre" if named == "middle centre" else named


def occlude_patches(
    pixels: Pixels, shape: tuple[int, int], patches: int = OCCLUSION_PATCHES
) -> Pixels:
    """An image with one patch after another covered, in the image's own mean colour.

    As in Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014, who cover with
    grey.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8
    shape : (h, w)
        Cells of the map to check; a patch is of whole cells.
    patches : int
        On each side, at most.

    Returns
    -------
    ndarray of shape (rows, columns, height, width, 3), uint8
    """
    rows, columns = (
        [round(size * edge / n) for edge in _edges(n, min(n, patches))]
        for size, n in zip(pixels.shape[:2], shape, strict=True)
    )
    colour = np.rint(pixels.mean(axis=(0, 1))).astype(np.uint8)
    covered = np.tile(pixels, (len(rows) - 1, len(columns) - 1, 1, 1, 1))
    for r, c in np.ndindex(covered.shape[:2]):
        covered[r, c, rows[r] : rows[r + 1], columns[c] : columns[c + 1]] = colour
    return covered


def compare_with_occlusion(cells: Floats, drops: Floats) -> Occlusion:
    """Compare a map with what covering did.

    Parameters
    ----------
    cells : ndarray of shape (h, w)
    drops : ndarray of shape (rows, columns)
        With each of the patches of `occlude_patches` covered.
    """
    starts = [_edges(n, k)[:-1] for n, k in zip(cells.shape, drops.shape, strict=True)]
    summed = np.add.reduceat(np.add.reduceat(cells, starts[0], axis=0), starts[1], axis=1)
    same = np.ptp(summed) == 0 or np.ptp(drops) == 0
    correlation = np.nan if same else spearmanr(summed.ravel(), drops.ravel()).statistic
    return Occlusion(as_nested_tuple(drops), float(correlation), peak_location(drops))


def as_nested_tuple(cells: NDArray[Any]) -> tuple[tuple[float, ...], ...]:
    """A grid as plain numbers."""
    return tuple(tuple(row) for row in cells.astype(float).tolist())


def _edges(n: int, patches: int) -> list[int]:
    """Where the patches along n cells begin, and where the last one ends."""
    return [round(n * i / patches) for i in range(patches + 1)]
