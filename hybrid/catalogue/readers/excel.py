"""Excel and OpenDocument files as a table of strings."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid.catalogue.readers.excel_cells import tell_lost_cells
from hybrid.catalogue.readers.excel_process import UnreadableBookError, read_book
from hybrid.catalogue.readers.excel_sheet import Sheet, choose_sheet, fill_merged, find_header
from hybrid.catalogue.readers.source import Source
from hybrid.catalogue.readers.table import ParsedTable, name_repeated
from hybrid.catalogue.readers.values import RecordTable
from hybrid.errors import CatalogueError, MissingExtraError
from hybrid.types import ColumnOptions, Finding
from hybrid.utils.counts import counted

DIGITS = 15  # that Excel keeps of a number
UNPACKED, TIMES = (
    256 << 20,
    100,
)  # an archive of more bytes than these, and so many times its size, is not read
_PARTS = {"xl/workbook.xml", "xl/workbook.bin", "content.xml"}
_PASSWORD = "EncryptedPackage".encode("utf-16-le")


def parse_excel(source: Source, options: ColumnOptions) -> ParsedTable:
    """Parse a sheet of an ``.xlsx``, ``.xls``, ``.xlsb`` or ``.ods`` file.

    It is the first visible one with a column of ids, else the first with cells. A title above the header is
    left out; merged cells have the value of the first of them. All of this is told.

    Raises
    ------
    CatalogueError
        If it is no such file, or has no header.
    MissingExtraError
        If python-calamine is not installed.
    """
    with source.open() as file:
        content = file.read()
    sheets = _read_sheets(source, content)
    filled = [sheet for sheet in sheets if sheet.filled]
    if not filled:
        raise CatalogueError(f"{source.path}: expected a header and rows, found empty sheets.")
    sheet, findings = choose_sheet(filled, options)
    start, told = find_header(sheet, options)
    findings += told + tell_lost_cells(content, sheet.name)
    return _parse_rows(source, sheet, start, options, findings)


def _read_sheets(source: Source, content: bytes) -> list[Sheet]:
    if importlib.util.find_spec("python_calamine") is None:
        raise MissingExtraError(
            f"{source.path}: Excel files need python-calamine. Install it with: "
            "pip install 'hybrid-posters[excel]', or save the file as CSV (UTF-8)."
        )
    try:
        _refuse_bomb(content)
        return [Sheet(**sheet) for sheet in read_book(content)]
    except UnreadableBookError as error:
        raise CatalogueError(
            f"{source.path}: expected an Excel file, found {_what_it_is(content) or f'{error}'}."
        ) from error


def _refuse_bomb(content: bytes) -> None:
    unpacked = sum(part.file_size for part in _parts(content))
    if unpacked > max(UNPACKED, TIMES * len(content)):
        raise UnreadableBookError(
            f"one that unpacks to {unpacked / 2**20:,.0f} MiB, more than {TIMES} times its size"
        )


def _what_it_is(content: bytes) -> str:
    """What a file is that cannot be read, and what to do; empty where that is not known."""
    if not content:
        return "an empty file. Save the table again"
    if _PASSWORD in content:
        return "one that a password protects. Open it, take the password away, and save it"
    if content.startswith(b"PK"):
        if not zipfile.is_zipfile(io.BytesIO(content)):
            return "one that is cut off or damaged. Copy or download it again"
        if not _is_book(content):
            return "a zip archive that is no table. Unpack it, and name the file in it"
    if content[:1000].lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"<":
        return (
            "a web page or XML, as some programs export it. Open it in Excel, and save it as .xlsx"
        )
    if b"\0" not in content[:1000]:
        return "text. If that is a table with separators, rename the file to .csv"
    return ""


def _is_book(content: bytes) -> bool:
    return bool(_PARTS & {part.filename for part in _parts(content)})


def _parts(content: bytes) -> list[zipfile.ZipInfo]:
    """What a zip archive says that it holds; nothing of what is none."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return []


def _text(value: Any) -> Any:
    """Whole numbers have no decimals: Excel knows no integers."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**21:
        return str(int(value))
    return value


def _parse_rows(
    source: Source, sheet: Sheet, start: int, options: ColumnOptions, findings: list[Finding]
) -> ParsedTable:
    names = [str(_text(name)).strip() for name in sheet.rows[start]]
    header = [name or f"Unnamed: {j}" for j, name in enumerate(names)]
    if twice := name_repeated(header):
        raise CatalogueError(f"{source.path}: expected each column once, found twice: {twice}.")
    findings += fill_merged(sheet, start, header)
    findings += _tell_long_numbers(sheet.rows[start + 1 :], header)
    records, numbers = RecordTable(options.label_separator), list[int]()
    for row in sheet.rows[start + 1 :]:
        cells = [_text(value) for value in row]
        if any(cell not in ("", None) for cell in cells):
            numbers.append(len(numbers) + 1)
            records.add(dict(zip(header, cells, strict=False)), may_be_broken=False)
    if not numbers:
        raise CatalogueError(f"{source.path}: expected at least one item, found none.")
    table, unstripped = records.table()
    return ParsedTable(
        table, np.array(numbers, dtype=np.int64), [], findings, unstripped=unstripped
    )


def _tell_long_numbers(rows: Sequence[Sequence[Any]], header: Sequence[str]) -> list[Finding]:
    """Tell of whole numbers of which Excel has changed the last digits."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for name, value in zip(header, row, strict=False):
            if isinstance(value, float) and abs(value) >= 10**DIGITS and value.is_integer():
                found.setdefault(name, []).append(str(int(value)))
    return [
        Finding(
            "long numbers",
            f"column {name!r}: {counted(len(cells), 'number has', 'numbers have')} more than {DIGITS} "
            f"digits, such as {cells[0]}; Excel keeps no more, and writes others in their place: format the "
            "column as text, and type or import them again",
            len(cells),
            name,
            tuple(cells[:3]),
        )
        for name, cells in found.items()
    ]
