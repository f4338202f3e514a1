"""F1 by genre and run, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid.evaluation import GenreScore
from hybrid.report.comparison import Comparison


@dataclass(frozen=True)
class GenreRow:
    """F1 of one genre for each run.

    Parameters
    ----------
    genre : str
    support : int
        Number of test items.
    scores : tuple of GenreScore
        Of each run.

    Examples
    --------
    >>> GenreRow("Horror", 12, ()).support
    12
    """

    genre: str
    support: int
    scores: tuple[GenreScore, ...]


def make(comparison: Comparison) -> tuple[GenreRow, ...]:
    """F1 of each genre, by decreasing number of test items.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    tuple of GenreRow

    Examples
    --------
    >>> make(comparison)[0].genre  # doctest: +SKIP
    'Drama'
    """
    return tuple(
        GenreRow(
            comparison.genres[j],
            int(comparison.support[j]),
            tuple(run.evaluation.genres[j] for run in comparison.runs),
        )
        for j in comparison.genres_by_support
    )
