"""Files of the cache that are verified before they are used: regular, hash, HDF5 layout."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from hybrid.utils.files import writer_name
from hybrid.utils.reading import PART, FileKind, found_instead, open_file, read_bytes

MAX_PART_BYTES = 2**31
# What parsers raise for a file that is not what was written.
UNPARSABLE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
_BLOCK = 2**20
# A file that changed less than so long ago could change again without a new time of change.
_SETTLED_NS = 2_000_000_000
_VERIFIED: set[tuple[Path, tuple[int, int, int]]] = set()


class DamageError(Exception):
    """A file of the cache is not what was written; the message says in what."""


class ChangedError(Exception):
    """A part is another file than that which was verified; it must be verified again."""


def hashed_name(kind: str, data: bytes, suffix: str) -> str:
    """Name a file for the SHA-256 of its bytes.

    Examples
    --------
    >>> hashed_name("part-", b"", ".h5")[:13]
    'part-e3b0c442'
    """
    return f"{kind}{hashlib.sha256(data).hexdigest()}{suffix}"


@contextmanager
def in_memory() -> Iterator[Any]:
    """Give an HDF5 file that is never written; HDF5 wants the names of open files to differ."""
    with h5py.File(writer_name(), "w", driver="core", backing_store=False) as file:
        yield file


def image_of(file: Any) -> bytes:
    """The bytes that a file in memory would have on the disk."""
    file.flush()
    return bytes(file.id.get_file_image())


@contextmanager
def as_damage(path: Path) -> Iterator[None]:
    """Raise `DamageError` where something else is in the place of a file; a refusal of the disk is none."""
    try:
        yield
    except OSError as error:
        found = found_instead(path, error)
        if found is None:
            raise
        raise DamageError(found) from error


def read_small(path: Path, kind: FileKind) -> bytes:
    """Read all of a file.

    Raises
    ------
    DamageError
        If something else is in its place, such as a folder or a link to nothing.
    FileNotFoundError
        If nothing is.
    OSError
        If it cannot be read.
    """
    with as_damage(path):
        return read_bytes(path, kind)


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, and nothing that is not a regular file (a pipe would wait for ever)."""
    with as_damage(path):
        opened = open_file(path, PART)
    with opened as file:  # buffered: it goes on after a short read
        yield file


def stamp_of(file: BinaryIO) -> tuple[int, int, int]:
    """Size, time of change and inode of an open file."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns, status.st_ino


def check_hash(
    path: Path, file: BinaryIO, stamp: tuple[int, int, int], limit: int = MAX_PART_BYTES
) -> None:
    """Raise `DamageError` unless a file's name carries the SHA-256 of its bytes.

    A file that this process has hashed already, and whose stamp is the same, is not hashed again.
    """
    if (path, stamp) in _VERIFIED:
        return
    if stamp[0] > limit:
        raise DamageError(f"it is larger than {limit:,} bytes")
    started = time.time_ns()
    digest, block = hashlib.sha256(), memoryview(bytearray(_BLOCK))
    while length := file.readinto(block):  # type: ignore[attr-defined]
        digest.update(block[:length])
    if path.stem.rpartition("-")[2] != digest.hexdigest():
        raise DamageError("its hash is wrong")
    if started - stamp[1] > _SETTLED_NS:
        _VERIFIED.add((path, stamp))
    file.seek(0)


def forget_hashes() -> None:
    """Have every file hashed again when it is next opened."""
    _VERIFIED.clear()


@contextmanager
def as_hdf5(file: BinaryIO) -> Iterator[Any]:
    """Parse an open file as HDF5: no lock is taken, and what cannot be parsed is damage."""
    try:
        with h5py.File(file, "r") as parsed:
            yield parsed
    except (*UNPARSABLE, RuntimeError) as error:
        raise DamageError(f"it is no HDF5 file of ours: {error}") from error
    except OSError as error:  # HDF5's own errors have no number, those of the disk have
        if error.errno not in (None, errno.EINVAL):  # a place that no file has is asked for in vain
            raise
        raise DamageError(f"it is no HDF5 file of ours: {error}") from error


def read_array(
    parsed: Any, name: str, dtype: np.dtype, shape: tuple[int | None, ...], size: int
) -> NDArray[Any]:
    """Read a plain, contiguous data set of known type and shape; None stands for 1 or more."""
    dataset = read_dataset(parsed, name, dtype, shape, size)
    if dataset.chunks is not None or dataset.id.get_create_plist().get_nfilters():
        raise DamageError(f"{name} is not stored in one piece")
    return dataset[:]


def read_dataset(
    parsed: Any, name: str, dtype: np.dtype, shape: tuple[int | None, ...], size: int
) -> Any:
    """Check a data set: it lies in this very file, of known type and shape, and no larger than the file."""
    if not isinstance(parsed.get(name, getlink=True), h5py.HardLink):
        raise DamageError(f"{name} is a link to elsewhere")
    dataset = parsed[name]
    if not isinstance(dataset, h5py.Dataset):
        raise DamageError(f"{name} is not a data set")
    if dataset.external is not None or dataset.is_virtual:
        raise DamageError(f"{name} lies in another file")
    if dataset.dtype != dtype or dataset.dtype.metadata:
        raise DamageError(f"{name} is of type {dataset.dtype}, not {dtype}")
    found = dataset.shape
    fits = len(found or ()) == len(shape) and all(
        length == wanted or (wanted is None and length >= 1)
        for length, wanted in zip(found, shape, strict=True)
    )
    if not fits:
        raise DamageError(f"{name} is of shape {found}, not {shape}")
    if dataset.size * dtype.itemsize > size:
        raise DamageError(f"{name} claims to be larger than its file")
    return dataset


def read_attribute(parsed: Any, name: str, limit: int) -> str:
    """Read a short text attribute; older writers stored it with variable length."""
    if name not in parsed.attrs:
        raise DamageError(f"it has no attribute {name}")
    if parsed.attrs.get_id(name).get_storage_size() > limit:
        raise DamageError(f"its attribute {name} is too long")
    value = parsed.attrs[name]
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
