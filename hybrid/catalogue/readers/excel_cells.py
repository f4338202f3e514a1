"""Cells of an .xlsx file that hold no value: errors, and formulas without a result."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator

from hybrid.types import Finding
from hybrid.utils.counts import agree, counted

_BLOCK = 1 << 22
# A cell ends before another one begins: else one that never ends would be looked through again for each.
_CELL = re.compile(
    rb"<(?:\w+:)?c\s+([^>]*[^/>])>((?:(?!</?(?:\w+:)?c[\s>]).)*)</(?:\w+:)?c>", re.DOTALL
)
_NO_BOOK = (zipfile.BadZipFile, zlib.error, KeyError, ValueError, ET.ParseError, OSError, EOFError,
            RuntimeError)  # fmt: skip
_PLACE = re.compile(rb'\br="([A-Z]+[0-9]+)"')
_VALUE = re.compile(rb"<(?:\w+:)?v>([^<]+)</(?:\w+:)?v>")
_FORMULA = re.compile(rb"<(?:\w+:)?f[\s/>]")


def tell_lost_cells(content: bytes, sheet: str) -> list[Finding]:
    """Tell of errors, and of formulas without a result, in a sheet of an ``.xlsx`` file.

    Readers of values see empty cells there. Files of other formats are not looked at.

    Parameters
    ----------
    content : bytes
        The file.
    sheet : str

    Returns
    -------
    list of Finding
    """
    errors, formulas = Counter[str](), list[str]()
    first = ""
    for place, error in _lost_cells(content, sheet):
        if error:
            errors[error] += 1
            first = first or place
        else:
            formulas.append(place)
    found = []
    if errors:
        named = ", ".join(f"{error} ({count:,})" for error, count in errors.most_common())
        message = f"errors of the spreadsheet count as empty cells: {named}, the first in {first}"
        found.append(Finding("errors", message, errors.total(), "", tuple(errors)[:3]))
    if formulas:
        message = (
            f"{counted(len(formulas), 'cell holds', 'cells hold')} a formula without a result, and "
            f"{agree(len(formulas), '{count|counts}')} as empty, such as {formulas[0]}: open the file in a "
            "spreadsheet program and save it, which computes them"
        )
        found.append(Finding("formulas", message, len(formulas), "", tuple(formulas[:3])))
    return found


def _lost_cells(content: bytes, sheet: str) -> Iterator[tuple[str, str]]:
    """Place of each cell without a value, and its error; ``""`` for a formula without a result."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as book:
            path = _sheet_path(book, sheet)
            if path is None:
                return
            with book.open(path) as file:
                rest = b""
                while block := file.read(_BLOCK):
                    rest = rest[-_BLOCK:] + block
                    end = max(rest.rfind(b"</c>"), rest.rfind(b":c>")) + 4
                    yield from _cells_without_value(rest[:end])
                    rest = rest[end:]
    except _NO_BOOK:
        return  # not an .xlsx file, or a part of it has another name


def _cells_without_value(xml: bytes) -> Iterator[tuple[str, str]]:
    if b't="e"' not in xml and _FORMULA.search(xml) is None:
        return
    for cell in _CELL.finditer(xml):
        about, inside = cell.groups()
        is_error = b't="e"' in about
        value = _VALUE.search(inside)
        lost = value is None and b't="str"' not in about and _FORMULA.search(inside) is not None
        if is_error or lost:
            place = _PLACE.search(about)
            name = place[1].decode() if place else "a cell without a place"
            error = value[1].decode("utf-8", "replace") if is_error and value else ""
            yield name, error or ("an error" if is_error else "")


def _sheet_path(book: zipfile.ZipFile, sheet: str) -> str | None:
    """Path of the XML of a sheet inside the file."""
    workbook = ET.fromstring(book.read("xl/workbook.xml"))
    number = next(
        (
            value
            for each in workbook.iter()
            if each.tag.endswith("}sheet") and each.get("name") == sheet
            for key, value in each.items()
            if key.endswith("}id")
        ),
        None,
    )
    links = ET.fromstring(book.read("xl/_rels/workbook.xml.rels"))
    for link in links:
        if link.get("Id") == number:
            target = link.get("Target", "")
            return target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    return None
