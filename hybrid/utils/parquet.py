"""Parquet files are opened here: read in pieces, and refused where they unpack to too much.

A value that comes again takes no room in a file, and all of its room in memory. What a row group would take
is told by the end of the file and by the headers of its pages, before a page is touched; how often its values
come again, by reading their numbers alone. Where the end says something else than the headers, of rows that
would be left out or of sizes, the file is damaged.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from hybrid.utils.counts import counted
from hybrid.utils.parquet_pages import (
    BYTES_A_PAGE,
    PADDING,
    PAGES,
    Chunk,
    DamagedParquetError,
    read_chunk,
)
from hybrid.utils.reading import CATALOGUE, open_file, size_of
from hybrid.utils.unpacking import UnpackedTooLargeError, limit_of

BUFFER = 2**20  # bytes of a column that are read at a time; else all that a row group has of it
BATCH = 10_000  # rows whose values are counted at a time
WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
NUMBER = 4  # bytes of the number of a value that is in a dictionary


def open_parquet(content: Any, path: str | Path) -> Any:
    """Open a Parquet file.

    Parameters
    ----------
    content : BinaryIO or Path
        Its content.
    path : str or Path
        The file that the content comes from, compressed or not.

    Returns
    -------
    pyarrow.parquet.ParquetFile

    Raises
    ------
    UnpackedTooLargeError
        If its columns unpack to more than 256 MiB and 100 times the size of the file.
    DamagedParquetError
        If its end says something else of rows or sizes than its pages, or they are not in the file.
    pyarrow.ArrowException or OSError
        If it is no Parquet file.

    Examples
    --------
    >>> import pandas as pd
    >>> pd.DataFrame({"id": ["a", "b"]}).to_parquet("films.parquet")
    >>> open_parquet(Path("films.parquet"), "films.parquet").metadata.num_rows
    2
    """
    import pyarrow.parquet

    limit = limit_of(size_of(path))
    # Else all pages of a column stay in memory until its last batch is read.
    file = pyarrow.parquet.ParquetFile(content, buffer_size=BUFFER, pre_buffer=False)
    size, repeating = 0, set()
    for column, chunk in _chunks(file, content):
        width = WIDTHS.get(column.physical_type, NUMBER)
        stored = max(column.total_uncompressed_size, chunk.bytes)
        if column.physical_type in WIDTHS:
            size += max(width * chunk.values, stored)
            continue
        size += width * chunk.values + stored
        if any("DICTIONARY" in name for name in column.encodings) and stored * chunk.values > limit:
            repeating.add(column.path_in_schema)
    if size > limit or (repeating and _repeated_size(content, sorted(repeating), limit) > limit):
        raise UnpackedTooLargeError(path, limit, "write it as CSV")
    return file


def _chunks(file: Any, content: Any) -> Iterator[tuple[Any, Chunk]]:
    """What is said of each column of each row group, and what its pages are, in the order of the file.

    Raises
    ------
    DamagedParquetError
        If they contradict each other.
    """
    metadata, found = file.metadata, []
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    rows = sum(group.num_rows for group in groups)
    if metadata.num_rows != rows:
        raise DamagedParquetError(
            f"its end says {counted(metadata.num_rows, 'row')}, and its row groups have {rows:,}"
        )
    flat = [not file.schema.column(i).max_repetition_level for i in range(metadata.num_columns)]
    for group in groups:
        for number in range(group.num_columns):
            column = group.column(number)
            places = column.dictionary_page_offset, column.data_page_offset
            start = min((place for place in places if place), default=0)
            found.append((start, column, group.num_rows if flat[number] else None))
    with _opened(content) as opened:
        end = opened.seek(0, io.SEEK_END)
        before, most = 0, PAGES + end // BYTES_A_PAGE
        for start, column, wanted in sorted(found, key=lambda each: each[0]):
            size = max(column.total_compressed_size, 0)
            beyond = max(start + size, column.data_page_offset)
            if size and (start < before - PADDING or beyond > end):
                raise DamagedParquetError(
                    f"the pages of the column {column.path_in_schema} are not in the file, or are those of "
                    "another"
                )
            chunk = read_chunk(opened, start, size, most)
            _compare(column, chunk, wanted)
            before, most = max(before, start + size), most - chunk.pages
            yield column, chunk


def _compare(column: Any, chunk: Chunk, rows: int | None) -> None:
    """Compare a column in a row group of so many rows, None where a row may have several cells."""
    for what, number in (("cell", column.num_values), ("row", rows)):
        if number is not None and number != chunk.values:
            raise DamagedParquetError(
                f"its end says {counted(number, what)} of the column {column.path_in_schema}, and its "
                f"pages have {chunk.values:,}"
            )


@contextmanager
def _opened(content: Any) -> Iterator[BinaryIO]:
    if isinstance(content, str | Path):
        with open_file(content, CATALOGUE) as file:
            yield file
    else:
        yield content


def _repeated_size(content: Any, columns: list[str], limit: int) -> int:
    """Bytes of the values of columns, each as often as it comes; no more is counted than is too much."""
    import pyarrow.parquet

    how: Any = {"buffer_size": BUFFER, "pre_buffer": False, "read_dictionary": columns}
    file = pyarrow.parquet.ParquetFile(content, **how)
    size = 0
    for column in columns:
        for batch in file.iter_batches(BATCH, columns=[column]):
            size += sum(map(_bytes_of, batch.columns))
            if size > limit:
                return size
    return size


def _bytes_of(array: Any) -> int:
    """Bytes of the values of an array, those in a dictionary as often as they come."""
    import pyarrow.compute as pc
    import pyarrow.types as types

    if types.is_dictionary(array.type):
        lengths = pc.binary_length(array.dictionary)
        return pc.sum(lengths.take(array.indices)).as_py() or 0
    inner = list(_parts(array))
    return sum(map(_bytes_of, inner)) if inner else int(array.nbytes)


def _parts(array: Any) -> Iterator[Any]:
    """The arrays that an array of lists, structs or an extension type consists of."""
    import pyarrow.types as types

    if hasattr(array, "storage"):
        yield array.storage
    elif types.is_map(array.type):
        yield from (array.keys, array.items)
    elif types.is_struct(array.type):
        yield from array.flatten()
    elif (
        types.is_list(array.type)
        or types.is_large_list(array.type)
        or types.is_fixed_size_list(array.type)
    ):
        yield array.flatten()
