"""Which genres go together: in truth, and in what the best run predicts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid.report.comparison import Comparison

MAX_GENRES = 20  # the most frequent ones; more would not be read
SHOWN = 5  # pairs that truth and prediction differ most on
STEPS = 9  # shades of the table
MIN_ITEMS = 10  # of a genre, for a difference to be worth a sentence


@dataclass(frozen=True)
class Cooccurrence:
    """Of the items that have (or are given) genre i, the share that have genre j, too.

    Parameters
    ----------
    run : str
    genres : tuple of K str
        The most frequent ones.
    truth, predicted : ndarray of shape (K, K)
        In [0, 1]; NaN in the row of a genre that no item has, and on the diagonal.
    differences : tuple of (str, str, float, float)
        Genre, other genre, true share, predicted share; the largest differences first.
    left_out : int
        Genres that are not shown.
    """

    run: str
    genres: tuple[str, ...]
    truth: NDArray[np.float64]
    predicted: NDArray[np.float64]
    differences: tuple[tuple[str, str, float, float], ...]
    left_out: int


def make(comparison: Comparison) -> Cooccurrence | None:
    """Compare the labels of the best run with the truth; None for a single genre."""
    shown = comparison.genres_by_support[:MAX_GENRES]
    if len(shown) < 2:
        return None
    best = comparison.runs[0]
    truth = conditional_frequencies(comparison.truth[:, shown])
    predicted = conditional_frequencies(best.outputs.labels[:, shown])
    genres = tuple(comparison.genres[j] for j in shown)
    worth = (comparison.support[shown] >= MIN_ITEMS)[:, None]
    apart = np.nan_to_num(np.where(worth, np.abs(predicted - truth), 0.0))
    order = np.argsort(-apart, axis=None, kind="stable")[:SHOWN]
    pairs = [divmod(int(k), len(shown)) for k in order if apart.flat[k] > 0]
    differences = tuple(
        (genres[i], genres[j], float(truth[i, j]), float(predicted[i, j])) for i, j in pairs
    )
    left_out = len(comparison.genres) - len(shown)
    return Cooccurrence(best.name, genres, truth, predicted, differences, left_out)


def conditional_frequencies(labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Share of the items with genre i that have genre j, too.

    Parameters
    ----------
    labels : ndarray of shape (n, K)

    Returns
    -------
    ndarray of shape (K, K), in [0, 1]
        NaN on the diagonal, and where no item has genre i.
    """
    counts = labels.astype(np.float64).T @ labels
    size = np.diag(counts).copy()
    np.fill_diagonal(counts, np.nan)
    return np.divide(
        counts, size[:, None], out=np.full_like(counts, np.nan), where=size[:, None] > 0
    )
