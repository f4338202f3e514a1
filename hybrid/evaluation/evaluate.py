"""(truth, labels, scores) → metrics with intervals, of one model or of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from hybrid.errors import SettingError
from hybrid.evaluation.bootstrap import Units, make_units, unit_weights
from hybrid.evaluation.metrics import METRICS, Measured, Weights, check_metric, make_measure
from hybrid.evaluation.outputs import Labels, Outputs, check
from hybrid.evaluation.resampling import DRAWS, METHOD, check_method, interval_of, sample
from hybrid.types import Interval


@dataclass(frozen=True)
class GenreScore:
    """How one genre fares: its test items, and F1, precision, recall, average precision.

    `average_precision` is NaN where the genre has no test item.
    """

    genre: str
    support: int
    f1: Interval
    precision: Interval
    recall: Interval
    average_precision: Interval


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one model on n items, each with its interval, and each genre's scores."""

    items: int
    metrics: dict[str, Interval]
    genres: tuple[GenreScore, ...]


def evaluate(
    truth: ArrayLike,
    outputs: Outputs,
    genres: Sequence[str],
    *,
    groups: ArrayLike | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    method: str = METHOD,
) -> Evaluation:
    """All metrics of one model, with bootstrap intervals.

    Parameters
    ----------
    truth : array-like of shape (n, L)
        1 where the item has the label.
    outputs : Outputs
    genres : sequence of L str
    groups : array-like of shape (n,), optional
        Items of one group are drawn together; by default each item by itself.
    draws : int
        Bootstrap draws of as many groups as there are.
    seed : int
    method : str
        ``"percentile"`` or ``"bca"``.

    Returns
    -------
    Evaluation
        With 95 % intervals.

    Raises
    ------
    SettingError
        If shapes or settings are wrong.
    """
    return evaluate_all(
        truth, [outputs], genres, groups=groups, draws=draws, seed=seed, method=method
    )[0]


def evaluate_all(
    truth: ArrayLike,
    models: Sequence[Outputs],
    genres: Sequence[str],
    *,
    groups: ArrayLike | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    method: str = METHOD,
) -> list[Evaluation]:
    """As `evaluate`, for several models on the same items."""
    truth = check(truth, models, draws)
    check_method(method)
    if len(genres) != truth.shape[1]:
        raise SettingError(f"expected {truth.shape[1]} genres, found {len(genres)}.")
    units = make_units(len(truth), groups)
    return [_evaluate(truth, outputs, genres, units, draws, seed, method) for outputs in models]


def measure_all(truth: ArrayLike, outputs: Outputs) -> dict[str, float]:
    """Every one of `METRICS`, without intervals.

    Parameters
    ----------
    truth : array-like of shape (n, L)
    outputs : Outputs

    Raises
    ------
    SettingError
        If shapes differ.
    """
    truth = check(truth, [outputs])
    found = make_measure(truth, outputs, METRICS)(unit_weights(len(truth)))
    return {name: float(found[name][0]) for name in METRICS}


def _evaluate(
    truth: Labels,
    outputs: Outputs,
    genres: Sequence[str],
    units: Units,
    draws: int,
    seed: int,
    method: str,
) -> Evaluation:
    measure = make_measure(truth, outputs)
    sampled = sample(measure, units, draws, seed, method)

    def interval(name: str, *at: int) -> Interval:
        return interval_of(sampled, name, method, *at)

    scores = tuple(
        GenreScore(
            genre,
            int(truth[:, j].sum()),
            interval("f1", j),
            interval("precision", j),
            interval("recall", j),
            interval("average_precision", j),
        )
        for j, genre in enumerate(genres)
    )
    return Evaluation(len(truth), {name: interval(name) for name in METRICS}, scores)


def paired_difference(
    truth: ArrayLike,
    first: Outputs,
    second: Outputs,
    metric: str = "f1_weighted",
    *,
    groups: ArrayLike | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    method: str = METHOD,
) -> Interval:
    """Metric of `first` minus metric of `second`, both on the same bootstrap draws.

    Parameters
    ----------
    truth : array-like of shape (n, L)
    first, second : Outputs
        On the same items.
    metric : str
        One of `METRICS`.
    groups, draws, seed, method
        As for `evaluate`.

    Returns
    -------
    Interval
        95 % interval of the difference.

    Raises
    ------
    SettingError
        If shapes or settings are wrong.
    """
    truth = check(truth, [first, second], draws)
    check_metric(metric)
    check_method(method)
    one, other = (make_measure(truth, outputs, [metric]) for outputs in (first, second))

    def measure(weights: Weights) -> Measured:
        return {metric: one(weights)[metric] - other(weights)[metric]}

    sampled = sample(measure, make_units(len(truth), groups), draws, seed, method)
    return interval_of(sampled, metric, method)
