"""Compressed files are read here: a stream that ends in an error where a small file unpacks to too much."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

RATIO = 100  # tables seldom shrink to a twentieth
ALLOWED = 256 * 2**20  # bytes that any file may unpack to


class UnpackedTooLargeError(OSError):
    """A compressed file unpacks to more than a table of its size would.

    Examples
    --------
    >>> print(UnpackedTooLargeError("a.csv.gz", 2**28).strerror)
    it unpacks to more than 256 MiB, 100 times its size (a decompression bomb?); if it is sound, unpack it
    """

    def __init__(self, path: str | Path, limit: int, remedy: str = "unpack it") -> None:
        super().__init__(
            errno.EFBIG,
            f"it unpacks to more than {limit // 2**20:,} MiB, {RATIO} times its size (a decompression "
            f"bomb?); if it is sound, {remedy}",
            str(path),
        )


def limit_of(size: int) -> int:
    """Bytes that a compressed file of a size may unpack to.

    Examples
    --------
    >>> limit_of(100) // 2**20, limit_of(2**30) // 2**30
    (256, 100)
    """
    return max(ALLOWED, RATIO * size)


class Unpacked(io.RawIOBase):
    """The content of a compressed file, as a raw stream; see `unpack`.

    Parameters
    ----------
    path : str or Path
        For the message.
    fileobj : BinaryIO
        The compressed bytes.
    stream : BinaryIO
        What unpacks them.
    limit : int
        Bytes that it may unpack to.
    """

    def __init__(self, path: str | Path, fileobj: BinaryIO, stream: Any, limit: int) -> None:
        super().__init__()
        self.path, self.fileobj, self.limit = path, fileobj, limit
        self._stream, self._at = stream, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """Backwards by unpacking from the start again."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Unpack some bytes.

        Raises
        ------
        UnpackedTooLargeError
            Where there are too many of them.
        """
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        if self._at > self.limit:
            raise UnpackedTooLargeError(self.path, self.limit)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place of the content."""
        self._at = int(self._stream.seek(offset, whence))
        return self._at

    def tell(self) -> int:
        """The place in the content."""
        return self._at

    def close(self) -> None:
        """Close what unpacks; the compressed file stays open."""
        if not self.closed:
            self._stream.close()
        super().close()


class _Buffered(io.BufferedReader):
    """A buffered `Unpacked` that names the compressed file, as gzip's own does."""

    @property
    def fileobj(self) -> BinaryIO:
        """The compressed bytes."""
        raw: Any = self.raw
        return raw.fileobj


def unpack(file: BinaryIO, path: str | Path, kind: str = "gzip") -> io.BufferedReader:
    """Unpack an open file while it is read.

    Parameters
    ----------
    file : BinaryIO
        As `hybrid.utils.reading.open_file` opens it; it is not closed.
    path : str or Path
        For the message.
    kind : {"gzip", "bz2", "xz", "zip"}, default="gzip"
        Of a zip archive the only file in it.

    Returns
    -------
    io.BufferedReader
        Reading raises `UnpackedTooLargeError` once it has given more than 256 MiB and 100 times the size of
        the file; and, for damage, one of `DAMAGE`.

    Examples
    --------
    >>> import io, gzip
    >>> with unpack(io.BytesIO(gzip.compress(b"id,genres")), "films.csv.gz") as content:
    ...     content.read()
    b'id,genres'
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return _Buffered(Unpacked(path, file, _OPENERS[kind](file), limit_of(size)), 2**16)


def _only_member(file: BinaryIO) -> Any:
    archive = zipfile.ZipFile(file)
    names = [name for name in archive.namelist() if not name.endswith("/")]
    if len(names) != 1:
        raise OSError(errno.EINVAL, f"expected one file in the archive, found {len(names):,}")
    return archive.open(names[0])


def _gzip(file: BinaryIO) -> Any:
    return gzip.GzipFile(fileobj=file)


_OPENERS: dict[str, Callable[[BinaryIO], Any]] = {
    "gzip": _gzip,
    "bz2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
    "zip": _only_member,
}
# What these raise for damage, beside OSError.
DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError)
