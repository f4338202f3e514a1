"""What the linear heads look at: words and fields for and against each genre."""

from __future__ import annotations

from collections.abc import Mapping

from hybrid.report.comparison import Comparison
from hybrid.runs.record_parts import SidesRecord


def make(comparison: Comparison) -> dict[int, Mapping[str, Mapping[str, SidesRecord]]] | None:
    """Number of the run → what its record says of each genre; None where no run says anything."""
    return {
        i: run.record.head.importance
        for i, run in enumerate(comparison.runs)
        if run.record.head and run.record.head.importance
    } or None
