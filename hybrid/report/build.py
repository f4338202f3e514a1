"""Build a report: run folders to report.html, report.csv and report.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hybrid.catalogue import Catalogue
from hybrid.errors import RunError, SettingError
from hybrid.evaluation import DRAWS
from hybrid.report.exports import JSON_STARTS, TABLE_STARTS, as_csv, as_json
from hybrid.report.groups import Report, compare_groups
from hybrid.report.page import render
from hybrid.runs.folder import find_runs
from hybrid.runs.present_audit import read_audited_run
from hybrid.runs.record import RunRecord
from hybrid.runs.recorded_files import find_catalogue
from hybrid.runs.recorded_posters import load_like
from hybrid.types import ColumnOptions
from hybrid.utils.outputs import is_forced, write_outputs
from hybrid.utils.reading import PREDICTIONS, open_file
from hybrid.utils.refusals import describe_refusal
from hybrid.utils.writable import check_new_file

REPORT, REPORT_TABLE, REPORT_DATA = "report", "table of a report", "data of a report"
# Suffix → what goes there beside the page, and how it begins.
BESIDE = {".csv": (REPORT_TABLE, TABLE_STARTS), ".json": (REPORT_DATA, JSON_STARTS)}


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
        Catalogue with the true labels and the posters, of all runs; None: of each run the one that it was
        fitted on, which is known by its hash, whatever the current directory is.
    options : ColumnOptions, optional
        Default: the columns that the first run on a catalogue recorded.
    names : sequence of Path
        Run folders, or their names in `runs`. Empty: all.
    runs : Path
    out : Path
        The page; table and data are written beside it as ``.csv`` and ``.json``.
    externals : mapping of str to Path, optional
        Name to predictions.csv of a model made elsewhere.
    draws : int, default=2000
        Number of bootstrap draws; at most 100,000.
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
        If a run or the catalogue that it was fitted on cannot be found, its catalogue lacks test items, or
        `out` cannot be written.
    SettingError
        If `out` is the name of a table, or the name of an external model is taken.

    Examples
    --------
    >>> report_runs(None, None, [], Path("runs"), Path("report.html")).runs[0].name  # doctest: +SKIP
    'svm'
    """
    folders = [n if (n / "run.json").exists() else runs / n for n in names] or find_runs(runs)
    check_report_target(Path(out))
    return make_report(
        _load_catalogues(path, options, folders),
        folders,
        out,
        externals=externals,
        draws=draws,
        seed=seed,
        command=command,
    )


def _load_catalogues(
    path: str | Path | None, options: ColumnOptions | None, folders: Sequence[Path]
) -> list[Catalogue]:
    """The catalogue of each run; each file is read once."""
    if path is not None:
        return [load_run_catalogue(path, options, folders[0])] * len(folders)
    files = [find_catalogue(folder, RunRecord.read(folder)).resolve() for folder in folders]
    first = dict(reversed(list(zip(files, folders, strict=True))))
    loaded = {file: load_run_catalogue(None, options, folder) for file, folder in first.items()}
    return [loaded[file] for file in files]


def load_run_catalogue(
    path: str | Path | None, options: ColumnOptions | None, run: Path
) -> Catalogue:
    """Load the catalogue of a run: as named, or the one that it was fitted on.

    Parameters
    ----------
    path : str or Path or None
        None: the file with the recorded hash; see `hybrid.runs.recorded_files.find_catalogue`.
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
        If none is named and the one that the run was fitted on cannot be found.

    Examples
    --------
    >>> load_run_catalogue(None, None, Path("runs/svm")).genres  # doctest: +SKIP
    ('Comedy', 'Drama', 'Horror')
    """
    return load_like(run, RunRecord.read(run), path, options)


def make_report(
    catalogue: Catalogue | Sequence[Catalogue],
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
    catalogue : Catalogue or sequence of Catalogue
        With the true labels: of all runs, or one for each.
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
    check_report_target(out)
    read = [read_audited_run(run) for run in runs]
    report = compare_groups(catalogue, read, externals=externals, draws=draws, seed=seed)
    page = render(report.groups, command)
    table, data = as_csv(report), as_json(report)
    beside = [(out.with_suffix(".csv"), table, REPORT_TABLE)]
    write_texts([(out, page, REPORT), *beside, (out.with_suffix(".json"), data, REPORT_DATA)])
    return report


def _starts(path: Path, texts: tuple[bytes, ...]) -> bool:
    with open_file(path, PREDICTIONS) as file:
        return file.read(max(map(len, texts))).startswith(texts)


def check_report_target(out: Path) -> None:
    """Check that a report can be written, and replaces nothing but an earlier one.

    Parameters
    ----------
    out : Path
        The page; table and data go beside it.

    Raises
    ------
    SettingError
        If `out` is the name of a table.
    RunError
        See `hybrid.utils.writable.check_new_file`.

    Examples
    --------
    >>> check_report_target(Path("report.html"))
    """
    if out.suffix.lower() in BESIDE:
        raise SettingError(f"--out: expected the name of a page (.html), found {out}.")
    check_new_file("--out", out, REPORT)
    for suffix, (kind, starts) in BESIDE.items():
        beside = out.with_suffix(suffix)
        check_new_file("--out", beside, kind)
        ours = is_forced() or not beside.is_file() or _starts(beside, starts)
        if not ours:  # nobody has named it
            raise RunError(
                f"{beside}: expected an earlier report or no file, found another table. The report's figures "
                "are written there; choose another --out, or replace it with --force."
            )


def write_text(path: Path, text: str, kind: str) -> None:
    """Write a text file atomically.

    Parameters
    ----------
    path : Path
    text : str
    kind : str
        What it is, in a word or two; see `hybrid.utils.outputs.write_output`.

    Raises
    ------
    RunError
        If the file cannot be written.

    Examples
    --------
    >>> write_text(Path("note.txt"), "text", "note")
    >>> Path("note.txt").read_text()
    'text'
    """
    write_texts([(path, text, kind)])


def write_texts(files: Sequence[tuple[Path, str, str]]) -> None:
    """Write text files that belong together; see `write_text` and `hybrid.utils.outputs.write_outputs`.

    Examples
    --------
    >>> write_texts([(Path("page.html"), "<p>", "page"), (Path("page.csv"), "id", "table")])
    >>> Path("page.csv").read_text()
    'id'
    """
    try:
        write_outputs([(path, text.encode(), kind) for path, text, kind in files])
    except OSError as error:
        raise RunError(describe_refusal(error.filename or files[0][0], error)) from error
