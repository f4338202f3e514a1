"""Is more data worth it? The learning curves of the runs that have one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid.report.comparison import Comparison
from hybrid.report.curve import draw_curve


@dataclass(frozen=True)
class MorePart:
    """One run: its number, its curve as the record holds it, and the places in its chart."""

    run: int
    curve: dict[str, Any]
    chart: dict[str, Any]


def make(comparison: Comparison) -> tuple[MorePart, ...] | None:
    """One part a run with a learning curve; None where no run has one."""
    found = [(i, run.record.get("curve")) for i, run in enumerate(comparison.runs)]
    return tuple(MorePart(i, curve, draw_curve(curve)) for i, curve in found if curve) or None
