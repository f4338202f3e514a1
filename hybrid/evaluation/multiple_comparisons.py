"""Comparison of all pairs of models: adjusted p-values and simultaneous intervals, by max-T permutation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from hybrid.evaluation.bootstrap import Units, make_units, swaps, unit_weights
from hybrid.evaluation.intervals import LEVEL
from hybrid.evaluation.metrics import (
    AVERAGE_PRECISIONS,
    Weights,
    check_metric,
    highest,
    make_columns,
    make_measure,
)
from hybrid.evaluation.outputs import Floats, Labels, Outputs, check, stack, twice
from hybrid.evaluation.resampling import DRAWS
from hybrid.evaluation.significance import SAME
from hybrid.types import Interval

Pairs = Sequence[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class PairwiseComparisons:
    """All pairs of K models, with simultaneous intervals and adjusted p-values.

    Parameters
    ----------
    metric : str
    difference, low, high : ndarray of shape (K, K)
        Metric of the model of the row minus that of the column, and the bounds of its interval.
    p_value : ndarray of shape (K, K)
        Adjusted for the number of pairs; 1 on the diagonal.

    Examples
    --------
    See `compare_pairs`.
    """

    metric: str
    difference: Floats
    low: Floats
    high: Floats
    p_value: Floats

    def interval(self, first: int, second: int) -> Interval:
        """Metric of the first model minus that of the second, with its simultaneous interval."""
        at = first, second
        return Interval(float(self.difference[at]), float(self.low[at]), float(self.high[at]))


def compare_pairs(
    truth: ArrayLike,
    models: Sequence[Outputs],
    metric: str = "f1_weighted",
    *,
    groups: ArrayLike | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> PairwiseComparisons:
    """Compare all pairs of models, with one error rate for all of them together.

    The single-step max-T procedure of Westfall and Young, "Resampling-Based Multiple Testing", 1993: in each
    draw the two models of each pair swap their outputs on the same random half of the items, or groups of
    items; the largest studentized difference over all pairs is what an observed one is held against.
    If all models are equal, the probability that any pair is found to differ is ``1 - level`` at most.
    As all pairs are included, it makes no difference that the best model was chosen on the same items.

    The intervals are the differences that the same test does not reject, so that an interval excludes 0 if
    and only if its p-value is at most ``1 - level``. For two models the p-value is that of
    `permutation_test`.

    Parameters
    ----------
    truth : array-like of shape (n, L)
    models : sequence of K Outputs
        On the same items.
    metric : str, default="f1_weighted"
        One of `METRICS`.
    groups : array-like of shape (n,), optional
        Items of one group are swapped together.
    draws : int, default=2000
    seed : int, default=0
    level : float, default=0.95
        Probability that all intervals hold at once.

    Returns
    -------
    PairwiseComparisons
        p-values are from ``1 / (draws + 1)`` to 1, and NaN where the metric is not defined.

    Raises
    ------
    SettingError
        If shapes or settings are wrong.

    Examples
    --------
    >>> truth = np.ones((40, 1))
    >>> models = [Outputs(np.full((40, 1), v, np.uint8), np.full((40, 1), v)) for v in (1, 1, 0)]
    >>> found = compare_pairs(truth, models, draws=999)
    >>> found.p_value[0].tolist()
    [1.0, 1.0, 0.001]
    >>> found.interval(0, 1)
    Interval(value=0.0, low=0.0, high=0.0)
    """
    truth = check(truth, models, draws)
    pairs = list(combinations(range(len(models)), 2))
    observed, reach, p_value = _compare(truth, models, pairs, metric, groups, draws, seed, level)
    size, most = len(models), highest(metric, truth.shape[1])
    return PairwiseComparisons(
        metric,
        _square(observed, -observed, size, 0.0),
        _square(
            np.maximum(observed - reach, -most), np.maximum(-observed - reach, -most), size, 0.0
        ),
        _square(np.minimum(observed + reach, most), np.minimum(-observed + reach, most), size, 0.0),
        _square(p_value, p_value, size, 1.0),
    )


def compare_with_reference(
    truth: ArrayLike,
    models: Sequence[Outputs],
    reference: Outputs,
    metric: str = "f1_weighted",
    *,
    groups: ArrayLike | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> list[Interval]:
    """Compare several models with one, which was chosen beforehand, with one error rate for all.

    The method is that of `compare_pairs`, for K pairs instead of all: the intervals are narrower. The
    reference must not have been chosen on the same items.

    Parameters
    ----------
    truth : array-like of shape (n, L)
    models : sequence of K Outputs
    reference : Outputs
        On the same items.
    metric, groups, draws, seed, level
        As for `compare_pairs`.

    Returns
    -------
    list of K Interval
        Metric of each model minus that of the reference.

    Raises
    ------
    SettingError
        If shapes or settings are wrong.

    Examples
    --------
    >>> truth = np.ones((40, 1))
    >>> one, other, whole = (
    ...     Outputs(np.full((40, 1), v, np.uint8), np.full((40, 1), v)) for v in (1, 0, 1)
    ... )
    >>> [found.value for found in compare_with_reference(truth, [one, other], whole, draws=99)]
    [0.0, -1.0]
    """
    every = [reference, *models]
    truth = check(truth, every, draws)
    pairs = [(k, 0) for k in range(1, len(every))]
    observed, reach, _ = _compare(truth, every, pairs, metric, groups, draws, seed, level)
    most = highest(metric, truth.shape[1])
    low, high = np.maximum(observed - reach, -most), np.minimum(observed + reach, most)
    return [Interval(*map(float, one)) for one in zip(observed, low, high, strict=True)]


def _compare(
    truth: Labels,
    models: Sequence[Outputs],
    pairs: Pairs,
    metric: str,
    groups: ArrayLike | None,
    draws: int,
    seed: int,
    level: float,
) -> tuple[Floats, Floats, Floats]:
    """Difference of each pair, half the width of its interval, and its p-value, of shape (P,) each."""
    check_metric(metric)
    units = make_units(len(truth), groups)
    observed, swapped = _differences(truth, models, pairs, metric, units, draws, seed)
    spread = np.sqrt((swapped**2).mean(axis=0))
    largest = np.nan_to_num(_studentize(swapped, spread)).max(axis=1, initial=0.0)
    found = np.abs(_studentize(observed, spread))
    reached = (largest[:, None] >= found - SAME).sum(axis=0)
    p_value = np.where(np.isnan(found), np.nan, (1 + reached) / (draws + 1))
    reach = _reach(largest, observed, spread, units.count, 1 - level)
    rejected = p_value <= 1 - level
    # Rounding must not make an interval contradict its p-value.
    inside = np.abs(observed) * (1 - SAME)
    reach = np.where(rejected, np.minimum(reach, inside), np.maximum(reach, np.abs(observed)))
    return observed, reach, p_value


def _differences(
    truth: Labels,
    models: Sequence[Outputs],
    pairs: Pairs,
    metric: str,
    units: Units,
    draws: int,
    seed: int,
) -> tuple[Floats, Floats]:
    """Differences of the pairs, of shape (P,), and under each swap, of shape (B, P)."""
    differ = _by_ranking if metric in AVERAGE_PRECISIONS else _by_sums
    observed = differ(truth, models, pairs, metric, iter([unit_weights(len(truth))]))
    return observed[0], differ(truth, models, pairs, metric, swaps(units, draws, seed))


def _by_sums(
    truth: Labels, models: Sequence[Outputs], pairs: Pairs, metric: str, kept: Iterator[Weights]
) -> Floats:
    """Differences of metrics that are functions of sums over items: swapping is adding and subtracting."""
    columns = [make_columns(truth, outputs, [metric]) for outputs in models]
    totals = [each.values.sum(axis=0) for each in columns]
    score, found = metric.partition("_")[0], []
    for weights in kept:
        keep, total = weights.astype(np.float64), np.full(len(weights), float(len(truth)))
        sums = [keep @ each.values for each in columns]
        out = np.empty((len(weights), len(pairs)))
        for p, (i, j) in enumerate(pairs):
            one = columns[i].metrics(sums[i] + (totals[j] - sums[j]), total, score)[metric]
            other = columns[i].metrics(sums[j] + (totals[i] - sums[i]), total, score)[metric]
            out[:, p] = one - other
        found.append(out)
    return np.concatenate(found)


def _by_ranking(
    truth: Labels, models: Sequence[Outputs], pairs: Pairs, metric: str, kept: Iterator[Weights]
) -> Floats:
    """Differences of any metric: the mixed model has the outputs of 2n items, of which half weigh nothing."""
    doubled = twice(truth)
    measures = [make_measure(doubled, stack(models[i], models[j]), [metric]) for i, j in pairs]
    found = []
    for weights in kept:
        sides = np.hstack([weights, 1 - weights]), np.hstack([1 - weights, weights])
        rows = [measure(sides[0])[metric] - measure(sides[1])[metric] for measure in measures]
        found.append(np.array(rows).reshape(-1, len(weights)).T)
    return np.concatenate(found)


def _studentize(values: Floats, spread: Floats) -> Floats:
    """Absolute differences over their spread; 0 for models that never differ."""
    values = np.abs(np.where(np.abs(values) < SAME, 0.0, values))
    spread = np.broadcast_to(spread, values.shape)
    return np.divide(values, spread, out=0 * values, where=spread > SAME)  # NaN stays NaN


def _reach(largest: Floats, observed: Floats, spread: Floats, units: int, alpha: float) -> Floats:
    """Half the width of each interval: the largest shift that the test does not reject.

    Swaps have the second moment about 0, which is the variance plus the square of the difference over the
    number of units. With the data shifted by d, the statistic is ``d / sqrt(variance + d² / units)``.
    """
    draws = len(largest)
    rank = int(
        alpha * (draws + 1) + SAME
    )  # so many draws, the observed one among them, may reach it
    critical = np.sort(largest)[draws - rank] if rank else np.inf
    room = 1 - critical**2 / units
    if room <= 0:  # too few draws or units to reject anything
        return np.where(np.isnan(spread), np.nan, np.where(spread > SAME, np.inf, 0.0))
    return critical * np.sqrt(np.maximum(spread**2 - observed**2 / units, 0.0) / room)


def _square(above: Floats, below: Floats, size: int, diagonal: float) -> Floats:
    """A matrix of all pairs from what is above its diagonal, and below it."""
    out = np.full((size, size), diagonal)
    rows, columns = np.triu_indices(size, 1)
    out[rows, columns], out[columns, rows] = above, below
    return out
