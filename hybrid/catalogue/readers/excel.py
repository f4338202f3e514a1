"""Excel and OpenDocument files as a table of strings."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybrid.catalogue.readers.source import Source
from hybrid.catalogue.readers.table import ParsedTable, name_repeated
from hybrid.catalogue.readers.values import RecordTable
from hybrid.errors import CatalogueError, MissingExtraError
from hybrid.types import ColumnOptions, Finding


def parse_excel(source: Source, options: ColumnOptions) -> ParsedTable:
    """Parse the first sheet with cells of an ``.xlsx``, ``.xls``, ``.xlsb`` or ``.ods`` file.

    Raises
    ------
    CatalogueError
        If it is no such file, or has no header.
    MissingExtraError
        If python-calamine is not installed.
    """
    try:
        import python_calamine
    except ImportError as error:
        raise MissingExtraError(
            f"{source.path}: Excel files need python-calamine. Install it with: "
            "pip install 'hybrid-posters[excel]', or save the file as CSV (UTF-8)."
        ) from error
    import io

    with source.open() as content:
        try:
            book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content.read()))
            sheets = [(name, book.get_sheet_by_name(name).to_python()) for name in book.sheet_names]
        except (python_calamine.CalamineError, ValueError) as error:
            raise CatalogueError(
                f"{source.path}: expected an Excel file, found: {error}. Save it as CSV (UTF-8) instead; a "
                "zip archive must be unpacked first."
            ) from error
    filled = [(name, rows) for name, rows in sheets if any(map(any, map(_texts, rows)))]
    if not filled:
        raise CatalogueError(f"{source.path}: expected a header and rows, found empty sheets.")
    name, rows = filled[0]
    findings = []
    if len(filled) > 1:
        others = ", ".join(repr(other) for other, _ in filled[1:])
        message = f"read from the first sheet, {name!r}; not from {others}: save that as a file of its own"
        findings.append(Finding("sheet", message, len(filled) - 1))
    return _parse_rows(source, rows, options, findings)


def _texts(row: list[Any]) -> list[str]:
    return [_text(value) for value in row]


def _text(value: Any) -> Any:
    """Whole numbers have no decimals: Excel knows no integers."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return value


def _parse_rows(
    source: Source, rows: list[list[Any]], options: ColumnOptions, findings: list[Finding]
) -> ParsedTable:
    start = next(i for i, row in enumerate(rows) if any(_texts(row)))
    header = [str(name).strip() or f"Unnamed: {j}" for j, name in enumerate(_texts(rows[start]))]
    if twice := name_repeated(header):
        raise CatalogueError(f"{source.path}: expected each column once, found twice: {twice}.")
    records, numbers = RecordTable(options.label_separator), list[int]()
    for row in rows[start + 1 :]:
        cells = _texts(row)
        if any(cell not in ("", None) for cell in cells):
            numbers.append(len(numbers) + 1)
            records.add(dict(zip(header, cells, strict=False)), may_be_broken=False)
    if not numbers:
        raise CatalogueError(f"{source.path}: expected at least one item, found none.")
    table, unstripped = records.table()
    return ParsedTable(
        table, np.array(numbers, dtype=np.int64), [], findings, unstripped=unstripped
    )
