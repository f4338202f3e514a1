"""Poster cells: which files they name, or why they can name none."""

from __future__ import annotations

import os.path
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

from hybrid.catalogue.lists import UNIT
from hybrid.images.references import file_of
from hybrid.remote.address import remote_url
from hybrid.utils.links import lies_in

_LEAVES = "a link out of the folder, which is followed only where --posters names the folder"
POSTER, POSTERS = "poster", "posters"
# Names of columns of images, or parts of them, those that most surely mean a poster first.
IMAGE_NAMES = ("poster", "cover", "image", "img", "picture", "photo", "thumb")
_BETWEEN = "\0"  # no path can hold it


def split_posters(cell: str, column: str | None, separator: str) -> tuple[str, ...]:
    """The posters that a cell names: one in a column ``poster``, several in one of another name.

    Examples
    --------
    >>> split_posters("1.jpg|2.jpg", "posters", "|"), split_posters("a|b.jpg", "Poster", "|")
    (('1.jpg', '2.jpg'), ('a|b.jpg',))
    """
    if column is None or column.casefold() == POSTER:
        return (cell,)
    parts = cell.split(UNIT if UNIT in cell else separator)
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip())) or ("",)


def join_paths(paths: Iterable[str]) -> str:
    """Write the paths of an item's posters as one cell of a frame; one path stays as it is.

    Examples
    --------
    >>> split_paths(join_paths(["posters/1.jpg", "posters/2.jpg"]))
    ['posters/1.jpg', 'posters/2.jpg']
    """
    return _BETWEEN.join(paths)


def split_paths(cell: str) -> list[str]:
    """The paths that `join_paths` has written."""
    return cell.split(_BETWEEN)


def poster_problem(cell: str, folder: Path | None = None, named: bool = False) -> str:
    """Say why a poster cell cannot name a file inside the folder of the posters; ``""`` if it can.

    Parameters
    ----------
    cell : str
    folder : Path, optional
        An absolute path, or a URL, must lie in it. Without it, none can.
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
    url, root = remote_url(Path(cell)), remote_url(folder or "")
    if (url or "://" in cell) and not (url and root and url.startswith(f"{root}/")):
        return f"the poster is a URL; a path relative to {place} is expected"
    if ".." in PurePosixPath(cell).parts or ".." in PureWindowsPath(cell).parts:
        return f"the path leaves {place}"
    absolute = PurePosixPath(cell).is_absolute() or bool(PureWindowsPath(cell).anchor)
    if absolute and not (folder is not None and _lies_in(cell, folder)):
        return f"the path is absolute; it must be relative to {place}, or lie in it"
    return ""


class Links:
    """Finds poster files that are links out of a folder, or lie in a folder that is one.

    Parameters
    ----------
    root : Path
        The folder. At a URL there are no links.

    Examples
    --------
    >>> Path("mine.jpg").symlink_to("/etc/hostname")
    >>> Links(Path()).problem("mine.jpg")
    'a link out of the folder, which is followed only where --posters names the folder'
    """

    def __init__(self, root: Path) -> None:
        self._root, self._remote = root, remote_url(root) is not None
        # Of each file that holds images, which is looked at once; None where it is not there.
        self._of_archives: dict[str, str | None] = {}
        self._inside: dict[str, bool] = {}  # of each folder below it

    def problem(self, cell: str) -> str:
        """Say why the file of a cell is not read; ``""`` if it may be."""
        if self._remote:
            return ""
        file = file_of(cell)
        if file == cell:
            return self._problem(cell)
        if file not in self._of_archives:
            there = os.path.lexists(os.path.join(self._root, file))  # noqa: PTH118
            self._of_archives[file] = self._problem(file) if there else None
        found = self._of_archives[file]
        return self._problem(cell) if found is None else found

    def _problem(self, cell: str) -> str:
        path = os.path.join(self._root, cell)  # noqa: PTH118  # quicker, for each of a million
        folder = os.path.dirname(path)  # noqa: PTH120
        inside = self._inside.get(folder)
        if inside is None:
            inside = self._inside[folder] = lies_in(Path(folder), self._root)
        if inside and os.path.islink(path):  # noqa: PTH114
            inside = lies_in(Path(path), self._root)
        return "" if inside else _LEAVES


def _lies_in(cell: str, folder: Path) -> bool:
    path = Path(os.path.normpath(cell))
    return path.is_absolute() and any(
        path.is_relative_to(each) for each in (folder.absolute(), folder.resolve())
    )
