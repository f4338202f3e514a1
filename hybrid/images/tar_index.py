"""Where the members of a tar file lie: one pass over its headers, without unpacking it.

Read are ustar, pax and GNU tar files (POSIX.1-2001, "pax Interchange Format"; the manual of GNU tar, "Basic
Tar Format"). A file from elsewhere may be anything: no header is believed that its checksum contradicts, no
member that does not lie in the file; links are not followed; of two members of one name neither is taken.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid.utils.counts import counted

BLOCK = 512  # bytes of a header; a member's content is filled up to a multiple of it
MEMBERS = 10_000_000  # of a file
EXTENSION = 2**20  # bytes of the records of pax or the long name of GNU that belong to a member
BEHIND = (
    2**20
)  # bytes after the end of the archive that a writer fills its last record with, at most

Read = Callable[[int, int], bytes]
_FILES, _EMPTY, _LONG = b"0\0" + b"7", b"123456", b"LK"
_ZEROS = bytes(BLOCK)
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}
# Instead of the size of a member that is not read: why.
LINK, FOLDER, SPECIAL, SPARSE, TWICE, CUT = range(-1, -7, -1)
REASONS = {
    LINK: "is a link within its tar file, which is not followed; pack the file itself in its place",
    FOLDER: "is a folder, not a file",
    SPECIAL: "is not a regular file",
    SPARSE: "is a sparse file of its tar file, which is not read; pack it as a whole",
    TWICE: "is in its tar file more than once; which is meant is not known",
    CUT: "is cut short: its tar file ends within it",
}


class _Member(NamedTuple):
    name: bytes
    start: int
    size: int  # or why it is not read


class _DamageError(Exception):
    """From here on the file is not understood."""


@dataclass(frozen=True, eq=False)
class TarIndex:
    """The members of a tar file, by their names: 32 bytes each.

    Parameters
    ----------
    names : ndarray of shape (n, 2), uint64
        Hashes of the names, ascending by their first halves.
    starts, sizes : ndarray of shape (n,), int64
        Where the content of each member begins, and how long it is; or, negative, why it is not read
        (`REASONS`).
    problem : str
        Why there may be further members, or ``""``.

    Examples
    --------
    >>> import io, os, tarfile
    >>> from functools import partial
    >>> with tarfile.open("one.tar", "w") as tar:
    ...     member = tarfile.TarInfo("./1.jpg")
    ...     member.size = 5
    ...     tar.addfile(member, io.BytesIO(b"image"))
    >>> with open("one.tar", "rb") as file:
    ...     index = index_tar(partial(os.pread, file.fileno()), 10_240)
    >>> index.find("1.jpg"), index.find("2.jpg")
    ((512, 5), 'its tar file has no member of this name')
    """

    names: NDArray[np.uint64]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    problem: str = ""

    def __len__(self) -> int:
        return len(self.starts)

    def find(self, member: str) -> tuple[int, int] | str:
        """Where a member lies: its first byte and its size; or why it cannot be read.

        Parameters
        ----------
        member : str
            Its name. ``./1.jpg`` and ``1.jpg`` are the same.
        """
        wanted = np.frombuffer(_hash(member.encode(errors="surrogateescape")), dtype=np.uint64)
        place = int(np.searchsorted(self.names[:, 0], wanted[0]))
        while place < len(self) and self.names[place, 0] == wanted[0]:
            if self.names[place, 1] == wanted[1]:
                size = int(self.sizes[place])
                return REASONS[size] if size < 0 else (int(self.starts[place]), size)
            place += 1
        return self.problem or "its tar file has no member of this name"


def index_tar(read: Read, size: int) -> TarIndex:
    """Read the headers of a tar file.

    Parameters
    ----------
    read : callable
        Reads from the open file: ``read(count, at)``, as `os.pread` does.
    size : int
        Of the file, in bytes.

    Returns
    -------
    TarIndex
        With the members before the first header that is damaged, where one is; `TarIndex.problem` says so.
    """
    names, starts, sizes = bytearray(), array("q"), array("q")
    problem = ""
    try:
        for member in _members(read, size):
            names += _hash(member.name)
            starts.append(member.start)
            sizes.append(member.size)
            if len(starts) > MEMBERS:
                raise _DamageError(f"has more than {MEMBERS:,} members: write several")
    except _DamageError as error:
        problem = f"its tar file {error}"
    return _sorted(names, starts, sizes, problem)


def _sorted(names: bytearray, starts: array[int], sizes: array[int], problem: str) -> TarIndex:
    hashes = np.frombuffer(bytes(names), dtype=np.uint64).reshape(-1, 2)
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))
    hashes = hashes[order]
    found = np.frombuffer(sizes, dtype=np.int64)[order]
    same = (hashes[1:] == hashes[:-1]).all(axis=1)
    found[1:][same] = found[:-1][same] = TWICE
    return TarIndex(hashes, np.frombuffer(starts, dtype=np.int64)[order], found, problem)


def _hash(name: bytes) -> bytes:
    if b"./" in name or name[-1:] in b"/." or b"//" in name or name[:1] == b"/":
        name = b"/".join(part for part in name.split(b"/") if part not in (b"", b"."))
    return blake2b(name, digest_size=16).digest()


def _members(read: Read, size: int) -> Iterator[_Member]:
    at, said = 0, dict[bytes, bytes]()
    while at < size:
        header = _read(read, BLOCK, at)
        if header == _ZEROS:
            _check_end(at, size)
            return
        _check_header(header, at)
        kind, length = header[156:157], _number(header[124:136], at)
        start = at + BLOCK
        if kind in b"xg" or kind in _LONG:
            at = _after(start, length, size)
            if length > EXTENSION or at > size:
                raise _DamageError(f"is damaged at byte {start - BLOCK:,} (an extended header)")
            _extend(said, kind, _read(read, length, start), start - BLOCK)
            continue
        if b"size" in said:
            length = _decimal(said[b"size"], at)
        if kind == b"S":
            start = _after_sparse(read, header, start)
        name, why = _name(header, said), _unread(kind, header, said)
        if kind in _EMPTY:
            length = 0
        at = _after(start, length, size)
        yield _Member(name, start, CUT if start + length > size else length if why is None else why)
        said = {}
    if at > size:
        raise _DamageError(f"is cut short: it has {counted(size, 'byte')}")


def _check_end(at: int, size: int) -> None:
    """Of tar files that were joined, only the first is read; more members may follow."""
    if size - at > BEHIND:
        raise _DamageError(
            f"has no such member before its end at byte {at:,} of {size:,}; is it several in one?"
        )


def _read(read: Read, count: int, at: int) -> bytes:
    try:
        data = read(count, at)
    except OSError as error:
        raise _DamageError(f"cannot be read at byte {at:,} ({error.strerror})") from error
    if len(data) < count:
        raise _DamageError(f"is cut short: it ends within a header at byte {at:,}")
    return data


def _check_header(header: bytes, at: int) -> None:
    try:
        said = int(header[148:156].strip(b" \0") or b"x", 8)
    except ValueError:
        said = -1
    rest = header[:148] + b" " * 8 + header[156:]
    if sum(rest) == said or sum(rest) - 256 * sum(byte > 127 for byte in rest) == said:
        return
    if at:
        raise _DamageError(f"is damaged at byte {at:,}")
    for start, method in _COMPRESSED.items():
        if header.startswith(start):
            raise _DamageError(
                f"is compressed ({method}), and its members cannot be read one by one: unpack it to a plain "
                ".tar, and name that"
            )
    raise _DamageError("is no tar file")


def _number(field: bytes, at: int) -> int:
    """A number of a header: octal digits, or base 256 where the first bit is set."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    try:
        number = int(field.strip(b" \0") or b"0", 8)
    except ValueError:
        number = -1
    if number < 0:
        raise _DamageError(f"is damaged at byte {at:,} (the size of a member)")
    return number


def _decimal(value: bytes, at: int) -> int:
    if not (value.isdigit() and len(value) < 20):
        raise _DamageError(f"is damaged at byte {at:,} (the size of a member)")
    return int(value)


def _after(start: int, length: int, size: int) -> int:
    """Where the next header is; a content without its filling may end the file."""
    end = start + length
    return size if end == size else start + -(-length // BLOCK) * BLOCK


def _after_sparse(read: Read, header: bytes, start: int) -> int:
    """Where the content of a sparse file of GNU begins: after the blocks that go on with its map."""
    goes_on = header[482:483]
    while goes_on not in (b"", b"\0"):
        goes_on = _read(read, BLOCK, start)[504:505]
        start += BLOCK
    return start


def _extend(said: dict[bytes, bytes], kind: bytes, data: bytes, at: int) -> None:
    """Note what an extended header says of the next member."""
    if kind == b"L":
        said[b"path"] = data.rstrip(b"\0")
    elif kind == b"x":
        said |= _records(data, at)
    elif kind == b"g" and any(_matters(key) for key in _records(data, at)):
        raise _DamageError(f"gives all members one name or size, at byte {at:,}")


def _matters(key: bytes) -> bool:
    return key in (b"path", b"size") or key.startswith(b"GNU.sparse.")


def _records(data: bytes, at: int) -> dict[bytes, bytes]:
    """The records of pax, each ``length key=value``, that say what member it is."""
    found, start = {}, 0
    while start < len(data):
        head, _, _ = data[start : start + 20].partition(b" ")
        end = start + int(head) if head.isdigit() else start
        key, equals, value = data[start + len(head) + 1 : end - 1].partition(b"=")
        if end > len(data) or data[end - 1 : end] != b"\n" or not equals:
            raise _DamageError(f"is damaged at byte {at:,} (an extended header)")
        if _matters(key):
            found[key] = value
        start = end
    return found


def _name(header: bytes, said: dict[bytes, bytes]) -> bytes:
    given = said.get(b"GNU.sparse.name") or said.get(b"path")
    if given is not None:
        return given
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _unread(kind: bytes, header: bytes, said: dict[bytes, bytes]) -> int | None:
    """Why a member is not read; None where it is a regular file."""
    if kind == b"S" or any(key.startswith(b"GNU.sparse.") for key in said):
        return SPARSE
    if kind in b"12":
        return LINK
    if kind == b"5" or (kind == b"\0" and header[:100].partition(b"\0")[0].endswith(b"/")):
        return FOLDER
    return None if kind in _FILES else SPECIAL
