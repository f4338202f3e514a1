"""The run folder: run.json, predictions.csv, model.*; written whole or not at all."""

from __future__ import annotations

import csv
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hybrid.errors import RunError, SettingError
from hybrid.runs.record import RECORD, RunRecord
from hybrid.types import PARTS, Predictions
from hybrid.utils.files import write_atomically

PREDICTIONS = "predictions.csv"
MODEL = "model.joblib"
PROBABILITY = "p:"
SEPARATOR = "|"


@dataclass(frozen=True)
class Run:
    """A run folder that was read: its record (run.json) and its predictions."""

    folder: Path
    record: RunRecord
    predictions: Predictions

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def fitted_on(self) -> Mapping[str, tuple[str, ...]]:
        """What was fitted (preprocessing, thresholds) → parts of the split that it was fitted on."""
        return self.record.fitted_on


@contextmanager
def new_run(folder: Path) -> Iterator[Path]:
    """Give a temporary folder to fill; it becomes `folder` when all went well.

    Raises
    ------
    RunError
        If `folder` is there and is not a run, or cannot be written. A run that is there is replaced.
    SettingError
        If the name is not a plain folder name.
    """
    check_run_folder(folder)
    mark = uuid.uuid4().hex
    temporary, old = (folder.with_name(f".{folder.name}.{mark}.{end}") for end in ("tmp", "old"))
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise RunError(f"cannot write the run {folder}: {error.strerror or error}.") from error
    try:
        yield temporary
        try:
            if folder.exists():
                folder.rename(old)
            temporary.rename(folder)
        except OSError as error:
            if old.exists():
                old.rename(folder)
            raise RunError(f"cannot write the run {folder}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def check_run_folder(folder: Path) -> None:
    """Raise unless a run can be written to `folder`; to be called before hours of work."""
    if not folder.name or folder.name.startswith(".") or folder.name != folder.name.strip():
        raise SettingError(f"--name: expected a plain folder name, found {folder.name!r}.")
    if folder.exists() and not (folder / RECORD).is_file():
        raise RunError(
            f"{folder}: expected a run or nothing, found something else. Choose another --name."
        )


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write ``predictions.csv``: id, split, genres, and p:GENRE for each genre."""
    names = np.array(predictions.genres, dtype=object)
    data: dict[str, Any] = {
        "id": predictions.ids,
        "split": predictions.splits,
        "genres": [SEPARATOR.join(names[row != 0]) for row in predictions.labels],
    }
    for j, genre in enumerate(predictions.genres):
        data[PROBABILITY + genre] = predictions.probabilities[:, j]
    table = pd.DataFrame(data).to_csv(index=False, float_format="%.6f", lineterminator="\n")
    try:
        write_atomically(path, table.encode())
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}.") from error


def read_predictions(path: Path) -> Predictions:
    """Read a ``predictions.csv``, of `hybrid` or made elsewhere in the same form.

    Raises
    ------
    RunError
        If it is missing, or lacks a column; says which.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}.") from error
    with path.open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file), [])
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise RunError(f"{path}: expected each column once, found twice: {', '.join(twice)}.")
    return parse_predictions(table, path)


def parse_predictions(table: pd.DataFrame, path: Path) -> Predictions:
    """Make sense of the cells of a ``predictions.csv``, all strings; `path` is for the messages.

    Raises
    ------
    RunError
        If a column is missing, or a cell is not what it should be.
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
    strange = sorted(set(table["split"]) - {*PARTS, ""})
    if strange:
        raise RunError(
            f"{path}: expected train, validation, test or nothing in column split, found "
            f"{', '.join(map(repr, strange[:5]))}."
        )
    ids, splits = (table[c].to_numpy(dtype=object).astype(str) for c in ("id", "split"))
    return Predictions(ids, splits, genres, labels, probabilities)


def read_run(folder: str | Path) -> Run:
    """Read a run's record and predictions."""
    folder = Path(folder)
    return Run(folder, RunRecord.read(folder), read_predictions(folder / PREDICTIONS))


def find_runs(folder: Path) -> list[Path]:
    """All run folders in `folder`, by name.

    Raises
    ------
    RunError
        If there is none.
    """
    found = sorted(path.parent for path in folder.glob(f"[!.]*/{RECORD}"))
    if not found:
        raise RunError(
            f"{folder}: expected runs, found none. Make one with hybrid fit-svm, fit-ovr or fit-deep."
        )
    return found
