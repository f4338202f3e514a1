"""Images that a tar file holds: read where they lie, without unpacking it."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

from hybrid.images.references import MemberReference
from hybrid.images.tar_index import Read, TarIndex, index_tar
from hybrid.remote.address import remote_url
from hybrid.remote.objects import ReadAhead, Status, read_range, status
from hybrid.utils.reading import IMAGE, TAR, UnusableFileError, open_file

OPEN = 64  # tar files at a time; opening one anew costs little
ASKED_SECONDS = 10  # between questions whether a tar file at a URL has changed
HELD = 20_000_000  # members of all files whose places are remembered: 640 MB


class _Stamp(NamedTuple):
    """Tells a file of this machine from what it was, and from one in its place."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


def read_member(reference: MemberReference, hold: Callable[[int], object] = bool) -> bytes | str:
    """Read an image within a tar file.

    The first time, the headers of all its members are read; their places are remembered until the file
    changes.

    Parameters
    ----------
    reference : MemberReference
    hold : callable, optional
        Called with the number of bytes before they are read.

    Returns
    -------
    bytes or str
        The bytes of the image file, or why they cannot be read.

    Raises
    ------
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> read_member(MemberReference("no-such-file.tar", "1.jpg"))
    'tar file not found'
    """
    try:
        opened, place = _find(reference)
    except FileNotFoundError:
        return "tar file not found"
    except UnusableFileError as error:
        return f"its tar file is not read: {error.strerror}"
    if isinstance(place, str):
        return place
    start, size = place
    if size > IMAGE.limit:
        return f"the file is larger than {IMAGE.limit // 2**20} MiB"
    hold(size)
    data = opened.read(size, start)
    return data if len(data) == size else "cannot be read: its tar file changed meanwhile"


def has_member(reference: MemberReference) -> bool:
    """Whether a tar file has a member that can be read.

    Examples
    --------
    >>> has_member(MemberReference("no-such-file.tar", "1.jpg"))
    False
    """
    try:
        return not isinstance(_find(reference)[1], str)
    except (OSError, ValueError):
        return False


def _find(reference: MemberReference) -> tuple[_Open, tuple[int, int] | str]:
    stamp = _stamp(reference.file)
    opened = _open(reference.file, stamp)
    return opened, _INDICES.of(opened, reference.file, stamp).find(reference.member)


def _stamp(file: str) -> _Stamp | Status:
    if url := remote_url(file):
        return _remote_stamp(url, int(time.monotonic() / ASKED_SECONDS))
    s = os.stat(file)  # noqa: PTH116  # quicker, for each of a million
    return _Stamp(s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns)


@lru_cache(maxsize=OPEN)
def _remote_stamp(url: str, turn: int) -> Status:
    """Size and tag of a tar file at a URL; else each member would take two requests."""
    return status(url)


class _Open:
    """A tar file to read from, here or at a URL.

    Parameters
    ----------
    path : str

    Attributes
    ----------
    read, read_ahead : callable
        ``read(count, at)``; the second one for a pass over the file from its start to its end.
    """

    def __init__(self, path: str) -> None:
        if url := remote_url(path):
            self.read: Read = lambda count, at: read_range(url, at, count)
            self.read_ahead: Read = ReadAhead(url).read
            return
        file = open_file(path, TAR)
        self.read = self.read_ahead = partial(os.pread, file.fileno())
        weakref.finalize(self, file.close)  # once no thread reads it


@lru_cache(maxsize=OPEN)
def _open(file: str, stamp: _Stamp | Status) -> _Open:
    """A file as it is now."""
    return _Open(file)


class _Indices:
    """The members of the tar files that were read last; of each file only one thread reads the headers."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._known: OrderedDict[tuple[str, _Stamp | Status], _Once] = OrderedDict()

    def of(self, opened: _Open, file: str, stamp: _Stamp | Status) -> TarIndex:
        with self._guard:
            once = self._known.setdefault((file, stamp), _Once())
            self._known.move_to_end((file, stamp))
        if once.index is None:
            with once.guard:
                if once.index is None:
                    once.index = index_tar(opened.read_ahead, stamp.size or 0)
            self._forget(file, stamp)
        return once.index

    def _forget(self, file: str, stamp: _Stamp | Status) -> None:
        """Forget what the file was before, and the files that were read longest ago, where they are many."""
        with self._guard:
            for each in [each for each in self._known if each[0] == file and each[1] != stamp]:
                del self._known[each]
            held = sum(map(len, self._known.values()))
            while held > HELD and len(self._known) > 1:
                _, oldest = self._known.popitem(last=False)
                held -= len(oldest)


class _Once:
    """The members of one tar file, once its headers are read."""

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.index: TarIndex | None = None

    def __len__(self) -> int:
        return 0 if self.index is None else len(self.index)


_INDICES = _Indices()
