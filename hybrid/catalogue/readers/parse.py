"""Parse a catalogue file of any format: the suffix of its name tells which."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.readers.csv_file import parse_csv
from hybrid.catalogue.readers.json_lines import parse_json_lines
from hybrid.catalogue.readers.parquet import parse_parquet
from hybrid.catalogue.readers.text import decode
from hybrid.errors import CatalogueError, SettingError
from hybrid.types import BadRow, ColumnOptions
from hybrid.utils.options import given_options


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
        table = parse_csv(path, decode(path, data, options.encoding))
        rows = np.arange(1, len(table) + 1, dtype=np.int64)
    elif kind in (".jsonl", ".ndjson"):
        table, rows, bad = parse_json_lines(decode(path, data, options.encoding), options)
    elif kind == ".parquet":
        if given_options({"encoding": (options.encoding, ColumnOptions().encoding)}):
            raise SettingError(
                f"--encoding {options.encoding}: expected none, since the text of a Parquet file such as "
                f"{path} is UTF-8; it would have no effect."
            )
        table = parse_parquet(path, data, options.label_separator)
        rows = np.arange(1, len(table) + 1, dtype=np.int64)
    else:
        raise CatalogueError(f"{path}: expected a .csv, .jsonl or .parquet file, found {kind!r}.")
    return table.apply(lambda column: column.str.strip()), rows, bad
