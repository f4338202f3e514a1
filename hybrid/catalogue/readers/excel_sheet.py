"""Which sheet of an Excel file is the table, where its header is, and what merged cells mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hybrid.types import ColumnOptions, Finding
from hybrid.utils.counts import counted

LOOKED_AT = 50  # rows in which the header is looked for


@dataclass
class Sheet:
    """The cells of a sheet, without what is empty around them.

    Parameters
    ----------
    name : str
    visible : bool
    rows : list of list
        Of one length.
    top, left : int, default=0
        Row and column of the first cell, from 0.
    merged : sequence of ((row, column), (row, column)), default=()
        First and last cell of each range of merged cells, from 0.
    """

    name: str
    visible: bool
    rows: list[list[Any]]
    top: int = 0
    left: int = 0
    merged: Sequence[tuple[tuple[int, int], tuple[int, int]]] = ()

    @property
    def filled(self) -> bool:
        """Whether a cell holds something."""
        return any(map(count_filled, self.rows))


def count_filled(row: Sequence[Any]) -> int:
    """Count the cells of a row that hold something.

    Examples
    --------
    >>> count_filled([0.0, "", " ", "a", None])
    2
    """
    return sum(value is not None and str(value).strip() != "" for value in row)


def choose_sheet(filled: list[Sheet], options: ColumnOptions) -> tuple[Sheet, list[Finding]]:
    """Choose the first visible sheet with a column of ids, else the first visible one.

    Parameters
    ----------
    filled : list of Sheet
        With cells.
    options : ColumnOptions

    Returns
    -------
    sheet : Sheet
    findings : list of Finding
        Which it is, and which are not read.

    Examples
    --------
    >>> notes, films = Sheet("Notes", True, [["by Ann"]]), Sheet("Films", True, [["id"], ["1"]])
    >>> choose_sheet([notes, films], ColumnOptions())[0].name
    'Films'
    """
    candidates = [sheet for sheet in filled if sheet.visible] or filled
    with_ids = [
        sheet for sheet in candidates if _has_id(sheet.rows[_header_row(sheet, options)], options)
    ]
    chosen = (with_ids or candidates)[0]
    if len(filled) == 1:
        return chosen, []
    others = ", ".join(
        repr(sheet.name) + (" (hidden)" if not sheet.visible else "")
        for sheet in filled
        if sheet is not chosen
    )
    which = "first" if chosen is filled[0] else "first visible"
    what = f"the {which} sheet, {chosen.name!r}"
    if chosen is not candidates[0]:
        what = f"the sheet {chosen.name!r}, the first with a column of ids"
    message = f"read from {what}; not from {others}: save that as a file of its own"
    return chosen, [Finding("sheet", message, len(filled) - 1)]


def _has_id(row: Sequence[Any], options: ColumnOptions) -> bool:
    names = [str(value).strip().casefold() for value in row]
    if options.id is not None:
        return options.id.casefold() in names
    return any(name == "id" or name.endswith("_id") for name in names)


def _header_row(sheet: Sheet, options: ColumnOptions) -> int:
    """The first row with cells; below a title, the first one that has half as many cells as a row may."""
    counts = [count_filled(row) for row in sheet.rows[: LOOKED_AT + 1]]
    first = next((i for i, count in enumerate(counts) if count), 0)
    if _has_id(sheet.rows[first], options):
        return first
    return next(i for i, count in enumerate(counts) if 2 * count >= max(counts) and i >= first)


def find_header(sheet: Sheet, options: ColumnOptions) -> tuple[int, list[Finding]]:
    """Find the row of the header, and tell of the rows above it.

    Parameters
    ----------
    sheet : Sheet
    options : ColumnOptions

    Returns
    -------
    row : int
        Of `sheet.rows`.
    findings : list of Finding

    Examples
    --------
    >>> sheet = Sheet("Films", True, [["Our films", "", ""], ["", "", ""], ["id", "title", "genres"]])
    >>> find_header(sheet, ColumnOptions())[0]
    2
    """
    row = _header_row(sheet, options)
    above = [str(value) for line in sheet.rows[:row] for value in line if count_filled([value])]
    if not above:
        return row, []
    message = (
        f"the header is in row {sheet.top + row + 1} of the sheet; what is above it is left out, such as "
        f"{above[0][:80]!r}"
    )
    return row, [Finding("title", message, len(above), "", tuple(above[:3]))]


def fill_merged(sheet: Sheet, start: int, header: Sequence[str]) -> list[Finding]:
    """Give merged cells below the header the value of the first of them, and tell it.

    Only the first column of a range is filled: a range of several is a heading.

    Parameters
    ----------
    sheet : Sheet
        Its rows are changed.
    start : int
        Row of the header.
    header : sequence of str

    Returns
    -------
    list of Finding

    Examples
    --------
    >>> sheet = Sheet("S", True, [["id", "genres"], [1, "War"], [2, ""]], merged=[((1, 1), (2, 1))])
    >>> fill_merged(sheet, 0, ["id", "genres"])[0].count, sheet.rows[2]
    (1, [2, 'War'])
    """
    found: dict[str, list[str]] = {}
    for (first, column), (last, _) in sheet.merged:
        row, j = first - sheet.top, column - sheet.left
        if row <= start or not 0 <= j < len(header):
            continue
        value = sheet.rows[row][j]
        for i in range(row + 1, min(last - sheet.top + 1, len(sheet.rows))):
            if count_filled([value]) and count_filled(sheet.rows[i]):
                sheet.rows[i][j] = value
                found.setdefault(header[j], []).append(str(value))
    return [
        Finding(
            "merged cells",
            f"column {name!r}: {counted(len(cells), 'cell is', 'cells are')} merged with one above, with its "
            f"value, such as {cells[0][:80]!r}",
            len(cells),
            name,
            tuple(dict.fromkeys(cells))[:3],
        )
        for name, cells in found.items()
    ]
