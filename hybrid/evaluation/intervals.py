"""Bootstrap confidence intervals: percentile and BCa."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

from hybrid.evaluation.outputs import Floats
from hybrid.types import Interval

LEVEL = 0.95
METHODS = ("percentile", "bca")
ROUNDING = 1e-10  # of sums and means of numbers up to 1
UNKNOWN = Interval(np.nan, np.nan, np.nan)


def percentile_interval(value: float, draws: Floats, level: float = LEVEL) -> Interval:
    """Percentile bootstrap interval.

    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Parameters
    ----------
    value : float
        The estimate.
    draws : ndarray of shape (B,)
        The metric under bootstrap draws; NaN (not defined in a draw) is left out.
    level : float, default=0.95

    Examples
    --------
    >>> found = percentile_interval(0.5, np.linspace(0.4, 0.6, 101))
    >>> round(found.low, 3), round(found.high, 3)
    (0.405, 0.595)
    """
    tail = (1 - level) / 2
    return _between(value, draws, tail, 1 - tail)


def bca_interval(value: float, draws: Floats, jackknife: Floats, level: float = LEVEL) -> Interval:
    """Bias-corrected and accelerated (BCa) bootstrap interval.

    Efron, "Better Bootstrap Confidence Intervals", JASA 82, 1987; the acceleration comes from the jackknife
    (his section 7; Efron and Tibshirani, 1993, equation 14.15).

    Parameters
    ----------
    value, draws, level
        As for `percentile_interval`. Draws that equal the estimate count half as below it.
    jackknife : ndarray of shape (U,)
        The metric without each unit in turn; NaN is left out.

    Examples
    --------
    >>> draws = np.linspace(0.4, 0.6, 101)
    >>> found = bca_interval(0.5, draws, jackknife=np.array([0.49, 0.5, 0.51]))
    >>> round(found.low, 3), round(found.high, 3)
    (0.405, 0.595)
    """
    known, left = draws[np.isfinite(draws)], jackknife[np.isfinite(jackknife)]
    if not len(known) or not np.isfinite(value):
        return percentile_interval(value, draws, level)
    # Sums are rounded as the processor adds them, which must not say whether a draw equals the estimate.
    shift = known - value
    below = (shift < -ROUNDING).mean() + (np.abs(shift) <= ROUNDING).mean() / 2
    edge = 1 / (2 * len(known))  # all draws on one side: as if half of one were on the other
    bias = ndtri(np.clip(below, edge, 1 - edge))
    apart = left.mean() - left if len(left) else np.zeros(1)
    squares = (apart**2).sum()
    acceleration = (apart**3).sum() / (6 * squares**1.5) if squares > 0 else 0.0
    tail = (1 - level) / 2
    reach = bias + ndtri(np.array([tail, 1 - tail]))
    low, high = ndtr(bias + reach / (1 - acceleration * reach))
    return _between(value, draws, float(low), float(high))


def _between(value: float, draws: Floats, low: float, high: float) -> Interval:
    known = draws[np.isfinite(draws)]
    bounds = np.quantile(known, [low, high]) if len(known) else (value, value)
    return Interval(float(value), float(bounds[0]), float(bounds[1]))
