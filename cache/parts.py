"""Parts: immutable HDF5 files of keys and embeddings, named for the SHA-256 of their bytes."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from hybrid.utils.files import write_atomically, writer_name
from hybrid.utils.key_index import KEY_BYTES, Keys

FORMAT = 1
PART_ROWS = 4096  # about so many rows a part
PART_NAME = re.compile(r"part-[0-9a-f]{64}\.h5")
DTYPES = ("float16", "float32")
CHUNK_ROWS = 256
MAX_PART_BYTES = 2**31
MAX_CHUNKS = 4096  # more than a part of that size needs; HDF5 finds the n-th in n steps
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


@dataclass(frozen=True)
class Layout:
    """What every part of a store has in common.

    Examples
    --------
    >>> Layout(fingerprint="f" * 64, dimension=2048, dtype="float16").dimension
    2048
    """

    fingerprint: str
    dimension: int
    dtype: str


@dataclass(frozen=True)
class Chunk:
    """A rectangle of the embeddings that lies in one piece in the file, from `offset` on."""

    row: int
    column: int
    offset: int


@dataclass(frozen=True)
class Part:
    """A part whose hash and layout were verified.

    Parameters
    ----------
    path : Path
    stamp : (int, int, int)
        Size, time of change in ns and inode of the file when it was verified.
    rows, dimension : int
    dtype : str
    chunk_shape : (int, int)
    chunks : tuple of Chunk
    """

    path: Path
    stamp: tuple[int, int, int]
    rows: int
    dimension: int
    dtype: str
    chunk_shape: tuple[int, int]
    chunks: tuple[Chunk, ...]

    def read(
        self, rows: NDArray[np.integer], out: NDArray[np.float32], at: NDArray[np.integer]
    ) -> None:
        """Copy rows of this part to rows of a matrix, chunk by chunk.

        Parameters
        ----------
        rows : ndarray of shape (m,), int
            Ascending numbers of rows of the part.
        out : ndarray of shape (n, D), float32
            Written to.
        at : ndarray of shape (m,), int
            The rows of `out`.

        Raises
        ------
        ChangedError
            If it is another file than that which was verified.
        OSError
            If it cannot be read.
        """
        height, width = self.chunk_shape
        scratch = np.empty(self.chunk_shape, dtype=self.dtype)
        buffer = scratch.reshape(-1).view(np.uint8).data
        with open_regular(self.path) as file:
            if stamp_of(file) != self.stamp:
                raise ChangedError
            for chunk in self.chunks:
                first, last = np.searchsorted(rows, (chunk.row, chunk.row + height))
                if first == last:
                    continue
                file.seek(chunk.offset)
                if file.readinto(buffer) != len(buffer):  # type: ignore[attr-defined]
                    raise ChangedError
                columns = slice(chunk.column, min(chunk.column + width, self.dimension))
                used = scratch[:, : columns.stop - columns.start]
                _copy(used, rows[first:last] - chunk.row, out[:, columns], at[first:last])


def pack_part(layout: Layout, keys: Keys, embeddings: NDArray[np.floating]) -> bytes:
    """Pack keys and embeddings as the bytes of a part, so that they can be hashed before they are written.

    Parameters
    ----------
    layout : Layout
    keys : ndarray of shape (n, 32), uint8
    embeddings : ndarray of shape (n, D), of the layout's dtype

    Returns
    -------
    bytes
        The content of an HDF5 file.
    """
    with in_memory() as file:
        file.attrs["format"] = np.int64(FORMAT)
        file.attrs["fingerprint"] = np.bytes_(layout.fingerprint)
        file.create_dataset("keys", data=keys)
        shape = (min(len(keys), CHUNK_ROWS), layout.dimension)
        file.create_dataset("embeddings", data=embeddings, chunks=shape, fletcher32=True)
        return image_of(file)


@contextmanager
def in_memory() -> Iterator[Any]:
    """Give an HDF5 file that is never written; HDF5 wants the names of open files to differ."""
    with h5py.File(writer_name(), "w", driver="core", backing_store=False) as file:
        yield file


def image_of(file: Any) -> bytes:
    """The bytes that a file in memory would have on the disk."""
    file.flush()
    return bytes(file.id.get_file_image())


def write_part(folder: Path, layout: Layout, keys: Keys, embeddings: NDArray[np.floating]) -> str:
    """Write a part, whole or not at all, and return its name. See `pack_part`."""
    data = pack_part(layout, keys, embeddings)
    name = hashed_name("part-", data, ".h5")
    write_atomically(folder / name, data)
    return name


def hashed_name(kind: str, data: bytes, suffix: str) -> str:
    """Name a file for the SHA-256 of its bytes.

    Examples
    --------
    >>> hashed_name("part-", b"", ".h5")[:13]
    'part-e3b0c442'
    """
    return f"{kind}{hashlib.sha256(data).hexdigest()}{suffix}"


def open_part(path: Path, layout: Layout) -> tuple[Part, Keys]:
    """Open a part: verify its hash and its layout, and read its keys.

    HDF5 parses the file only once its hash is right; no value is read before its place, type and size
    were checked.

    Returns
    -------
    Part, ndarray of shape (n, 32), uint8

    Raises
    ------
    DamageError
        If it is anything else.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> layout = Layout("f" * 64, 2, "float32")
    >>> keys = np.zeros((1, 32), dtype=np.uint8)
    >>> name = write_part(Path(folder.name), layout, keys, np.array([[1, 2]], dtype=np.float32))
    >>> part, found = open_part(Path(folder.name) / name, layout)
    >>> part.rows, bool((found == keys).all())
    (1, True)
    >>> folder.cleanup()
    """
    with open_regular(path) as file:
        stamp = stamp_of(file)
        check_hash(path, file, stamp)
        with as_hdf5(file) as parsed:
            if parsed.attrs.get("format") != FORMAT:
                raise DamageError(f"expected a part of format {FORMAT}")
            fingerprint = _attribute(parsed, "fingerprint", 128)
            if fingerprint != layout.fingerprint:
                raise DamageError(f"it is of the store {fingerprint[:12]}")
            keys = read_array(parsed, "keys", np.dtype(np.uint8), (None, KEY_BYTES), stamp[0])
            part = _describe(path, stamp, parsed, len(keys), layout)
    return part, keys


def check_values(part: Part) -> None:
    """Read all values of a part through HDF5, which verifies its checksums.

    Raises
    ------
    DamageError
        If a checksum is wrong or a value is not finite.
    OSError
        If it cannot be read.
    """
    with open_regular(part.path) as file, as_hdf5(file) as parsed:
        for start in range(0, part.rows, CHUNK_ROWS):
            rows = parsed["embeddings"][start : start + CHUNK_ROWS]
            wrong = int((~np.isfinite(rows)).any(axis=1).sum())
            if wrong:
                raise DamageError(
                    f"{wrong} rows from row {start} on hold values that are not finite"
                )


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, and nothing that is not a regular file (a pipe would wait for ever)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DamageError("it is not a regular file")
    with os.fdopen(descriptor, "rb") as file:  # buffered: it goes on after a short read
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
    dataset = _dataset(parsed, name, dtype, shape, size)
    if dataset.chunks is not None or dataset.id.get_create_plist().get_nfilters():
        raise DamageError(f"{name} is not stored in one piece")
    return dataset[:]


def _describe(
    path: Path, stamp: tuple[int, int, int], parsed: Any, rows: int, layout: Layout
) -> Part:
    dtype = np.dtype(layout.dtype)
    dataset = _dataset(parsed, "embeddings", dtype, (rows, layout.dimension), stamp[0])
    plist = dataset.id.get_create_plist()
    filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
    if dataset.chunks is None or filters != [h5py.h5z.FILTER_FLETCHER32]:
        raise DamageError("embeddings are not chunked with Fletcher-32 and nothing else")
    shape = dataset.chunks
    n = -(-rows // shape[0]) * -(-layout.dimension // shape[1])
    if n > MAX_CHUNKS or dataset.id.get_num_chunks() != n:
        raise DamageError("some of its rows were never written")
    stored = [dataset.id.get_chunk_info(i) for i in range(n)]
    expected = {
        (row, column)
        for row in range(0, rows, shape[0])
        for column in range(0, layout.dimension, shape[1])
    }
    length = shape[0] * shape[1] * dtype.itemsize
    sound = all(
        info.filter_mask == 0
        and info.size == length + 4
        and info.byte_offset + info.size <= stamp[0]
        for info in stored
    )
    if {i.chunk_offset for i in stored} != expected or not sound:
        raise DamageError("some of its rows lie where they cannot")
    chunks = tuple(Chunk(i.chunk_offset[0], i.chunk_offset[1], i.byte_offset) for i in stored)
    return Part(path, stamp, rows, layout.dimension, layout.dtype, shape, chunks)


def _dataset(
    parsed: Any, name: str, dtype: np.dtype, shape: tuple[int | None, ...], size: int
) -> Any:
    """A data set that lies in this very file, of known type and shape, and no larger than the file."""
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


def _attribute(parsed: Any, name: str, limit: int) -> str:
    """A short text attribute; older writers stored it with variable length."""
    if name not in parsed.attrs:
        raise DamageError(f"it has no attribute {name}")
    if parsed.attrs.get_id(name).get_storage_size() > limit:
        raise DamageError(f"its attribute {name} is too long")
    value = parsed.attrs[name]
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _copy(
    source: NDArray[Any], rows: NDArray[Any], out: NDArray[np.float32], at: NDArray[Any]
) -> None:
    """``out[at] = source[rows]``, without a copy in between where both run without a gap."""
    m = len(rows)
    if rows[-1] - rows[0] == m - 1 and at[-1] - at[0] == m - 1 and (np.diff(at) == 1).all():
        out[at[0] : at[0] + m] = source[rows[0] : rows[0] + m]
    else:
        out[at] = source[rows]
