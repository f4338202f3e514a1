"""Frozen dataclasses of a catalogue: its columns, and what is told about its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OPTIONAL: dict[str, Any] = {"optional": True}  # of a record that lacks the key: the default
POINT, COMMA = ".", ","
DAY_FIRST, MONTH_FIRST = "day", "month"


@dataclass(frozen=True)
class ColumnOptions:
    """Options of a catalogue's columns; what is empty is found out.

    Parameters
    ----------
    id, label, poster : str or None, default=None
        Names of the id column, of the label column, and of the column with the image files.
    label_separator : str, default="|"
        Between two labels of one cell, and between two entries of a list cell.
    text, numeric, categorical, list, drop, date : tuple of str, default=()
        Columns whose role is set by hand.
    encoding : str, default="utf-8"
        Text encoding of a CSV or JSON file.
    decimal : str, default=""
        Decimal mark of numbers that can be read in two ways, such as 1,234: ``"."`` or ``","``.
    date_order : str, default=""
        Of dates that can be read in two ways, such as 01/02/1999: ``"day"`` or ``"month"`` first.
    posters : Path, optional
        Folder that poster paths are relative to. By default that of the catalogue.
    label_map : Path, optional
        CSV file with the columns ``from`` and ``to``: labels to rename, or to drop where ``to`` is empty.
    min_label_count : int, default=1
        Labels on fewer items are dropped.
    unknown : str or None, default=None
        Column with the labels of an item that were not looked at: neither yes nor no.

    Examples
    --------
    >>> ColumnOptions(label="categories", drop=("notes",)).label_separator
    '|'
    """

    id: str | None = None
    label: str | None = None
    label_separator: str = "|"
    text: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    list: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    encoding: str = "utf-8"
    poster: str | None = None
    date: tuple[str, ...] = ()
    decimal: str = ""
    date_order: str = ""
    posters: Path | None = None
    label_map: Path | None = None
    min_label_count: int = 1
    unknown: str | None = None


@dataclass(frozen=True)
class CellFormat:
    """How the cells of a column are read where a cell alone does not tell.

    Parameters
    ----------
    decimal : str, default="."
        Decimal mark of numbers such as 1,234: a point or a comma.
    unit : str, default=""
        Of numbers that have none, and that others are converted to: ``"min"``, ``"kg"``.
    order : str, default=""
        Of dates such as 01/02/1999: ``"day"`` or ``"month"`` first.

    Examples
    --------
    >>> CellFormat(unit="min").decimal
    '.'
    """

    decimal: str = POINT
    unit: str = ""
    order: str = ""


@dataclass(frozen=True)
class LabelRules:
    """How label cells became labels, for the record of a run.

    Parameters
    ----------
    map : mapping of str to str, default={}
        Label of the file → label, or labels between separators, or ``""`` where it is dropped.
    min_count : int, default=1
        Labels on fewer items were dropped.
    dropped : tuple of str, default=()
        These labels.
    unknown : str or None, default=None
        Column with the labels of an item that were not looked at.

    Examples
    --------
    >>> LabelRules({"comedy": "Comedy"}).min_count
    1
    """

    map: Mapping[str, str] = field(default_factory=dict, hash=False)
    min_count: int = 1
    dropped: tuple[str, ...] = ()
    unknown: str | None = None


@dataclass(frozen=True)
class Columns:
    """The role of every column of a catalogue.

    Parameters
    ----------
    id, poster, label : str
        Names of columns; `poster` and `label` can be None.
    label_separator : str
    text, numeric, categorical, list : tuple of str
        Names of columns.
    date : tuple of str, default=()
        Names of columns.
    formats : mapping of str to CellFormat, default={}
        By numeric or date column, where it is not the default.
    rules : LabelRules, optional
        How label cells became labels, where an option says it.
    """

    id: str
    poster: str | None
    label: str | None
    label_separator: str
    text: tuple[str, ...]
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    list: tuple[str, ...]
    date: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    formats: Mapping[str, CellFormat] = field(default_factory=dict, metadata=OPTIONAL, hash=False)
    rules: LabelRules | None = field(default=None, metadata=OPTIONAL)

    @property
    def metadata(self) -> tuple[str, ...]:
        """All metadata columns: numeric, then categorical, list and date."""
        return self.numeric + self.categorical + self.list + self.date


@dataclass(frozen=True)
class ColumnRole:
    """The role of a column of a catalogue, and why it has it.

    Parameters
    ----------
    column : str
    role : str
        ``"id"``, ``"poster"``, ``"labels"``, ``"text"``, ``"numeric"``, ``"categorical"``, ``"list"``,
        ``"date"``, ``"URL"`` or ``"not used"``.
    reason : str
    filled : int
        Cells that say something.
    not_understood : int, default=0
        Filled cells that are no number or no date; they count as missing.
    examples : tuple of str, default=()
        Some of these.
    format : CellFormat, default=CellFormat()

    Examples
    --------
    >>> ColumnRole("year", "numeric", "100% numbers", 60).not_understood
    0
    """

    column: str
    role: str
    reason: str
    filled: int
    not_understood: int = 0
    examples: tuple[str, ...] = ()
    format: CellFormat = CellFormat()


@dataclass(frozen=True)
class BadRow:
    """A row of the catalogue that cannot be used as it is.

    Parameters
    ----------
    row : int
        Position in the file, from 1; the header is not a row.
    id, poster : str
        Cells of the row.
    reason : str
    """

    row: int
    id: str
    poster: str
    reason: str


@dataclass(frozen=True)
class Finding:
    """What a user should know about the table of a catalogue: how it was understood, or what looks wrong.

    Parameters
    ----------
    kind : str
        For instance ``"label separator"``.
    message : str
        One sentence, with counts; names the option that settles it.
    count : int
        Cells, rows or items.
    column : str, default=""
        Empty where it is about the whole table.
    examples : tuple of str, default=()
        Some of the cells.

    Examples
    --------
    >>> Finding("separator", "read with tabs between the fields, as in the first line", 40).column
    ''
    """

    kind: str
    message: str
    count: int
    column: str = ""
    examples: tuple[str, ...] = ()
