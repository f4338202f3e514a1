"""Load a catalogue: read its file, find the role of each column, leave out the rows that cannot be used."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.catalogue import Catalogue
from hybrid.catalogue.cells import split_cell
from hybrid.catalogue.columns import find_columns
from hybrid.catalogue.readers import parse_table, read_bytes
from hybrid.errors import CatalogueError
from hybrid.types import BadRow, ColumnOptions, Columns
from hybrid.utils.options import given_options
from hybrid.utils.progress import shows_step


@shows_step("reading the catalogue")
def load_catalogue(
    path: str | Path, options: ColumnOptions | None = None, like: Columns | None = None
) -> Catalogue:
    """Read and validate a catalogue.

    Parameters
    ----------
    path : str or Path
        A ``.csv``, ``.jsonl`` (or ``.ndjson``) or ``.parquet`` file.
    options : ColumnOptions, optional
        Roles set by hand. By default the id is the column ``id`` or the first one that ends in
        ``_id``, the labels are in ``genres``, text in ``title`` and ``overview``, and every other
        column is metadata.
    like : Columns, optional
        Roles of another catalogue: its id and label columns are used where this file has them, and its
        separator. What `options` sets comes first.

    Returns
    -------
    Catalogue

    Raises
    ------
    CatalogueError
        If the file cannot be read or has no id column or no item.
    SettingError
        If a column is named that is not there.

    Examples
    --------
    >>> import tempfile
    >>> from hybrid.datasets.sample import write_sample
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = write_sample(folder.name, n_items=60)
    >>> catalogue = load_catalogue(f"{folder.name}/catalogue.csv")
    >>> len(catalogue), catalogue.labels.shape, catalogue.columns.numeric
    (60, (60, 8), ('year', 'runtime'))
    >>> folder.cleanup()
    """
    path, options = Path(path), options or ColumnOptions()
    data = read_bytes(path)
    table, rows, bad = parse_table(path, data, options)
    if not len(table.columns):
        raise CatalogueError(f"{path}: expected at least one item, found none.")
    if like:
        options = _options_like(like, options, table)
    columns = find_columns(table, options, path)
    table, rows, more = _drop_bad_rows(table, rows, columns)
    if not len(table):
        raise CatalogueError(f"{path}: expected at least one item with an id, found none.")
    bad_rows = tuple(sorted(bad + more, key=lambda b: b.row))
    return Catalogue(path, hashlib.sha256(data).hexdigest(), table, rows, columns, bad_rows)


def _options_like(like: Columns, options: ColumnOptions, table: pd.DataFrame) -> ColumnOptions:
    separator = (options.label_separator, ColumnOptions().label_separator)
    given = given_options({"label-separator": separator})
    return replace(
        options,
        id=options.id or (like.id if like.id in table.columns else None),
        label=options.label or (like.label if like.label in table.columns else None),
        label_separator=options.label_separator if given else like.label_separator,
    )


def _drop_bad_rows(
    table: pd.DataFrame, rows: NDArray[np.int64], columns: Columns
) -> tuple[pd.DataFrame, NDArray[np.int64], list[BadRow]]:
    """Leave out rows without an id or with a repeated one; list those and rows without labels."""
    ids = table[columns.id].tolist()
    posters = table[columns.poster].tolist() if columns.poster else [""] * len(ids)
    labels = table[columns.label].tolist() if columns.label else None
    first: dict[str, int] = {}
    keep, bad = [], []
    for i, (row, name, poster) in enumerate(zip(rows.tolist(), ids, posters, strict=True)):
        if not name or not name.isprintable():
            reason = "the id holds a control character" if name else "no id"
            bad.append(BadRow(row, name, poster, f"{reason}; the row is left out"))
            continue
        if name in first:
            reason = f"the id is already used in row {first[name]}; the row is left out"
            bad.append(BadRow(row, name, poster, reason))
            continue
        first[name] = row
        keep.append(i)
        if labels is not None and not split_cell(labels[i], columns.label_separator):
            reason = f"no {columns.label}; the row can be predicted but not learnt from"
            bad.append(BadRow(row, name, poster, reason))
    return table.iloc[keep].reset_index(drop=True), rows[keep], bad
