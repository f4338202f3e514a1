"""F1 of each genre and run, with its interval."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid.evaluation import GenreScore
from hybrid.report.comparison import Comparison


@dataclass(frozen=True)
class GenreRow:
    """One genre: its test items, and the score of each run."""

    genre: str
    support: int
    scores: tuple[GenreScore, ...]


def make(comparison: Comparison) -> tuple[GenreRow, ...]:
    """One row a genre, that with most test items first."""
    return tuple(
        GenreRow(
            comparison.genres[j],
            int(comparison.support[j]),
            tuple(run.evaluation.genres[j] for run in comparison.runs),
        )
        for j in comparison.genres_by_support
    )
