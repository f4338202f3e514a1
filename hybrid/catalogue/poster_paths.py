"""Poster cells: which file they name, or why they can name none."""

from __future__ import annotations

import os.path
from pathlib import Path, PurePosixPath, PureWindowsPath


def poster_problem(cell: str, folder: Path | None = None, named: bool = False) -> str:
    """Say why a poster cell cannot name a file inside the folder of the posters; ``""`` if it can.

    Parameters
    ----------
    cell : str
    folder : Path, optional
        An absolute path must lie in it. Without it, none can.
    named : bool, default=False
        Whether the folder was named with ``--posters``; else it is that of the catalogue.

    Examples
    --------
    >>> poster_problem("posters/1.jpg"), poster_problem("../1.jpg")
    ('', "the path leaves the catalogue's folder")
    >>> poster_problem("/data/1.jpg", Path("/data"))
    ''
    """
    place = "the folder of the posters" if named else "the catalogue's folder"
    if not cell:
        return "no poster named"
    if "\0" in cell:
        return "the path holds a NUL character"
    if "://" in cell:
        return f"is a URL; a path relative to {place} is expected"
    if ".." in PurePosixPath(cell).parts or ".." in PureWindowsPath(cell).parts:
        return f"the path leaves {place}"
    absolute = PurePosixPath(cell).is_absolute() or bool(PureWindowsPath(cell).anchor)
    if absolute and not (folder is not None and _lies_in(cell, folder)):
        return f"the path is absolute; it must be relative to {place}, or lie in it"
    return ""


def _lies_in(cell: str, folder: Path) -> bool:
    path = Path(os.path.normpath(cell))
    return path.is_absolute() and any(
        path.is_relative_to(each) for each in (folder.absolute(), folder.resolve())
    )
