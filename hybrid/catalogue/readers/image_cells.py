"""Images that a Parquet file holds itself: the cells that name them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hybrid.images.references import RowReference

_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")


def holds_images(values: Iterable[bytes | None]) -> bool:
    """Whether one of some cells of bytes begins as an image file does."""
    return any(value is not None and value.startswith(_MAGIC) for value in values)


def image_cells(values: Iterable[Any], file: str, column: str, first: int) -> list[str]:
    """Name the images of a column: a reference into the file, or the path where there are no bytes.

    Parameters
    ----------
    values : iterable of dict, bytes or None
    file, column : str
    first : int
        Row of the first value, from 0.

    Returns
    -------
    list of str

    Examples
    --------
    >>> image_cells([{"bytes": b"x", "path": "1.jpg"}, {"bytes": None, "path": "2.jpg"}, None], "a", "b", 0)
    ['a#b#0', '2.jpg', '']
    """
    cells = []
    for row, value in enumerate(values, start=first):
        data = value.get("bytes") if isinstance(value, dict) else value
        path = value.get("path") if isinstance(value, dict) else None
        cells.append(str(RowReference(file, column, row)) if data else path or "")
    return cells
