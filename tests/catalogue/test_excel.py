"""Excel files: which sheet is the table, where its header is, and cells that hold no plain value."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.errors import CatalogueError, SettingError
from hybrid.types import ColumnOptions


def cells(catalogue: Catalogue) -> list[list[str]]:
    return [list(catalogue.table.columns), *catalogue.table.to_numpy().tolist()]


def test_excel(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl", exc_type=ImportError)
    pytest.importorskip("python_calamine", exc_type=ImportError)
    book = openpyxl.Workbook()
    book.active.append([])
    book.active.append(["id", "title", "year", "when", "seen", "rate"])
    book.active.append([1, " Löwe ", 1999, datetime.datetime(1999, 5, 25), True, 7.5])
    book.active.append([])
    book.active.append(["tt2", None, None, None, None, None])
    book.create_sheet("Other").append(["x"])
    book.save(tmp_path / "f.xlsx")
    catalogue = load_catalogue(tmp_path / "f.xlsx")
    assert cells(catalogue) == [
        ["id", "title", "year", "when", "seen", "rate"],
        ["1", "Löwe", "1999", "1999-05-25", "true", "7.5"],
        ["tt2", "", "", "", "", ""],
    ]
    assert [found.kind for found in catalogue.findings] == ["sheet"]
    with pytest.raises(SettingError, match="--encoding latin-1: expected none"):
        load_catalogue(tmp_path / "f.xlsx", ColumnOptions(encoding="latin-1"))


def load_book(fill: Callable[[Any], None], path: Path) -> Catalogue:
    """A catalogue of an Excel file that `fill` writes."""
    openpyxl = pytest.importorskip("openpyxl", exc_type=ImportError)
    pytest.importorskip("python_calamine", exc_type=ImportError)
    book = openpyxl.Workbook()
    fill(book)
    book.save(path / "f.xlsx")
    return load_catalogue(path / "f.xlsx")


def add_films(sheet: Any) -> None:
    for row in (
        ["id", "title", "genres", "year"],
        [1, "Jaws", "Horror", 1975],
        [2, "Heat", "Crime", 1995],
    ):
        sheet.append(row)


FILMS = [
    ["id", "title", "genres", "year"],
    ["1", "Jaws", "Horror", "1975"],
    ["2", "Heat", "Crime", "1995"],
]


def notes_first(book: Any) -> None:
    book.active.append(["Made by Ann"])
    book.active.append(["in 2024"])
    add_films(book.create_sheet("Films"))


def hidden_first(book: Any) -> None:
    add_films(book.active)
    book.active["B2"] = "an old title"
    book.active.sheet_state = "hidden"
    add_films(book.create_sheet("Films"))
    book.active = 1


def title_above(book: Any) -> None:
    book.active["B2"] = "Our films"
    book.active.merge_cells("B2:E2")
    book.active.append([])
    for row in FILMS:
        book.active.append(["", *row])


@pytest.mark.parametrize(
    ("fill", "kind", "message"),
    [
        (
            notes_first,
            "sheet",
            "the sheet 'Films', the first with a column of ids; not from 'Sheet'",
        ),
        (hidden_first, "sheet", r"the first visible sheet, 'Films'; not from 'Sheet' \(hidden\)"),
        (title_above, "title", "the header is in row 4 of the sheet.*'Our films'"),
    ],
)
def test_the_table_of_an_excel_file_is_found(
    fill: Callable[[Any], None], kind: str, message: str, tmp_path: Path
) -> None:
    catalogue = load_book(fill, tmp_path)
    assert cells(catalogue) == FILMS
    (told,) = [found for found in catalogue.findings if found.kind == kind]
    assert re.search(message, told.message)


def test_merged_cells_have_the_value_of_the_first(tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        for _ in range(3):
            book.active.append([])
        add_films(book.active)
        book.active["C6"] = None
        book.active.merge_cells("C5:C6")

    catalogue = load_book(fill, tmp_path)
    assert cells(catalogue)[2] == ["2", "Heat", "Horror", "1995"]
    told = next(found for found in catalogue.findings if found.kind == "merged cells")
    assert (told.count, told.column) == (1, "genres")


def test_cells_of_excel_that_hold_no_value_are_told(tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        add_films(book.active)
        book.active["D2"], book.active["D3"] = "=B3*2", "#REF!"
        book.create_sheet("Other")["A1"] = "#DIV/0!"

    catalogue = load_book(fill, tmp_path)
    assert [row[3] for row in cells(catalogue)[1:]] == ["", ""]
    told = {found.kind: found for found in catalogue.findings}
    assert told["formulas"].examples == ("D2",)
    assert "#REF! (1), the first in D3" in told["errors"].message
    assert told["errors"].count == 1


def test_long_numbers_of_excel_are_written_in_full_and_told(tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        add_films(book.active)
        book.active["A2"] = 1234567890123456000

    catalogue = load_book(fill, tmp_path)
    assert catalogue.ids[0] == "1234567890123456000"
    assert next(found.count for found in catalogue.findings if found.kind == "long numbers") == 1


def test_empty_columns_without_a_name_are_one_finding(tmp_path: Path) -> None:
    def fill(book: Any) -> None:
        add_films(book.active)
        book.active["Z3"] = " "

    catalogue = load_book(fill, tmp_path)
    assert cells(catalogue) == FILMS
    assert [(found.kind, found.count) for found in catalogue.findings][:1] == [
        ("unnamed column", 22)
    ]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (
            b"id,title\n1,Jaws\n",
            "text. If that is a table with separators, rename the file to .csv",
        ),
        (b"<html><table>", "a web page or XML"),
        (b"PK\x03\x04 cut off", "one that is cut off or damaged"),
        (
            b"\xd0\xcf\x11\xe0" + "EncryptedPackage".encode("utf-16-le"),
            "one that a password protects",
        ),
    ],
)
def test_what_is_no_excel_file_is_named(content: bytes, found: str, tmp_path: Path) -> None:
    pytest.importorskip("python_calamine", exc_type=ImportError)
    (tmp_path / "f.xlsx").write_bytes(content)
    with pytest.raises(CatalogueError, match=f"expected an Excel file, found {re.escape(found)}"):
        load_catalogue(tmp_path / "f.xlsx")
