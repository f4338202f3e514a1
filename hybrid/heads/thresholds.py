"""Decision thresholds, one a genre, that maximise F1; and their bootstrap distribution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid.errors import SettingError, unknown_name
from hybrid.evaluation.bootstrap import Units, bootstrap, make_units

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]

OBJECTIVES = ("genre", "micro")
DRAWS = 200
CELLS = 4_000_000  # draws x scores at a time
ROUNDS = 50


@dataclass(frozen=True)
class _Cuts:
    """Candidate thresholds of one ranking, from the highest score down.

    `item` and `real` are of the ranked scores; `ends` says after which of them a cut may fall (scores
    that are equal get the label together), `value` is the threshold that cuts there, and `never` one just
    above the highest score: no item reaches it, but it can still be shrunk.
    """

    item: NDArray[np.int64]
    real: Floats
    ends: NDArray[np.int64]
    value: Floats
    never: float

    def count(self, weights: Floats) -> tuple[Floats, Floats]:
        """Hits and given labels at each cut, both of shape (B, cuts), for weights of shape (B, n)."""
        drawn = weights[:, self.item]
        return (
            np.cumsum(drawn * self.real, axis=1)[:, self.ends],
            np.cumsum(drawn, axis=1)[:, self.ends],
        )


@dataclass(frozen=True)
class _Rankings:
    """The ranking of each genre, and for shrinkage of all together; they are the same for all weights.

    `known` of shape (n, L) is the truth, 0 where there is no score: such items are left out.
    """

    genres: list[_Cuts]
    pooled: _Cuts | None
    known: Floats
    objective: str
    shrinkage: float

    @classmethod
    def of(cls, truth: NDArray[Any], scores: Floats, objective: str, shrinkage: float) -> _Rankings:
        """Rank the scores."""
        genres = [_cuts(truth[:, [j]], scores[:, [j]]) for j in range(truth.shape[1])]
        known = np.where(np.isnan(scores), 0, truth).astype(np.float64)
        pooled = _cuts(truth, scores) if shrinkage else None
        return cls(genres, pooled, known, objective, shrinkage)

    def choose(self, weights: Floats) -> Floats:
        """Thresholds of shape (B, L) under weights of shape (B, n)."""
        positives = weights @ self.known
        if self.objective == "micro":
            chosen = _best_micro(self.genres, positives, weights)
        else:
            pairs = zip(self.genres, positives.T, strict=True)
            chosen = np.stack([_best_f1(cuts, m, weights) for cuts, m in pairs], axis=1)
        if self.pooled:
            pooled = _best_f1(self.pooled, positives.sum(axis=1), weights)[:, None]
            own = np.where(positives > 0, chosen, 0.0)  # not 0 times infinity
            chosen = (positives * own + self.shrinkage * pooled) / (positives + self.shrinkage)
        return np.where(positives > 0, chosen, np.inf)


def best_thresholds(
    truth: NDArray[Any], scores: Floats, *, objective: str = "genre", shrinkage: float = 0.0
) -> Floats:
    """Thresholds that maximise F1, one for each genre.

    Parameters
    ----------
    truth : ndarray of shape (n, L)
        1 where the item has the label; or the probability that it has, for the best expected F1.
    scores : ndarray of shape (n, L)
        Out-of-fold; NaN where a model has no score.
    objective : {"genre", "micro"}, default="genre"
        ``"genre"``: the best F1 of each genre, which is also the best macro and weighted F1, as these are
        sums over genres. ``"micro"``: the best F1 of all labels counted together.
    shrinkage : float, default=0.0
        k: a genre with m positives has ``(m * its own threshold + k * the pooled one) / (m + k)``. The
        pooled one is the single threshold for all genres with the best micro F1; it asks for
        scores that mean the same in each genre, such as calibrated probabilities.

    Returns
    -------
    ndarray of shape (L,), float64
        A label is given where ``score >= threshold``. Each lies half-way between two scores, before
        shrinkage. ``inf`` (never) for a genre without positives.

    Raises
    ------
    SettingError
        If `objective` is unknown or `shrinkage` is below 0.

    Examples
    --------
    >>> truth = np.array([[0], [1], [1]], np.uint8)
    >>> best_thresholds(truth, np.array([[0.1], [0.5], [0.9]])).tolist()
    [0.3]
    """
    _check(objective, shrinkage)
    ones = np.ones((1, len(truth)))
    return _Rankings.of(truth, scores, objective, shrinkage).choose(ones)[0]


def threshold_draws(
    truth: NDArray[Any],
    scores: Floats,
    *,
    objective: str = "genre",
    shrinkage: float = 0.0,
    groups: ArrayLike | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Floats:
    """Bootstrap distribution of the thresholds: those of `best_thresholds` on draws of the items.

    Parameters
    ----------
    truth, scores, objective, shrinkage
        As for `best_thresholds`.
    groups : array-like of shape (n,), optional
        Items of one group are drawn together.
    draws : int, default=200
    seed : int, default=0

    Returns
    -------
    ndarray of shape (draws, L), float64
        ``inf`` where a draw has no positive of the genre.

    Examples
    --------
    >>> truth = np.array([[0], [1], [1]], np.uint8)
    >>> threshold_draws(truth, np.array([[0.1], [0.5], [0.9]]), draws=100).shape
    (100, 1)
    """
    _check(objective, shrinkage)
    rankings = _Rankings.of(truth, scores, objective, shrinkage)
    found = [
        rankings.choose(weights)
        for weights in _resamples(make_units(len(truth), groups), draws, seed, scores.size)
    ]
    return np.concatenate(found)


def apply_thresholds(
    scores: Floats,
    thresholds: Floats,
    *,
    max_labels: int | None = None,
    at_least_one: bool = False,
) -> Labels:
    """Labels from scores: 1 where the score reaches its genre's threshold.

    Parameters
    ----------
    scores : ndarray of shape (n, L)
        NaN reaches no threshold.
    thresholds : ndarray of shape (L,)
    max_labels : int, optional
        Most labels an item; those that lie highest above their thresholds are given.
    at_least_one : bool, default=False
        An item that reaches no threshold is given the label with the highest score; not if all its
        scores are NaN. A genre whose threshold is ``inf`` is never given.

    Returns
    -------
    ndarray of shape (n, L), uint8

    Examples
    --------
    >>> scores, thresholds = np.array([[0.4, 0.2], [0.1, 0.2]]), np.array([0.3, 0.5])
    >>> apply_thresholds(scores, thresholds, at_least_one=True).tolist()
    [[1, 0], [0, 1]]
    """
    labels = scores >= thresholds
    if max_labels is not None:
        margin = np.where(labels, scores - thresholds, -np.inf)
        rank = np.argsort(np.argsort(-margin, axis=1, kind="stable"), axis=1)
        labels &= rank < max_labels
    if at_least_one:
        allowed = np.where(np.isnan(scores) | np.isinf(thresholds), -np.inf, scores)
        best = allowed.argmax(axis=1)
        empty = ~labels.any(axis=1) & np.isfinite(allowed).any(axis=1)
        labels[empty, best[empty]] = True
    return labels.astype(np.uint8)


def _check(objective: str, shrinkage: float) -> None:
    if objective not in OBJECTIVES:
        raise unknown_name("objective", objective, OBJECTIVES)
    if not (np.isfinite(shrinkage) and shrinkage >= 0):
        raise SettingError(f"shrinkage: expected 0 or more, found {shrinkage}.")


def _resamples(units: Units, draws: int, seed: int, cells: int) -> Iterator[Floats]:
    size = max(1, CELLS // max(cells, 1))
    for weights in bootstrap(units, draws, seed):
        for start in range(0, len(weights), size):
            yield weights[start : start + size].astype(np.float64)


def _cuts(truth: NDArray[Any], scores: Floats) -> _Cuts:
    """All cells of some genres in one ranking."""
    item = np.repeat(np.arange(len(truth)), truth.shape[1])
    known = ~np.isnan(scores.ravel())
    flat, real, item = scores.ravel()[known], truth.ravel()[known], item[known]
    order = np.argsort(-flat, kind="stable")
    ranked = flat[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else order
    high = ranked[ends]
    low = np.append(high[1:], high[-1:])
    middle = (high + low) / 2
    # Between neighbouring floats there is no middle.
    value = np.where(middle > low, middle, high)
    never = float(np.nextafter(ranked[0], np.inf)) if len(ranked) else float("inf")
    return _Cuts(item[order], real[order].astype(np.float64), ends, value, never)


def _best_f1(cuts: _Cuts, positives: Floats, weights: Floats) -> Floats:
    """The threshold with the best F1 in each draw, of shape (B,)."""
    from hybrid.heads.threshold_loops import best_f1_cuts

    if not len(cuts.ends):
        return np.full(len(weights), np.inf)
    ends = np.zeros(len(cuts.item), np.bool_)
    ends[cuts.ends] = True
    return cuts.value[best_f1_cuts(weights, cuts.item, cuts.real, ends, positives)]


def _best_micro(genres: list[_Cuts], positives: Floats, weights: Floats) -> Floats:
    """The thresholds with the best micro F1 in each draw, of shape (B, L).

    Dinkelbach, "On Nonlinear Fractional Programming", 1967: for a given F, each genre by itself takes the
    cut with the largest ``2 * hits - F * said``; the F that these cuts reach is the next one.
    """
    real = positives.sum(axis=1)
    F, counted = np.zeros(len(weights)), [cuts.count(weights) for cuts in genres]
    for _ in range(ROUNDS):
        hit, said = np.zeros(len(weights)), np.zeros(len(weights))
        thresholds = np.full(positives.shape, np.inf)
        for j, (cuts, (hits, given)) in enumerate(zip(genres, counted, strict=True)):
            if not len(cuts.ends):
                continue
            gain = 2 * hits - F[:, None] * given
            best = gain.argmax(axis=1)
            rows = np.arange(len(weights))
            worth = gain[rows, best] > 0
            hit += np.where(worth, hits[rows, best], 0)
            said += np.where(worth, given[rows, best], 0)
            thresholds[:, j] = np.where(worth, cuts.value[best], cuts.never)
        reached = np.divide(2 * hit, said + real, out=np.zeros_like(hit), where=said + real > 0)
        if (reached <= F).all():
            break
        F = np.maximum(F, reached)
    return thresholds
