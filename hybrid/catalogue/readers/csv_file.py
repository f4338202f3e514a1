"""CSV files as a table of strings."""

from __future__ import annotations

import csv
import io
import warnings
from pathlib import Path

import pandas as pd

from hybrid.errors import CatalogueError


def parse_csv(path: Path, text: str) -> pd.DataFrame:
    """Parse comma-separated text with a header; every cell a str, as it stands.

    Raises
    ------
    CatalogueError
        If the header is not one name for each column, or a line has more fields than it.
    """
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
