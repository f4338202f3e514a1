"""Images that a Parquet file holds: read a row group at a time, and kept for the next row."""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

from hybrid.images.references import ImageReference, parse_reference

GROUPS = 4  # row groups that are kept; posters are mostly read in the order of the file

_lock = threading.Lock()


def read_stored(path: str) -> bytes | str:
    """Read an image within a Parquet file.

    Parameters
    ----------
    path : str
        An `ImageReference` as text, such as ``"films.parquet#image#17"``.

    Returns
    -------
    bytes or str
        The bytes of the image file, or why they cannot be read.

    Examples
    --------
    >>> read_stored("no-such-file.jpg"), read_stored("no-such-file.parquet#image#0")
    ('file not found', 'file not found')
    """
    reference = parse_reference(path)
    if reference is None:
        return "file not found"
    try:
        with _lock:  # else every thread would read the same row group
            data = _find(reference)
    except FileNotFoundError:
        return "file not found"
    except ImportError:
        return "cannot be read: Parquet needs pyarrow (pip install 'hybrid-posters[parquet]')"
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        return f"cannot be read: {error}"
    return data or "the row holds no image"


def _find(reference: ImageReference) -> bytes | None:
    row, stamp = reference.row, _stamp(reference.file)
    for group, count in enumerate(_group_sizes(reference.file, stamp)):
        if row < count:
            value = _read_group(reference.file, reference.column, group, stamp)[row].as_py()
            return value.get("bytes") if isinstance(value, dict) else value
        row -= count
    return None


def _stamp(file: str) -> tuple[int, int]:
    status = Path(file).stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=16)
def _group_sizes(file: str, stamp: tuple[int, int]) -> tuple[int, ...]:
    import pyarrow.parquet

    metadata = pyarrow.parquet.read_metadata(file)
    return tuple(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))


@lru_cache(maxsize=GROUPS)
def _read_group(file: str, column: str, group: int, stamp: tuple[int, int]) -> Any:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(file) as parquet:
        table = parquet.read_row_group(group, columns=[column])
    return table.column(column)
