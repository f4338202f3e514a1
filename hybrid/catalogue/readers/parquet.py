"""Parquet files as a table of strings."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from hybrid.catalogue.readers.values import as_cell
from hybrid.errors import CatalogueError, MissingExtraError


def parse_parquet(path: Path, data: bytes, separator: str) -> pd.DataFrame:
    """Parse a Parquet file; lists are joined by the separator.

    Raises
    ------
    CatalogueError
        If it is no Parquet file.
    MissingExtraError
        If pyarrow is not installed.
    """
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
    cells = {str(k): [as_cell(v, separator) for v in values] for k, values in table.items()}
    return pd.DataFrame(cells, dtype=object)
