"""Atomic and durable file operations: a file under its final name is complete and on the disk.

Each step is one call of a function of `os`, so that tests can record, refuse and cut short each of them.
"""

from __future__ import annotations

import contextlib
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

TEMPORARY = ".tmp-"


def writer_name() -> str:
    """Make a unique name for a file of this process: host, process, and a random part.

    Examples
    --------
    >>> writer_name() == writer_name()
    False
    """
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}"


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file atomically: under a temporary name, sync, rename, sync the folder.

    Parameters
    ----------
    path : Path
        Replaced in one step if it exists.
    data : bytes

    Raises
    ------
    OSError
        If the disk is full or read-only; the temporary file is gone then. `path` is untouched, unless
        the folder itself could not be synced: then the whole file is there, but may not outlive a
        power cut.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> write_atomically(Path(folder.name) / "a.txt", b"text")
    >>> [path.name for path in Path(folder.name).iterdir()]
    ['a.txt']
    >>> folder.cleanup()
    """
    with replacing(path) as temporary:
        write_new(temporary, data)


def write_new(path: Path, data: bytes) -> None:
    """Write and sync a file that must not exist yet; its folder is not synced.

    Raises
    ------
    FileExistsError
        If there is one.
    OSError
        If the disk refuses; what was written may be left.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Replace a file atomically: give a temporary name, where the caller writes a file and syncs it.

    Afterwards it is renamed to `path`, and the folder synced; after an error it is removed.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with replacing(Path(folder.name) / "a.txt") as temporary:
    ...     write_new(temporary, b"text")
    >>> [path.name for path in Path(folder.name).iterdir()]
    ['a.txt']
    >>> folder.cleanup()
    """
    temporary = path.with_name(f"{TEMPORARY}{writer_name()}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        remove(temporary)
        raise
    sync(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, and sync them.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     make_folder(Path(folder) / "a" / "b")
    ...     (Path(folder) / "a" / "b").is_dir()
    True
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):  # another process may have been faster
        os.mkdir(folder)
    sync(folder.parent)


def remove(path: Path) -> None:
    """Remove a file, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def move(path: Path, folder: Path) -> None:
    """Move a file to another folder, if it is still there."""
    make_folder(folder)
    with contextlib.suppress(FileNotFoundError):
        os.replace(path, folder / path.name)


def sync(path: Path) -> None:
    """Sync a file or folder to the disk (fsync)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
