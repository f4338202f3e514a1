"""Copies of files at URLs, in unnamed files of this machine, which the system removes with the process.

Of one state of a file there is one copy in a process: what is hashed is what is parsed.
"""

from __future__ import annotations

import errno
import io
import os
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, cast

from hybrid.errors import TemporaryFileError
from hybrid.remote.errors import RemoteFileError
from hybrid.remote.objects import Status, check_size, read_range, status

BLOCK = 16 * 2**20  # bytes of a request


class _Copy:
    """A file without a name, which is closed once nobody reads it."""

    def __init__(self, url: str, status: Status, limit: int) -> None:
        self.status = status
        with _writing(url):
            # Closed with this object.
            file = tempfile.TemporaryFile(prefix="hybrid-remote-")  # noqa: SIM115
        weakref.finalize(self, file.close)
        self.descriptor = file.fileno()
        _fill(file, url, status, limit)


_guard = threading.Lock()
_copies: dict[str, _Copy] = {}


def open_copy(url: str, limit: int) -> BinaryIO:
    """Open a copy of a file for reading bytes; it is made where there is none of its present state.

    Parameters
    ----------
    url : str
    limit : int
        Bytes that it may have.

    Raises
    ------
    RemoteFileError
        If it is missing, refused or too large, or changes while it is copied.
    RemoteError
        If the server does not answer, or refuses the credentials.
    TemporaryFileError
        If the disk of the temporary files is full, or refuses for another reason.
    """
    now = status(url)
    with _guard:
        known = _copies.get(url)
        if known is None or known.status != now or not now.tag:
            check_size(url, now.size or 0, limit)
            known = _copies[url] = _Copy(url, now, limit)
    return cast("BinaryIO", io.BufferedReader(_View(known)))


@contextmanager
def _writing(url: str) -> Iterator[None]:
    """What the system refuses inside is told of the copy: it is no fault of the file."""
    try:
        yield
    except OSError as error:
        place = tempfile.tempdir or "any temporary folder"
        raise TemporaryFileError(
            f"{url}: cannot copy it to a temporary file in {place}: {error.strerror or error}. Free some "
            "space there, or name another folder by TMPDIR, and run the command again."
        ) from error


def _fill(file: IO[bytes], url: str, before: Status, limit: int) -> None:
    done, size = 0, limit + 1 if before.size is None else before.size
    while done < size and (block := read_range(url, done, BLOCK)):
        with _writing(url):
            done += file.write(block)
        check_size(url, done, limit)
        # It was the last one; or all of the file, from a server that knows no ranges.
        if len(block) != BLOCK:
            break
    with _writing(url):
        file.flush()
    if status(url) != before or done != (before.size or done):
        raise RemoteFileError(errno.ESTALE, "it changed while it was read; try again", url)


class _View(io.RawIOBase):
    """Reads a copy that others read, too, from a place of its own."""

    def __init__(self, copy: _Copy) -> None:
        super().__init__()
        self._copy, self._at = copy, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """Of the file, for its size."""
        return self._copy.descriptor

    def readinto(self, buffer: Any) -> int:
        """Read some bytes."""
        data = os.pread(self.fileno(), len(buffer), self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        starts = {
            io.SEEK_SET: 0,
            io.SEEK_CUR: self._at,
            io.SEEK_END: os.fstat(self.fileno()).st_size,
        }
        self._at = starts[whence] + offset
        return self._at

    def tell(self) -> int:
        """The place."""
        return self._at
