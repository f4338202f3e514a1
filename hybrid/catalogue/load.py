"""Load a catalogue: read its file, find the role of each column, leave out the rows that cannot be used."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.absent_columns import tell_absent
from hybrid.catalogue.catalogue import Catalogue
from hybrid.catalogue.cells import blank_nothing
from hybrid.catalogue.column_findings import name_no_posters, tell_no_posters, tell_roles
from hybrid.catalogue.columns import find_columns, find_name
from hybrid.catalogue.ids import tell_ids
from hybrid.catalogue.label_column import check_unknown, read_label_column, tell_no_labels
from hybrid.catalogue.labels import find_rules, typed_separator
from hybrid.catalogue.list_columns import read_lists
from hybrid.catalogue.packed import Cells, find_repeated, keep_rows, replace_cells
from hybrid.catalogue.readers import ParsedTable, open_source, parse_table
from hybrid.errors import CatalogueError
from hybrid.types import BadRow, ColumnOptions, ColumnRole, Columns, Finding
from hybrid.utils.options import given_options
from hybrid.utils.progress import shows_step

Roles = tuple[ColumnRole, ...]
# What no id can hold: it would break the lines of the files that name it.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ASCII_SPACE = " \t\n\r\f\v"


@shows_step("reading the catalogue")
def load_catalogue(
    path: str | Path,
    options: ColumnOptions | None = None,
    like: Columns | None = None,
    every_row: bool = False,
) -> Catalogue:
    """Read and validate a catalogue.

    Parameters
    ----------
    path : str or Path
        A CSV file with any separator (``.csv``, ``.tsv``, ``.txt``), JSON Lines (``.jsonl``, ``.ndjson``), a
        JSON array (``.json``), a Parquet or an Excel file (``.parquet``, ``.xlsx``); each may be compressed
        (``.gz``).
    options : ColumnOptions, optional
        Roles set by hand. By default the id is the column ``id`` or the first one that ends in
        ``_id``, the labels are in ``genres``, text in ``title`` and ``overview``, whatever their case, and
        every other column is metadata.
    like : Columns, optional
        Roles of another catalogue, such as that of a run: they are used for the columns that this file has,
        and so are its separator and the formats of its numbers and dates. What `options` sets comes first.
    every_row : bool, default=False
        Also keep rows without an id, or with one that another row has. The ids are not unique then: only for
        what treats each row by itself, such as a prediction.

    Returns
    -------
    Catalogue

    Raises
    ------
    CatalogueError
        If the file cannot be read or has no id column or no item.
    MissingExtraError
        If the library that reads its format is not installed.
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
    path, options = Path(path), typed_separator(options or ColumnOptions())
    rules = find_rules(options, like)
    if like:
        options = replace(options, label_separator=_separator_like(like, options))
    source = open_source(path)
    parsed = parse_table(source, options)
    if not len(parsed.table.columns):
        raise CatalogueError(f"{path}: expected at least one item, found none.")
    if like:
        options = _options_like(like, options, parsed.table)
    table, told, broken = read_lists(parsed.table, options, parsed.rows)
    not_read = check_unknown(table, options, rules, path)
    dropping = replace(options, drop=(*options.drop, *not_read))
    columns, roles = find_columns(table, dropping, path, like, parsed.hint)
    roles = tuple(
        replace(role, reason="--unknown-column") if role.column in not_read else role
        for role in roles
    )
    if columns.id in parsed.unstripped:
        kept = replace_cells(table[columns.id], parsed.unstripped[columns.id])
        table = table.assign(**{columns.id: kept})
    columns, roles, more_told = _use_images(columns, roles, parsed)
    more_told += tell_roles(table, columns, roles, options.decimal)
    if like is None and not every_row:
        more_told = [*more_told, *tell_absent(table, columns, roles)]
    table = blank_nothing(table, columns)
    bad = _name_rows(parsed, table, columns)
    table, rows, more = _drop_bad_rows(table, parsed.rows, columns, every_row)
    if not len(table):
        raise CatalogueError(f"{path}: expected at least one item with an id, found none.")
    if like is None and not every_row:
        role = next(role for role in roles if role.column == columns.id)
        more_told += tell_ids(table[columns.id], rows, role, more)
    read = read_label_column(table, rows, columns, rules, like is None, broken)
    table, columns = read.table, read.columns
    unlabelled = [] if every_row else read.bad_rows  # else labels mean nothing
    if len(unlabelled) == len(table) > 1:
        unlabelled, more_told = [], [*more_told, tell_no_labels(len(table), str(columns.label))]
    bad_rows = tuple(sorted(bad + more + unlabelled, key=lambda b: b.row))
    there = np.isin([row.row for row in bad_rows], rows).tolist()
    left_out = tuple(row for row, read_too in zip(bad_rows, there, strict=True) if not read_too)
    findings = (*parsed.findings, *told, *more_told, *read.findings)
    catalogue = Catalogue(
        path,
        source.sha256,
        table,
        rows,
        columns,
        bad_rows,
        findings,
        roles,
        left_out,
        options.posters,
    )
    return _tell_posters(catalogue)


def _tell_posters(catalogue: Catalogue) -> Catalogue:
    """Tell once that no poster cell names a file."""
    column = catalogue.columns.poster
    if column is None or not name_no_posters(catalogue.table[column]):
        return catalogue
    if len(catalogue.poster_problems) < len(catalogue):  # a cell with an address and a file
        return catalogue
    findings = (*catalogue.findings, *tell_no_posters(catalogue.table[column], column))
    return replace(catalogue, findings=findings, posters_told=True)


def _separator_like(like: Columns, options: ColumnOptions) -> str:
    separator = (options.label_separator, ColumnOptions().label_separator)
    given = given_options({"label-separator": separator})
    return options.label_separator if given else like.label_separator


def _options_like(like: Columns, options: ColumnOptions, table: pd.DataFrame) -> ColumnOptions:
    names = [str(name) for name in table.columns]
    return replace(
        options,
        id=options.id or find_name(names, like.id),
        label=options.label or find_name(names, like.label or ""),
        poster=options.poster or find_name(names, like.poster or ""),
    )


def _use_images(
    columns: Columns, roles: Roles, parsed: ParsedTable
) -> tuple[Columns, Roles, list[Finding]]:
    """Take the first column of images in the file itself as the posters, where no column names them."""
    findings = []
    for name in parsed.images:
        if columns.poster is None and name not in (columns.id, columns.label):
            columns = replace(
                columns,
                poster=name,
                categorical=tuple(one for one in columns.categorical if one != name),
                list=tuple(one for one in columns.list if one != name),
            )
        used = columns.poster == name
        use = "they are the posters" if used else "they are not used"
        message = f"column {name!r} holds images in the file itself: {use}"
        findings.append(Finding("images", message, len(parsed.table), name))
        roles = tuple(
            replace(one, role="poster" if used else "not used", reason="images in the file itself")
            if one.column == name
            else one
            for one in roles
        )
    return columns, roles, findings


def _name_rows(parsed: ParsedTable, table: pd.DataFrame, columns: Columns) -> list[BadRow]:
    """Name the items of the bad rows, as far as their ids were read."""
    bad, rows = parsed.bad_rows, parsed.rows
    places = np.searchsorted(rows, [one.row for one in bad]).tolist()
    named = []
    for one, i in zip(bad, places, strict=True):
        if i < len(rows) and rows[i] == one.row:
            poster = table[columns.poster].iloc[i] if columns.poster else ""
            one = replace(one, id=table[columns.id].iloc[i], poster=poster)
        elif found := parsed.left_out.get(one.row, {}).get(columns.id):
            one = replace(one, id=found.strip(_ASCII_SPACE))
        named.append(one)
    return named


def find_id_problems(ids: pd.Series, rows: NDArray[np.int64]) -> dict[int, str]:
    r"""Find the rows whose id cannot name an item: none, a repeated one, a control character in it.

    Parameters
    ----------
    ids : Series of n str
    rows : ndarray of shape (n,), int64
        Position of each in the file, for the message.

    Returns
    -------
    dict of int to str
        Index → reason, in the order of the rows.

    Examples
    --------
    >>> ids = pd.Series(["a", "", "a", "b\0c"])
    >>> find_id_problems(ids, np.array([1, 2, 3, 4]))
    {1: 'no id', 2: 'the id is already used in row 1', 3: 'the id holds a control character'}
    """
    holds_control = (bool(not one.isprintable() and _CONTROL.search(one)) for one in Cells(ids))
    control = np.fromiter(holds_control, dtype=bool, count=len(ids))
    repeated = find_repeated(ids)
    problems = np.flatnonzero((ids == "").to_numpy() | control | repeated)
    first = _first_rows(ids, rows, repeated) if repeated.any() else {}
    found = {}
    for i, name in zip(problems.tolist(), ids.iloc[problems].tolist(), strict=True):
        if not name:
            found[i] = "no id"
        elif control[i]:
            found[i] = "the id holds a control character"
        else:
            found[i] = f"the id is already used in row {first[name]}"
    return found


def _first_rows(
    ids: pd.Series, rows: NDArray[np.int64], repeated: NDArray[np.bool_]
) -> dict[str, int]:
    """The row that first has each id that comes again."""
    twice = set(ids[repeated])
    each = zip(Cells(ids), rows.tolist(), repeated.tolist(), strict=True)
    return {name: row for name, row, again in each if not again and name in twice}


def _drop_bad_rows(
    table: pd.DataFrame, rows: NDArray[np.int64], columns: Columns, every_row: bool
) -> tuple[pd.DataFrame, NDArray[np.int64], list[BadRow]]:
    """Leave out rows that cannot be told by their id, and list them."""
    problems = {} if every_row else find_id_problems(table[columns.id], rows)
    if not problems:
        return table, rows, []
    out = np.zeros(len(table), dtype=bool)
    out[list(problems)] = True
    ids = table[columns.id][out].tolist()
    posters = table[columns.poster][out].tolist() if columns.poster else [""] * len(ids)
    each = zip(rows[out].tolist(), ids, posters, problems.values(), strict=True)
    bad = [
        BadRow(row, name, poster, f"{problem}; the row is left out")
        for row, name, poster, problem in each
    ]
    return keep_rows(table, ~out), rows[~out], bad
