"""Every file that is read is opened here: a regular file, without waiting, no larger than its kind may be.

A pipe or a device in the place of a file would be waited for, or read, for ever. What lies at a URL is copied
to an unnamed file of this machine, and that is opened. The errors are those of the operating system as well
(`OSError`), so that whoever reads a file names the command or option to mend it.
`tests/test_architecture.py` finds files that are opened in another way.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from hybrid.errors import HybridError
from hybrid.remote.address import remote_url
from hybrid.remote.copies import open_copy
from hybrid.remote.objects import status
from hybrid.utils.strict_json import load_json

# Errors of opening a file that say what is in its place, and not that the disk refuses.
_INSTEAD = {
    errno.ELOOP: "it is a link to itself",
    errno.ENXIO: "it is a socket, not a regular file",
    errno.ENOTDIR: "there is a file in the place of its folder",
}
_KB, _MB, _GB = 2**10, 2**20, 2**30
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


@dataclass(frozen=True)
class FileKind:
    """What a file is, and how large it may be.

    Parameters
    ----------
    name : str
        With its article, for the messages.
    limit : int
        In bytes: some ten times what the largest known project needs.
    """

    name: str
    limit: int


# What hybrid writes into a run, and what it reads of one made elsewhere.
RUN_RECORD = FileKind("a run.json", 64 * _MB)
STUDY = FileKind("a study of a run", 64 * _MB)
PREDICTIONS = FileKind("a table of predictions", 16 * _GB)
PROVENANCE = FileKind("a list of the items that a model has learnt from", 2 * _GB)
MODEL = FileKind("a model", 16 * _GB)
STRUCTURE = FileKind("the structure of a model", 256 * _MB)
MANIFEST = FileKind("a manifest.json", _MB)
TRAINING = FileKind("the state of a training", 16 * _GB)
# What a user brings.
CATALOGUE = FileKind("a catalogue", 256 * _GB)
SPLIT = FileKind("a split", 4 * _GB)
WEIGHTS = FileKind("a file of weights", 16 * _GB)
IMAGE = FileKind("an image", 256 * _MB)
TAR = FileKind("a tar file", 16 * 1024 * _GB)
DATA_SET = FileKind("a file of a data set", 1024 * _GB)
EMBEDDINGS = FileKind("a file of embeddings", 1024 * _GB)
IDS_FILE = FileKind("a list of ids", 16 * _GB)
OUTPUT = FileKind("an output", 1024 * _GB)
OUTPUT_RECORD = FileKind("a record of an output", 64 * _KB)
LEDGER = FileKind("a list of fetched posters", 4 * _GB)
TEXT = FileKind("a text file", 64 * _MB)
# The cache of embeddings, and what is remembered beside it.
CONFIG = FileKind("a config.json of the cache", 16 * _MB)
POINTER = FileKind("a small file of the cache", 64 * _KB)
GENERATION = FileKind("a list of parts of the cache", 256 * _MB)
PART = FileKind("a part of the cache", 64 * _GB)
MEMO = FileKind("a memo of hashes", 8 * _GB)
FROZEN = FileKind("a file of activations", 1024 * _GB)
SHARD = FileKind("a shard of sparse features", 16 * _GB)
SHARD_INDEX = FileKind("a shards.json", 64 * _MB)
SYSTEM = FileKind("a file of the system", 16 * _MB)


class UnusableFileError(HybridError, OSError):
    """A file is not opened or read: it is no regular file, or larger than its kind may be.

    Parameters
    ----------
    path : str or Path
    kind : FileKind
    found : str
        What is there.
    code : int
        Of `errno`.

    Examples
    --------
    >>> print(UnusableFileError("run.json", RUN_RECORD, "a pipe", errno.EINVAL))
    run.json: expected a run.json, a regular file of at most 64 MiB, found a pipe. Put the file itself there.
    """

    def __init__(self, path: str | Path, kind: FileKind, found: str, code: int) -> None:
        super().__init__(code, f"it is {found}, not a regular file", str(path))
        self.kind, self.found = kind, found
        if code == errno.EFBIG:
            self.strerror = f"it is {found}, more than {_size(kind.limit)}"

    def __reduce__(self) -> tuple[Any, ...]:
        """For worker processes."""
        return type(self), (self.filename, self.kind, self.found, self.errno)

    def __str__(self) -> str:
        """What was expected, what was found and what to do."""
        remedy = (
            "Is it another file?" if self.errno == errno.EFBIG else "Put the file itself there."
        )
        return (
            f"{self.filename}: expected {self.kind.name}, a regular file of at most "
            f"{_size(self.kind.limit)}, found {self.found}. {remedy}"
        )


class UnparsableError(HybridError, ValueError):
    """The content of a file is not in its format."""


def _size(limit: int) -> str:
    for unit, name in ((_GB, "GiB"), (_MB, "MiB"), (_KB, "KiB")):
        if limit >= unit:
            return f"{limit / unit:,.4g} {name}"
    return f"{limit} bytes"


def open_file(path: str | Path, kind: FileKind) -> BinaryIO:
    """Open a regular file for reading bytes.

    Parameters
    ----------
    path : str or Path
        A symbolic link is followed. Of a URL a copy is opened (`hybrid.remote.copies`).
    kind : FileKind
        The file may not be larger than this kind of files is.

    Returns
    -------
    file
        Buffered; to be closed by the caller.

    Raises
    ------
    UnusableFileError
        If it is not a regular file, or too large; it is an `OSError`, too.
    OSError
        If it cannot be opened.
    RemoteError
        If the server of a URL does not answer, or refuses the credentials.

    Examples
    --------
    >>> _ = Path("a.txt").write_bytes(b"text")
    >>> with open_file("a.txt", TEXT) as file:
    ...     file.read()
    b'text'
    >>> open_file(".", TEXT)
    Traceback (most recent call last):
    ...
    hybrid.utils.reading.UnusableFileError: .: expected a text file, a regular file of at most 64 MiB, ...
    """
    if url := remote_url(path):
        return open_copy(url, kind.limit)
    # Without O_NONBLOCK, opening a pipe waits for someone who writes into it.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        _check(descriptor, path, kind)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check(descriptor: int, path: str | Path, kind: FileKind) -> None:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        found = next((name for test, name in _KINDS if test(status.st_mode)), "something else")
        code = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        raise UnusableFileError(path, kind, found, code)
    if status.st_size > kind.limit:
        raise UnusableFileError(path, kind, f"{status.st_size:,} bytes", errno.EFBIG)
    # Such as the memory of this process, which is read for hours.
    if not status.st_size and kind is not SYSTEM and _has_bytes_without_size(descriptor):
        raise UnusableFileError(path, kind, "a file of the system", errno.EINVAL)


def _has_bytes_without_size(descriptor: int) -> bool:
    """Whether a file that had no size has bytes and still none, or can be read in larger pieces only."""
    try:
        return bool(os.pread(descriptor, 1, 0)) and not os.fstat(descriptor).st_size
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return True


def found_instead(path: str | Path, error: OSError) -> str | None:
    """What is in the place of a file that cannot be opened; None where none is, or the disk refuses to say.

    Parameters
    ----------
    path : str or Path
    error : OSError
        That opening it raised.

    Examples
    --------
    >>> Path("no-link.txt").symlink_to("nowhere")
    >>> try:
    ...     read_bytes("no-link.txt", TEXT)
    ... except OSError as error:
    ...     print(found_instead("no-link.txt", error))
    it is a link to nothing
    """
    if isinstance(error, UnusableFileError):
        return str(error.strerror)
    if isinstance(error, FileNotFoundError):
        return "it is a link to nothing" if Path(path).is_symlink() else None
    return _INSTEAD.get(error.errno or 0)


def checked(path: Path, kind: FileKind) -> Path:
    """Check a file that a library opens by its path; see `open_file`.

    Returns
    -------
    Path
        The same.

    Examples
    --------
    >>> _ = Path("a.txt").write_bytes(b"text")
    >>> checked(Path("a.txt"), TEXT).name
    'a.txt'
    """
    if remote_url(path):
        raise UnusableFileError(path, kind, "a URL", errno.EINVAL)
    open_file(path, kind).close()
    return path


def size_of(path: str | Path) -> int:
    """Bytes of a file, as the disk or the server of a URL tells."""
    url = remote_url(path)
    return (status(url).size or 0) if url else Path(path).stat().st_size


def open_text(
    path: str | Path,
    kind: FileKind,
    encoding: str = "utf-8",
    errors: str = "strict",
    newline: str | None = None,
) -> io.TextIOWrapper:
    r"""Open a regular file for reading text; see `open_file`, and `open` of Python for what is not here.

    Examples
    --------
    >>> _ = Path("a.txt").write_bytes(b"one\r\ntwo")
    >>> with open_text("a.txt", TEXT) as file:
    ...     list(file)
    ['one\n', 'two']
    """
    return io.TextIOWrapper(
        open_file(path, kind), encoding=encoding, errors=errors, newline=newline
    )


def read_bytes(path: str | Path, kind: FileKind) -> bytes:
    """Read all of a regular file; see `open_file`.

    A file of the system says that it has no bytes, and another one can grow while it is read: neither gives
    more than the limit.

    Examples
    --------
    >>> _ = Path("a.txt").write_bytes(b"text")
    >>> read_bytes("a.txt", TEXT)
    b'text'
    """
    with open_file(path, kind) as file:
        # As many bytes as it says are read at once; what is beyond them, in small pieces.
        content = file.read(os.fstat(file.fileno()).st_size + 1)
        while block := file.read(_MB):
            content += block
            if len(content) > kind.limit:
                found = f"more than {kind.limit:,} bytes"
                raise UnusableFileError(path, kind, found, errno.EFBIG)
    return content


def hash_file(path: str | Path, kind: FileKind) -> str:
    """SHA-256 of a regular file, in hex, read in blocks; see `open_file`.

    Examples
    --------
    >>> _ = Path("a.txt").write_bytes(b"")
    >>> hash_file("a.txt", TEXT)[:8]
    'e3b0c442'
    """
    digest = hashlib.sha256()
    with open_file(path, kind) as file:
        while block := file.read(_MB):
            digest.update(block)
    return digest.hexdigest()


def read_text(
    path: str | Path, kind: FileKind, encoding: str = "utf-8", errors: str = "strict"
) -> str:
    r"""Read all of a regular file as text, its line ends as ``\n``; see `open_file`.

    Examples
    --------
    >>> _ = Path("a.txt").write_bytes(b"text")
    >>> read_text("a.txt", TEXT)
    'text'
    """
    text = io.TextIOWrapper(io.BytesIO(read_bytes(path, kind)), encoding=encoding, errors=errors)
    return text.read()


def read_json(path: str | Path, kind: FileKind) -> Any:
    """Read and parse a regular file of JSON in UTF-8; see `open_file` and `parse_json`.

    Raises
    ------
    UnparsableError
        If it is no JSON, and for what `parse_json` names.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> _ = Path("a.json").write_bytes(b'{"a": 1}')
    >>> read_json("a.json", TEXT)
    {'a': 1}
    """
    return parse_json(read_bytes(path, kind))


def read_json_object(
    path: str | Path, error: type[HybridError], wanted: str = "JSON", remedy: str = ""
) -> dict[str, Any]:
    """Read an object of JSON from a file; whatever is wrong with it is one `error`.

    Its message says what was `wanted` and, if the file cannot be read or parsed, what to do (`remedy`).

    Examples
    --------
    >>> from hybrid.errors import WeightsError
    >>> _ = Path("a.json").write_bytes(b"[]")
    >>> read_json_object("a.json", WeightsError)
    Traceback (most recent call last):
    hybrid.errors.WeightsError: a.json: expected a JSON object, found list.
    """
    try:
        found = read_json(path, TEXT)
    except (OSError, ValueError) as problem:
        raise error(f"{path}: expected {wanted}, found: {problem}. {remedy}".rstrip()) from problem
    if not isinstance(found, dict):
        raise error(f"{path}: expected a JSON object, found {type(found).__name__}.")
    return found


def parse_json(text: str | bytes) -> Any:
    """Parse JSON; whatever is wrong with it is one error.

    Raises
    ------
    UnparsableError
        If it is no JSON, is nested more than 100 deep, or has a key twice in an object, a number of thousands
        of digits or bytes that are not UTF-8. It is a `ValueError`, too.

    Examples
    --------
    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
    ...
    hybrid.utils.reading.UnparsableError: it is nested too deeply (more than 100 levels)
    """
    try:
        return load_json(text)
    except ValueError as error:
        raise UnparsableError(str(error)) from error
