"""Saliency maps of posters: class activation maps, Grad-CAM, and a check by occlusion.

The contribution of a poster to a genre's score is linear in its embedding, once the norm of the fused row is
taken as constant:

    contribution = sum over d of  g_d (e_d - mean_d),    g_d = weight x coefficient_d / (scale_d x norm)

An embedding e is a pooled feature map, so each cell of the map has its own part of e, and therefore of the
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
# Patches on each side, if the map has as many cells. Patches smaller than a third mostly show the effect of
# their own edges, since the receptive field of a cell is larger than the cell.
OCCLUSION_PATCHES = 3
_ROWS, _COLUMNS = ("upper", "middle", "lower"), ("left", "centre", "right")


@dataclass(frozen=True)
class Occlusion:
    """Occlusion sensitivity of a score, compared with a saliency map.

    Parameters
    ----------
    drops : tuple of tuple of float
        Rows and columns of patches: decrease of the score when that patch is occluded.
    correlation : float
        Spearman's rank correlation with the map, summed to these patches, in [-1, 1]; NaN where either is
        constant.
    where : str
        Location of the largest decrease, such as ``"upper left"``; empty if all are equal.

    Examples
    --------
    >>> Occlusion(((0.2, 0.1),), 1.0, "middle left").correlation
    1.0
    """

    drops: tuple[tuple[float, ...], ...]
    correlation: float
    where: str


@dataclass(frozen=True)
class SaliencyMap:
    """Saliency map of one poster for one genre.

    Parameters
    ----------
    genre, block : str
    method : {"exact", "grad-cam"}
        ``"exact"``: the cells sum to `contribution`. ``"grad-cam"``: they do not; only their order is
        meaningful.
    cells : tuple of tuple of float
        Rows and columns of the feature map, upper left first.
    contribution : float or None
        Contribution of the poster to the score; None for networks, whose score cannot be decomposed.
    rounding : float or None
        Part of the contribution that comes from the difference between the cached embedding and the one
        computed now. It is spread evenly over the cells.
    where, against : str
        Locations of the largest and of the smallest cell; empty if all cells are equal.
    occlusion : Occlusion or None, default=None
        Comparison with occlusion, if requested.

    Examples
    --------
    >>> cells = ((0.3, -0.1),)
    >>> SaliencyMap("Horror", "poster", "exact", cells, 0.2, 0.0, "middle left", "middle right").where
    'middle left'
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
    """Contribution of each cell of a feature map to the pooled embedding.

    Parameters
    ----------
    features : ndarray of shape (h, w, D)
    pooling : {"avg", "max", "gem"}
        ``"max"``: the maximum belongs to its cell, or is shared evenly by all that reach it. ``"gem"``: the
        generalized mean is homogeneous of degree 1, so by Euler's theorem it is the sum of each cell times
        its derivative, ``max(f, 1e-6)**3 / (h * w * e**2)``.

    Returns
    -------
    ndarray of shape (h, w, D), dtype float64
        Sums over h and w to the embedding.

    Examples
    --------
    >>> import numpy as np
    >>> features = np.array([[[4.0], [8.0]]])
    >>> pooling_contributions(features, "avg").ravel().tolist()
    [2.0, 4.0]
    >>> pooling_contributions(features, "max").ravel().tolist()
    [0.0, 8.0]
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
    coef: NDArray[Any], scale: NDArray[Any], embedding: NDArray[Any], mean: NDArray[Any]
) -> Floats:
    """Gradient of the scores with respect to the embedding, the norm of the row held constant.

    Parameters
    ----------
    coef : ndarray of shape (L, D)
        Block weight times coefficient.
    scale : ndarray of shape (D,)
        Standard deviations of the block's standardisation.
    embedding : ndarray of shape (D,)
    mean : ndarray of shape (D,)
        Means of the block's standardisation.

    Returns
    -------
    ndarray of shape (L, D), dtype float64
        ``score_gradient(...) @ (embedding - mean)`` is the contribution of the poster to the scores.

    Examples
    --------
    >>> import numpy as np
    >>> one, embedding, mean = np.array([[9.0]]), np.array([6.5]), np.array([2.0])
    >>> score_gradient(one, np.array([3.0]), embedding, mean).tolist()
    [[2.0]]
    """
    standard = (embedding.astype(np.float64) - mean) / scale
    norm = float(np.linalg.norm(standard)) or 1.0
    return np.asarray(coef / (scale.astype(np.float64) * norm))


def class_activation_maps(
    features: NDArray[Any],
    pooling: str,
    embedding: NDArray[Any],
    mean: NDArray[Any],
    gradient: Floats,
) -> tuple[Floats, Floats]:
    """Class activation maps (CAM) of a linear head, for average, maximum and generalized-mean pooling.

    The mean embedding, which the standardisation subtracts, is spread evenly over the cells: a cell is
    positive where it contributes more to the genre than its even share of the mean poster. The difference
    between the cached embedding and the pooled features is spread likewise.

    Parameters
    ----------
    features : ndarray of shape (h, w, D)
    pooling : {"avg", "max", "gem"}
    embedding : ndarray of shape (D,)
        As in the cache.
    mean : ndarray of shape (D,)
        Means of the block's standardisation.
    gradient : ndarray of shape (L, D)
        As `score_gradient` returns it.

    Returns
    -------
    cells : ndarray of shape (L, h, w), dtype float64
        Each map sums to the contribution of the poster to the score.
    rounding : ndarray of shape (L,), dtype float64
        Part of the sum that comes from the difference to the cached embedding.

    References
    ----------
    For average pooling: Zhou et al., "Learning deep features for discriminative localization", CVPR 2016.

    Examples
    --------
    >>> import numpy as np
    >>> features = np.array([[[4.0], [8.0]]])
    >>> cells, rounding = class_activation_maps(
    ...     features, "avg", np.array([6.0]), np.array([2.0]), np.array([[2.0]])
    ... )
    >>> cells.tolist(), rounding.tolist()
    ([[[2.0, 6.0]]], [0.0])
    """
    parts = pooling_contributions(features, pooling)
    difference = embedding.astype(np.float64) - parts.sum(axis=(0, 1))
    even = (difference - mean) / (parts.shape[0] * parts.shape[1])
    return np.moveaxis((parts + even) @ gradient.T, -1, 0), gradient @ difference


def grad_cam(features: NDArray[Any], gradients: NDArray[Any]) -> Floats:
    """Grad-CAM without its ReLU: feature maps weighted by the mean gradient of the score.

    The negative part, which the ReLU of the paper removes, is kept.

    Parameters
    ----------
    features : ndarray of shape (h, w, C)
    gradients : ndarray of shape (L, h, w, C)
        Of each score with respect to the features.

    Returns
    -------
    ndarray of shape (L, h, w), dtype float64

    References
    ----------
    Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization",
    ICCV 2017.

    Examples
    --------
    >>> import numpy as np
    >>> features = np.array([[[1.0, 2.0], [3.0, 0.0]]])
    >>> grad_cam(features, np.ones((1, 1, 2, 2))).tolist()
    [[[3.0, 3.0]]]
    """
    weights = gradients.astype(np.float64).mean(axis=(1, 2))
    return np.einsum("hwc,lc->lhw", features.astype(np.float64), weights)


def peak_location(cells: NDArray[Any]) -> str:
    """Name of the location of the largest cell.

    Parameters
    ----------
    cells : ndarray of shape (h, w)

    Returns
    -------
    str
        One of nine, such as ``"upper left"`` and ``"centre"``; empty if all cells are equal.

    Examples
    --------
    >>> import numpy as np
    >>> peak_location(np.eye(3)[:, ::-1] * [[3], [2], [1]])
    'upper right'
    """
    if cells.max() == cells.min():
        return ""
    h, w = cells.shape
    row, column = np.unravel_index(int(cells.argmax()), cells.shape)
    named = f"{_ROWS[int(3 * (row + 0.5) / h)]} {_COLUMNS[int(3 * (column + 0.5) / w)]}"
    return "centre" if named == "middle centre" else named


def occlude_patches(
    pixels: Pixels, shape: tuple[int, int], patches: int = OCCLUSION_PATCHES
) -> Pixels:
    """Copies of an image with one patch each occluded, in the mean colour of the image.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), dtype uint8
    shape : (h, w)
        Cells of the saliency map; a patch covers whole cells.
    patches : int, default=3
        Maximum number on each side.

    Returns
    -------
    ndarray of shape (rows, columns, height, width, 3), dtype uint8

    References
    ----------
    Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, who use grey.

    Examples
    --------
    >>> import numpy as np
    >>> occlude_patches(np.zeros((60, 40, 3), dtype=np.uint8), (7, 7)).shape
    (3, 3, 60, 40, 3)
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
    """Rank correlation of a saliency map with the effect of occlusion.

    Parameters
    ----------
    cells : ndarray of shape (h, w)
    drops : ndarray of shape (rows, columns)
        Decrease of the score for each patch of `occlude_patches`.

    Returns
    -------
    Occlusion

    Examples
    --------
    >>> import numpy as np
    >>> cells = np.arange(9.0).reshape(3, 3)
    >>> found = compare_with_occlusion(cells, cells**2)
    >>> round(found.correlation, 6), found.where
    (1.0, 'lower right')
    """
    starts = [_edges(n, k)[:-1] for n, k in zip(cells.shape, drops.shape, strict=True)]
    summed = np.add.reduceat(np.add.reduceat(cells, starts[0], axis=0), starts[1], axis=1)
    same = np.ptp(summed) == 0 or np.ptp(drops) == 0
    correlation = np.nan if same else spearmanr(summed.ravel(), drops.ravel()).statistic
    return Occlusion(as_nested_tuple(drops), float(correlation), peak_location(drops))


def as_nested_tuple(cells: NDArray[Any]) -> tuple[tuple[float, ...], ...]:
    """A two-dimensional array as a tuple of tuples of float.

    Parameters
    ----------
    cells : ndarray of shape (h, w)

    Returns
    -------
    tuple of h tuple of w float

    Examples
    --------
    >>> import numpy as np
    >>> as_nested_tuple(np.array([[1, 2]]))
    ((1.0, 2.0),)
    """
    return tuple(tuple(row) for row in cells.astype(float).tolist())


def _edges(n: int, patches: int) -> list[int]:
    """First cell of each patch along n cells, and the end of the last one."""
    return [round(n * i / patches) for i in range(patches + 1)]
