"""Confusion matrices: how many items of each genre each run took for which genre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from hybrid.evaluation.multiclass import count_confusions
from hybrid.report.comparison import ComparedRun, Comparison
from hybrid.report.matrix_chart import draw_matrix

MIN_ITEMS = 10  # of a genre, for its confusions to be told
SHOWN = 3  # most frequent confusions
NONE = "no prediction"


@dataclass(frozen=True, eq=False)
class ConfusionMatrix:
    """Confusion matrix of one run.

    Parameters
    ----------
    run : int
        Position in the comparison.
    columns : tuple of str
        Predicted genres, and perhaps ``"no prediction"``.
    counts : ndarray of shape (K, columns), int64
        Row: true genre; column: predicted one.
    chart : Markup
    mistakes : tuple of (str, str, float)
        True genre, genre that it is taken for, share of the items of the true one; most frequent first.

    Examples
    --------
    See `make`.
    """

    run: int
    columns: tuple[str, ...]
    counts: NDArray[np.int64]
    chart: Markup
    mistakes: tuple[tuple[str, str, float], ...]


@dataclass(frozen=True, eq=False)
class ConfusionData:
    """Confusion matrices of all runs.

    Parameters
    ----------
    genres : tuple of K str
        By decreasing number of test items.
    matrices : tuple of ConfusionMatrix

    Examples
    --------
    See `make`.
    """

    genres: tuple[str, ...]
    matrices: tuple[ConfusionMatrix, ...]


def make(comparison: Comparison) -> ConfusionData | None:
    """Confusion matrix of each run; None where an item has several genres.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    ConfusionData or None

    Examples
    --------
    >>> make(comparison).matrices[0].counts.tolist()  # doctest: +SKIP
    [[120, 31], [22, 64]]
    """
    if not comparison.task.multiclass:
        return None
    order = comparison.genres_by_support
    genres = tuple(comparison.genres[j] for j in order)
    matrices = tuple(
        _matrix(i, run, comparison.truth[:, order], order, genres)
        for i, run in enumerate(comparison.runs)
    )
    return ConfusionData(genres, matrices)


def _matrix(
    i: int, run: ComparedRun, truth: NDArray[np.uint8], order: list[int], genres: tuple[str, ...]
) -> ConfusionMatrix:
    counts, unanswered = count_confusions(truth, run.outputs.labels[:, order])
    columns = genres
    if unanswered.any():
        counts, columns = np.column_stack([counts, unanswered]), (*genres, NONE)
    chart = draw_matrix(counts, genres, columns, f"Confusion matrix of {run.name}")
    support = truth.sum(axis=0, dtype=np.int64)
    mistakes = sorted(
        (
            (genres[j], columns[k], counts[j, k] / support[j])
            for j in range(len(genres))
            for k in range(len(columns))
            if j != k and support[j] >= MIN_ITEMS and counts[j, k]
        ),
        key=lambda mistake: -mistake[2],
    )
    return ConfusionMatrix(i, columns, counts, chart, tuple(mistakes[:SHOWN]))
