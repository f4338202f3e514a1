"""The front page of a comparison: four sentences, a small table of runs and one chart."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from hybrid.report.comparison import Comparison
from hybrid.report.plots import draw
from hybrid.report.sections.cost import cost_points
from hybrid.report.sentences import Sentences, summarise

MOST_RUNS = 10  # as many rows leave room on one printed page for sentences and chart
MOST_NOTES = 3


@dataclass(frozen=True)
class Front:
    """What stands above the folded sections, and prints on one page.

    Parameters
    ----------
    sentences : Sentences
    shown : int
        Number of runs in the table, from the first.
    left_out : int
        Number of the other runs.
    notes, more_notes : tuple of str
        The first notes, and the others, which are folded.
    chart : Markup or None
        Weighted F1 against seconds; None where fewer than two runs have a cost.

    Examples
    --------
    >>> Front(Sentences("", "", "", ""), 2, 0, (), (), None).shown
    2
    """

    sentences: Sentences
    shown: int
    left_out: int
    notes: tuple[str, ...]
    more_notes: tuple[str, ...]
    chart: Markup | None


def make_front(comparison: Comparison) -> Front:
    """Collect the front page of a comparison.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    Front

    Examples
    --------
    >>> make_front(comparison).sentences.winner  # doctest: +SKIP
    'svm is the best of 4 models: weighted F1 0.642 (0.624 to 0.659).'
    """
    shown = min(len(comparison.runs), MOST_RUNS)
    return Front(
        summarise(comparison),
        shown,
        len(comparison.runs) - shown,
        comparison.notes[:MOST_NOTES],
        comparison.notes[MOST_NOTES:],
        draw_cost(comparison, shown),
    )


def draw_cost(comparison: Comparison, shown: int) -> Markup | None:
    """Draw weighted F1 against seconds for the first runs; None where fewer than two have a cost.

    Parameters
    ----------
    comparison : Comparison
    shown : int
        Number of runs.

    Returns
    -------
    Markup or None

    Examples
    --------
    >>> draw_cost(comparison, 10).startswith("<svg")  # doctest: +SKIP
    True
    """
    points = cost_points(comparison.runs[:shown])
    if len(points) < 2:
        return None
    return draw(
        points,
        "front",
        "Weighted F1 against seconds of each run, with 95 % intervals.",
        axes=("Seconds", "Weighted F1"),
        unit_square=False,
        log=True,
    )
