"""Multi-class evaluation: accuracy, top-k accuracy and log loss with intervals, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid.errors import SettingError
from hybrid.evaluation.bootstrap import make_units
from hybrid.evaluation.intervals import UNKNOWN
from hybrid.evaluation.metrics import Measured, Weights
from hybrid.evaluation.outputs import Floats, Labels, Outputs, check
from hybrid.evaluation.resampling import DRAWS, METHOD, check_method, interval_of, sample
from hybrid.types import Interval
from hybrid.utils.counts import counted

MULTICLASS_METRICS = ("accuracy", "top_2_accuracy", "top_3_accuracy", "log_loss")
NEED_SCORES = frozenset({"top_2_accuracy", "top_3_accuracy", "log_loss"})
LEAST = 1e-6  # probability that predictions.csv can tell from 0


@dataclass(frozen=True, eq=False)
class MultiClass:
    """Metrics and confusion matrix of a model that gives each item one class.

    Parameters
    ----------
    classes : tuple of K str
    metrics : dict of str to Interval
        ``accuracy``: share of the items whose class is right; ``top_2_accuracy``, ``top_3_accuracy``: whose
        class is among the two or three most probable; ``log_loss``: mean of minus the logarithm of the
        probability of the true class. The last three are NaN where there are no probabilities.
    confusion : ndarray of shape (K, K), int64
        Row: the true class; column: the predicted one.
    unanswered : ndarray of shape (K,), int64
        Items of each true class without a prediction; they count as wrong, with equal probabilities.
    """

    classes: tuple[str, ...]
    metrics: dict[str, Interval]
    confusion: NDArray[np.int64]
    unanswered: NDArray[np.int64]

    @property
    def accuracy(self) -> Interval:
        """Share of the items whose class is right."""
        return self.metrics["accuracy"]


def evaluate_multiclass(
    truth: ArrayLike,
    outputs: Outputs,
    classes: Sequence[str],
    *,
    groups: ArrayLike | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    method: str = METHOD,
) -> MultiClass:
    """Accuracy, top-k accuracy and log loss with bootstrap intervals, and the confusion matrix.

    Parameters
    ----------
    truth : array-like of shape (n, K)
        1 in the column of the item's class.
    outputs : Outputs
        Labels: one an item, or none. Scores: probabilities, or NaN.
    classes : sequence of K str
    groups, draws, seed, method
        As for `evaluate`.

    Returns
    -------
    MultiClass

    Raises
    ------
    SettingError
        If shapes differ, there is no item, or an item has none or several true classes, or several predicted
        ones.

    Examples
    --------
    >>> probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
    >>> outputs = Outputs(likeliest(probabilities), probabilities)
    >>> found = evaluate_multiclass([[1, 0], [0, 1], [0, 1], [1, 0]], outputs, ["Drama", "Horror"])
    >>> found.accuracy.value, found.confusion.tolist()
    (0.75, [[2, 0], [1, 1]])
    """
    check_method(method)
    real = check(truth, [outputs], draws)
    _check_one_label(real, outputs.labels, len(classes))
    of_items = _of_items(real, outputs)
    names, columns = list(of_items), np.column_stack(list(of_items.values()))

    def measure(weights: Weights) -> Measured:
        means = weights.astype(np.float64) @ columns / weights.sum(axis=1, keepdims=True)
        return {name: means[:, k] for k, name in enumerate(names)}

    sampled = sample(measure, make_units(len(real), groups), draws, seed, method)
    scored = bool(np.isfinite(outputs.scores).any())
    metrics = {
        name: interval_of(sampled, name, method) if scored or name not in NEED_SCORES else UNKNOWN
        for name in MULTICLASS_METRICS
    }
    return MultiClass(tuple(classes), metrics, *count_confusions(real, outputs.labels))


def count_confusions(truth: Labels, labels: Labels) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the items of each true class by their predicted class, and those without a prediction.

    Parameters
    ----------
    truth, labels : ndarray of shape (n, K)
        One label an item; in `labels` perhaps none.

    Returns
    -------
    confusion : ndarray of shape (K, K)
        Row: true; column: predicted.
    unanswered : ndarray of shape (K,)

    Examples
    --------
    >>> truth, labels = np.array([[1, 0], [1, 0], [0, 1]]), np.array([[1, 0], [0, 1], [0, 0]])
    >>> [found.tolist() for found in count_confusions(truth, labels)]
    [[[1, 1], [0, 0]], [0, 1]]
    """
    confusion = truth.T.astype(np.int64) @ labels
    return confusion, truth[labels.sum(axis=1) == 0].sum(axis=0, dtype=np.int64)


def _check_one_label(truth: Labels, labels: Labels, classes: int) -> None:
    if truth.shape[1] != classes:
        raise SettingError(
            f"expected {counted(truth.shape[1], 'class', 'classes')}, found {classes}."
        )
    wrong = int((truth.sum(axis=1) != 1).sum())
    several = int((labels.sum(axis=1) > 1).sum())
    if wrong or several:
        raise SettingError(
            f"expected one class an item, found none or several true ones in {counted(wrong, 'item')}, "
            f"several predicted ones in {several}."
        )


def _of_items(truth: Labels, outputs: Outputs) -> dict[str, Floats]:
    """Each metric of each item, shape (n,)."""
    known = np.isfinite(outputs.scores)
    scores = np.where(known, outputs.scores, -np.inf)
    real = truth.argmax(axis=1)
    own = scores[np.arange(len(real)), real][:, None]
    before = np.arange(truth.shape[1]) < real[:, None]
    rank = ((scores > own) | ((scores == own) & before)).sum(axis=1)
    answered = known.any(axis=1)
    total = np.where(known, outputs.scores, 0.0).sum(axis=1)
    chance = np.full(len(real), 1 / truth.shape[1])
    said = np.divide(
        np.where(np.isfinite(own[:, 0]), own[:, 0], 0.0), total, out=chance, where=total > 0
    )
    return {
        "accuracy": (truth & outputs.labels).any(axis=1).astype(np.float64),
        "top_2_accuracy": ((rank < 2) & answered).astype(np.float64),
        "top_3_accuracy": ((rank < 3) & answered).astype(np.float64),
        "log_loss": -np.log(np.clip(said, LEAST, 1.0)),
    }


def likeliest(probabilities: Floats) -> Labels:
    """One label an item: the most probable one, the first of equal ones.

    Parameters
    ----------
    probabilities : ndarray of shape (n, L)
        NaN ranks last; an item with NaN alone gets no label.

    Returns
    -------
    ndarray of shape (n, L), dtype uint8

    Examples
    --------
    >>> likeliest(np.array([[0.2, 0.3], [0.4, np.nan], [np.nan, np.nan]])).tolist()
    [[0, 1], [1, 0], [0, 0]]
    """
    known = ~np.isnan(probabilities)
    best = np.where(known, probabilities, -np.inf).argmax(axis=1)
    labels = np.eye(probabilities.shape[1], dtype=np.uint8)[best]
    labels[~known.any(axis=1)] = 0
    return labels
