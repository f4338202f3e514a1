"""Export a report as CSV and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pandas as pd

from hybrid.evaluation import METRICS, MULTICLASS_METRICS
from hybrid.evaluation.intervals import UNKNOWN
from hybrid.report.comparison import ComparedRun, Comparison
from hybrid.report.groups import Report
from hybrid.report.sentences import summarise
from hybrid.types import as_plain
from hybrid.utils.csv_text import csv_text

FORMAT = 1
# As this version and earlier ones begin their files.
TABLE_STARTS = (f"run,group,task,{METRICS[0]},".encode(), f"run,{METRICS[0]},".encode())
JSON_STARTS = (f'{{\n  "report": {FORMAT},'.encode(),)


def as_csv(report: Report) -> str:
    """Report as CSV, one row for each run.

    Parameters
    ----------
    report : Report

    Returns
    -------
    str
        Columns: ``run``, ``group`` (from 1), ``task``, each metric with ``_low`` and ``_high``, ``seconds``,
        ``peak_mib``. Figures of different groups are not comparable. Accuracy, top-k accuracy and log loss
        are empty where items have several labels.

    Examples
    --------
    >>> as_csv(report).splitlines()[0][:24]  # doctest: +SKIP
    'run,group,task,f1_micro,'
    """
    rows = [_row(run, group) for group in report.groups for run in group.runs]
    return csv_text(pd.DataFrame(rows))


def _row(run: ComparedRun, group: Comparison) -> dict[str, Any]:
    row: dict[str, Any] = {
        "run": run.name,
        "group": group.number + 1,
        "task": group.task.kind,
    }
    for name in (*METRICS, *MULTICLASS_METRICS):
        value = run.evaluation.metrics.get(name, UNKNOWN)
        row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
    return {**row, "seconds": run.total_seconds, "peak_mib": run.peak_mib}


def as_data(report: Report) -> dict[str, Any]:
    """Report as plain values for JSON; NaN becomes None.

    Parameters
    ----------
    report : Report

    Returns
    -------
    dict
        What is told of the first group; ``groups``: the same of each; ``runs``: those of all groups.

    Examples
    --------
    >>> as_data(report)["cleanliness"]  # doctest: +SKIP
    'The split is clean: none of 8 checks found a leak.'
    """
    groups = [_group(group) for group in report.groups]
    first = report.groups[0]
    found: dict[str, Any] = as_plain(
        {
            "report": FORMAT,
            **groups[0],
            "draws": first.draws,
            "seed": first.seed,
            "groups": groups,
            "runs": [_run(run, group) for group in report.groups for run in group.runs],
        }
    )
    return found


def as_json(report: Report) -> str:
    """Report as JSON text.

    Parameters
    ----------
    report : Report

    Returns
    -------
    str

    Examples
    --------
    >>> as_json(report).startswith('{')  # doctest: +SKIP
    True
    """
    return json.dumps(as_data(report), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _group(comparison: Comparison) -> dict[str, Any]:
    return {
        "title": comparison.title,
        "task": comparison.task.kind,
        **asdict(summarise(comparison)),
        "items": comparison.items,
        "genres": comparison.genres,
        "audited": comparison.audited,
        "checks": comparison.checks,
        "leaks": comparison.leaks,
        "notes": comparison.notes,
        "winner_corrected": comparison.winner_corrected,
    }


def _run(run: ComparedRun, group: Comparison) -> dict[str, Any]:
    return {
        "name": run.name,
        "group": group.number + 1,
        "task": group.task.kind,
        "evaluation": asdict(run.evaluation),
        "difference": run.difference,
        "p_value": run.p_value,
        "best_probability": run.best_probability,
        "unanswered": run.missing_predictions,
        "seconds": run.total_seconds,
        "peak_mib": run.peak_mib,
        "record": run.record.to_json(),
    }
