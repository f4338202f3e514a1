"""What killed processes left under temporary names: the next command removes it, or finishes it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from hybrid.utils.abandoned import is_abandoned
from hybrid.utils.files import TEMPORARY, remove, remove_tree, write_atomically
from hybrid.utils.interrupt import undisturbed
from hybrid.utils.reading import OUTPUT_RECORD, read_text

MOVING = ".moving"  # in a temporary folder whose files are being moved out: their names
# As `hybrid.utils.files.writer_name` makes them; anything else may be somebody's own.
_TEMPORARY = re.compile(rf"{re.escape(TEMPORARY)}.+-\d+-[0-9a-f]+", re.DOTALL)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files and folders of processes that are gone, as far as the system allows.

    A folder out of which files were being moved is moved out to its end; see `move_out`.

    Examples
    --------
    >>> import socket
    >>> gone = Path(f".tmp-{socket.gethostname()}-{2**40}-{'0' * 32}")
    >>> _ = gone.write_text("half of")
    >>> remove_leftovers(Path("."))
    >>> gone.exists()
    False
    """
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            if _TEMPORARY.fullmatch(path.name) and is_abandoned(path):
                _remove(path)


def move_out(source: Path, names: Sequence[str]) -> None:
    """Move files out of a temporary folder, into the one that it lies in, all of them or none.

    If the process is killed in between, `remove_leftovers` of the next one moves the others. Nothing is
    replaced.

    Parameters
    ----------
    source : Path
        Its name is ``.tmp-`` and one of `hybrid.utils.files.writer_name`.
    names : sequence of str
        In the order in which they are moved.

    Raises
    ------
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
        write_atomically(source / MOVING, "\n".join(names).encode())
        _move(source, names)
        remove_tree(source)


def _move(source: Path, names: Sequence[str]) -> None:
    for name in names:
        target = source.parent / name
        if (source / name).exists() and not os.path.lexists(target):
            (source / name).rename(target)


def _remove(path: Path) -> None:
    if not path.is_dir() or path.is_symlink():
        remove(path)
        return
    with contextlib.suppress(OSError, ValueError):
        names = read_text(path / MOVING, OUTPUT_RECORD).splitlines()
        _move(path, [name for name in names if name == Path(name).name])
    remove_tree(path)
