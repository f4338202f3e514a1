"""What is above the rows of a CSV file: blank lines, titles, a named separator, the header."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import NamedTuple

from hybrid.catalogue.readers.csv_rows import CsvRows
from hybrid.catalogue.readers.dialect import (
    SEPARATORS,
    USUAL,
    Dialect,
    count_named,
    ends_with_separators,
    find_dialect,
    named_separator,
)
from hybrid.catalogue.readers.row_shape import RowShape
from hybrid.catalogue.readers.source import Source, open_text
from hybrid.catalogue.readers.table import name_repeated
from hybrid.errors import CatalogueError
from hybrid.types import Finding
from hybrid.utils.counts import counted

_TITLE_LINES = 5
_USUAL_NAME = re.compile(r"(.*[ _])?id|title|overview|genres?|poster|labels?", re.IGNORECASE)
_SAMPLE_LINES, _SAMPLE_CHARACTERS = 1000, 1 << 20


@dataclass(frozen=True)
class Start:
    """What is known before the first row.

    Parameters
    ----------
    dialect : Dialect
    header : list of str
        Names of the columns, as they are written.
    line : int, default=1
        Number of the line behind the header.
    findings : list of Finding, default=[]
        How it was understood.
    """

    dialect: Dialect
    header: list[str]
    line: int = 1
    findings: list[Finding] = field(default_factory=list)


class OpenRows(NamedTuple):
    """A CSV file whose rows can be read; `text` tells how far they were."""

    start: Start
    rows: CsvRows
    text: io.TextIOWrapper


@contextmanager
def open_rows(
    source: Source,
    codec: str,
    encoding: str,
    start: Start | None = None,
    dialect: Dialect | None = None,
) -> Iterator[OpenRows]:
    """Open separated text; all that reads such a file reads it through this.

    Parameters
    ----------
    source : Source
    codec : str
        Of the text.
    encoding : str
        Its name, for messages.
    start : Start, optional
        Where it is known; else it is found from the first lines.
    dialect : Dialect, optional
        Where it is known, and the start is not.

    Raises
    ------
    CatalogueError
        If there is no header, a name is in it twice, or the bytes are no text; also while rows are read.
    """
    with open_text(source, codec, encoding) as text:
        try:
            sample = list(_first_lines(text))
            start = start or read_start(source, sample, dialect)
            lines = chain(islice(sample, start.line - 1, None), text)
            yield OpenRows(start, CsvRows(lines, start.dialect, start.header, start.line), text)
        except csv.Error as error:
            raise CatalogueError(
                f"{source.path}: expected separated lines, found: {error}."
            ) from None


def _first_lines(text: Iterator[str]) -> Iterator[str]:
    size = 0
    for line in islice(text, _SAMPLE_LINES):
        yield line
        size += len(line)
        if size > _SAMPLE_CHARACTERS:
            return


def read_start(source: Source, sample: list[str], dialect: Dialect | None = None) -> Start:
    """Read what is above the rows: blank lines, a line that names the separator, titles, the header.

    Parameters
    ----------
    source : Source
    sample : list of str
        The first lines of the file.
    dialect : Dialect, optional
        Where it is known.

    Raises
    ------
    CatalogueError
        If there is no header, it looks like a row or has an open quote, or a name is in it twice.
    """
    at = _skip_blank(sample, 0)
    if at == len(sample):
        raise CatalogueError(f"{source.path}: expected a header and rows, found an empty file.")
    sample = [sample[0].removeprefix("\ufeff"), *sample[1:]]
    if sample[at].lstrip().lower().startswith(("<!doctype html", "<html")):
        raise CatalogueError(
            f"{source.path}: expected a header and rows, found a web page. Download the file itself."
        )
    told: list[Finding] = []
    if dialect is None:
        separator = named_separator(sample[at])
        if separator is not None:
            at = _skip_blank(sample, at + 1)
        dialect = find_dialect(sample[at:], source.suffix, separator)
        dialect, at, told = _skip_title(source, sample, dialect, at)
        told += _tell_dialect(source, dialect, separator is not None)
    reader = dialect.read(sample[at:])
    header = [name.strip() for name in next(reader, [])]
    line = at + reader.line_num + 1
    written = sample[at : line - 1]
    rows = [row for row in islice(reader, 200) if row]
    if len(written) > 1:
        _refuse_open_header(source, written, at + 1, dialect.separator, rows)
    if rows and max(map(len, rows)) < len(header):
        header = header[: count_named(header)]  # separators at its end that no row has
    if is_row(header, rows):
        raise CatalogueError(
            f"{source.path}: expected the names of the columns in the first line, found what "
            f"looks like a row: {', '.join(header)[:80]}. Write a line with the names above it."
        )
    trailing = ends_with_separators(len(header), rows)
    if not trailing and _has_row_names(header, rows):
        header = ["", *header]
    if twice := name_repeated(header):
        raise CatalogueError(f"{source.path}: expected each column once, found twice: {twice}.")
    if trailing:
        message = "the rows end with a separator that the header lacks: it is left out"
        told.append(Finding("separators at the end", message, 1))
    return Start(dialect, header, line, told)


def _refuse_open_header(
    source: Source, lines: list[str], line: int, separator: str, rows: list[list[str]]
) -> None:
    """Refuse a header with a quote that is not closed in its line, so that it would swallow rows.

    A name may have several lines: the first of them has fewer fields than a row, then.
    """
    widths = {one.count(separator) + 1 for one in lines if one.strip()}
    widths |= {len(row) for row in rows}
    if len(widths) == 1 and widths != {1}:
        raise CatalogueError(
            f"{source.path}: expected the names of the columns in line {line}, found a quote there that is "
            f"not closed in this line, so that the name would hold "
            f"{counted(len(lines) - 1, 'row')}. Close or remove it."
        )


def is_row(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether what stands in place of a header is a row: numbers wherever the rows have numbers.

    Names that are numbers themselves, 0, 1, 2 and so on, are names.

    Examples
    --------
    >>> is_row(["1", "Jaws", "1975"], [["2", "Heat", "1995"], ["3", "Alien", "1979"]])
    True
    >>> is_row(["id", "title", "1975"], [["2", "Heat", "7"], ["3", "Alien", "9"]])
    False
    """
    counted = [list(map(str, range(i, i + len(header)))) for i in (0, 1)]
    if list(header) in counted or any(_USUAL_NAME.fullmatch(name) for name in header):
        return False
    numbers = RowShape.of(rows, len(header)).numbers
    return bool(numbers) and RowShape(len(header), numbers, filled=numbers).begins(header)


def _skip_title(
    source: Source, sample: list[str], dialect: Dialect, at: int
) -> tuple[Dialect, int, list[Finding]]:
    """Skip lines above the header, such as a title: one cell each, where the rows have several."""
    for start in range(at, min(at + _TITLE_LINES, len(sample) - 1)):
        if sum(bool(cell.strip()) for cell in next(dialect.read(sample[start:]), [])) > 1:
            return dialect, at, []
        behind = sample[_skip_blank(sample, start + 1) :]
        found = find_dialect(behind, source.suffix)
        rows = [row for row in found.read(behind) if row][:-1] or [[]]
        width = len(rows[0])
        fits = all(len(row) >= width and not any(row[width:]) for row in rows)
        if width > 1 and len(rows) > 1 and fits and all(rows[0]):
            told = f"what is above the header was left out: {sample[at].strip()[:60]}"
            return found, len(sample) - len(behind), [Finding("header", told, start + 1 - at)]
    return dialect, at, []


def _skip_blank(sample: list[str], at: int) -> int:
    """Position of the first line that holds something else than separators."""
    marks = "".join(SEPARATORS) + ' "\r\n\ufeff'
    while at < len(sample) and not sample[at].strip(marks):
        at += 1
    return at


def _has_row_names(header: list[str], rows: list[list[str]]) -> bool:
    """Whether each row begins with its number, for which R writes no name in the header."""
    if len(rows) < 2 or any(len(row) != len(header) + 1 for row in rows):
        return False
    return [row[0] for row in rows] in (
        [str(i + first) for i in range(len(rows))] for first in (0, 1)
    )


def _tell_dialect(source: Source, dialect: Dialect, named: bool) -> list[Finding]:
    found = []
    if dialect.separator != USUAL.get(source.suffix):
        name = SEPARATORS.get(dialect.separator, repr(dialect.separator))
        where = "its first line says" if named else "in its header"
        if source.suffix in USUAL or dialect.separator != ",":
            found.append(
                Finding("separator", f"read with {name} between the fields, as {where}", 1)
            )
    if dialect.backslash:
        found.append(
            Finding(
                "quotes", 'read with \\" as a quote within a quoted field, as its rows have it', 1
            )
        )
    return found
