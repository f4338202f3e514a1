"""CSV files as a table of strings, whatever their separator."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.readers.csv_rows import CsvRows, Trouble, reading_rows
from hybrid.catalogue.readers.dialect import (
    SEPARATORS,
    USUAL,
    Dialect,
    count_named,
    ends_with_separators,
    find_dialect,
    named_separator,
)
from hybrid.catalogue.readers.index_column import name_columns
from hybrid.catalogue.readers.source import Source, find_encoding, open_text
from hybrid.catalogue.readers.table import ColumnBuilder, ParsedTable, make_table, name_repeated
from hybrid.catalogue.readers.told_rows import tell_rows
from hybrid.errors import CatalogueError
from hybrid.types import ColumnOptions, Finding

_TITLE_LINES = 5
_SAMPLE_LINES, _SAMPLE_CHARACTERS = 1000, 1 << 20


@dataclass(frozen=True)
class _Start:
    """What is known before the first row: dialect, names of the columns, number of the line behind them."""

    dialect: Dialect
    header: list[str]
    line: int
    findings: list[Finding]


def parse_csv(source: Source, options: ColumnOptions) -> ParsedTable:
    """Parse separated text with a header; every cell a str, as it stands.

    The separator is found from the first lines, or from a line ``sep=;`` above them.

    Parameters
    ----------
    source : Source
    options : ColumnOptions
        Its encoding is used.

    Returns
    -------
    ParsedTable

    Raises
    ------
    CatalogueError
        If there is no header, a name is in it twice, most rows have more fields than it, or the bytes
        are no text.
    SettingError
        If the encoding has no known name, or is not that of the file's byte order mark.
    """
    codec, findings = find_encoding(source, options)
    with open_text(source, codec, options.encoding) as text, reading_rows():
        try:
            return _parse(source, text, findings)
        except csv.Error as error:
            raise CatalogueError(
                f"{source.path}: expected separated lines, found: {error}."
            ) from None


def _parse(source: Source, text: Iterator[str], findings: list[Finding]) -> ParsedTable:
    sample = list(_first_lines(text))
    start = _read_start(source, sample)
    builders = [ColumnBuilder() for _ in start.header]
    lines = chain(islice(sample, start.line - 1, None), text)
    reader = CsvRows(lines, start.dialect, len(start.header), start.line)
    numbers: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    for rows, found in reader.chunks():
        for builder, cells in zip(builders, zip(*rows, strict=True), strict=True):
            builder.add(cells)
        numbers.append(np.array(found, dtype=np.int64))
    _refuse_most_long(source, reader.troubles, reader.rows, len(start.header))
    rows_read = np.concatenate(numbers)
    columns = dict(zip(start.header, builders, strict=True))
    table, unstripped = make_table(columns, len(rows_read))
    again = _find_header(table)
    reader.troubles += [Trouble("header", int(rows_read[i]), 0, "") for i in again]
    if again:
        table, rows_read = (
            table.drop(index=again).reset_index(drop=True),
            np.delete(rows_read, again),
        )
        unstripped = {name: np.delete(cells, again) for name, cells in unstripped.items()}
    bad, told = tell_rows(reader.troubles, len(start.header), reader.rows)
    findings = [*findings, *start.findings, *told]
    left_out = {
        one.row: dict(zip(start.header, one.cells, strict=False))
        for one in reader.troubles
        if one.cells
    }
    return ParsedTable(table, rows_read, bad, findings, unstripped=unstripped, left_out=left_out)


def _find_header(table: pd.DataFrame) -> list[int]:
    """Rows that are the header again, as where files were put one behind the other."""
    names = list(table.columns)
    like = np.flatnonzero(table[names[0]].to_numpy() == names[0]).tolist()
    return [i for i in like if table.iloc[i].tolist() == names]


def _first_lines(text: Iterator[str]) -> Iterator[str]:
    size = 0
    for line in islice(text, _SAMPLE_LINES):
        yield line
        size += len(line)
        if size > _SAMPLE_CHARACTERS:
            return


def _read_start(source: Source, sample: list[str]) -> _Start:
    """Read what is above the rows: blank lines, a line that names the separator, the header."""
    at = _skip_blank(sample, 0)
    if at == len(sample):
        raise CatalogueError(f"{source.path}: expected a header and rows, found an empty file.")
    sample = [sample[0].removeprefix("\ufeff"), *sample[1:]]
    if sample[at].lstrip().lower().startswith(("<!doctype html", "<html")):
        raise CatalogueError(
            f"{source.path}: expected a header and rows, found a web page. Download the file itself."
        )
    separator = named_separator(sample[at])
    if separator is not None:
        at = _skip_blank(sample, at + 1)
    dialect = find_dialect(sample[at:], source.suffix, separator)
    dialect, at, above = _skip_title(source, sample, dialect, at)
    reader = dialect.read(sample[at:])
    header = [name.strip() for name in next(reader, [])]
    line = at + reader.line_num + 1
    rows = [row for row in islice(reader, 200) if row]
    if rows and max(map(len, rows)) < len(header):
        header = header[: count_named(header)]  # separators at its end that no row has
    trailing = ends_with_separators(len(header), rows)
    if not trailing and _has_row_names(header, rows):
        header = ["", *header]
    if twice := name_repeated(header):
        raise CatalogueError(f"{source.path}: expected each column once, found twice: {twice}.")
    header = name_columns(header)
    told = [*above, *_tell_dialect(source, dialect, separator is not None)]
    if trailing:
        message = "the rows end with a separator that the header lacks: it is left out"
        told.append(Finding("separators at the end", message, 1))
    return _Start(dialect, header, line, told)


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


def _refuse_most_long(source: Source, troubles: list[Trouble], rows: int, width: int) -> None:
    long = [trouble for trouble in troubles if trouble.kind == "long"]
    if 2 * len(long) > rows:
        raise CatalogueError(
            f"{source.path}: expected the same number of fields in every line, found {len(long)} of "
            f"{rows} rows with more than the {width} that the header names, such as line "
            f"{long[0].line} with {long[0].detail}. A field that holds the separator or a quote must be "
            "quoted."
        )
