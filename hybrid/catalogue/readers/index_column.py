"""Columns without a name of their own, such as the index that pandas writes."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd

from hybrid.catalogue.packed import chunks
from hybrid.catalogue.readers.table import ParsedTable
from hybrid.types import ColumnOptions, Finding

_UNNAMED = re.compile(r"Unnamed: (\d+)(\.\d+)*|__index_level_\d+__")


def name_columns(header: list[str]) -> list[str]:
    """Name the columns that have no name as pandas does.

    Examples
    --------
    >>> name_columns(["", "title", ""])
    ['Unnamed: 0', 'title', 'Unnamed: 2']
    """
    return [name or f"Unnamed: {j}" for j, name in enumerate(header)]


def is_unnamed(name: str) -> bool:
    """Whether this is the name of a column that has none.

    Examples
    --------
    >>> is_unnamed("Unnamed: 0"), is_unnamed("title")
    (True, False)
    """
    return _UNNAMED.fullmatch(name) is not None


def leave_out_index(parsed: ParsedTable, options: ColumnOptions) -> ParsedTable:
    """Leave out columns without a name that are empty or hold the row numbers of pandas, and tell of them.

    Parameters
    ----------
    parsed : ParsedTable
    options : ColumnOptions
        What it names stays.

    Returns
    -------
    ParsedTable
    """
    table, findings = parsed.table, []
    named = {options.id, options.label, *options.text, *options.numeric, *options.categorical}
    named |= {*options.list, *options.drop}
    drop, empty = list[str](), list[str]()
    for column, cells in table.items():
        name = str(column)
        if name in named or not is_unnamed(name):
            continue
        if (cells == "").all():  # a stray cell of a spreadsheet has thousands of these beside it
            empty.append(name)
            continue
        examples = tuple(cells.drop_duplicates().iloc[:3])
        if _is_index(name, cells) and _has_id(table, name, options):
            drop.append(name)
            message = (
                f"column {name!r} has no name and numbers the rows, as pandas writes its index: left out "
                f"(--id-column {name!r} takes it as the id)"
            )
            findings.append(
                Finding(
                    "index column",
                    message,
                    len(cells),
                    name,
                    examples,
                )
            )
        else:
            message = (
                f"a column has no name: it is called {name!r} here (--drop {name!r} leaves it out)"
            )
            findings.append(Finding("unnamed column", message, 1, name, examples))
    if empty:
        message = f"column {empty[0]!r} has no name and no cells: left out"
        if len(empty) > 1:
            message = (
                f"{len(empty):,} columns have no name and no cells, such as {empty[0]!r}: left out"
            )
        findings.insert(0, Finding("unnamed column", message, len(empty), "", tuple(empty[:3])))
    if not findings:
        return parsed
    drop += empty
    found = [*parsed.findings, *findings]
    return replace(parsed, table=table.drop(columns=drop), findings=found)


def _is_index(name: str, cells: pd.Series) -> bool:
    first = name.startswith(("Unnamed: 0", "__index"))
    return first and all(
        cell.isascii() and cell.isdigit() for part in chunks(cells) for cell in part
    )


def _has_id(table: pd.DataFrame, index: str, options: ColumnOptions) -> bool:
    """Whether the table has another column that can be the id."""
    if options.id is not None:
        return True
    names = [str(name).lower() for name in table.columns if name != index]
    return any(name == "id" or name.endswith("_id") for name in names)
