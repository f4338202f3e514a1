"""Multi-class evaluation: accuracy with its interval, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid.errors import SettingError
from hybrid.evaluation.bootstrap import make_units
from hybrid.evaluation.metrics import Measured, Weights
from hybrid.evaluation.outputs import Floats, Labels
from hybrid.evaluation.resampling import DRAWS, METHOD, check_method, interval_of, sample
from hybrid.types import Interval


@dataclass(frozen=True, eq=False)
class MultiClass:
    """Accuracy and confusion matrix of a model that gives each item one class.

    Parameters
    ----------
    classes : tuple of str
    accuracy : Interval
        Share of the items whose class is right.
    confusion : ndarray of shape (K, K), int64
        Row: the true class; column: the predicted one.
    """

    classes: tuple[str, ...]
    accuracy: Interval
    confusion: NDArray[np.int64]


def evaluate_multiclass(
    truth: ArrayLike,
    predicted: ArrayLike,
    classes: Sequence[str],
    *,
    groups: ArrayLike | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    method: str = METHOD,
) -> MultiClass:
    """Accuracy with a bootstrap interval, and the confusion matrix.

    Parameters
    ----------
    truth, predicted : array-like of shape (n,), int
        Numbers of classes.
    classes : sequence of K str
    groups, draws, seed, method
        As for `evaluate`.

    Raises
    ------
    SettingError
        If shapes differ, there is no item, or a number names no class.

    Examples
    --------
    >>> found = evaluate_multiclass([0, 1, 1, 0], [0, 1, 0, 0], ["Drama", "Horror"])
    >>> found.accuracy.value, found.confusion.tolist()
    (0.75, [[2, 0], [1, 1]])
    """
    check_method(method)
    real, said = np.asarray(truth), np.asarray(predicted)
    if real.ndim != 1 or real.shape != said.shape or not len(real):
        raise SettingError(
            f"expected truth and predicted of one shape (items,), found {real.shape}, {said.shape}."
        )
    strange = sorted(set(real.tolist() + said.tolist()) - set(range(len(classes))))
    if strange:
        raise SettingError(
            f"expected numbers of classes from 0 to {len(classes) - 1}, found {strange[0]}."
        )
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (real, said), 1)
    right = (real == said).astype(np.float64)

    def measure(weights: Weights) -> Measured:
        return {"accuracy": weights @ right / weights.sum(axis=1, dtype=np.float64)}

    sampled = sample(measure, make_units(len(right), groups), draws, seed, method)
    accuracy = interval_of(sampled, "accuracy", method)
    return MultiClass(tuple(classes), accuracy, confusion)


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
