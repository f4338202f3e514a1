"""Table of runs: every metric with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hybrid.evaluation import LOSSES
from hybrid.report.comparison import Comparison
from hybrid.report.summary_text import metric_names
from hybrid.runs.record import RunRecord


@dataclass(frozen=True)
class RunsTable:
    """Best value of each metric, and a description of each run.

    Parameters
    ----------
    best : dict of str to float
    described : tuple of str

    Examples
    --------
    >>> RunsTable({"f1_weighted": 0.6}, ("SVC on text",)).best
    {'f1_weighted': 0.6}
    """

    best: dict[str, float]
    described: tuple[str, ...]


def make(comparison: Comparison) -> RunsTable:
    """Best value of each metric, and a description of each run.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    RunsTable

    Examples
    --------
    >>> make(comparison).described  # doctest: +SKIP
    ('MultilabelLinearSVC on text',)
    """
    best = {}
    for name in metric_names(comparison):
        values = [run.evaluation.metrics[name].value for run in comparison.runs]
        known = [value for value in values if not math.isnan(value)]
        best[name] = (min if name in LOSSES else max)(known, default=math.nan)
    return RunsTable(best, tuple(describe_model(run.record) for run in comparison.runs))


def describe_model(record: RunRecord) -> str:
    """Model, blocks, backbone and text encoders of a run in a few words.

    Parameters
    ----------
    record : RunRecord

    Returns
    -------
    str

    Examples
    --------
    >>> describe_model(RunRecord(model="SVC", blocks=("text",)))
    'SVC on text'
    """
    if record.external:
        return "made elsewhere"
    words = record.model or "model not recorded"
    if record.blocks:
        words += f" on {', '.join(record.blocks)}"
    made_by = [record.backbone.name] if record.backbone else []
    made_by += [each.name for each in record.text_encoders.values()]
    made_by += [f"{each.name} (imported)" for each in record.imported.values()]
    if any(made_by):
        words += f"; {', '.join(filter(None, dict.fromkeys(made_by)))}"
    return words
