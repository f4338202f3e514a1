"""Cost of leakage: every metric with the leaked test items and without them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid.errors import SettingError
from hybrid.evaluation import DRAWS, METRICS, Outputs
from hybrid.evaluation.bootstrap import bootstrap, make_units, unit_weights
from hybrid.evaluation.intervals import percentile_interval
from hybrid.evaluation.metrics import make_measure
from hybrid.evaluation.resampling import gather
from hybrid.types import Interval
from hybrid.utils.progress import shows_step
from hybrid.utils.unknown_labels import read_labels


@dataclass(frozen=True)
class LeakageCost:
    """What leaks are worth in one metric, with 95 % percentile intervals.

    Parameters
    ----------
    all : Interval
        On all test items.
    clean : Interval
        On those that do not leak.
    difference : Interval
        The first minus the second, both from the same bootstrap draws.

    Examples
    --------
    >>> points = Interval(0.1, 0.05, 0.15)
    >>> LeakageCost(Interval(0.7, 0.6, 0.8), Interval(0.6, 0.5, 0.7), points).difference.value
    0.1
    """

    all: Interval
    clean: Interval
    difference: Interval


@shows_step("estimating what the leaks are worth")
def leakage_cost(
    truth: ArrayLike,
    outputs: Outputs,
    leaked: NDArray[np.bool_],
    *,
    groups: ArrayLike | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, LeakageCost]:
    """Compare each metric with and without the leaked test items.

    Parameters
    ----------
    truth : array-like of shape (n, L)
        1 where the item has the label.
    outputs : Outputs
        Of the same items.
    leaked : ndarray of shape (n,), bool
        Whether each item leaks.
    groups : array-like of shape (n,), optional
        Items of one group are drawn together.
    draws : int, default=2000
        The clean items among a bootstrap draw are the draw of the second figure.
    seed : int, default=0

    Returns
    -------
    dict of str to LeakageCost
        Name of the metric → its cost. Empty where no item leaks, or all do.

    Raises
    ------
    SettingError
        If the shapes differ.

    Examples
    --------
    >>> truth = np.array([[1, 0], [0, 1], [1, 1], [0, 1]])
    >>> scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.9], [0.6, 0.7]])
    >>> outputs = Outputs((scores >= 0.5).astype(np.uint8), scores)
    >>> costs = leakage_cost(truth, outputs, np.array([True, True, False, False]), draws=20)
    >>> costs["f1_micro"].all.value > costs["f1_micro"].clean.value
    True
    """
    real = (read_labels(truth) != 0).astype(np.uint8)
    if (
        not real.shape == outputs.labels.shape == outputs.scores.shape
        or leaked.shape != real[:, 0].shape
    ):
        raise SettingError(
            "expected truth, labels, scores and leaked of the same items, found "
            f"{real.shape}, {outputs.labels.shape}, {outputs.scores.shape}, {leaked.shape}."
        )
    if not leaked.any() or leaked.all():
        return {}
    measure, is_clean = make_measure(real, outputs, METRICS), (~leaked).astype(np.uint8)
    once = unit_weights(len(real))
    points = measure(once), measure(once * is_clean)
    drawn = list(bootstrap(make_units(len(real), groups), draws, seed))
    # A draw without a clean item says nothing.
    drawn = [weights[(weights * is_clean).any(axis=1)] for weights in drawn]
    every, clean = gather(measure, drawn), gather(measure, (w * is_clean for w in drawn))
    costs = {}
    for name in METRICS:
        values = [float(point[name][0]) for point in points]
        costs[name] = LeakageCost(
            percentile_interval(values[0], every[name]),
            percentile_interval(values[1], clean[name]),
            percentile_interval(values[0] - values[1], every[name] - clean[name]),
        )
    return costs
