"""References to images that a table holds itself, such as a Parquet file of Hugging Face."""

from __future__ import annotations

import re
from typing import NamedTuple

_REFERENCE = re.compile(r"(?P<file>.+)#(?P<column>[^#]+)#(?P<row>\d+)", re.DOTALL)


class ImageReference(NamedTuple):
    """Where an image is that a Parquet file holds.

    Parameters
    ----------
    file : str
        The Parquet file: its name in a cell, its path where the cell has been joined to a folder.
    column : str
    row : int
        From 0.
    """

    file: str
    column: str
    row: int

    def __str__(self) -> str:
        return f"{self.file}#{self.column}#{self.row}"


def parse_reference(cell: str) -> ImageReference | None:
    """Parse a cell that names an image within a Parquet file; None for any other.

    Examples
    --------
    >>> parse_reference("films.parquet#image#17")
    ImageReference(file='films.parquet', column='image', row=17)
    >>> parse_reference("posters/17.jpg")
    """
    found = _REFERENCE.fullmatch(cell)
    return ImageReference(found["file"], found["column"], int(found["row"])) if found else None
