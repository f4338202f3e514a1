"""Parquet files are opened here: read in pieces, and refused where they unpack to too much.

A value that comes again takes no room in a file, and all of its room in memory. What a row group would take
is told by the end of the file, before a page is touched; how often its values come again, by reading their
numbers alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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

    limit = limit_of(Path(path).stat().st_size)
    file = pyarrow.parquet.ParquetFile(content, buffer_size=BUFFER)
    size, repeating = 0, set()
    for group in range(file.metadata.num_row_groups):
        row_group = file.metadata.row_group(group)
        for number in range(row_group.num_columns):
            column = row_group.column(number)
            width = WIDTHS.get(column.physical_type, NUMBER)
            stored = max(column.total_uncompressed_size, 0)
            cells = max(column.num_values, 0)
            if column.physical_type in WIDTHS:
                size += max(width * cells, stored)
                continue
            size += width * cells + stored
            if any("DICTIONARY" in name for name in column.encodings) and stored * cells > limit:
                repeating.add(column.path_in_schema)
    if size > limit or (repeating and _repeated_size(content, sorted(repeating), limit) > limit):
        raise UnpackedTooLargeError(path, limit, "write it as CSV")
    return file


def _repeated_size(content: Any, columns: list[str], limit: int) -> int:
    """Bytes of the values of columns, each as often as it comes; no more is counted than is too much."""
    import pyarrow.parquet

    file = pyarrow.parquet.ParquetFile(content, buffer_size=BUFFER, read_dictionary=columns)
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
