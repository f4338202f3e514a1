"""Temporary files of processes that are gone."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from hybrid.utils.files import TEMPORARY

ABANDONED_SECONDS = 24 * 3600.0  # then a file of another machine is left


def is_running(pid: int) -> bool:
    """Tell whether a process of this machine runs.

    Examples
    --------
    >>> is_running(os.getpid())
    True
    """
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def is_abandoned(path: Path) -> bool:
    """Tell whether a temporary file or folder is of a process that is gone.

    Parameters
    ----------
    path : Path
        Its name ends in that of `hybrid.utils.files.writer_name` behind ``.tmp-``.

    Returns
    -------
    bool
        Of another machine: whether it is a day old.

    Examples
    --------
    >>> is_abandoned(Path(f".tmp-{socket.gethostname()}-{os.getpid()}-{'0' * 32}"))
    False
    """
    host, _, pid = path.name.rpartition(TEMPORARY)[2].rpartition("-")[0].rpartition("-")
    if host == socket.gethostname() and pid.isdecimal():
        return not is_running(int(pid))
    try:
        return time.time() - path.stat().st_mtime > ABANDONED_SECONDS
    except FileNotFoundError:
        return False
