"""Parts: immutable HDF5 files of keys and embeddings, named for the SHA-256 of their bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hybrid.cache.costs import (
    DEVICE,
    DEVICES,
    MAX_DEVICES_BYTES,
    SECONDS,
    RowCosts,
    parse_costs,
    write_costs,
)
from hybrid.cache.quarantine import write_over
from hybrid.cache.verified_files import (
    ChangedError,
    DamageError,
    as_hdf5,
    check_hash,
    hashed_name,
    image_of,
    in_memory,
    open_regular,
    read_array,
    read_attribute,
    read_dataset,
    stamp_of,
)
from hybrid.utils.counts import agree, counted
from hybrid.utils.key_index import KEY_BYTES, Keys

FORMAT = 1
PART_ROWS = 4096  # about so many rows a part
PART_NAME = re.compile(r"part-[0-9a-f]{64}\.h5")
DTYPES = ("float16", "float32")
CHUNK_ROWS = 256
MAX_CHUNKS = 4096  # more than a part of that size needs; HDF5 finds the n-th in n steps


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

    def read_costs(self) -> RowCosts:
        """Read what each row of this part cost; not known where it says nothing that makes sense.

        Raises
        ------
        ChangedError
            If it is another file than that which was verified.
        OSError
            If it cannot be read.
        """
        with open_regular(self.path) as file:
            if stamp_of(file) != self.stamp:
                raise ChangedError
            try:
                with as_hdf5(file) as parsed:
                    if SECONDS not in parsed:
                        return RowCosts.unknown(self.rows)
                    size, shape = self.stamp[0], (self.rows,)
                    arrays = {
                        SECONDS: read_array(parsed, SECONDS, np.dtype("<f4"), shape, size),
                        DEVICE: read_array(parsed, DEVICE, np.dtype(np.uint8), shape, size),
                    }
                    return parse_costs(arrays, read_attribute(parsed, DEVICES, MAX_DEVICES_BYTES))
            except DamageError:  # the embeddings are sound all the same
                return RowCosts.unknown(self.rows)


def pack_part(
    layout: Layout,
    keys: Keys,
    embeddings: NDArray[np.floating],
    costs: RowCosts | None = None,
) -> bytes:
    """Pack keys and embeddings as the bytes of a part, so that they can be hashed before they are written.

    Parameters
    ----------
    layout : Layout
    keys : ndarray of shape (n, 32), uint8
    embeddings : ndarray of shape (n, D), of the layout's dtype
    costs : RowCosts, optional
        Of the n rows; by default not known.

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
        if costs is not None:
            write_costs(file, costs)
        return image_of(file)


def write_part(
    folder: Path,
    layout: Layout,
    keys: Keys,
    embeddings: NDArray[np.floating],
    costs: RowCosts | None = None,
) -> str:
    """Write a part, whole or not at all, and return its name. See `pack_part`."""
    data = pack_part(layout, keys, embeddings, costs)
    name = hashed_name("part-", data, ".h5")
    write_over(folder / name, data, folder.parent)
    return name


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
            fingerprint = read_attribute(parsed, "fingerprint", 128)
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
                    f"{counted(wrong, 'row')} from row {start} on {agree(wrong, '{hold|holds}')} values that "
                    "are not finite"
                )


def _describe(
    path: Path, stamp: tuple[int, int, int], parsed: Any, rows: int, layout: Layout
) -> Part:
    dtype = np.dtype(layout.dtype)
    dataset = read_dataset(parsed, "embeddings", dtype, (rows, layout.dimension), stamp[0])
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


def _copy(
    source: NDArray[Any], rows: NDArray[Any], out: NDArray[np.float32], at: NDArray[Any]
) -> None:
    """``out[at] = source[rows]``, without a copy in between where both run without a gap."""
    m = len(rows)
    if rows[-1] - rows[0] == m - 1 and at[-1] - at[0] == m - 1 and (np.diff(at) == 1).all():
        out[at[0] : at[0] + m] = source[rows[0] : rows[0] + m]
    else:
        out[at] = source[rows]
