"""Excel files that claim more than a machine has: each ends in a message, and takes its share at most."""

from __future__ import annotations

import io
import resource
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest

from hybrid import load_catalogue
from hybrid.catalogue.readers import excel, excel_process
from hybrid.catalogue.readers.excel_cells import tell_lost_cells
from hybrid.catalogue.readers.excel_process import UnreadableBookError, read_book
from hybrid.errors import CatalogueError

pytest.importorskip("python_calamine", exc_type=ImportError)

NAMES = "http://schemas.openxmlformats.org"
WORKBOOK = (
    f'<workbook xmlns="{NAMES}/spreadsheetml/2006/main" xmlns:r="{NAMES}/officeDocument/2006/relationships">'
    '<sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>'
)
LINKS = (
    f'<Relationships xmlns="{NAMES}/package/2006/relationships"><Relationship Id="rId1" '
    f'Type="{NAMES}/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>'
    "</Relationships>"
)
ROOT = (
    f'<Relationships xmlns="{NAMES}/package/2006/relationships"><Relationship Id="rId1" '
    f'Type="{NAMES}/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/>'
    "</Relationships>"
)
TYPES = (
    f'<Types xmlns="{NAMES}/package/2006/content-types"><Override PartName="/xl/workbook.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>'
)
STYLES = (
    f'<styleSheet xmlns="{NAMES}/spreadsheetml/2006/main"><numFmts><numFmt numFmtId="170" '
    'formatCode="[h]:mm:ss"/></numFmts><cellXfs><xf numFmtId="0"/><xf numFmtId="170"/></cellXfs></styleSheet>'
)
OFFICE = "urn:oasis:names:tc:opendocument:xmlns"


def text(place: str, value: str) -> str:
    return f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>'


HEADER = f"<row>{text('A1', 'id')}{text('B1', 'genres')}</row>"
ROWS = f"{HEADER}<row>{text('A2', '1')}{text('B2', 'War')}</row>"


def xlsx(rows: str = ROWS, before: str = "", sheet: bytes = b"") -> bytes:
    start = f'{before}<worksheet xmlns="{NAMES}/spreadsheetml/2006/main"><sheetData>'
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("[Content_Types].xml", TYPES)
        book.writestr("_rels/.rels", ROOT)
        book.writestr("xl/workbook.xml", WORKBOOK)
        book.writestr("xl/_rels/workbook.xml.rels", LINKS)
        book.writestr("xl/styles.xml", STYLES)
        book.writestr("xl/worksheets/sheet1.xml", sheet or f"{start}{rows}</sheetData></worksheet>")
    return file.getvalue()


def ods(rows: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        book.writestr(
            "content.xml",
            f'<office:document-content xmlns:office="{OFFICE}:office:1.0" xmlns:table="{OFFICE}:table:1.0" '
            f'xmlns:text="{OFFICE}:text:1.0"><office:body><office:spreadsheet><table:table table:name="S">'
            f"{rows}</table:table></office:spreadsheet></office:body></office:document-content>",
        )
        book.writestr("META-INF/manifest.xml", f'<m:manifest xmlns:m="{OFFICE}:manifest:1.0"/>')
    return file.getvalue()


def repeated(what: str, times: int) -> str:
    cell = '<table:table-cell office:value-type="string"{}><text:p>{}</text:p></table:table-cell>'
    row = cell.format("", "id") + cell.format(f' table:number-columns-repeated="{times}"', what)
    return f"<table:table-row>{row}</table:table-row>"


BOOKS: dict[str, Callable[[], bytes]] = {
    "a cell in the last place": lambda: xlsx(f"{ROWS}<row>{text('XFD1048576', 'x')}</row>"),
    "a cell beyond the last place": lambda: xlsx(
        f"{ROWS}<row>{text('ZZZZZZ4294967295', 'x')}</row>"
    ),
    "a column a thousand million times": lambda: ods(repeated("x", 10**9)),
    "a space two thousand million times": lambda: ods(repeated('<text:s text:c="2000000000"/>', 1)),
    "a day that is none": lambda: xlsx(
        f'{HEADER}<row><c r="A2" s="1"><v>1e15</v></c><c r="B2"><v>1</v></c></row>'
    ),
    "a string that is not there": lambda: xlsx(
        f'{HEADER}<row><c r="A2" t="s"><v>99999999999</v></c></row>'
    ),
    "an entity of a file": lambda: xlsx(
        f"{HEADER}<row>{text('A2', '&e;')}</row>",
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>',
    ),
    "many spaces": lambda: xlsx(sheet=b" " * (20 << 20)),
}


@pytest.mark.parametrize("name", BOOKS)
def test_a_book_that_cannot_be_read_ends_in_a_message(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(excel_process, "MEMORY", 256 << 20)  # which is filled sooner
    monkeypatch.setattr(excel_process, "SECONDS", 2)
    monkeypatch.setattr(excel, "UNPACKED", 16 << 20)
    path = tmp_path / "f.xlsx"
    path.write_bytes(BOOKS[name]())
    assert path.stat().st_size < 10**6
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(
        CatalogueError, match=r"expected (an Excel file|each column once), "
    ) as told:
        load_catalogue(path)
    assert len(str(told.value)) < 500
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < (400 << 10)


def test_the_limits_are_those_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        UnreadableBookError, match=r"512 MiB of memory and 4 s of a processor\. Are"
    ):
        read_book(xlsx(f"{ROWS}<row>{text('XFD1048576', 'x')}</row>"))


def test_a_stray_cell_costs_no_seconds(tmp_path: Path) -> None:
    path = tmp_path / "f.xlsx"
    path.write_bytes(xlsx(f"{ROWS}<row>{text('XFD9', 'x')}</row>"))
    catalogue = load_catalogue(path)
    assert [(one.kind, one.count) for one in catalogue.findings][:1] == [("unnamed column", 16_381)]


def test_cells_come_through_the_process_as_they_are(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    values = [1.5, "a\u202eb", True, datetime(1999, 5, 1, 3, 4, 5), date(1999, 5, 1), time(3, 4, 5)]
    values += [timedelta(days=3, seconds=5), None]
    book.active.append(values)
    book.active.merge_cells("A2:A3")
    book.save(tmp_path / "f.xlsx")
    (sheet,) = read_book((tmp_path / "f.xlsx").read_bytes())
    import python_calamine

    direct = python_calamine.load_workbook(tmp_path / "f.xlsx").get_sheet_by_index(0).to_python()
    assert sheet["rows"] == direct
    assert [type(cell) for cell in sheet["rows"][0]] == [type(cell) for cell in direct[0]]


def test_nothing_of_the_current_directory_is_imported(tmp_path: Path) -> None:
    for name in ("python_calamine", "json", "sitecustomize", "resource"):
        Path(f"{name}.py").write_text("open('ran', 'w')")
    assert read_book(xlsx())[0]["rows"] == [["id", "genres"], ["1", "War"]]
    assert not Path("ran").exists()


def test_cells_that_never_end_are_looked_through_once() -> None:
    """Ten thousand of them, each to the end of the sheet, would take minutes."""
    rows = f'{HEADER}<!-- <c t="e">{"<c r=>x" * 300_000} -->'
    assert tell_lost_cells(xlsx(rows), "S") == []
