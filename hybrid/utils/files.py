"""Every step that changes a file of the cache or of a run: a final name means whole, and on the disk.

One call of the operating system a step, by way of `os`, so that tests can record, refuse and cut short
each of them.
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
    """A name for this process and moment: host, process, and a random part."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}"


def write_atomically(path: Path, data: bytes) -> None:
    """Write under a temporary name, sync, rename, sync the folder.

    Raises
    ------
    OSError
        If the disk is full or read-only; the temporary file is gone then. `path` is untouched, unless
        the folder itself could not be synced: then the whole file is there, but may not outlive a
        power cut.
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
    """Give a temporary name beside `path`, where the caller writes a file and syncs it.

    Afterwards it is renamed to `path`, and the folder synced; after an error it is removed.
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
    """Make a folder, and those above it that are missing, so that they outlive a power cut."""
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
    """Have the operating system write a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
