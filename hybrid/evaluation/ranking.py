"""Ranking metrics: weighted average precision, label ranking precision, ranking loss, coverage error."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.evaluation.outputs import Floats, Labels
from hybrid.utils.resources import default_workers
from hybrid.utils.unknown_labels import as_no, known_cells

WIDTH = 256  # draws at a time: their running sums stay in the processor's first cache
CELLS = 16_000_000  # items x genres x genres that are compared at a time


@dataclass(frozen=True)
class Ranking:
    """Items in order of decreasing score.

    Parameters
    ----------
    order : ndarray of shape (m,), int64
        Numbers of the items; an item may stand in it once for each of its genres.
    real : ndarray of shape (m,), bool
        Whether the label is true.
    ends : ndarray of shape (m,), bool
        Whether the next score is another one: items of one score are taken together.
    """

    order: NDArray[np.int64]
    real: NDArray[np.bool_]
    ends: NDArray[np.bool_]


def rank_genre(truth: Labels, scores: Floats) -> Ranking:
    """Rank items by one genre's scores, both of shape (n,); or all cells of (n, L) together."""
    genres = 1 if truth.ndim == 1 else truth.shape[1]
    flat = np.where(np.isnan(scores), -np.inf, scores).ravel()
    order = np.argsort(-flat, kind="stable")
    if (known := known_cells(truth)) is not None:
        order = order[known.ravel()[order]]
    if not len(order):
        return Ranking(order, np.empty(0, bool), np.empty(0, bool))
    ranked = flat[order]
    ends = np.append(ranked[1:] != ranked[:-1], True)
    return Ranking(order // genres, as_no(truth).ravel()[order] != 0, ends)


def average_precisions(rankings: list[Ranking], weights: NDArray[np.uint8]) -> Floats:
    """Average precision of each ranking under each row of weights.

    The sum over the distinct scores of (step of recall x precision), as scikit-learn's
    ``average_precision_score`` with ``sample_weight``.

    Parameters
    ----------
    rankings : list of K Ranking
        Of n items.
    weights : ndarray of shape (B, n), uint8
        How often each item counts.

    Returns
    -------
    ndarray of shape (B, K), float64
        NaN where no item with the label has weight.

    Examples
    --------
    >>> ranking = rank_genre(np.array([1, 0, 1], np.uint8), np.array([0.9, 0.8, 0.7]))
    >>> average_precisions([ranking], np.array([[1, 1, 1], [1, 0, 1]], np.uint8)).round(3).tolist()
    [[0.833], [1.0]]
    """
    from hybrid.evaluation.ranking_loops import average_precision

    out = np.empty((len(weights), len(rankings)))

    def fill(start: int) -> None:
        rows = slice(start, start + WIDTH)
        block = np.ascontiguousarray(weights[rows].T)
        for k, ranking in enumerate(rankings):
            out[rows, k] = average_precision(ranking.order, ranking.real, ranking.ends, block)

    with ThreadPoolExecutor(default_workers()) as threads:
        list(threads.map(fill, range(0, len(weights), WIDTH)))
    return out


def rank_items(truth: Labels, scores: Floats) -> tuple[Floats, Floats, Floats]:
    """Label ranking precision, ranking loss and coverage error of each item, of shape (n,) each.

    As scikit-learn defines them, following Tsoumakas, Katakis and Vlahavas, "Mining Multi-label Data",
    2010: of the labels that rank no lower than a true one, the share that is true, averaged over the true
    ones (1 for an item with none or all); the share of pairs of a true and a false label where the
    false one does not rank lower (0 for an item with none or all); how far down the ranking one has to
    go to meet all true labels (0 for an item with none).

    Examples
    --------
    >>> truth, scores = np.array([[1, 0, 0]], np.uint8), np.array([[0.4, 0.6, 0.1]])
    >>> [part.tolist() for part in rank_items(truth, scores)]
    [[0.5], [0.5], [2.0]]
    """
    scores = np.where(np.isnan(scores), -np.inf, scores)
    real, known = as_no(truth) != 0, known_cells(truth)
    size = max(1, CELLS // truth.shape[1] ** 2)
    parts = [
        _rank_items(
            real[start : start + size],
            scores[start : start + size],
            None if known is None else known[start : start + size],
        )
        for start in range(0, len(truth), size)
    ]
    precision, loss, coverage = (np.concatenate(part) for part in zip(*parts, strict=True))
    return precision, loss, coverage


def _rank_items(
    real: NDArray[np.bool_], scores: Floats, known: NDArray[np.bool_] | None
) -> tuple[Floats, Floats, Floats]:
    above = scores[:, None, :] >= scores[:, :, None]  # [i, j, k]: label k ranks no lower than j
    genres: Any = real.shape[1]
    if known is not None:  # an unknown label ranks nowhere
        above, genres = above & known[:, None, :], known.sum(axis=1)
    rank = above.sum(axis=2)
    true_rank = (above & real[:, None, :]).sum(axis=2)
    count = real.sum(axis=1)
    defined = (count > 0) & (count < genres)
    share = np.where(real, true_rank / np.maximum(rank, 1), 0.0).sum(axis=1) / np.maximum(count, 1)
    wrong = np.where(real, rank - true_rank, 0).sum(axis=1)
    pairs = np.maximum(count * (genres - count), 1)
    coverage = np.where(real, rank, 0).max(axis=1).astype(np.float64)
    return np.where(defined, share, 1.0), np.where(defined, wrong / pairs, 0.0), coverage
