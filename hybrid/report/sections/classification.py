"""Classification report of each run: precision, recall, F1 and support of each genre, and their averages."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid.evaluation import ClassificationReport, classification_report
from hybrid.report.comparison import ComparedRun, Comparison
from hybrid.runs.stage_results import gain_sentences


@dataclass(frozen=True)
class RunReport:
    """Classification report of one run.

    Parameters
    ----------
    run : int
        Position in the comparison.
    report : ClassificationReport
    gains : tuple of str
        What each stage of a training added; empty for a head.

    Examples
    --------
    >>> RunReport(0, ClassificationReport((), ()), ()).run
    0
    """

    run: int
    report: ClassificationReport
    gains: tuple[str, ...]


def make(comparison: Comparison) -> tuple[RunReport, ...]:
    """Classification report of each run.

    Parameters
    ----------
    comparison : Comparison

    Examples
    --------
    >>> make(comparison)[0].report.averages[0].name  # doctest: +SKIP
    'micro avg'
    """
    return tuple(
        RunReport(i, report_run(comparison, run), _gains(run))
        for i, run in enumerate(comparison.runs)
    )


def report_run(comparison: Comparison, run: ComparedRun) -> ClassificationReport:
    """Compute the classification report of one run of a comparison, by decreasing support.

    Examples
    --------
    >>> report_run(comparison, comparison.runs[0]).genres[0].name  # doctest: +SKIP
    'Drama'
    """
    order = list(comparison.genres_by_support)
    return classification_report(
        comparison.truth[:, order],
        run.outputs.labels[:, order],
        [comparison.genres[j] for j in order],
        run.record.thresholds_by_genre,
    )


def _gains(run: ComparedRun) -> tuple[str, ...]:
    training = run.record.training
    return tuple(
        f"{sentence[0].upper()}{sentence[1:]}."
        for sentence in (gain_sentences(training) if training else ())
    )
