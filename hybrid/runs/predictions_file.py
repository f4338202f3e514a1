"""The ``predictions.csv`` of a run, and what `hybrid predict` writes: some thousand rows at a time."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hybrid.errors import RunError
from hybrid.types import PARTS, Predictions
from hybrid.utils.csv_text import csv_pieces, holds_return, unescape_columns
from hybrid.utils.files import write_atomically, write_new
from hybrid.utils.outputs import replacing_output
from hybrid.utils.reading import PREDICTIONS as PREDICTIONS_FILE
from hybrid.utils.reading import open_file, open_text
from hybrid.utils.refusals import describe_refusal

PROBABILITY = "p:"
SEPARATOR = "|"
PREDICTED = "predictions"  # what `hybrid predict` writes
DECIMALS = "%.6f"  # of a probability
TEXTS = ("id", "split", "genres")  # columns whose cells may be escaped
ROWS = 2**16  # that are text at a time


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
    n = len(predictions.ids)
    pieces = (_slice(predictions, start) for start in range(0, max(n, 1), ROWS))
    quoted = any(
        holds_return(cells) for cells in (predictions.ids, predictions.splits, predictions.genres)
    )
    lines = csv_pieces(map(predictions_table, pieces), quoted, DECIMALS)
    try:
        write_atomically(path, (piece.encode() for piece in lines))
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


def _slice(predictions: Predictions, start: int) -> Predictions:
    """The predictions of some items."""
    rows = slice(start, start + ROWS)
    return replace(
        predictions,
        ids=predictions.ids[rows],
        splits=predictions.splits[rows],
        labels=predictions.labels[rows],
        probabilities=predictions.probabilities[rows],
    )


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
    found, read = list[Predictions](), 0
    try:
        with open_text(path, PREDICTIONS_FILE, newline="") as text:
            header = next(csv.reader(text), [])
        repeated = sorted({name for name in header if header.count(name) > 1})
        if repeated:
            said = f"expected each column once, found twice: {', '.join(repeated)}."
            raise RunError(f"{path}: {said}")
        with open_file(path, PREDICTIONS_FILE) as file:
            for table in pd.read_csv(file, dtype=str, keep_default_na=False, chunksize=ROWS):
                found.append(parse_predictions(unescape_columns(table, TEXTS), path, read))
                read += len(table)
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(f"cannot read {path}: {error}.") from error
    return _join(found)


def _join(parts: Sequence[Predictions]) -> Predictions:
    """The predictions of all items, of parts of the same genres."""
    ids, splits, labels, probabilities = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("ids", "splits", "labels", "probabilities")
    )
    return Predictions(ids, splits, parts[0].genres, labels, probabilities)


def parse_predictions(table: pd.DataFrame, path: Path, before: int = 0) -> Predictions:
    """Parse the table of a ``predictions.csv``.

    Parameters
    ----------
    table : DataFrame of str
    path : Path
        For the messages.
    before : int, default=0
        Rows of the file before these.

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
                    f"{path}: row {before + i + 1} predicts {genre!r}, which has no column p:{genre}."
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
