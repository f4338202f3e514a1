"""What killed processes left under temporary names: the next command removes it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path

from hybrid.utils.abandoned import is_abandoned
from hybrid.utils.files import TEMPORARY, remove, remove_tree, write_atomically
from hybrid.utils.interrupt import undisturbed
from hybrid.utils.reading import OUTPUT_RECORD, read_text

MOVING = ".moving"  # in a temporary folder whose files are being moved out: their inodes and names
# As `hybrid.utils.files.writer_name` makes them; anything else may be somebody's own.
_TEMPORARY = re.compile(rf"{re.escape(TEMPORARY)}.+-\d+-[0-9a-f]+", re.DOTALL)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files and folders of processes that are gone, as far as the system allows.

    What had been moved out of such a folder is removed with it, unless all had been; see `move_out`.

    Examples
    --------
    >>> import socket
    >>> gone = Path(f".tmp-{socket.gethostname()}-{2**40}-{'0' * 32}")
    >>> _ = gone.write_text("half of")
    >>> remove_leftovers(Path("."))
    >>> gone.exists()
    False
    """
    left = list[Path]()
    with contextlib.suppress(OSError):
        left += folder.iterdir()
    for path in left:
        with contextlib.suppress(OSError):
            if _TEMPORARY.fullmatch(path.name) and is_abandoned(path):
                discard(path)


def move_out(source: Path, names: Sequence[str]) -> None:
    """Move files out of a temporary folder, into the one that it lies in, all of them or none.

    Once the last has been moved, all have. If the disk refuses before, or the process is killed, the others
    are moved back: now, or by `remove_leftovers` of the next process. Nothing is replaced.

    Parameters
    ----------
    source : Path
        Its name is ``.tmp-`` and one of `hybrid.utils.files.writer_name`. It is removed.
    names : sequence of str
        In the order in which they are moved; those that are not there are left out.

    Raises
    ------
    FileExistsError
        If there is a file of that name already.
    OSError
        If the disk refuses.

    Examples
    --------
    >>> import os, socket
    >>> source = Path(f".tmp-{socket.gethostname()}-{os.getpid()}-{'1' * 32}")
    >>> source.mkdir()
    >>> _ = (source / "moved.csv").write_text("id")
    >>> move_out(source, ["moved.csv"])
    >>> Path("moved.csv").read_text(), source.exists()
    ('id', False)
    """
    with undisturbed():
        try:
            paths = [source / name for name in names if os.path.lexists(source / name)]
            lines = [f"{path.lstat().st_ino} {path.name}" for path in paths]
            write_atomically(source / MOVING, "\n".join(lines).encode())
            for path in paths:
                target = source.parent / path.name
                if os.path.lexists(target):
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
                path.rename(target)
        except OSError:
            with contextlib.suppress(OSError):  # what is to be told is the first error
                discard(source)
            raise
        remove_tree(source)


def discard(path: Path) -> None:
    """Remove a temporary file or folder, and what was moved out of the folder, unless all was.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    if not path.is_dir() or path.is_symlink():
        remove(path)
        return
    moving = _read_moving(path)
    if moving and os.path.lexists(path / moving[-1][1]):
        for inode, name in moving:
            moved = path.parent / name
            # Another inode is a file of somebody else.
            if os.path.lexists(moved) and moved.lstat().st_ino == inode:
                moved.rename(path / name)
    remove_tree(path)


def _read_moving(source: Path) -> list[tuple[int, str]]:
    """Inodes and names of the files that are moved out of a folder; none where there is no sound record."""
    with contextlib.suppress(OSError, ValueError):
        lines = [
            line.partition(" ") for line in read_text(source / MOVING, OUTPUT_RECORD).splitlines()
        ]
        if all(name == Path(name).name for _, _, name in lines):
            return [(int(inode), name) for inode, _, name in lines]
    return []
