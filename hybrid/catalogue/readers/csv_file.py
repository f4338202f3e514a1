"""CSV files as a table of strings, whatever their separator."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from hybrid.catalogue.readers.csv_rows import long_fields
from hybrid.catalogue.readers.csv_start import OpenRows, open_rows
from hybrid.catalogue.readers.index_column import name_columns
from hybrid.catalogue.readers.source import Source, find_encoding
from hybrid.catalogue.readers.table import ColumnBuilder, ParsedTable, make_table
from hybrid.catalogue.readers.told_rows import Tally, list_bad_rows, refuse_most_long
from hybrid.types import ColumnOptions


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
    with long_fields(), _paused_collector(), open_rows(source, codec, options.encoding) as opened:
        parsed = _parse(source, opened)
    parsed.findings[:0] = findings
    return parsed


@contextmanager
def _paused_collector() -> Iterator[None]:
    """Pause the garbage collector, which would search many lists without cycles in vain."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _parse(source: Source, opened: OpenRows) -> ParsedTable:
    names, reader = name_columns(opened.start.header), opened.rows
    builders = [ColumnBuilder() for _ in names]
    numbers: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    for rows, found in reader.chunks():
        for builder, cells in zip(builders, zip(*rows, strict=True), strict=True):
            builder.add(cells)
        numbers.append(np.array(found, dtype=np.int64))
    tally, width = Tally(), len(names)
    tally.add(reader.troubles)
    refuse_most_long(source.path, tally, reader.rows, width)
    rows_read = np.concatenate(numbers)
    table, unstripped = make_table(dict(zip(names, builders, strict=True)), len(rows_read))
    bad = list_bad_rows(reader.troubles, width, reader.rows)
    findings = [*opened.start.findings, *tally.findings(width)]
    left_out = {
        one.row: dict(zip(names, one.cells, strict=False)) for one in reader.troubles if one.cells
    }
    return ParsedTable(table, rows_read, bad, findings, unstripped=unstripped, left_out=left_out)
