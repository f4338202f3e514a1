"""Export a comparison as CSV and JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pandas as pd

from hybrid.evaluation import METRICS
from hybrid.report.comparison import ComparedRun, Comparison
from hybrid.report.sentences import summarise
from hybrid.types import as_plain

FORMAT = 1
TABLE_START = f"run,{METRICS[0]},".encode()
JSON_START = f'{{\n  "report": {FORMAT},'.encode()
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(comparison: Comparison) -> str:
    """Comparison as CSV, one row for each run.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    str
        Columns: ``run``, each metric with ``_low`` and ``_high``, ``seconds``, ``peak_mib``.

    Examples
    --------
    >>> as_csv(comparison).splitlines()[0][:22]  # doctest: +SKIP
    'run,f1_micro,f1_micro_'
    """
    rows = []
    for run in comparison.runs:
        row: dict[str, Any] = {"run": escape_formula(run.name)}
        for name in METRICS:
            value = run.evaluation.metrics[name]
            row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
        rows.append({**row, "seconds": run.seconds, "peak_mib": run.peak_mib})
    return str(pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))


def escape_formula(cell: str) -> str:
    """Escape text that a spreadsheet would read as a formula.

    Parameters
    ----------
    cell : str

    Returns
    -------
    str

    Examples
    --------
    >>> escape_formula("=1+1"), escape_formula("svm")
    ("'=1+1", 'svm')
    """
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def as_data(comparison: Comparison) -> dict[str, Any]:
    """Comparison as plain values for JSON; NaN becomes None.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    dict

    Examples
    --------
    >>> as_data(comparison)["cleanliness"]  # doctest: +SKIP
    'The split is clean: none of 8 checks found a leak.'
    """
    found: dict[str, Any] = as_plain(
        {
            "report": FORMAT,
            **asdict(summarise(comparison)),
            "items": comparison.items,
            "genres": comparison.genres,
            "audited": comparison.audited,
            "checks": comparison.checks,
            "leaks": comparison.leaks,
            "notes": comparison.notes,
            "draws": comparison.draws,
            "seed": comparison.seed,
            "runs": [_run(run) for run in comparison.runs],
        }
    )
    return found


def as_json(comparison: Comparison) -> str:
    """Comparison as JSON text.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    str

    Examples
    --------
    >>> as_json(comparison).startswith('{')  # doctest: +SKIP
    True
    """
    return json.dumps(as_data(comparison), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _run(run: ComparedRun) -> dict[str, Any]:
    return {
        "name": run.name,
        "evaluation": asdict(run.evaluation),
        "difference": run.difference,
        "p_value": run.p_value,
        "unanswered": run.missing_predictions,
        "seconds": run.seconds,
        "peak_mib": run.peak_mib,
        "record": run.record.to_json(),
    }
