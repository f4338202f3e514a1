"""Files at a URL: their size and tag, their bytes whole or in part, and what a folder holds."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from hybrid.remote.errors import MissingRemoteFileError, RemoteFileError
from hybrid.remote.filesystem import ask

FIRST = 2**20  # bytes; few images are larger, and one request reads those that are not
AHEAD = 4 * 2**20
_TAGS = ("ETag", "etag", "md5Hash", "Content-MD5", "Digest")


class Status(NamedTuple):
    """What a server tells of a file.

    Parameters
    ----------
    size : int or None
        In bytes; None where the server does not say.
    tag : str
        Another one for other bytes; ``""`` where the server gives none.
    """

    size: int | None
    tag: str


def status(url: str) -> Status:
    """Ask for the size and the tag of a file.

    Raises
    ------
    RemoteFileError
        If it is missing or refused; a folder is missing.
    RemoteError
        If the server does not answer.
    """
    found = ask(url, lambda fs, path: fs.info(path))
    if found["type"] != "file":
        raise MissingRemoteFileError(url)
    return _status(found)


def _status(info: dict[str, Any]) -> Status:
    tag = next((str(info[name]) for name in _TAGS if info.get(name)), "")
    return Status(info.get("size"), tag)


def read_range(url: str, start: int, size: int) -> bytes:
    """Read some bytes of a file; fewer at its end. A server that knows no ranges gives all of it.

    Raises
    ------
    RemoteFileError, RemoteError
        As `status` does.
    """
    try:
        return ask(url, lambda fs, path: fs.cat_file(path, start=start, end=start + size))
    except RemoteFileError as error:
        if error.errno == errno.ERANGE:  # there is nothing behind its end, nor in an empty file
            return b""
        raise


class ReadAhead:
    """Reads a file from its start to its end in few requests, whatever pieces it is asked for.

    Parameters
    ----------
    url : str
    """

    def __init__(self, url: str) -> None:
        self._url, self._start, self._block = url, 0, b""

    def read(self, count: int, at: int) -> bytes:
        """Read some bytes; fewer at the end of the file."""
        begin = at - self._start
        if begin < 0 or begin + count > len(self._block):
            self._start, self._block = at, read_range(self._url, at, max(count, AHEAD))
            begin = 0
        return self._block[begin : begin + count]


def read_whole(url: str, limit: int, hold: Callable[[int], object] = bool) -> bytes:
    """Read all of a file: of a small one in one request.

    Parameters
    ----------
    url : str
    limit : int
        Bytes that it may have.
    hold : callable, optional
        Called with the number of bytes: of a large file before they are read.

    Raises
    ------
    RemoteFileError, RemoteError
        As `status` does; or if the file is too large (EFBIG).
    """
    data = read_range(url, 0, min(FIRST, limit + 1))
    if len(data) >= FIRST:
        size = check_size(url, status(url).size or len(data), limit)
        hold(size)
        return data if len(data) == size else read_range(url, 0, size)
    hold(check_size(url, len(data), limit))
    return data


def check_size(url: str, size: int, limit: int) -> int:
    """Return the size of a file.

    Raises
    ------
    RemoteFileError
        If it is beyond the limit (EFBIG).
    """
    if size > limit:
        raise RemoteFileError(
            errno.EFBIG, f"its size in bytes, {size:,}, is more than {limit:,}", url
        )
    return size


def is_folder(url: str) -> bool:
    """Whether there is something below a URL. Web servers have no folders: any can be one."""
    if url.startswith("http"):
        return True
    try:
        return ask(url, lambda fs, path: bool(fs.isdir(path)))
    except RemoteFileError:
        return True  # whoever may read its files, but not list them, is told by the files


class Listings:
    """What lies in folders at URLs: each is listed once, when the first of its files is asked for.

    A thousand files are one request to S3 or Google Cloud Storage. Where a folder cannot be listed, as on web
    servers, each file is asked for by itself.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._folders: dict[str, dict[str, Status] | None] = {}

    def find(self, url: str) -> Status | None:
        """Size and tag of a file; None where there is none."""
        folder, _, name = url.rpartition("/")
        with self._guard:
            if folder not in self._folders:
                self._folders[folder] = _list(folder)
            listed = self._folders[folder]
        if listed is not None:
            return listed.get(name)
        try:
            return status(url)
        except RemoteFileError:
            return None


def _list(folder: str) -> dict[str, Status] | None:
    if folder.startswith("http"):
        return None
    try:
        found = ask(folder, lambda fs, path: fs.ls(path, detail=True))
    except MissingRemoteFileError:
        return {}
    except RemoteFileError:
        return None
    files = (info for info in found if info["type"] == "file")
    return {info["name"].rpartition("/")[2]: _status(info) for info in files}
