"""One threshold a genre: from which score on the label is given."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def best_thresholds(truth: NDArray[Any], scores: Floats, *, joint: bool = False) -> Floats:
    """Choose the thresholds with the best F1.

    Parameters
    ----------
    truth : ndarray of shape (n, L)
        1 where the item has the label; or the probability that it has, for the best F1 to be expected.
    scores : ndarray of shape (n, L)
        Out-of-fold, so that no item judged itself; NaN where a model could say nothing.
    joint : bool
        False: the best F1 of each genre, hence also the best mean over genres, however they are
        weighted. True: the best F1 of all labels counted together (micro F1).

    Returns
    -------
    ndarray of shape (L,), float64
        A label is given where ``score >= threshold``. Each lies half-way between two scores.
        ``inf`` (never) for a genre without positives.

    Notes
    -----
    Micro F1 is a ratio of sums over genres. Its maximum is found by Dinkelbach's method ("On Nonlinear
    Fractional Programming", Management Science 13, 1967): with the ratio F reached so far, each genre
    on its own takes the cut with the largest ``2 hits - F given``; that raises F until it is the best.
    """
    genres = [_Cuts(truth[:, j], scores[:, j]) for j in range(truth.shape[1])]
    if not joint:
        return np.array([cuts.at(int(np.argmax(cuts.f1()))) for cuts in genres])
    positives, reached, before = sum(cuts.positives for cuts in genres), 0.0, -1.0
    best = [0] * len(genres)
    while reached > before:
        before = reached
        best = [int(np.argmax(2 * cuts.hits - reached * cuts.given)) for cuts in genres]
        hits = sum(cuts.hits[i] for cuts, i in zip(genres, best, strict=True))
        given = sum(cuts.given[i] for cuts, i in zip(genres, best, strict=True))
        reached = 2 * hits / (given + positives) if positives else 0.0
    return np.array([cuts.at(i) for cuts, i in zip(genres, best, strict=True)])


def apply_thresholds(scores: Floats, thresholds: Floats) -> NDArray[np.uint8]:
    """Labels of shape (n, L), uint8: 1 where the score reaches its genre's threshold."""
    return (scores >= thresholds).astype(np.uint8)  # NaN reaches nothing


class _Cuts:
    """What each possible threshold of one genre gives: `given` labels, of which `hits` are right.

    The first cut gives none. Items with equal scores are given the label together or not at all.
    """

    def __init__(self, truth: NDArray[Any], scores: Floats) -> None:
        known = ~np.isnan(scores)
        truth, scores = truth[known], scores[known]
        order = np.argsort(-scores, kind="stable")
        ranked = scores[order]
        ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))[: len(ranked)]
        self.levels = ranked[ends]
        self.given = np.append(0, ends + 1)
        self.hits = np.append(0, np.cumsum(truth[order], dtype=np.float64)[ends])
        self.positives = float(self.hits[-1])

    def f1(self) -> Floats:
        """F1 of each cut; 0 where there are no positives."""
        total = self.given + self.positives
        return np.divide(2 * self.hits, total, out=np.zeros(len(total)), where=total > 0)

    def at(self, cut: int) -> float:
        """Half-way between the last score that gets the label and the first that does not."""
        if cut == 0:
            return float("inf")
        last = float(self.levels[cut - 1])
        if cut == len(self.levels):
            return last
        middle = (last + float(self.levels[cut])) / 2
        # Between neighbouring floats there is no middle.
        return middle if middle > self.levels[cut] else last
