"""Evaluation of one model or several: metrics with bootstrap intervals, and paired differences."""

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
from hybrid.utils.counts import counted
from hybrid.utils.unknown_labels import as_no


@dataclass(frozen=True)
class GenreScore:
    """Scores of one genre: its support, F1, precision, recall and average precision.

    All but the support are NaN where the genre has no test item.
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
    """Evaluate one model: all metrics, with bootstrap confidence intervals.

    Parameters
    ----------
    truth : array-like of shape (n, L)
        1 where the item has the label.
    outputs : Outputs
    genres : sequence of L str
    groups : array-like of shape (n,), optional
        Items of one group are drawn together; by default each item is drawn by itself.
    draws : int, default=2000
        Bootstrap draws, each of as many groups as there are.
    seed : int, default=0
    method : {"bca", "percentile"}, default="bca"

    Returns
    -------
    Evaluation
        With 95 % intervals.

    Raises
    ------
    SettingError
        If shapes or settings are wrong.

    Examples
    --------
    >>> import numpy as np
    >>> truth = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
    >>> scores = np.array([[0.9, 0.2], [0.4, 0.7], [0.8, 0.3], [0.1, 0.6]])
    >>> found = evaluate(truth, Outputs((scores > 0.5).astype(np.uint8), scores), ["Drama", "Horror"])
    >>> round(found.metrics["f1_weighted"].value, 3)
    0.75
    >>> found.genres[0].genre, found.genres[0].support, found.genres[0].f1.value
    ('Drama', 2, 1.0)
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
    """Evaluate several models on the same items; see `evaluate`.

    Examples
    --------
    >>> import numpy as np
    >>> truth = np.array([[1], [0], [1], [0]])
    >>> models = [Outputs(np.array(y, np.uint8), np.array(y, float)) for y in (truth, 1 - truth)]
    >>> [found.metrics["f1_micro"].value for found in evaluate_all(truth, models, ["Drama"])]
    [1.0, 0.0]
    """
    truth = check(truth, models, draws)
    check_method(method)
    if len(genres) != truth.shape[1]:
        raise SettingError(f"expected {counted(truth.shape[1], 'genre')}, found {len(genres)}.")
    units = make_units(len(truth), groups)
    return [_evaluate(truth, outputs, genres, units, draws, seed, method) for outputs in models]


def measure_all(truth: ArrayLike, outputs: Outputs) -> dict[str, float]:
    """All metrics of one model, without intervals.

    Parameters
    ----------
    truth : array-like of shape (n, L)
    outputs : Outputs

    Raises
    ------
    SettingError
        If shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.array([[1, 0], [0, 1]], np.uint8)
    >>> measure_all([[1, 0], [1, 1]], Outputs(labels, labels.astype(float)))["subset_accuracy"]
    0.5
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
            int(as_no(truth[:, j]).sum()),
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
    """Paired difference of a metric between two models, with a bootstrap interval.

    Both are evaluated on the same bootstrap draws; the value is that of `first` minus that of `second`.

    Parameters
    ----------
    truth : array-like of shape (n, L)
    first, second : Outputs
        On the same items.
    metric : str, default="f1_weighted"
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

    Examples
    --------
    >>> import numpy as np
    >>> truth = np.array([[1], [0], [1], [0]])
    >>> first, second = (Outputs(np.array(y, np.uint8), np.array(y, float)) for y in (truth, 1 - truth))
    >>> paired_difference(truth, first, second).value
    1.0
    """
    truth = check(truth, [first, second], draws)
    check_metric(metric)
    check_method(method)
    one, other = (make_measure(truth, outputs, [metric]) for outputs in (first, second))

    def measure(weights: Weights) -> Measured:
        return {metric: one(weights)[metric] - other(weights)[metric]}

    sampled = sample(measure, make_units(len(truth), groups), draws, seed, method)
    return interval_of(sampled, metric, method)
