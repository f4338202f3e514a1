"""The run folder: run.json, predictions.csv, model.*, manifest.json; written atomically."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hybrid.audit.ancestry import RunProvenance
from hybrid.errors import HybridError, RunError, SettingError
from hybrid.model_file.manifest import write_manifest
from hybrid.runs.record import RECORD, RunRecord
from hybrid.runs.replacement import (
    hold_run,
    lost_runs,
    put_in_place,
    recover_run,
    temporary_folder,
)
from hybrid.runs.run_provenance import read_run_provenance
from hybrid.runs.study_files import read_studies
from hybrid.splitting.tasks import Task
from hybrid.types import PARTS, Predictions
from hybrid.utils.csv_text import csv_pieces, csv_text, unescape_columns
from hybrid.utils.files import remove_tree, write_atomically, write_new
from hybrid.utils.outputs import replacing_output
from hybrid.utils.reading import PREDICTIONS as PREDICTIONS_FILE
from hybrid.utils.reading import open_file, open_text
from hybrid.utils.refusals import describe_refusal, refusal_number

PREDICTIONS = "predictions.csv"
MODEL, MODEL_ARRAYS = "model.json", "model.npz"
PROBABILITY = "p:"
SEPARATOR = "|"
MAX_NAME = 180  # bytes; with what names of temporary files add, file systems take 255
PREDICTED = "predictions"  # what `hybrid predict` writes
DECIMALS = "%.6f"  # of a probability
TEXTS = ("id", "split", "genres")  # columns whose cells may be escaped


@dataclass(frozen=True)
class Run:
    """A run as read from its folder; see `read_run`.

    Parameters
    ----------
    folder : Path
    record : RunRecord
        Of run.json.
    predictions : Predictions
        Of predictions.csv.
    """

    folder: Path
    record: RunRecord
    predictions: Predictions

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def task(self) -> Task:
        """Which items and labels it is about."""
        return self.record.task

    @property
    def fitted_on(self) -> Mapping[str, tuple[str, ...]]:
        """Preprocessing and thresholds → parts of the split that they were fitted on."""
        return self.record.fitted_on

    @cached_property
    def provenance(self) -> RunProvenance:
        """What the run and its ancestors have learnt from, read from the folder when it is asked for."""
        return read_run_provenance(self.folder, self.record, self.predictions)


@contextmanager
def new_run(folder: Path) -> Iterator[Path]:
    """Write a run folder atomically: as a context manager that gives a temporary folder to fill.

    When the block ends without an error, the temporary folder becomes `folder`. An existing run is replaced
    then, in one step; after an error, or if the process is killed, it stays as it was. What a killed process
    left is removed by the next one.

    Raises
    ------
    RunError
        If `folder` exists and is not a run, cannot be written, or another process writes it.
    SettingError
        If the name is not a plain folder name.

    Examples
    --------
    >>> with new_run(Path("runs/svm")) as folder:
    ...     RunRecord(name="svm").write(folder)
    >>> RunRecord.read(Path("runs/svm")).name
    'svm'
    """
    check_run_folder(folder)
    with hold_run(folder):
        temporary = temporary_folder(folder)
        try:
            recover_run(folder)
            temporary.mkdir()
            yield temporary
            check_run_folder(folder)  # it may be something else by now
            write_manifest(temporary)
            put_in_place(temporary, folder)
        except Exception as error:  # HDF5 raises errors of its own where the disk refuses
            refused = _refused(error, temporary)
            if refused is None:
                raise
            raise RunError(describe_refusal(f"the run {folder}", refused)) from error
        finally:
            remove_tree(temporary)


def _refused(error: Exception, temporary: Path) -> BaseException | None:
    """The error of the disk that refused to write a run; None if it is another, as of a file that is read."""
    found: BaseException | None = error
    if isinstance(error, HybridError):
        found = error.__cause__ if str(temporary) in str(error) else None
    name = getattr(found, "filename", None)
    if found is None or (name and not Path(os.fsdecode(name)).is_relative_to(temporary.parent)):
        return None
    return found if isinstance(found, OSError) or refusal_number(found) is not None else None


def check_run_folder(folder: Path) -> None:
    """Check that a run can be written to `folder`, before hours of work.

    Raises
    ------
    RunError
        If it exists and is not a run.
    SettingError
        If its name is not that of a folder; see `check_run_name`.
    """
    check_run_name(folder.name)
    if folder.exists() and not (folder / RECORD).is_file():
        raise RunError(
            f"{folder}: expected a run or nothing, found something else. Choose another --name."
        )


def check_run_name(name: str) -> None:
    """Check that a name is that of a folder, and no path to another one.

    Raises
    ------
    SettingError
        If it is empty, of more than 180 bytes, begins with a dot, begins or ends with a space, or holds a
        slash, a backslash or a character that is not printed.

    Examples
    --------
    >>> check_run_name("svm text")
    >>> check_run_name("../svm")
    Traceback (most recent call last):
    ...
    hybrid.errors.SettingError: --name: expected a plain folder name, found '../svm'.
    """
    size = len(name.encode(errors="surrogatepass"))
    if size > MAX_NAME:
        raise SettingError(
            f"--name: expected a plain folder name of at most {MAX_NAME} bytes, found {size:,} bytes."
        )
    plain = name.isprintable() and not set(name) & {"/", "\\"}
    if not name or name.startswith(".") or name != name.strip() or not plain:
        raise SettingError(f"--name: expected a plain folder name, found {name!r}.")


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write the ``predictions.csv`` of a run: id, split, genres, and p:GENRE for each genre.

    Parameters
    ----------
    path : Path
    predictions : Predictions
        Probabilities are written with six decimals, NaN as an empty cell.

    Raises
    ------
    RunError
        If the file cannot be written.

    Examples
    --------
    >>> labels = np.array([[1, 0]], dtype=np.uint8)
    >>> found = Predictions(np.array(["a"]), np.array(["test"]), ("Drama", "War"), labels, labels / 2)
    >>> write_predictions(Path("p.csv"), found)
    >>> print(Path("p.csv").read_text())
    id,split,genres,p:Drama,p:War
    a,test,Drama,0.500000,0.000000
    <BLANKLINE>
    >>> read_predictions(Path("p.csv")).labels.tolist()
    [[1, 0]]
    """
    table = predictions_table(predictions)
    text = csv_text(table, DECIMALS)
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise RunError(describe_refusal(path, error)) from error


def write_predicted(path: Path, pieces: Iterable[Predictions], quoted: bool = False) -> None:
    """Write predictions of some items after others, as they come, to a file that a user named.

    It has the form of `write_predictions`. Until it is whole it has a temporary name; after an error, or
    where the process is interrupted, the file is as it was.

    Parameters
    ----------
    path : Path
    pieces : iterable of Predictions
        One at least.
    quoted : bool, default=False
        Whether an id or a genre may hold a carriage return; see `hybrid.utils.csv_text.csv_pieces`.

    Raises
    ------
    RunError
        If the file cannot be written.

    Examples
    --------
    >>> labels = np.array([[1]], dtype=np.uint8)
    >>> each = (Predictions(np.array([i]), np.array([""]), ("War",), labels, labels / 2) for i in "ab")
    >>> write_predicted(Path("new.csv"), each)
    >>> Path("new.csv").read_text().splitlines()
    ['id,split,genres,p:War', 'a,,War,0.500000', 'b,,War,0.500000']
    """
    texts = csv_pieces(map(predictions_table, pieces), quoted, DECIMALS)
    try:
        with replacing_output(path, PREDICTED) as temporary:
            write_new(temporary, (text.encode() for text in texts))
    except OSError as error:
        raise RunError(describe_refusal(path, error)) from error


def predictions_table(predictions: Predictions) -> pd.DataFrame:
    """Make the table of a ``predictions.csv``.

    Examples
    --------
    >>> labels = np.array([[1, 1]], dtype=np.uint8)
    >>> found = Predictions(np.array(["a"]), np.array(["test"]), ("Drama", "War"), labels, labels / 2)
    >>> predictions_table(found).columns.tolist()
    ['id', 'split', 'genres', 'p:Drama', 'p:War']
    """
    names = np.array(predictions.genres, dtype=object)
    data: dict[str, Any] = {
        "id": predictions.ids,
        "split": predictions.splits,
        "genres": [SEPARATOR.join(names[row != 0]) for row in predictions.labels],
    }
    for j, genre in enumerate(predictions.genres):
        data[PROBABILITY + genre] = predictions.probabilities[:, j]
    return pd.DataFrame(data)


def read_predictions(path: Path) -> Predictions:
    """Read a ``predictions.csv``, as written by `write_predictions` or made elsewhere.

    Raises
    ------
    RunError
        If it cannot be read, lacks a column, or has a cell with a wrong value.
    """
    try:
        with open_file(path, PREDICTIONS_FILE) as file:
            table = pd.read_csv(file, dtype=str, keep_default_na=False)
        with open_text(path, PREDICTIONS_FILE, newline="") as text:
            header = next(csv.reader(text), [])
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(f"cannot read {path}: {error}.") from error
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise RunError(f"{path}: expected each column once, found twice: {', '.join(repeated)}.")
    return parse_predictions(unescape_columns(table, TEXTS), path)


def parse_predictions(table: pd.DataFrame, path: Path) -> Predictions:
    """Parse the table of a ``predictions.csv``.

    Parameters
    ----------
    table : DataFrame of str
    path : Path
        For the messages.

    Raises
    ------
    RunError
        If a column is missing, or a cell has a wrong value.
    """
    genres = tuple(c.removeprefix(PROBABILITY) for c in table.columns if c.startswith(PROBABILITY))
    if not {"id", "split", "genres"} <= set(table.columns) or not genres:
        raise RunError(
            f"{path}: expected the columns id, split, genres and p:GENRE for each genre, found "
            f"{', '.join(table.columns)}."
        )
    column = {genre: j for j, genre in enumerate(genres)}
    labels = np.zeros((len(table), len(genres)), dtype=np.uint8)
    for i, cell in enumerate(table["genres"]):
        for genre in filter(None, cell.split(SEPARATOR)):
            if genre not in column:
                raise RunError(
                    f"{path}: row {i + 1} predicts {genre!r}, which has no column p:{genre}."
                )
            labels[i, column[genre]] = 1
    cells = table[[PROBABILITY + genre for genre in genres]].replace("", "nan")
    try:
        probabilities = cells.astype(np.float64).to_numpy()
    except ValueError as error:
        raise RunError(
            f"{path}: expected numbers in the columns p:GENRE, found: {error}."
        ) from error
    if not ((probabilities >= 0) & (probabilities <= 1) | np.isnan(probabilities)).all():
        raise RunError(f"{path}: expected probabilities from 0 to 1 in the columns p:GENRE.")
    unknown = sorted(set(table["split"]) - {*PARTS, ""})
    if unknown:
        raise RunError(
            f"{path}: expected train, validation, test or nothing in column split, found "
            f"{', '.join(map(repr, unknown[:5]))}."
        )
    ids, splits = (table[c].to_numpy(dtype=object).astype(str) for c in ("id", "split"))
    return Predictions(ids, splits, genres, labels, probabilities)


def read_run(folder: str | Path) -> Run:
    """Read the record and the predictions of a run, and the studies beside it.

    Parameters
    ----------
    folder : str or Path
        The run folder.

    Raises
    ------
    RunError
        If it is not a run, or a file in it is damaged.

    Examples
    --------
    >>> from hybrid import read_run
    >>> read_run("catalogue")
    Traceback (most recent call last):
    ...
    hybrid.errors.RunError: catalogue: expected a run (a folder with run.json), found none...
    """
    folder = Path(folder)
    record = RunRecord.read(folder)
    record = replace(record, studies=read_studies(folder, record.studies))
    predictions = read_predictions(folder / PREDICTIONS)
    return Run(folder, record, predictions)


def find_runs(folder: Path) -> list[Path]:
    """List the run folders in `folder`, sorted by name.

    Raises
    ------
    RunError
        If there is none.

    Examples
    --------
    >>> with new_run(Path("runs/svm")) as folder:
    ...     RunRecord().write(folder)
    >>> [run.name for run in find_runs(Path("runs"))]
    ['svm']
    """
    for lost in lost_runs(folder):
        recover_run(lost)
    found = sorted(path.parent for path in folder.glob(f"[!.]*/{RECORD}"))
    if not found:
        raise RunError(
            f"{folder}: expected runs, found none. Make one with hybrid fit-svm, fit-ovr or fit-deep."
        )
    return found
