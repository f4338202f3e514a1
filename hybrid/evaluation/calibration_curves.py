"""Reliability curve and calibration error of probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from hybrid.errors import SettingError
from hybrid.evaluation.bootstrap import make_units
from hybrid.evaluation.outputs import Floats
from hybrid.utils.unknown_labels import as_no, known_cells, read_labels

BINS = 10
SAME = 1e-12  # sums round
Curve = tuple[float, ...]


@dataclass(frozen=True)
class Reliability:
    """Reliability curve of K bins, and calibration errors.

    Parameters
    ----------
    predicted, observed : tuple of K float
        Mean probability, and share of the items that have the label, of each bin.
    low, high : tuple of K float
        95 % interval of `observed`: Wilson, "Probable Inference, the Law of Succession, and Statistical
        Inference", 1927.
    count : tuple of K int
        Items.
    error : float
        Expected calibration error: the mean of ``|predicted - observed|``, bins weighted by their items
        (Naeini, Cooper and Hauskrecht, 2015). It is above 0 by chance alone, the more so the fewer items.
    debiased : float
        Root of the mean squared difference, with what chance alone adds taken off, or 0 if that is more:
        Kumar, Liang and Ma, "Verified Uncertainty Calibration", 2019, section 4.
    """

    predicted: Curve
    observed: Curve
    low: Curve
    high: Curve
    count: tuple[int, ...]
    error: float
    debiased: float


def reliability(
    truth: ArrayLike,
    probabilities: ArrayLike,
    bins: int = BINS,
    *,
    groups: ArrayLike | None = None,
) -> Reliability:
    """Reliability curve and expected calibration error.

    Bins hold about the same number of items; items of one probability are in one bin.

    Parameters
    ----------
    truth, probabilities : array-like of shape (n,), or of any one shape
        1 where the label is true, masked or NaN where it is unknown; in [0, 1]. NaN is left out.
    bins : int, default=10
        Most bins.
    groups : array-like of shape (n,), optional
        Items of one group are not independent: a bin counts as many items as would give the variance that
        its groups have (Kish, "Survey Sampling", 1965).

    Raises
    ------
    SettingError
        If shapes differ, a probability is out of range, or `bins` is below 1.

    Examples
    --------
    >>> found = reliability([0, 0, 1, 1], [0.2, 0.2, 0.7, 0.7], bins=2)
    >>> found.count, found.observed, round(found.error, 3)
    ((2, 2), (0.0, 1.0), 0.25)
    """
    truth = read_labels(truth)
    real, said = as_no(truth).ravel() != 0, np.asarray(probabilities, np.float64).ravel()
    problems = []
    if np.shape(truth) != np.shape(probabilities):
        problems.append(
            f"expected truth and probabilities of one shape, found {np.shape(truth)} and "
            f"{np.shape(probabilities)}."
        )
    if not ((said >= 0) & (said <= 1) | np.isnan(said)).all():
        problems.append("probabilities: expected numbers from 0 to 1.")
    if bins < 1:
        problems.append(f"bins: expected 1 or more, found {bins}.")
    if problems:
        raise SettingError("\n".join(problems))
    known = ~np.isnan(said)
    if (cells_known := known_cells(truth)) is not None:
        known &= cells_known.ravel()
    cells = _cells(np.shape(truth), groups)[known]
    real, said = real[known], said[known]
    if not len(said):
        return Reliability((), (), (), (), (), float("nan"), float("nan"))
    edges = np.unique(np.quantile(said, np.linspace(0, 1, bins + 1)[1:-1], method="lower"))
    bin_of = np.searchsorted(edges, said, side="left")
    size = np.bincount(bin_of)
    filled = size > 0
    predicted = np.bincount(bin_of, said)[filled] / size[filled]
    observed = np.bincount(bin_of, real)[filled] / size[filled]
    bin_of, size = np.unique(bin_of, return_inverse=True)[1], size[filled]
    independent = size if groups is None else size / _design_effect(real, observed, bin_of, cells)
    low, high = _wilson(observed, independent)
    share, apart = size / size.sum(), predicted - observed
    chance = observed * (1 - observed) / np.maximum(independent - 1, 1)
    squared = float((share * (apart**2 - chance)).sum())
    return Reliability(
        tuple(predicted.tolist()),
        tuple(observed.tolist()),
        tuple(low.tolist()),
        tuple(high.tolist()),
        tuple(size.tolist()),
        error=float((share * np.abs(apart)).sum()),
        debiased=max(squared, 0.0) ** 0.5,
    )


def _cells(shape: tuple[int, ...], groups: ArrayLike | None) -> NDArray[np.int64]:
    """Unit and column of each cell, of shape (cells, 2)."""
    items, columns = shape[0], int(np.prod(shape[1:]))
    units = make_units(items, groups).of_item
    return np.column_stack([np.repeat(units, columns), np.tile(np.arange(columns), items)])


def _design_effect(
    real: NDArray[np.bool_], observed: Floats, bin_of: NDArray[Any], cells: NDArray[np.int64]
) -> Floats:
    """How many times larger the variance of each bin's share is than that of independent cells."""
    apart = real - observed[bin_of]
    units, unit_of = np.unique(np.column_stack([bin_of, cells[:, 0]]), axis=0, return_inverse=True)
    together = np.bincount(units[:, 0], np.bincount(unit_of.ravel(), apart) ** 2)
    alone = np.bincount(bin_of, apart**2)
    # Where all cells are alike, nothing varies: copies of one cell then count as one.
    copies, count = np.unique(np.column_stack([bin_of, cells]), axis=0, return_counts=True)
    kish = np.bincount(copies[:, 0], count**2) / np.bincount(copies[:, 0], count)
    found = np.divide(together, alone, out=kish, where=alone > SAME)
    return np.maximum(found, 1.0)


def _wilson(share: Floats, size: NDArray[Any], level: float = 0.95) -> tuple[Floats, Floats]:
    z2 = float(ndtri((1 + level) / 2)) ** 2
    middle = (share + z2 / (2 * size)) / (1 + z2 / size)
    reach = np.sqrt(z2 * (share * (1 - share) / size + z2 / (4 * size**2))) / (1 + z2 / size)
    return np.maximum(middle - reach, 0.0), np.minimum(middle + reach, 1.0)
