"""What the linear heads look at: words and fields for and against each genre."""

from __future__ import annotations

from typing import Any

from hybrid.report.comparison import Comparison


def make(comparison: Comparison) -> dict[int, dict[str, Any]] | None:
    """Number of the run → what its record says of each genre; None where no run says anything."""
    return {
        i: run.record["why"] for i, run in enumerate(comparison.runs) if run.record.get("why")
    } or None
