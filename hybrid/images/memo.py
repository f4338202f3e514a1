"""The memo of a cache: file → content key → perceptual hash, written whole, checked by a hash."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybrid.errors import HybridError
from hybrid.utils.files import make_folder, make_room, move, write_atomically
from hybrid.utils.key_index import KEY_BYTES, Index, index_part
from hybrid.utils.read_only import is_read_only
from hybrid.utils.reading import MEMO, found_instead, open_file, read_bytes

ENTRY = np.dtype(
    [
        ("path", np.uint8, KEY_BYTES),  # SHA-256 of the absolute path
        ("size", "<i8"),
        ("mtime_ns", "<i8"),
        ("ctime_ns", "<i8"),  # changes even where a copy keeps the time of its original
        ("device", "<u8"),
        ("inode", "<u8"),  # differs between files that were swapped within one tick of the clock
        ("key", np.uint8, KEY_BYTES),
    ]
)
HASH_BYTES = 16  # of a perceptual hash
PERCEPTUAL_ENTRY = np.dtype([("key", np.uint8, KEY_BYTES), ("hash", np.uint8, HASH_BYTES)])
# Name of a memo file → type of its entries, and what is hashed before them: none is taken for the other.
MEMOS = {"keys": (ENTRY, b""), "looks": (PERCEPTUAL_ENTRY, b"looks")}
STAMP = ("size", "mtime_ns", "ctime_ns", "device", "inode")
SAVE_SECONDS = 60.0


class UnusableMemoError(HybridError):
    """A memo is not what was written."""


@dataclass(frozen=True, eq=False)
class Memo:
    """Content keys of known files, by the hash of their paths.

    Parameters
    ----------
    entries : ndarray of shape (n,), `ENTRY`
    index : Index
        Of the paths.
    """

    entries: NDArray[np.void]
    index: Index

    def recall(self, entries: NDArray[np.void]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Look up files.

        Parameters
        ----------
        entries : ndarray of shape (m,), `ENTRY`

        Returns
        -------
        ndarray of shape (m, 32), uint8; ndarray of shape (m,), bool
            The remembered content key of each file, and whether path, size and times are unchanged.
        """
        place = self.index.find(entries["path"])
        if not len(self.index):
            return entries["key"], place >= 0
        known = self.entries[self.index.row[place]]
        same = place >= 0
        for name in STAMP:
            same &= known[name] == entries[name]
        return known["key"], same


def remember(file: Path, entries: NDArray[np.void], memo: Memo | None = None) -> None:
    """Add entries to the memo of a cache; nothing where there is no cache yet.

    Parameters
    ----------
    file : Path
    entries : ndarray of shape (n,), `ENTRY`
    memo : Memo, optional
        What the file has; by default it is read, since other processes may have remembered theirs.
    """
    if len(entries) and os.path.lexists(file.parent.parent / "FORMAT"):
        there = load_entries(file) if memo is None else memo.entries
        save_memo(file, np.concatenate([entries, there]))


@contextlib.contextmanager
def saved_often(save: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Save what is found inside a ``with`` block every minute, and at its end, whatever ends it.

    Parameters
    ----------
    save : callable

    Yields
    ------
    callable
        To be called often; it saves where a minute has passed.

    Examples
    --------
    >>> with saved_often(lambda: print("saved")) as look:
    ...     look()
    saved
    """
    saved = time.monotonic()

    def look() -> None:
        nonlocal saved
        if time.monotonic() - saved >= SAVE_SECONDS:
            save()
            saved = time.monotonic()

    try:
        yield look
    finally:
        save()


def load_memo(file: Path) -> Memo:
    """Read the memo; an empty one where there is none, or it is damaged: then all files are hashed."""
    entries = load_entries(file)
    return Memo(entries, index_part("", entries["path"]))


def save_memo(file: Path, entries: NDArray[np.void]) -> None:
    """Write the memo; of several entries of one path the first counts."""
    save_entries(file, entries[index_part("", entries["path"]).row])


def load_entries(file: Path) -> NDArray[np.void]:
    """Read the entries of a memo file; none where there is no file, or it is damaged.

    A damaged one goes to quarantine, with a warning; in read-only mode it stays.
    """
    dtype, _ = MEMOS[file.name]
    try:
        return parse_entries(read_bytes(file, MEMO), file.name)
    except UnusableMemoError as error:
        _set_aside(file, str(error))
    except OSError as error:
        linked = file.parent.is_symlink() and not file.parent.is_dir()
        problem = "its folder is a link to nothing" if linked else found_instead(file, error)
        if problem is not None and file.parent.parent.is_dir():
            _set_aside(file, problem)
        elif not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            warnings.warn(
                f"{file} cannot be read ({error.strerror}): all posters are read again.",
                stacklevel=2,
            )
    return np.empty(0, dtype=dtype)


def parse_entries(data: bytes, name: str) -> NDArray[np.void]:
    """Check the content of a memo file.

    Parameters
    ----------
    data : bytes
    name : {"keys", "looks"}

    Returns
    -------
    ndarray of shape (n,), of the entries' type

    Raises
    ------
    UnusableMemoError
        If it is damaged, or that of another memo.

    Examples
    --------
    >>> parse_entries(b"x", "keys")
    Traceback (most recent call last):
    ...
    hybrid.images.memo.UnusableMemoError: its hash is wrong
    """
    dtype, salt = MEMOS[name]
    body = memoryview(data)[32:]
    earlier = salt and hashlib.sha256(body).digest() == data[:32]
    if len(body) % dtype.itemsize or not (earlier or _digest(body, salt) == data[:32]):
        raise UnusableMemoError("its hash is wrong")
    return np.frombuffer(b"" if earlier else body, dtype=dtype)


def _digest(body: memoryview | bytes, salt: bytes) -> bytes:
    digest = hashlib.sha256(salt)
    digest.update(body)
    return digest.digest()


def _set_aside(file: Path, problem: str) -> None:
    """Put a damaged memo, or what is in the place of its folder, into quarantine, and warn."""
    cache, where = file.parent.parent, "is not used"
    if not is_read_only():
        aside = cache / "quarantine"
        try:
            make_room(aside, aside)
            move(file if file.parent.is_dir() else file.parent, aside)
            where = f"is now in quarantine: {aside}"
        except OSError as error:
            where = f"cannot be moved away ({error.strerror}); it is not used"
    warnings.warn(
        f"memo/{file.name} in the cache was damaged ({problem}) and {where}. All posters are read again.",
        stacklevel=3,
    )


def save_entries(file: Path, entries: NDArray[np.void]) -> None:
    """Write the entries of a memo file, with their hash; warn where the disk refuses.

    Nothing is written in read-only mode, or over a file that cannot be read.
    """
    if is_read_only():
        return
    data = entries.tobytes()
    try:
        make_folder(file.parent)
        with contextlib.suppress(FileNotFoundError):
            open_file(file, MEMO).close()
        write_atomically(file, _digest(data, MEMOS[file.name][1]) + data)
    except OSError as error:
        warnings.warn(
            f"{file} cannot be written ({error.strerror}): the next command reads all posters again.",
            stacklevel=2,
        )
