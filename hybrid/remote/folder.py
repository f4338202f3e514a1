"""A folder of files at a URL: listed, read and written whole, file by file."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, TypeVar

from hybrid.remote.errors import RemoteFileError
from hybrid.remote.filesystem import ask

T = TypeVar("T")
READ_ONLY = ("http", "https")


class RemoteFolder:
    """A folder of files at a URL. Names of files are relative to it; a file is there whole or not at all.

    Parameters
    ----------
    url : str
        As `hybrid.remote.address.remote_url` gives it.

    Raises
    ------
    RemoteFileError
        By all methods, where a file is refused.
    RemoteError
        By all methods, where the server does not answer, or refuses the credentials.

    Examples
    --------
    >>> RemoteFolder("http://host/cache/").is_read_only
    True
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    @property
    def is_read_only(self) -> bool:
        """Whether files can only be read, as over HTTP."""
        return self.url.partition(":")[0] in READ_ONLY

    def url_of(self, name: str) -> str:
        """URL of a file, or of a folder."""
        return f"{self.url}/{name}".rstrip("/")

    def list(self, folder: str = "") -> dict[str, int | None]:
        """List all files in a folder and in those in it: name → size in bytes, None where it is not told."""

        def find(filesystem: Any, path: str) -> dict[str, int | None]:
            start = len(path) - len(folder) if folder else len(path.rstrip("/")) + 1
            found = filesystem.find(path, detail=True)
            return {name[start:]: info.get("size") for name, info in found.items()}

        return _unless_missing(lambda: ask(self.url_of(folder), find)) or {}

    def read(self, name: str) -> bytes | None:
        """Read a file; None where there is none."""
        return _unless_missing(lambda: bytes(ask(self.url_of(name), _read)))

    def write(self, name: str, data: bytes) -> None:
        """Write a file, in place of one that is there."""
        ask(self.url_of(name), lambda filesystem, path: filesystem.pipe_file(path, data))

    def create(self, name: str, data: bytes) -> None:
        """Write a file that must not be there yet.

        Raises
        ------
        FileExistsError
            If it is, with other content. A server that cannot tell replaces it.
        """

        def create(filesystem: Any, path: str) -> bool:
            try:
                filesystem.pipe_file(path, data, mode="create")
                return True
            except FileExistsError:
                return bool(
                    _read(filesystem, path) == data
                )  # perhaps ours, and the answer was lost

        if not ask(self.url_of(name), create):
            raise FileExistsError(errno.EEXIST, "another machine was faster", self.url_of(name))

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        _unless_missing(lambda: ask(self.url_of(name), lambda fs, path: fs.rm_file(path)))


def _read(filesystem: Any, path: str) -> Any:
    return filesystem.cat_file(path)


def _unless_missing(call: Callable[[], T]) -> T | None:
    try:
        return call()
    except RemoteFileError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
