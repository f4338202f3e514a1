"""Run folders → report.html, report.csv and report.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.errors import RunError, SettingError
from hybrid.evaluation import DRAWS
from hybrid.report.alignment import align_runs, common_test_ids
from hybrid.report.comparison import Comparison, compare
from hybrid.report.exports import JSON_START, TABLE_START, as_csv, as_json
from hybrid.report.external import read_externals
from hybrid.report.page import render
from hybrid.runs.folder import find_runs, read_run
from hybrid.runs.record import RunRecord
from hybrid.types import ColumnOptions
from hybrid.utils.files import write_atomically

STARTS = {".csv": TABLE_START, ".json": JSON_START}


def report_runs(
    path: str | Path | None,
    options: ColumnOptions | None,
    names: Sequence[Path],
    runs: Path,
    out: Path,
    *,
    externals: Mapping[str, Path] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    command: str = "",
) -> Comparison:
    """Compare the named runs, or all in a folder.

    Parameters
    ----------
    path : str or Path or None
        The catalogue, for the true labels and the posters; None: the one that the first run recorded.
    options : ColumnOptions, optional
        By default the id and label columns are those that the first run recorded.
    names : sequence of Path
        Run folders, or their names in `runs`; empty: all.
    runs : Path
    out : Path
        The page; table and data go beside it as ``.csv`` and ``.json``.
    externals : mapping of str to Path, optional
        Name → predictions.csv of a model that was made elsewhere.
    draws, seed : int
        Of the bootstrap.
    command : str
        What makes the page; shown on it.
    """
    folders = [n if (n / "run.json").exists() else runs / n for n in names] or find_runs(runs)
    catalogue = load_run_catalogue(path, options, folders[0])
    return make_report(
        catalogue, folders, out, externals=externals, draws=draws, seed=seed, command=command
    )


def load_run_catalogue(
    path: str | Path | None, options: ColumnOptions | None, run: Path
) -> Catalogue:
    """The catalogue of a run: as named, or where the run's record says it was.

    Raises
    ------
    RunError
        If none is named and the recorded one is not there.
    """
    record = RunRecord.read(run)
    if path is None:
        recorded = record.catalogue.path
        # As the fit saw it, or from the project folder that holds runs/.
        places = [Path(recorded), run.parent.parent / recorded] if recorded else []
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise RunError(
                f"expected the catalogue of {run} for the true labels, found none at "
                f"{recorded or 'a place that the run recorded'}. Name it with --catalogue."
            )
    return load_catalogue(path, options, record.catalogue.columns)


def make_report(
    catalogue: Catalogue,
    runs: Sequence[str | Path],
    out: str | Path,
    *,
    externals: Mapping[str, Path] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    command: str = "",
) -> Comparison:
    """Compare runs; write the page, and table and data beside it as ``.csv`` and ``.json``.

    Parameters
    ----------
    catalogue : Catalogue
        With the true labels.
    runs : sequence of str or Path
        Of each, only run.json and predictions.csv are read.
    out, externals, draws, seed, command
        As for `report_runs`.

    Raises
    ------
    RunError
        If a run cannot be read, the runs cannot be compared, or `out` cannot be written.
    SettingError
        If `out` is the name of a table, or the name of an external model is taken.
    """
    out = Path(out)
    _check_out(out)
    read = [read_run(run) for run in runs]
    if externals:
        ids, names = common_test_ids(read), [run.name for run in read]
        read += read_externals(externals, names, ids, catalogue.genres)
    comparison = compare(align_runs(catalogue, read), draws=draws, seed=seed)
    page = render(comparison, command)
    write_text(out.with_suffix(".csv"), as_csv(comparison))
    write_text(out.with_suffix(".json"), as_json(comparison))
    write_text(out, page)
    return comparison


def _check_out(out: Path) -> None:
    """Raise rather than write over somebody's splits.csv or catalogue.csv."""
    if out.suffix.lower() in STARTS:
        raise SettingError(f"--out: expected the name of a page (.html), found {out}.")
    if not out.parent.is_dir():
        raise RunError(f"--out: expected a file in a folder that exists, found {out}.")
    for suffix, start in STARTS.items():
        beside = out.with_suffix(suffix)
        if beside.is_file() and not beside.read_bytes().startswith(start):
            raise RunError(
                f"{beside}: expected an earlier report or nothing, found another table. The report's figures "
                "go there; choose another --out."
            )


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    RunError
        If it cannot be written.
    """
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}.") from error
