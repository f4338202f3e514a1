"""Label co-occurrence: of the true labels, and of the predictions of the best run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid.report.comparison import Comparison
from hybrid.utils.unknown_labels import as_no

MAX_GENRES = 20  # the most frequent ones
SHOWN = 5  # pairs with the largest differences
STEPS = 9  # shades of the table
MIN_ITEMS = 10  # of a genre, for its differences to be reported


@dataclass(frozen=True)
class Cooccurrence:
    """Share of the items with genre i that also have genre j.

    Parameters
    ----------
    run : str
    genres : tuple of K str
        The most frequent ones.
    truth, predicted : ndarray of shape (K, K)
        Of true labels and of predictions, in [0, 1]; NaN on the diagonal and in rows of genres without items.
    differences : tuple of (str, str, float, float)
        Genre, other genre, true share, predicted share; largest differences first.
    left_out : int
        Genres that are not shown.

    Examples
    --------
    See `make`.
    """

    run: str
    genres: tuple[str, ...]
    truth: NDArray[np.float64]
    predicted: NDArray[np.float64]
    differences: tuple[tuple[str, str, float, float], ...]
    left_out: int


def make(comparison: Comparison) -> Cooccurrence | None:
    """Co-occurrence of the true labels and of the predictions of the best run; None for one genre an item.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    Cooccurrence or None

    Examples
    --------
    >>> make(comparison).genres  # doctest: +SKIP
    ('Drama', 'Comedy')
    """
    shown = comparison.genres_by_support[:MAX_GENRES]
    if len(shown) < 2 or comparison.task.multiclass:
        return None
    best = comparison.runs[0]
    truth = conditional_frequencies(comparison.truth[:, shown])
    predicted = conditional_frequencies(best.outputs.labels[:, shown])
    genres = tuple(comparison.genres[j] for j in shown)
    enough = (comparison.support[shown] >= MIN_ITEMS)[:, None]
    gaps = np.nan_to_num(np.where(enough, np.abs(predicted - truth), 0.0))
    order = np.argsort(-gaps, axis=None, kind="stable")[:SHOWN]
    pairs = [divmod(int(k), len(shown)) for k in order if gaps.flat[k] > 0]
    differences = tuple(
        (genres[i], genres[j], float(truth[i, j]), float(predicted[i, j])) for i, j in pairs
    )
    left_out = len(comparison.genres) - len(shown)
    return Cooccurrence(best.name, genres, truth, predicted, differences, left_out)


def conditional_frequencies(labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Share of the items with genre i that also have genre j.

    Parameters
    ----------
    labels : ndarray of shape (n, K)

    Returns
    -------
    ndarray of shape (K, K), in [0, 1]
        NaN on the diagonal, and where no item has genre i.

    Examples
    --------
    >>> import numpy as np
    >>> conditional_frequencies(np.array([[1, 1], [1, 0]], dtype=np.uint8)).tolist()
    [[nan, 0.5], [1.0, nan]]
    """
    labels = as_no(labels)
    counts = labels.astype(np.float64).T @ labels
    size = np.diag(counts).copy()
    np.fill_diagonal(counts, np.nan)
    return np.divide(
        counts, size[:, None], out=np.full_like(counts, np.nan), where=size[:, None] > 0
    )
