"""Estimates with confidence intervals: a metric under bootstrap draws and the jackknife."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from hybrid.errors import unknown_name
from hybrid.evaluation.bootstrap import Units, bootstrap, jackknife, unit_weights
from hybrid.evaluation.intervals import METHODS, bca_interval, percentile_interval
from hybrid.evaluation.metrics import Measured, Weights
from hybrid.types import Interval

DRAWS = 2000
METHOD = "bca"  # it covers better where genres are rare: docs/evaluation.md
Sampled = tuple[Measured, Measured, Measured]


def check_method(method: str) -> None:
    """Raise a SettingError unless `method` is a kind of interval."""
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)


def sample(
    measure: Callable[[Weights], Measured], units: Units, draws: int, seed: int, method: str
) -> Sampled:
    """Metrics on all items, under each bootstrap draw, and (for BCa alone) without each unit."""
    point = measure(unit_weights(len(units.of_item)))
    spread = gather(measure, bootstrap(units, draws, seed))
    several = units.count > 1  # without the only one, nothing is left to measure
    left = gather(measure, jackknife(units, seed)) if method == "bca" and several else point
    return point, spread, left


def gather(measure: Callable[[Weights], Measured], chunks: Iterable[Weights]) -> Measured:
    """Metrics under all weights, concatenated: name → (B,) or (B, L)."""
    found = [measure(weights) for weights in chunks]
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def interval_of(sampled: Sampled, name: str, method: str, *at: int) -> Interval:
    """Confidence interval of one metric, or of one genre's (`at`), from what `sample` returned."""
    place: tuple[Any, ...] = (slice(None), *at)
    point, draws, left = (found[name][place] for found in sampled)
    value = float(point[0])
    if method == "bca":
        return bca_interval(value, draws, left)
    return percentile_interval(value, draws)
