"""Build a report: run folders to report.html, report.csv and report.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.errors import RunError, SettingError
from hybrid.evaluation import DRAWS
from hybrid.report.exports import JSON_STARTS, TABLE_STARTS, as_csv, as_json
from hybrid.report.groups import Report, compare_groups
from hybrid.report.page import render
from hybrid.runs.folder import find_runs
from hybrid.runs.present_audit import read_audited_run
from hybrid.runs.record import RunRecord
from hybrid.types import ColumnOptions
from hybrid.utils.files import write_atomically

STARTS = {".csv": TABLE_STARTS, ".json": JSON_STARTS}


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
) -> Report:
    """Compare the named runs, or all runs in a folder, and write the report.

    Parameters
    ----------
    path : str or Path or None
        Catalogue with the true labels and the posters; None: the one that the first run recorded.
    options : ColumnOptions, optional
        Default: the columns that the first run recorded.
    names : sequence of Path
        Run folders, or their names in `runs`. Empty: all.
    runs : Path
    out : Path
        The page; table and data are written beside it as ``.csv`` and ``.json``.
    externals : mapping of str to Path, optional
        Name to predictions.csv of a model made elsewhere.
    draws : int, default=2000
        Number of bootstrap draws.
    seed : int, default=0
        Of the bootstrap.
    command : str, default=""
        Command that makes the page; shown on it.

    Returns
    -------
    Report
        Runs that can be compared with each other are a group.

    Raises
    ------
    RunError
        If a run cannot be read, its catalogue lacks test items, or `out` cannot be written.
    SettingError
        If `out` is the name of a table, or the name of an external model is taken.

    Examples
    --------
    >>> report_runs(None, None, [], Path("runs"), Path("report.html")).runs[0].name  # doctest: +SKIP
    'svm'
    """
    folders = [n if (n / "run.json").exists() else runs / n for n in names] or find_runs(runs)
    catalogue = load_run_catalogue(path, options, folders[0])
    return make_report(
        catalogue, folders, out, externals=externals, draws=draws, seed=seed, command=command
    )


def load_run_catalogue(
    path: str | Path | None, options: ColumnOptions | None, run: Path
) -> Catalogue:
    """Load the catalogue of a run: as named, or as recorded by the run.

    Parameters
    ----------
    path : str or Path or None
        None: as recorded.
    options : ColumnOptions, optional
        Default: the columns that the run recorded.
    run : Path
        The run folder.

    Returns
    -------
    Catalogue

    Raises
    ------
    RunError
        If none is named and the recorded one does not exist.

    Examples
    --------
    >>> load_run_catalogue(None, None, Path("runs/svm")).genres  # doctest: +SKIP
    ('Comedy', 'Drama', 'Horror')
    """
    record = RunRecord.read(run)
    if path is None:
        recorded = record.catalogue.path
        # Relative to the working directory of the fit, or to the project folder that contains runs/.
        places = [Path(recorded), run.parent.parent / recorded] if recorded else []
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise RunError(
                f"expected the catalogue of {run} for the true labels, found none at "
                f"{recorded or 'a recorded path'}. Name it with --catalogue."
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
) -> Report:
    """Compare runs and write the report: the page, and beside it table and data as ``.csv`` and ``.json``.

    Parameters
    ----------
    catalogue : Catalogue
        With the true labels.
    runs : sequence of str or Path
        Run folders, of which only run.json and predictions.csv are read.
    out, externals, draws, seed, command
        As for `report_runs`.

    Raises
    ------
    RunError
        If a run cannot be read, its catalogue lacks test items, or `out` cannot be written.
    SettingError
        If `out` is the name of a table, or the name of an external model is taken.

    Examples
    --------
    >>> import tempfile
    >>> import hybrid
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = hybrid.write_sample(folder, n_items=40, seed=0)
    >>> films = hybrid.load_catalogue(folder / "catalogue.csv")
    >>> split = hybrid.split_catalogue(films)
    >>> model = hybrid.make_hybrid(films, blocks=["text"], grid={}, folds=2)
    >>> _ = hybrid.fit_head(hybrid.Experiment(films, split, folder / "svm"), model, {})
    >>> report = make_report(films, [folder / "svm"], folder / "report.html", draws=20)
    >>> report.runs[0].name, len(report.groups[0].genres)
    ('svm', 8)
    """
    out = Path(out)
    _check_out(out)
    read = [read_audited_run(run) for run in runs]
    report = compare_groups(catalogue, read, externals=externals, draws=draws, seed=seed)
    page = render(report.groups, command)
    write_text(out.with_suffix(".csv"), as_csv(report))
    write_text(out.with_suffix(".json"), as_json(report))
    write_text(out, page)
    return report


def _check_out(out: Path) -> None:
    """Raise if writing the report would overwrite another CSV or JSON file."""
    if out.suffix.lower() in STARTS:
        raise SettingError(f"--out: expected the name of a page (.html), found {out}.")
    if not out.parent.is_dir():
        raise RunError(f"--out: expected a file in a folder that exists, found {out}.")
    for suffix, starts in STARTS.items():
        beside = out.with_suffix(suffix)
        if beside.is_file() and not beside.read_bytes().startswith(starts):
            raise RunError(
                f"{beside}: expected an earlier report or no file, found another table. The report's figures "
                "are written there; choose another --out."
            )


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically.

    Parameters
    ----------
    path : Path
    text : str

    Raises
    ------
    RunError
        If the file cannot be written.

    Examples
    --------
    >>> write_text(Path("note.txt"), "text")
    >>> Path("note.txt").read_text()
    'text'
    """
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}.") from error
