"""Run folders → report.html and report.csv."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.errors import RunError, SettingError
from hybrid.evaluation import DRAWS, METRICS
from hybrid.files import write_atomically
from hybrid.records import ColumnOptions
from hybrid.report.comparison import Comparison, compare
from hybrid.report.page import render
from hybrid.runs import find_runs, read_record, read_run, recorded_columns

TABLE_START = f"run,{METRICS[0]},".encode()


def report_runs(
    path: str | Path,
    options: ColumnOptions | None,
    names: Sequence[Path],
    runs: Path,
    out: Path,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Comparison:
    """Compare the named runs, or all in a folder.

    Parameters
    ----------
    path : str or Path
        The catalogue, for the true labels.
    options : ColumnOptions, optional
        By default the id and label columns are those that the first run recorded.
    names : sequence of Path
        Run folders, or their names in `runs`; empty: all.
    runs : Path
    out : Path
        The page; the table goes beside it as ``.csv``.
    draws, seed : int
        Of the bootstrap.
    """
    folders = [n if (n / "run.json").exists() else runs / n for n in names] or find_runs(runs)
    like = recorded_columns(read_record(folders[0]))
    return make_report(load_catalogue(path, options, like), folders, out, draws=draws, seed=seed)


def make_report(
    catalogue: Catalogue, runs: Sequence[Path], out: Path, *, draws: int = DRAWS, seed: int = 0
) -> Comparison:
    """Compare runs; write the page, and the table beside it as ``.csv``.

    Parameters
    ----------
    catalogue : Catalogue
        With the true labels.
    runs : sequence of Path
        Of each, only run.json and predictions.csv are read.
    out : Path
    draws, seed : int
        Of the bootstrap.

    Raises
    ------
    RunError
        If a run cannot be read, the runs cannot be compared, or `out` cannot be written.
    SettingError
        If `out` is the name of a table.
    """
    _check_out(out)
    comparison = compare(catalogue, [read_run(run) for run in runs], draws=draws, seed=seed)
    _write(out, render(comparison))
    _write(out.with_suffix(".csv"), as_table(comparison).to_csv(index=False, lineterminator="\n"))
    return comparison


def _check_out(out: Path) -> None:
    """Raise rather than write a table over somebody's splits.csv or catalogue.csv."""
    table = out.with_suffix(".csv")
    if out.suffix.lower() == ".csv":
        raise SettingError(f"--out: expected the name of a page (.html), found {out}.")
    if not out.parent.is_dir():
        raise RunError(f"--out: expected a file in a folder that exists, found {out}.")
    if table.is_file() and not table.read_bytes().startswith(TABLE_START):
        raise RunError(
            f"{table}: expected an earlier report or nothing, found another table. The report's table "
            "goes there; choose another --out."
        )


def as_table(comparison: Comparison) -> pd.DataFrame:
    """One row a run: name, each metric with its interval, seconds, peak memory."""
    rows = []
    for run in comparison.runs:
        row: dict[str, Any] = {"run": defuse(run.name)}
        for name in METRICS:
            value = run.evaluation.metrics[name]
            row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
        rows.append({**row, "seconds": run.seconds, "peak_mib": run.peak_mib})
    return pd.DataFrame(rows)


def defuse(cell: str) -> str:
    """Keep a spreadsheet from reading text as a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}.") from error
