"""Metrics that settings are chosen by, of out-of-fold scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from hybrid.heads.decision_rule import ARGMAX, DecisionOptions, crossfit_decision
from hybrid.heads.thresholds import apply_thresholds, best_thresholds
from hybrid.utils.unknown_labels import hide_unknown, known_cells

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]
RANKED = {"map": "macro", "map-weighted": "weighted"}  # means of average precision: no thresholds
ONE_LABEL = DecisionOptions(objective=ARGMAX, calibration="sigmoid")


@dataclass(frozen=True)
class Quality:
    """A metric over all items, in [0, 1], and its standard deviation over the folds.

    `labels`, of shape (n, L), are those that an F1 counts; None where the metric is of rankings.
    """

    value: float
    spread: float
    labels: Labels | None = field(default=None, compare=False, repr=False)


def score_out_of_fold(
    truth: Labels,
    scores: Floats,
    fold: NDArray[np.int64],
    metric: str,
    *,
    tuned: bool = True,
    one_label: bool = False,
) -> Quality:
    """Evaluate out-of-fold scores by a metric, with thresholds of the other folds.

    Parameters
    ----------
    truth : ndarray of shape (n, L)
        1 where the item has the label.
    scores : ndarray of shape (n, L)
        Out-of-fold; NaN, where a fold could not learn the genre, ranks last and gets no label.
    fold : ndarray of shape (n,)
        The fold that each item was held out in.
    metric : str
        ``weighted-f1``, ``macro-f1`` (means of the genres' F1) or ``micro-f1`` (all labels counted
        together), with zero_division=0 as in scikit-learn; ``map``, the mean of the genres' average
        precision, as mAP in the report; or ``map-weighted``, that mean weighted by their items. Means
        leave out genres that no item has.
    tuned : bool, default=True
        False: `scores` are labels, 0 or 1.
    one_label : bool, default=False
        Each item gets the label that is most probable by a calibration on the other folds, not those that
        reach a threshold. Then ``micro-f1`` is accuracy.

    Returns
    -------
    Quality
        For F1, the labels of each fold come from thresholds that were chosen on the other folds.

    Examples
    --------
    >>> truth = np.array([[1], [0], [1], [0]], np.uint8)
    >>> scores, fold = np.array([[0.9], [0.1], [0.8], [0.2]]), np.array([0, 0, 1, 1])
    >>> score_out_of_fold(truth, scores, fold, "map").value
    1.0
    """
    if known_cells(truth) is not None:
        truth, scores = _hide(truth, scores, metric)
    answers: NDArray[Any] = scores
    if metric not in RANKED:
        answers = _label(truth, scores, fold, metric, one_label) if tuned else scores
    parts = [fold == k for k in np.unique(fold)]
    spread = np.std([_measure(truth[part], answers[part], metric) for part in parts])
    labels = None if metric in RANKED else answers.astype(np.uint8)
    return Quality(_measure(truth, answers, metric), float(spread), labels)


def _hide(truth: Labels, scores: Floats, metric: str) -> tuple[Labels, Floats]:
    """Make unknown cells count for nothing: never given, and in rankings behind all known ones."""
    plain, hidden = hide_unknown(truth, scores)
    if metric in RANKED and np.isfinite(hidden).any():
        below = np.nanmin(hidden) - 1  # where the model has no score: behind the known ones, too
        hidden = np.where(np.isnan(scores), below, hidden)
        hidden = np.where(np.isnan(hidden), below - 1, hidden)
    return plain, hidden


def is_joint(metric: str) -> bool:
    """Whether the thresholds of all genres must be chosen together."""
    return metric == "micro-f1"


def _label(
    truth: Labels, scores: Floats, fold: NDArray[np.int64], metric: str, one_label: bool
) -> Labels:
    """Labels of each fold, by thresholds, or a calibration, chosen on the others."""
    if one_label:
        return crossfit_decision(truth, scores, fold, ONE_LABEL)[1]
    labels = np.zeros(truth.shape, dtype=np.uint8)
    objective = "micro" if is_joint(metric) else "genre"
    for k in np.unique(fold):
        left_out = fold == k
        cuts = best_thresholds(truth[~left_out], scores[~left_out], objective=objective)
        labels[left_out] = apply_thresholds(scores[left_out], cuts)
    return labels


def _measure(truth: Labels, answers: NDArray[Any], metric: str) -> float:
    if metric in RANKED:
        return mean_average_precision(truth, answers.astype(np.float64), RANKED[metric])
    hits = ((truth != 0) & (answers != 0)).sum(axis=0)
    total = (truth != 0).sum(axis=0) + (answers != 0).sum(axis=0)
    if is_joint(metric):
        return _ratio(2 * hits.sum(), total.sum())
    f1 = np.array([_ratio(2 * h, t) for h, t in zip(hits, total, strict=True)])
    support = truth.sum(axis=0, dtype=np.int64)
    if metric == "macro-f1":
        return _ratio(f1[support > 0].sum(), int(np.count_nonzero(support)))
    return _ratio(f1 @ support, support.sum())


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below else 0.0


def mean_average_precision(truth: Labels, scores: Floats, average: str = "macro") -> float:
    """Mean average precision of the genres that have an item.

    Parameters
    ----------
    truth : ndarray of shape (n, L)
        1 where the item has the label.
    scores : ndarray of shape (n, L)
        NaN ranks last.
    average : {"macro", "weighted"}, default="macro"
        Whether each genre counts the same, or by its items.

    Returns
    -------
    float
        In [0, 1]; 0 where no item has a label.

    Examples
    --------
    >>> truth = np.array([[1, 0], [0, 1], [1, 0]], np.uint8)
    >>> scores = np.array([[0.9, 0.1], [0.5, 0.2], [0.4, 0.3]])
    >>> [round(mean_average_precision(truth, scores, name), 3) for name in ("macro", "weighted")]
    [0.667, 0.722]
    """
    known = np.flatnonzero(truth.any(axis=0))
    if not len(known):
        return 0.0
    lowest = np.nanmin(scores) if np.isfinite(scores).any() else 0.0
    filled = np.where(np.isnan(scores), lowest, scores)
    return float(average_precision_score(truth[:, known], filled[:, known], average=average))
