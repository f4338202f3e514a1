"""One threshold a genre: from which probability on the label is given."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def best_thresholds(truth: NDArray[np.uint8], scores: Floats) -> Floats:
    """Choose, for each genre, the threshold with the best F1.

    Parameters
    ----------
    truth : ndarray of shape (n, L)
        1 where the item has the label.
    scores : ndarray of shape (n, L)
        Out-of-fold, so that no item judged itself; NaN where a model could say nothing.

    Returns
    -------
    ndarray of shape (L,), float64
        A label is given where ``score >= threshold``. Each lies half-way between two scores.
        ``inf`` (never) for a genre without positives.
    """
    return np.array([_best_threshold(truth[:, j], scores[:, j]) for j in range(truth.shape[1])])


def _best_threshold(truth: NDArray[np.uint8], scores: Floats) -> float:
    known = ~np.isnan(scores)
    truth, scores = truth[known], scores[known]
    positives = int(truth.sum())
    if not positives:
        return float("inf")
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    hits = np.cumsum(truth[order])
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + positives)
    # Items with equal scores are given the label together or not at all.
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    best = int(ends[np.argmax(f1[ends])])
    if best + 1 == len(ranked):
        return float(ranked[best])
    middle = float((ranked[best] + ranked[best + 1]) / 2)
    # Between neighbouring floats there is no middle.
    return middle if middle > ranked[best + 1] else float(ranked[best])


def apply_thresholds(scores: Floats, thresholds: Floats) -> NDArray[np.uint8]:
    """Labels of shape (n, L), uint8: 1 where the score reaches its genre's threshold."""
    return (scores >= thresholds).astype(np.uint8)  # NaN reaches nothing
