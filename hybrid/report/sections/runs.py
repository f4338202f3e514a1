"""The table of runs: every metric with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hybrid.evaluation import LOSSES
from hybrid.report.comparison import Comparison
from hybrid.report.summary_text import METRIC_NAMES
from hybrid.runs.record import RunRecord


@dataclass(frozen=True)
class RunsTable:
    """What the table needs besides the runs: the best value of each metric, and words on a run."""

    best: dict[str, float]
    described: tuple[str, ...]


def make(comparison: Comparison) -> RunsTable:
    """Find the best value of each column."""
    best = {}
    for name in METRIC_NAMES:
        values = [run.evaluation.metrics[name].value for run in comparison.runs]
        known = [value for value in values if not math.isnan(value)]
        best[name] = (min if name in LOSSES else max)(known, default=math.nan)
    return RunsTable(best, tuple(describe_model(run.record) for run in comparison.runs))


def describe_model(record: RunRecord) -> str:
    """What kind of model it is, in a few words."""
    if record.external:
        return "made elsewhere"
    words = record.model or "model not recorded"
    if record.blocks:
        words += f" on {', '.join(record.blocks)}"
    if record.backbone and record.backbone.name:
        words += f"; {record.backbone.name}"
    return words
