"""Writing a file so that its final name means: whole, and on the disk."""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path

TEMPORARY = ".tmp-"


def write_atomically(path: Path, data: bytes) -> None:
    """Write under a temporary name, sync, rename, sync the folder.

    Raises
    ------
    OSError
        If the disk is full or read-only; the temporary file is gone then. `path` is untouched, unless
        the folder itself could not be synced: then the whole file is there, but may not outlive a
        power cut.
    """
    name = f"{TEMPORARY}{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}"
    temporary = path.with_name(name)
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
