"""Atomic and durable file operations: a file under its final name is complete and on the disk.

Each step is one call of a function of `os`, so that tests can record, refuse and cut short each of them.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import itertools
import os
import shutil
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from hybrid.utils.interrupt import undisturbed

TEMPORARY = ".tmp-"
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of renameat2(2)
# What it says where the system or the file system cannot exchange names.
CANNOT_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


def writer_name() -> str:
    """Make a unique name for a file of this process: host, process, and a random part.

    Examples
    --------
    >>> writer_name() == writer_name()
    False
    """
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}"


def write_atomically(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file atomically: under a temporary name, sync, rename, sync the folder.

    Parameters
    ----------
    path : Path
        Replaced in one step if it exists.
    data : bytes or iterable of bytes
        Pieces are written as they come.

    Raises
    ------
    OSError
        If the disk is full or read-only; the temporary file is gone then. `path` is untouched, unless
        the folder itself could not be synced: then the whole file is there, but may not outlive a
        power cut.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> write_atomically(Path(folder.name) / "a.txt", b"text")
    >>> [path.name for path in Path(folder.name).iterdir()]
    ['a.txt']
    >>> folder.cleanup()
    """
    with replacing(path) as temporary:
        write_new(temporary, data)


def write_unsynced(path: Path, data: bytes) -> None:
    """Write a file atomically, but do not sync it: of many files, call `os.sync` after the last one.

    Raises
    ------
    OSError
        If the disk refuses; what was there before is untouched.

    Examples
    --------
    >>> write_unsynced(Path("b.txt"), b"text")
    >>> Path("b.txt").read_text()
    'text'
    """
    with _at_temporary_name(path) as temporary:
        temporary.write_bytes(data)


def write_new(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write and sync a file that must not exist yet; its folder is not synced.

    Parameters
    ----------
    path : Path
    data : bytes or iterable of bytes
        Pieces are written as they come.

    Raises
    ------
    FileExistsError
        If there is one.
    OSError
        If the disk refuses; what was written may be left.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with naming(path):
            for piece in (data,) if isinstance(data, bytes) else data:
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Replace a file atomically: give a temporary name, where the caller writes a file and syncs it.

    Afterwards it is renamed to `path`, and the folder synced; after an error it is removed.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with replacing(Path(folder.name) / "a.txt") as temporary:
    ...     write_new(temporary, b"text")
    >>> [path.name for path in Path(folder.name).iterdir()]
    ['a.txt']
    >>> folder.cleanup()
    """
    with _at_temporary_name(path) as temporary:
        yield temporary
    sync(path.parent)


@contextlib.contextmanager
def _at_temporary_name(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f"{TEMPORARY}{writer_name()}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename in (None, str(temporary), temporary):
            error.filename, error.filename2 = str(path), None  # what the user knows
        with contextlib.suppress(OSError):  # what is to be told is the first error
            remove(temporary)
        raise


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, and sync them.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     make_folder(Path(folder) / "a" / "b")
    ...     (Path(folder) / "a" / "b").is_dir()
    True
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):  # another process may have been faster
        os.mkdir(folder)
    sync(folder.parent)


def make_room(folder: Path, aside: Path) -> bool:
    """Move what is in the place of a folder, and is none, to the folder `aside`; whether there was something.

    `folder` may be `aside` itself.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> write_new(Path(folder.name) / "aside", b"text")
    >>> make_room(Path(folder.name) / "aside", Path(folder.name) / "aside")
    True
    >>> [path.name for path in (Path(folder.name) / "aside").iterdir()]
    ['aside']
    >>> folder.cleanup()
    """
    if folder.is_dir() or not os.path.lexists(folder):
        return False
    if folder == aside:
        between = folder.with_name(f"{TEMPORARY}{writer_name()}") / folder.name
        make_folder(between.parent)
        os.replace(folder, between)
        move(between, aside)
        os.rmdir(between.parent)
    else:
        move(folder, aside)
    return True


def remove(path: Path) -> None:
    """Remove a file, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def move(path: Path, folder: Path) -> None:
    """Move a file, or a folder, to another folder, if it is still there; what is there keeps its name.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> for _ in range(2):
    ...     write_new(Path(folder.name) / "a.txt", b"text")
    ...     move(Path(folder.name) / "a.txt", Path(folder.name) / "aside")
    >>> sorted(path.name for path in (Path(folder.name) / "aside").iterdir())
    ['a.txt', 'a.txt.2']
    >>> folder.cleanup()
    """
    make_folder(folder)
    names = itertools.chain([path.name], (f"{path.name}.{i}" for i in itertools.count(2)))
    target = next(folder / name for name in names if not os.path.lexists(folder / name))
    with contextlib.suppress(FileNotFoundError):
        os.replace(path, target)


def sync(path: Path) -> None:
    """Sync a file or folder to the disk (fsync)."""
    # Without O_NONBLOCK, a pipe in its place would be waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        with naming(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an `OSError` of a call on a descriptor the name of the file, which the system does not know.

    Examples
    --------
    >>> with naming(Path("runs")):
    ...     os.fsync(-1)
    Traceback (most recent call last):
    OSError: [Errno 9] Bad file descriptor: 'runs'
    """
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def reserve(path: Path) -> None:
    """Have the disk reserve a file that is mapped to memory: a full disk refuses now, and later would kill.

    Where the file system cannot reserve, nothing is done.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        with naming(path):
            os.posix_fallocate(descriptor, 0, max(1, os.fstat(descriptor).st_size))
    except AttributeError:  # not on macOS
        pass
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Sync a folder with all that is in it to the disk."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            sync(Path(parent, name))
        sync(Path(parent))


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it, or a link to one, as far as the system allows."""
    if folder.is_symlink():
        remove(folder)
    shutil.rmtree(folder, ignore_errors=True)


def exchange(first: Path, second: Path) -> bool:
    """Exchange the names of two files or folders in one step (renameat2, RENAME_EXCHANGE).

    Returns
    -------
    bool
        False where the system or the file system cannot do it; nothing has changed then.

    Raises
    ------
    OSError
        If one of them does not exist, or the disk refuses.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> a, b = (Path(folder.name) / name for name in "ab")
    >>> _ = a.write_text("1"), b.write_text("2")
    >>> done = exchange(a, b)
    >>> a.read_text() == ("2" if done else "1")
    True
    >>> folder.cleanup()
    """
    call = _renameat2()
    if call is None:
        return False
    if not call(AT_FDCWD, os.fsencode(first), AT_FDCWD, os.fsencode(second), RENAME_EXCHANGE):
        return True
    code = ctypes.get_errno()
    if code in CANNOT_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(first))


@functools.cache
def _renameat2() -> Callable[..., int] | None:
    """The call of the C library; None where it has none."""
    try:
        found: Callable[..., int] = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return None
    return found


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file in a ``with`` block; the file is made, and removed afterwards.

    The system gives the lock back when the process ends, however it ends. Where the file system has no
    locks (flock), there is none.

    Raises
    ------
    BlockingIOError
        If someone else holds it.
    OSError
        If the file cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> with locked(Path(folder.name) / "a.lock"), locked(Path(folder.name) / "a.lock"):
    ...     pass
    Traceback (most recent call last):
    BlockingIOError: [Errno 11] Resource temporarily unavailable
    >>> folder.cleanup()
    """
    with contextlib.ExitStack() as stack:
        with undisturbed():  # a signal would leave the file
            stack.callback(_unlock, path, _lock(path))
        yield


def _unlock(path: Path, descriptor: int) -> None:
    with undisturbed():
        with contextlib.suppress(OSError):  # a file that is left keeps nobody out
            remove(path)  # before the lock ends: whoever waits for this file sees that it is gone
        os.close(descriptor)


def _lock(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise
        except OSError:
            return descriptor
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        os.close(descriptor)  # its holder removed it meanwhile
