"""Learning curves: weighted F1 and mAP against the number of training items."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from hybrid.report.comparison import Comparison
from hybrid.report.plots import Curve, draw
from hybrid.runs.study_records import LearningCurveRecord

METRICS = ("f1_weighted", "map_macro")  # the first as a thick line, the second as a thin one
STEP = 0.1  # between two horizontal grid lines


@dataclass(frozen=True)
class LearningCurveData:
    """Learning curve of one run.

    Parameters
    ----------
    run : int
        Position in the comparison.
    curve : LearningCurveRecord
    chart : Markup or None
        None for a curve without points.

    Examples
    --------
    >>> LearningCurveData(0, LearningCurveRecord(), None).run
    0
    """

    run: int
    curve: LearningCurveRecord
    chart: Markup | None


def make(comparison: Comparison) -> tuple[LearningCurveData, ...] | None:
    """Learning curve of each run that has one; None where no run has.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    tuple of LearningCurveData or None

    Examples
    --------
    >>> make(comparison)[0].curve.points[0].items  # doctest: +SKIP
    16
    """
    found = [(i, run.record.studies.learning_curve) for i, run in enumerate(comparison.runs)]
    parts = [LearningCurveData(i, curve, draw_curve(i, curve)) for i, curve in found if curve]
    return tuple(parts) or None


def draw_curve(run: int, curve: LearningCurveRecord) -> Markup | None:
    """Draw weighted F1 and mAP, with their intervals, against the number of training items.

    Parameters
    ----------
    run : int
        Position in the comparison: its colour.
    curve : LearningCurveRecord

    Returns
    -------
    Markup or None
        None for a curve without points.

    Examples
    --------
    >>> from hybrid.runs.study_records import CurvePointRecord
    >>> from hybrid.types import Interval
    >>> point = CurvePointRecord(100, Interval(0.5, 0.4, 0.6), Interval(0.3, 0.2, 0.4))
    >>> draw_curve(0, LearningCurveRecord(points=(point,)))[:4]
    Markup('<svg')
    """
    if not curve.points:
        return None
    sizes = [point.items for point in curve.points]
    lines = []
    for metric in METRICS:
        values = [getattr(point, metric) for point in curve.points]
        lines.append(
            Curve(
                run,
                sizes,
                [value.value for value in values],
                [value.low for value in values],
                [value.high for value in values],
                soft=metric != METRICS[0],
                marker=True,
            )
        )
    return draw(
        lines,
        f"curve-{run}",
        f"Learning curve. {curve.verdict}",
        axes=("Training items", "Metric"),
        unit_square=False,
        x_ticks=sizes,
        y_step=STEP,
    )
