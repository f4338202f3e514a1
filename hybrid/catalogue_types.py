"""Frozen dataclasses of a catalogue: its columns, and what is told about its rows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ColumnOptions:
    """Options of a catalogue's columns; what is empty is found out.

    Parameters
    ----------
    id, label : str or None, default=None
        Names of the id column and of the label column.
    label_separator : str, default="|"
        Between two labels of one cell, and between two entries of a list cell.
    text, numeric, categorical, list, drop : tuple of str, default=()
        Columns whose role is set by hand.
    encoding : str, default="utf-8"
        Text encoding of a CSV or JSON file.

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
    """

    id: str
    poster: str | None
    label: str | None
    label_separator: str
    text: tuple[str, ...]
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    list: tuple[str, ...]

    @property
    def metadata(self) -> tuple[str, ...]:
        """All metadata columns: numeric, then categorical, then list."""
        return self.numeric + self.categorical + self.list


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
