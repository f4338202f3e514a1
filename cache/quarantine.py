"""Quarantine: where damaged files of a cache go, so that sound ones can take their place."""

from __future__ import annotations

import warnings
from pathlib import Path

from hybrid.cache.remote import set_aside_there, write_through
from hybrid.utils.files import make_room, move
from hybrid.utils.read_only import is_read_only

QUARANTINE = "quarantine"


def set_aside(path: Path, owner: Path) -> str | None:
    """Move a damaged file, or what is in its place, to quarantine; in read-only mode it stays.

    Parameters
    ----------
    path : Path
    owner : Path
        Folder of the store or of the cache, in which the quarantine lies.

    Returns
    -------
    str or None
        Why it is still there; None where it is not.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> damaged = Path(folder.name) / "CURRENT"
    >>> damaged.mkdir()
    >>> set_aside(damaged, Path(folder.name)), damaged.exists()
    (None, False)
    >>> folder.cleanup()
    """
    if is_read_only():
        return "nothing is written"
    try:
        make_room(owner / QUARANTINE, owner / QUARANTINE)
        set_aside_there(path)
        move(path, owner / QUARANTINE)
    except OSError as error:
        return str(error.strerror)
    return None


def tell_damage(path: Path, owner: Path, problem: str, remedy: str) -> bool:
    """Set a damaged file aside, and warn.

    Parameters
    ----------
    path, owner : Path
        As for `set_aside`.
    problem : str
        What is wrong with it.
    remedy : str
        What it means, and what is to be done: one or more sentences.

    Returns
    -------
    bool
        Whether it is out of the way.
    """
    why = set_aside(path, owner)
    if why is None:
        where = f"is now in quarantine: {owner / QUARANTINE}"
    elif is_read_only():
        where = "is not used"
    else:
        where = f"cannot be moved away ({why}); it is not used"
    warnings.warn(
        f"{path.name} in the cache was damaged ({problem}) and {where}. {remedy}", stacklevel=3
    )
    return why is None


def write_over(path: Path, data: bytes, owner: Path) -> None:
    """Write a file atomically; a folder in its place, or a file in that of its folder, goes to quarantine.

    Parameters
    ----------
    path : Path
    data : bytes
    owner : Path
        As for `set_aside`.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    clear_folder(path.parent, owner)
    if path.is_dir() and not path.is_symlink():
        tell_damage(path, owner, "it is a folder, not a regular file", "It is written again.")
    write_through(path, data)


def clear_folder(folder: Path, owner: Path) -> None:
    """Move what is in the place of a folder of the cache, and is none, to quarantine, with a warning.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    if folder != owner and make_room(folder, owner / QUARANTINE):
        warnings.warn(
            f"{folder} was no folder; what was there is now in quarantine: {owner / QUARANTINE}.",
            stacklevel=3,
        )
