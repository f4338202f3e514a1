"""Is more data worth it? The learning curves of the runs that have one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid.report.comparison import Comparison
from hybrid.report.curve import draw_curve
from hybrid.runs.study_records import LearningCurveRecord


@dataclass(frozen=True)
class MorePart:
    """One run: its number, its curve as the record holds it, and the places in its chart."""

    run: int
    curve: LearningCurveRecord
    chart: dict[str, Any]


def make(comparison: Comparison) -> tuple[MorePart, ...] | None:
    """One part a run with a learning curve; None where no run has one."""
    found = [(i, run.record.studies.learning_curve) for i, run in enumerate(comparison.runs)]
    return tuple(MorePart(i, curve, draw_curve(curve)) for i, curve in found if curve) or None
