"""(truth, labels, scores) → metrics with intervals. Pure functions: arrays in, records out.

The metrics are scikit-learn's, with ``zero_division=0``. They are computed from counts with one weight
an item, so that the point estimate and all bootstrap draws are the same few matrix products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid.errors import SettingError, unknown_name
from hybrid.records import Interval

Floats = NDArray[np.float64]

METRICS = (
    "f1_micro",
    "f1_macro",
    "f1_weighted",
    "f1_samples",
    "precision_weighted",
    "recall_weighted",
    "map_macro",
    "hamming_loss",
)
DRAWS = 1000
LEVEL = 0.95
CHUNK_CELLS = 4_000_000  # draws x items at once: 32 MB of weights


@dataclass(frozen=True)
class Answers:
    """What one model says of n items and L genres.

    Parameters
    ----------
    labels : ndarray of shape (n, L)
        1 where the label is predicted.
    scores : ndarray of shape (n, L)
        Higher is more likely; NaN ranks last.
    """

    labels: NDArray[np.uint8]
    scores: Floats


@dataclass(frozen=True)
class GenreScore:
    """How one genre fares: its test items, and F1, precision, recall, average precision.

    `average_precision` is NaN where the genre has no test item.
    """

    genre: str
    support: int
    f1: Interval
    precision: float
    recall: float
    average_precision: float


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one model on n items, each with its interval, and each genre's scores."""

    items: int
    metrics: dict[str, Interval]
    genres: tuple[GenreScore, ...]


def evaluate(
    truth: ArrayLike,
    answers: Answers,
    genres: Sequence[str],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Evaluation:
    """All metrics of one model, with bootstrap intervals.

    Parameters
    ----------
    truth : array-like of shape (n, L)
        1 where the item has the label.
    answers : Answers
    genres : sequence of L str
    draws : int
        Bootstrap draws of n items.
    seed : int

    Returns
    -------
    Evaluation
        Intervals are 95 % percentile intervals.
    """
    return evaluate_all(truth, [answers], genres, draws=draws, seed=seed)[0]


def evaluate_all(
    truth: ArrayLike,
    models: Sequence[Answers],
    genres: Sequence[str],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[Evaluation]:
    """As `evaluate`, for several models on the same items."""
    truth = _check(truth, models, draws)
    if len(genres) != truth.shape[1]:
        raise SettingError(f"expected {truth.shape[1]} genres, found {len(genres)}.")
    results = []
    for answers in models:
        point = _point(truth, answers)
        spread = _gather(truth, [answers], draws, seed)[0]
        metrics = {name: _interval(point[name][0], spread[name]) for name in METRICS}
        scores = tuple(
            GenreScore(
                genre=genre,
                support=int(truth[:, j].sum()),
                f1=_interval(point["f1"][0, j], spread["f1"][:, j]),
                precision=float(point["precision"][0, j]),
                recall=float(point["recall"][0, j]),
                average_precision=float(point["average_precision"][0, j]),
            )
            for j, genre in enumerate(genres)
        )
        results.append(Evaluation(len(truth), metrics, scores))
    return results


def paired_difference(
    truth: ArrayLike,
    first: Answers,
    second: Answers,
    metric: str = "f1_weighted",
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """Metric of `first` minus metric of `second`, both on the same bootstrap draws.

    Parameters
    ----------
    truth : array-like of shape (n, L)
    first, second : Answers
        On the same items.
    metric : str
        One of `METRICS`.

    Returns
    -------
    Interval
        95 % percentile interval of the difference.
    """
    truth = _check(truth, [first, second], draws)
    if metric not in METRICS:
        raise unknown_name("metric", metric, METRICS)
    a, b = _gather(truth, [first, second], draws, seed)
    value = _point(truth, first)[metric][0] - _point(truth, second)[metric][0]
    return _interval(value, a[metric] - b[metric])


def _check(truth: ArrayLike, models: Sequence[Answers], draws: int) -> NDArray[np.uint8]:
    if draws < 1:
        raise SettingError(f"draws: expected 1 or more, found {draws}.")
    matrix = np.asarray(truth)
    shapes = [matrix.shape, *(m.labels.shape for m in models), *(m.scores.shape for m in models)]
    if matrix.ndim != 2 or len(set(shapes)) != 1 or not len(matrix):
        raise SettingError(
            f"expected truth, labels and scores of one shape (items, genres), found {shapes}."
        )
    return (matrix != 0).astype(np.uint8)


def _interval(value: float, draws: Floats) -> Interval:
    tail = (1 - LEVEL) / 2
    low, high = (
        np.nanquantile(draws, [tail, 1 - tail]) if np.isfinite(draws).any() else (value,) * 2
    )
    return Interval(float(value), float(low), float(high))


def _resamples(items: int, draws: int, seed: int) -> Iterator[Floats]:
    """Bootstrap draws as weights, in chunks of shape (some draws, items)."""
    random = np.random.default_rng(seed)
    size = max(1, CHUNK_CELLS // items)
    for start in range(0, draws, size):
        picks = random.integers(0, items, size=(min(size, draws - start), items))
        yield np.stack([np.bincount(pick, minlength=items) for pick in picks]).astype(np.float64)


def _gather(
    truth: NDArray[np.uint8], models: Sequence[Answers], draws: int, seed: int
) -> list[dict[str, Floats]]:
    """Each model's metrics over all draws: name → (draws,) or (draws, L)."""
    measures = [_measure(truth, answers) for answers in models]
    chunks: list[list[dict[str, Floats]]] = [[] for _ in models]
    for weights in _resamples(len(truth), draws, seed):
        for measure, found in zip(measures, chunks, strict=True):
            found.append(measure(weights))
    return [{k: np.concatenate([c[k] for c in found]) for k in found[0]} for found in chunks]


def _point(truth: NDArray[np.uint8], answers: Answers) -> dict[str, Floats]:
    return _measure(truth, answers)(np.ones((1, len(truth))))


def _measure(truth: NDArray[np.uint8], answers: Answers) -> Callable[[Floats], dict[str, Floats]]:
    """Prepare what does not depend on the draw; return weights (B, n) → metrics."""
    predicted = (answers.labels != 0).astype(np.float64)
    real = truth.astype(np.float64)
    hits = predicted * real
    item_f1 = _ratio(2 * hits.sum(axis=1), predicted.sum(axis=1) + real.sum(axis=1))
    item_loss = (predicted != real).mean(axis=1)
    rank = [_prepare_ranking(real[:, j], answers.scores[:, j]) for j in range(real.shape[1])]

    def measure(weights: Floats) -> dict[str, Floats]:
        hit, said, support = weights @ hits, weights @ predicted, weights @ real
        total = weights.sum(axis=1)
        f1 = _ratio(2 * hit, said + support)
        precision, recall = _ratio(hit, said), _ratio(hit, support)
        share = _ratio(support, support.sum(axis=1, keepdims=True))
        average_precision = np.stack([r(weights) for r in rank], axis=1)
        return {
            "f1": f1,
            "precision": precision,
            "recall": recall,
            "average_precision": average_precision,
            "f1_micro": _ratio(2 * hit.sum(axis=1), said.sum(axis=1) + support.sum(axis=1)),
            "f1_macro": f1.mean(axis=1),
            "f1_weighted": (f1 * share).sum(axis=1),
            "f1_samples": weights @ item_f1 / total,
            "precision_weighted": (precision * share).sum(axis=1),
            "recall_weighted": (recall * share).sum(axis=1),
            "map_macro": _mean_of_known(average_precision),
            "hamming_loss": weights @ item_loss / total,
        }

    return measure


def _prepare_ranking(real: Floats, scores: Floats) -> Callable[[Floats], Floats]:
    """Average precision of one genre: sum of (recall step x precision), ties taken together."""
    scores = np.where(np.isnan(scores), -np.inf, scores)
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(scores[order][1:] != scores[order][:-1], True))
    real = real[order]

    def average_precision(weights: Floats) -> Floats:
        drawn = weights[:, order]
        hits = np.cumsum(drawn * real, axis=1)[:, ends]
        said = np.cumsum(drawn, axis=1)[:, ends]
        steps = np.diff(hits, axis=1, prepend=0.0)
        area = (steps * _ratio(hits, said)).sum(axis=1)
        positives = hits[:, -1]
        return np.where(positives > 0, area / np.where(positives > 0, positives, 1.0), np.nan)

    return average_precision


def _mean_of_known(values: Floats) -> Floats:
    """Mean along the genres that have a value; NaN where none has."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.nan)


def _ratio(above: Floats, below: Floats) -> Floats:
    """``above / below``, 0 where `below` is 0, as scikit-learn's ``zero_division=0``."""
    below = np.broadcast_to(below, above.shape)
    return np.divide(above, below, out=np.zeros_like(above), where=below != 0)
