"""Poster cells: which file they name, or why they can name none."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath


def poster_problem(cell: str) -> str:
    """Say why a poster cell cannot name a file inside the catalogue's folder; ``""`` if it can.

    Examples
    --------
    >>> poster_problem("posters/1.jpg"), poster_problem("../1.jpg")
    ('', "the path leaves the catalogue's folder")
    """
    if not cell:
        return "no poster named"
    if "\0" in cell:
        return "the path holds a NUL character"
    if "://" in cell:
        return "is a URL; a path relative to the catalogue's folder is expected"
    if PurePosixPath(cell).is_absolute() or PureWindowsPath(cell).anchor:
        return "the path is absolute; it must be relative to the catalogue's folder"
    if ".." in PurePosixPath(cell).parts or ".." in PureWindowsPath(cell).parts:
        return "the path leaves the catalogue's folder"
    return ""
