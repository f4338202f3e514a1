"""Check that results can be written, before the work that they cost."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hybrid.errors import RunError
from hybrid.remote.address import remote_url
from hybrid.utils.files import TEMPORARY
from hybrid.utils.outputs import output_problem

PROBE = 2**20  # bytes that must be free: less than any result with a model takes
# What open(2) says where there are no files without a name (O_TMPFILE).
NO_UNNAMED_FILES = (errno.ENOSYS, errno.EINVAL, errno.EISDIR, errno.EOPNOTSUPP)


def check_new_file(
    option: str,
    path: Path,
    kind: str,
    inputs: Sequence[Path] = (),
    in_place: bool = False,
    known: bool = False,
) -> None:
    """Check that a file can be written: a new one, or in place of one that hybrid wrote.

    With `hybrid.utils.outputs.output_rule` (``--force``), any file may be replaced.

    Parameters
    ----------
    option : str
        That names it, for the message.
    path : Path
    kind : str
        What is written, in a word or two; see `hybrid.utils.outputs.write_output`.
    inputs : sequence of Path, default=()
        Files that are read, besides those of the command line, and must not be replaced.
    in_place : bool, default=False
        The file is read, too, and it is the meaning of the command to rewrite it.
    known : bool, default=False
        The file is known to be hybrid's by other means than the record of its hash.

    Raises
    ------
    RunError
        If its folder does not exist or cannot be written, the disk is full, or it is a folder, an input, or
        a file that hybrid did not write.

    Examples
    --------
    >>> check_new_file("--out", Path("new.csv"), "predictions")
    >>> check_new_file("--out", Path("nowhere/predictions.csv"), "predictions")
    Traceback (most recent call last):
    ...
    hybrid.errors.RunError: --out: expected a file in a folder that exists, found nowhere/predictions.csv.
    """
    check_local(option, path)
    if not path.parent.is_dir():
        raise RunError(f"{option}: expected a file in a folder that exists, found {path}.")
    if path.exists() and not path.is_file():  # a device, say: a file would take its place
        found = "folder" if path.is_dir() else "device or pipe"
        raise RunError(f"{option}: expected the name of a file, found the {found} {path}.")
    if reason := write_problem(path.parent):
        raise RunError(
            f"{option}: expected a folder that can be written, found that {path.parent} cannot be: {reason}. "
            f"Choose another {option}."
        )
    if problem := output_problem(path, kind, inputs, in_place, known):
        raise RunError(
            f"{option}: expected a new file, found {path}, {problem}. "
            f"Choose another {option}, or replace it with --force."
        )


def check_new_folder(option: str, path: Path) -> None:
    """Check that files can be written to a folder, which is made later if it does not exist.

    Raises
    ------
    RunError
        If it is no folder, it or the folder that it would be made in cannot be written, or the disk is full.

    Examples
    --------
    >>> check_new_folder("--runs", Path("runs"))
    >>> Path("runs").exists()
    False
    """
    check_local(option, path)
    there = nearest_folder(path)
    if not there.is_dir():
        raise RunError(f"{option}: expected a folder at {path}, found that {there} is none.")
    if reason := write_problem(there):
        raise RunError(
            f"{option}: expected a folder that can be written at {path}, found that {there} cannot be: "
            f"{reason}. Choose another {option}."
        )


def check_local(option: str, path: Path) -> None:
    """Check that what is to be written is on this machine.

    Raises
    ------
    RunError
        If it is at a URL.

    Examples
    --------
    >>> check_local("--out", Path("s3://bucket/report.html"))
    Traceback (most recent call last):
    ...
    hybrid.errors.RunError: --out: expected a path of this machine, found s3://bucket/report.html. ...
    """
    if url := remote_url(path):
        raise RunError(
            f"{option}: expected a path of this machine, found {url}. Write it here, and copy it there when "
            "it is complete."
        )


def nearest_folder(path: Path) -> Path:
    """Return the first that exists of a path, its folder, the folder of that, and so on.

    Examples
    --------
    >>> nearest_folder(Path("nowhere/at/all"))
    PosixPath('.')
    """
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def write_problem(folder: Path) -> str | None:
    """Why a folder cannot be written; None if it can. A MiB is reserved in a file that has no name.

    Where the file system has no such files, rights and free space are asked for: nothing that a kill could
    leave behind is made.

    Examples
    --------
    >>> write_problem(Path("."))
    >>> write_problem(Path("nowhere"))
    'No such file or directory'
    """
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except (OSError, AttributeError) as error:
        if getattr(error, "errno", errno.ENOSYS) in NO_UNNAMED_FILES:
            return _asked(folder)
        return getattr(error, "strerror", None) or str(error)
    try:
        _write(descriptor)
    except OSError as error:
        return error.strerror or str(error)
    finally:
        os.close(descriptor)
    return None


def _asked(folder: Path) -> str | None:
    if not os.access(folder, os.W_OK | os.X_OK):
        read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
        return os.strerror(errno.EROFS if read_only else errno.EACCES)
    usage = shutil.disk_usage(folder)
    if not usage.total:  # no disk at all, as /proc; or one of a network whose size nobody knows
        return _tried(folder)
    return os.strerror(errno.ENOSPC) if usage.free < PROBE else None


def _tried(folder: Path) -> str | None:
    """Make an empty folder, and remove it."""
    try:
        Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=folder)).rmdir()
    except OSError as error:
        return f"nothing can be made in it ({error.strerror or error})"
    return None


def _write(descriptor: int) -> None:
    """Reserve a MiB of the disk, or write it where the file system cannot reserve."""
    with contextlib.suppress(OSError, AttributeError):
        os.posix_fallocate(descriptor, 0, PROBE)
        return
    rest = memoryview(bytes(PROBE))
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)  # quotas and network file systems may tell only now
