"""Readers of catalogue files: CSV, JSON Lines and Parquet, as a table of strings."""

from __future__ import annotations

import csv
import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.errors import CatalogueError, MissingExtraError, SettingError
from hybrid.types import BadRow, ColumnOptions
from hybrid.utils.options import given_options


def read_bytes(path: Path) -> bytes:
    """Read the bytes of a catalogue file.

    Raises
    ------
    CatalogueError
        If it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise CatalogueError(
            f"expected a catalogue at {path}, found no such file. "
            "Go to its folder, or name it with --catalogue."
        ) from None
    except OSError as error:
        raise CatalogueError(f"cannot read the catalogue {path}: {error.strerror}.") from error


def parse_table(
    path: Path, data: bytes, options: ColumnOptions
) -> tuple[pd.DataFrame, NDArray[np.int64], list[BadRow]]:
    r"""Parse a catalogue; the suffix of its name tells the format.

    Parameters
    ----------
    path : Path
    data : bytes
        The content of the file.
    options : ColumnOptions
        Its encoding and its separator are used.

    Returns
    -------
    table : DataFrame of shape (n, columns)
        Every cell a stripped string, ``""`` where it is missing.
    rows : ndarray of shape (n,), int64
        Position of each row in the file, from 1.
    bad_rows : list of BadRow
        Rows that could not be read.

    Raises
    ------
    CatalogueError
        If it is not what its suffix says.
    SettingError
        If the encoding has no known name, or one is given for a Parquet file.
    MissingExtraError
        If a Parquet file is to be read and pyarrow is not installed.

    Examples
    --------
    >>> table, rows, bad = parse_table(Path("c.csv"), b"id,title\n1, Jaws \n", ColumnOptions())
    >>> table.to_dict("records"), rows.tolist(), bad
    ([{'id': '1', 'title': 'Jaws'}], [1], [])
    """
    kind = path.suffix.lower()
    bad: list[BadRow] = []
    rows: NDArray[np.int64]
    if kind == ".csv":
        table = _parse_csv(path, _decode(path, data, options.encoding))
        rows = np.arange(1, len(table) + 1, dtype=np.int64)
    elif kind in (".jsonl", ".ndjson"):
        table, rows, bad = _parse_json_lines(_decode(path, data, options.encoding), options)
    elif kind == ".parquet":
        if given_options({"encoding": (options.encoding, ColumnOptions().encoding)}):
            raise SettingError(
                f"--encoding {options.encoding}: expected none, since the text of a Parquet file such as "
                f"{path} is UTF-8; it would have no effect."
            )
        table = _parse_parquet(path, data, options.label_separator)
        rows = np.arange(1, len(table) + 1, dtype=np.int64)
    else:
        raise CatalogueError(f"{path}: expected a .csv, .jsonl or .parquet file, found {kind!r}.")
    return table.apply(lambda column: column.str.strip()), rows, bad


def _decode(path: Path, data: bytes, encoding: str) -> str:
    try:
        return data.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except LookupError:
        raise SettingError(
            f"--encoding: expected the name of a text encoding such as utf-8, latin-1 or utf-16, "
            f"found {encoding!r}."
        ) from None
    except UnicodeError as error:
        where = f" (byte {error.start})" if isinstance(error, UnicodeDecodeError) else ""
        raise CatalogueError(
            f"{path}: expected text in {encoding}, found bytes that are not{where}. "
            "Save it as UTF-8, or name its encoding with --encoding (latin-1, cp1252, utf-16 …)."
        ) from None


def _parse_csv(path: Path, text: str) -> pd.DataFrame:
    try:
        header = [name.strip() for name in next(csv.reader(io.StringIO(text, newline="")), [])]
    except csv.Error as error:
        raise CatalogueError(f"{path}: expected comma-separated lines, found: {error}.") from None
    if "" in header:
        raise CatalogueError(
            f"{path}: expected a name for each column, found none for column {header.index('') + 1}. "
            "Name it, or remove it (pandas writes its index so: use to_csv(index=False))."
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise CatalogueError(f"{path}: expected each column once, found twice: {', '.join(twice)}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # else it drops fields
            table = pd.read_csv(
                io.StringIO(text),
                dtype=str,
                keep_default_na=False,
                na_filter=False,
                index_col=False,
            )
    except pd.errors.EmptyDataError:
        raise CatalogueError(f"{path}: expected a header and rows, found an empty file.") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise CatalogueError(
            f"{path}: expected the same number of fields in every line, found: {error}. "
            "A field that holds a comma or a quote must be quoted."
        ) from None
    return table.set_axis(header, axis=1).astype(object)


def _parse_json_lines(
    text: str, options: ColumnOptions
) -> tuple[pd.DataFrame, NDArray[np.int64], list[BadRow]]:
    records, rows, bad = [], [], []
    lines = [line for line in text.split("\n") if line.strip()]
    for row, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            bad.append(BadRow(row, "", "", f"not JSON ({error}); the row is left out"))
            continue
        if not isinstance(record, dict):
            bad.append(BadRow(row, "", "", "not a JSON object; the row is left out"))
            continue
        records.append({k: _as_cell(v, options.label_separator) for k, v in record.items()})
        rows.append(row)
    table = pd.DataFrame(records, dtype=object).fillna("")
    return table, np.array(rows, dtype=np.int64), bad


def _parse_parquet(path: Path, data: bytes, separator: str) -> pd.DataFrame:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            f"{path}: Parquet needs pyarrow. Install it with: pip install 'hybrid-posters[parquet]'"
        ) from error
    try:
        table = pyarrow.parquet.read_table(io.BytesIO(data)).to_pydict()
    except (pyarrow.ArrowException, OSError) as error:
        raise CatalogueError(f"{path}: expected a Parquet file, found: {error}.") from error
    cells = {str(k): [_as_cell(v, separator) for v in values] for k, values in table.items()}
    return pd.DataFrame(cells, dtype=object)


def _as_cell(value: Any, separator: str) -> str:
    """Write a JSON or Parquet value as the cell of a CSV file."""
    if value is None or value != value:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return separator.join(_as_cell(v, separator) for v in value)
    if isinstance(value, (bool, dict)):
        return json.dumps(value)
    return str(value)
