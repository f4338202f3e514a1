"""What each stage of each run cost."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hybrid.records import Stage
from hybrid.report.comparison import Comparison


@dataclass(frozen=True)
class StageRow:
    """One stage: the number of its run, what it cost, and its share of the longest one (0 to 1)."""

    run: int
    stage: Stage
    share: float


def make(comparison: Comparison) -> tuple[StageRow, ...] | None:
    """One row a stage, in the order of the runs; None where no run recorded any."""
    found = [(i, stage) for i, run in enumerate(comparison.runs) for stage in run.stages]
    longest = max((s.seconds for _, s in found if not math.isnan(s.seconds)), default=0.0) or 1.0
    rows = (StageRow(i, s, 0.0 if math.isnan(s.seconds) else s.seconds / longest) for i, s in found)
    return tuple(rows) or None
