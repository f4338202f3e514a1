"""Values of JSON, Parquet and Excel files as the cells of a CSV file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

import pandas as pd

from hybrid.catalogue.lists import entries_of, join_list, replace_surrogates
from hybrid.catalogue.readers.table import ColumnBuilder, make_table
from hybrid.types import Finding
from hybrid.utils.counts import counted

_CHUNK = 10_000


def as_cell(value: Any, separator: str) -> str:
    """Write a value as the cell of a CSV file: lists joined by the separator, objects as JSON.

    Examples
    --------
    >>> as_cell(None, "|"), as_cell([{"name": "Drama"}, {"name": "War"}], "|"), as_cell({"k": [1]}, "|")
    ('', 'Drama|War', '{"k": [1]}')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "" if math.isnan(value) else str(value)
    if isinstance(value, (list, tuple)):
        entries = entries_of(value)
        return _as_json(value) if entries is None else join_list(entries, separator)
    if isinstance(value, dict):
        return _as_json(value)
    if isinstance(value, datetime):
        midnight = not (value.hour or value.minute or value.second or value.microsecond)
        return value.date().isoformat() if midnight else value.isoformat(" ")
    if isinstance(value, date):
        return value.isoformat()
    return "" if value != value else str(value)


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


class RecordTable:
    """Collects records, whose keys may differ, as the columns of a table.

    Parameters
    ----------
    separator : str
        Of list cells.

    Examples
    --------
    >>> records = RecordTable("|")
    >>> records.add({"id": 1, "cast": ["Ann", "Bo"]})
    >>> records.add({"id": 2, "year": 1975})
    >>> records.table()[0].to_dict("records")
    [{'id': '1', 'cast': 'Ann|Bo', 'year': ''}, {'id': '2', 'cast': '', 'year': '1975'}]
    """

    def __init__(self, separator: str) -> None:
        self.separator = separator
        self.replaced: dict[str, list[str]] = {}
        self._columns: dict[str, ColumnBuilder] = {}
        self._waiting: list[dict[str, str]] = []
        self._n = 0

    def add(self, record: Mapping[Any, Any], may_be_broken: bool = True) -> None:
        """Add a record; `may_be_broken`: whether halves of surrogate pairs are looked for."""
        cells = {}
        for key, value in record.items():
            name = str(key)
            cell = as_cell(value, self.separator)
            if may_be_broken:
                name = self._whole(name, name)
                cell = self._whole(cell, name)
            cells[name] = cell
        self._waiting.append(cells)
        if len(self._waiting) >= _CHUNK:
            self._flush()

    def _whole(self, text: str, column: str) -> str:
        found = replace_surrogates(text)
        if found is not text and found != text:
            self.replaced.setdefault(column, []).append(found)
        return found

    def _flush(self) -> None:
        for name in dict.fromkeys(name for cells in self._waiting for name in cells):
            if name not in self._columns:
                self._columns[name] = ColumnBuilder()
                self._columns[name].add([""] * self._n)
        for name, builder in self._columns.items():
            builder.add([cells.get(name, "") for cells in self._waiting])
        self._n += len(self._waiting)
        self._waiting = []

    def table(self) -> tuple[pd.DataFrame, dict[str, dict[int, str]]]:
        """The table, and the cells that were not stripped of all white space."""
        self._flush()
        return make_table(self._columns, self._n)

    def findings(self) -> list[Finding]:
        """What was replaced."""
        return tell_replaced(self.replaced)


_HALVES = (
    "half of a character (a lone surrogate, as a cut emoji leaves it), which no file can hold,"
)


def tell_replaced(replaced: Mapping[str, Iterable[str]], what: str = _HALVES) -> list[Finding]:
    """Tell in which columns characters were replaced that no file can hold, or bytes that are no text."""
    found = []
    for column, cells in replaced.items():
        cells = list(cells)
        message = f"column {column!r}: {what} became \ufffd in {counted(len(cells), 'cell')}"
        shown = tuple(dict.fromkeys(cell[-40:] for cell in cells))[:3]
        found.append(Finding("replaced characters", message, len(cells), column, shown))
    return found
