"""Sparse blocks on disk: a folder of CSR shards, written once, whose rows are read when they are needed.

The folder has ``shards.json``, written last: a JSON object with ``format`` (1), ``columns``, ``shards``, a
list of objects with ``file``, ``rows`` and ``entries``, and ``sha256``, that of the object without it (keys
sorted, no spaces). A shard is, little-endian and in one piece: where each row's entries start, and where
the last one's end (int64, rows + 1, from 0); the columns of the entries (int32; ascending in each row), and
their values (float32, finite). It is named ``shard-<sha256 of its bytes>.csr``. Nothing is changed in place.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hybrid.errors import RowsError, SettingError
from hybrid.features.lazy_block import LazyBlock
from hybrid.utils.counts import counted
from hybrid.utils.files import make_folder, write_atomically
from hybrid.utils.reading import (
    SHARD,
    found_instead,
    hash_file,
    open_file,
    read_json_object,
)
from hybrid.utils.refusals import describe_refusal

FORMAT = 1
INDEX = "shards.json"
NAME = re.compile(r"shard-[0-9a-f]{64}\.csr")
STARTS, COLUMN, VALUE = np.dtype("<i8"), np.dtype("<i4"), np.dtype("<f4")
SHARD_ROWS = 2**15  # of a shard at most
REMEDY = "Remove the folder and write it again."


@dataclass(frozen=True)
class Shard:
    """A shard as ``shards.json`` names it."""

    file: str
    rows: int
    entries: int

    @property
    def size(self) -> int:
        """Bytes that its file must have."""
        return (self.rows + 1) * STARTS.itemsize + self.entries * (COLUMN.itemsize + VALUE.itemsize)


def write_shards(folder: str | Path, blocks: Iterable[Any], columns: int) -> SparseShards:
    """Write a sparse block to disk, some rows at a time.

    Parameters
    ----------
    folder : str or Path
        Made if it is missing; must have no `shards.json`. Until the last shard is written, there is none.
    blocks : iterable of scipy sparse, of shape (m, columns)
        The rows in order, each block small enough for memory; those of more than 32,768 rows are cut.
    columns : int

    Returns
    -------
    SparseShards
        The rows on disk.

    Raises
    ------
    SettingError
        If a block has another number of columns, or numbers that are not finite, or the folder has shards.
    RowsError
        If the disk refuses.

    Examples
    --------
    >>> rows = sparse.csr_matrix(np.eye(3, dtype=np.float32))
    >>> written = write_shards("words", [rows[:2], rows[2:]], 3)
    >>> written.shape, written[[2, 0]].toarray().tolist()
    ((3, 3), [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    """
    folder = Path(folder)
    if (folder / INDEX).exists():
        raise SettingError(
            f"{folder}: expected a folder without shards, found {INDEX}. Name another."
        )
    shards = []
    try:
        make_folder(folder)
        for block in blocks:
            matrix = _checked(block, columns)
            for start in range(0, matrix.shape[0], SHARD_ROWS):
                shards.append(_write_shard(folder, matrix[start : start + SHARD_ROWS]))
        content = {"format": FORMAT, "columns": columns, "shards": [vars(s) for s in shards]}
        write_atomically(folder / INDEX, _seal(content))
    except OSError as error:
        raise RowsError(describe_refusal(folder, error)) from error
    return SparseShards(folder)


def _checked(block: Any, columns: int) -> sparse.csr_matrix:
    """A block in the precision and order of shards."""
    matrix = sparse.csr_matrix(block, dtype=VALUE)
    if matrix.shape[1] != columns:
        raise SettingError(
            f"shards: expected {counted(columns, 'column')}, found {matrix.shape[1]:,}."
        )
    if not np.isfinite(matrix.data).all():
        raise SettingError("shards: expected finite numbers of float32, found others.")
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    return matrix


def _write_shard(folder: Path, matrix: sparse.csr_matrix) -> Shard:
    starts = matrix.indptr.astype(STARTS)
    data = starts.tobytes() + matrix.indices.astype(COLUMN).tobytes() + matrix.data.tobytes()
    name = shard_name(data)
    write_atomically(folder / name, data)
    return Shard(name, matrix.shape[0], matrix.nnz)


def shard_name(data: bytes) -> str:
    """Name of a shard of these bytes.

    Examples
    --------
    >>> shard_name(b"")[:14]
    'shard-e3b0c442'
    """
    return f"shard-{hashlib.sha256(data).hexdigest()}.csr"


def _seal(content: dict[str, Any]) -> bytes:
    return json.dumps({**content, "sha256": _digest(content)}, indent=1).encode()


def _digest(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class SparseShards(LazyBlock):
    """Sparse block on disk: ``[rows]`` reads some as CSR, float32.

    Rows that follow each other are read at once. The hash of a shard is checked when a row of it is first
    read. It is thread-safe.

    Parameters
    ----------
    folder : str or Path
        That `write_shards` wrote.

    Raises
    ------
    RowsError
        If it has no shards, they are not what was written, or the disk refuses; reading raises it, too.

    Examples
    --------
    >>> _ = write_shards("tokens", [sparse.csr_matrix([[0.0, 2.0], [1.0, 0.0]])], 2)
    >>> SparseShards("tokens")[1:].toarray().tolist()
    [[1.0, 0.0]]
    """

    dtype = np.dtype(np.float32)

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        columns, self.shards = _read_index(self.folder)
        self._ends = np.cumsum([shard.rows for shard in self.shards], dtype=np.int64)
        self.shape = (int(self._ends[-1]) if self.shards else 0, columns)
        self._starts: dict[int, NDArray[np.int64]] = {}  # of the shards that were verified
        self._opening = threading.Lock()

    def _read(self, rows: NDArray[np.int64]) -> sparse.csr_matrix:
        lengths = np.zeros(len(rows) + 1, dtype=np.int64)
        found: list[tuple[NDArray[Any], NDArray[Any]]] = []
        for number, places, first, last in self._runs(rows):
            starts = self._verified(number)
            lengths[places.start + 1 : places.stop + 1] = np.diff(starts[first : last + 2])
            found.append(self._read_run(number, int(starts[first]), int(starts[last + 1])))
        columns, values = zip(*found, strict=True) if found else ((), ())
        arrays = (
            np.concatenate([np.empty(0, VALUE), *values]),
            np.concatenate([np.empty(0, COLUMN), *columns]),
            np.cumsum(lengths),
        )
        matrix = sparse.csr_matrix(arrays, shape=(len(rows), self.shape[1]))
        matrix.has_canonical_format = True
        return matrix

    def _runs(self, rows: NDArray[np.int64]) -> Iterable[tuple[int, slice, int, int]]:
        """Runs of rows that follow each other in a shard: its number, where they go, first and last."""
        shard = np.searchsorted(self._ends, rows, side="right")
        breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(shard) != 0)) + 1
        bounds = [0, *breaks.tolist(), len(rows)] if len(rows) else [0]
        for start, stop in pairwise(bounds):
            number = int(shard[start])
            before = int(self._ends[number]) - self.shards[number].rows
            yield (
                number,
                slice(start, stop),
                int(rows[start]) - before,
                int(rows[stop - 1]) - before,
            )

    def _read_run(self, number: int, start: int, stop: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Columns and values of the entries from `start` to `stop` of a shard."""
        shard = self.shards[number]
        before = (shard.rows + 1) * STARTS.itemsize
        with self._open(shard) as file:
            columns = _array(
                self.folder / shard.file,
                file,
                before + start * COLUMN.itemsize,
                COLUMN,
                stop - start,
            )
            before += shard.entries * COLUMN.itemsize
            values = _array(
                self.folder / shard.file, file, before + start * VALUE.itemsize, VALUE, stop - start
            )
        if len(columns) and not 0 <= columns.min() <= columns.max() < self.shape[1]:
            raise self._damage(shard, "a column that is not there")  # changed since it was verified
        return columns, values

    def _verified(self, number: int) -> NDArray[np.int64]:
        """Where the rows of a shard start, after its content was checked, once."""
        with self._opening:
            if number not in self._starts:
                self._starts[number] = self._verify(self.shards[number])
            return self._starts[number]

    def _verify(self, shard: Shard) -> NDArray[np.int64]:
        path = self.folder / shard.file
        try:
            digest = hash_file(path, SHARD)
        except OSError as error:
            raise _unreadable(path, error) from error
        if shard.file != f"shard-{digest}.csr":
            raise self._damage(shard, "other bytes than its name says")
        with self._open(shard) as file:
            starts = _array(path, file, 0, STARTS, shard.rows + 1)
            columns = _array(path, file, starts.nbytes, COLUMN, shard.entries)
            values = _array(path, file, starts.nbytes + columns.nbytes, VALUE, shard.entries)
        if starts[0] != 0 or starts[-1] != shard.entries or (np.diff(starts) < 0).any():
            raise self._damage(shard, "rows that start where they cannot")
        first = np.zeros(shard.entries + 1, dtype=bool)
        first[starts] = True  # of a row
        ascending = (np.diff(columns) > 0) | first[1:-1]
        inside = not len(columns) or 0 <= columns.min() <= columns.max() < self.shape[1]
        if not (ascending.all() and inside and np.isfinite(values).all()):
            raise self._damage(shard, "entries that were never written")
        return starts.astype(np.int64)

    def _open(self, shard: Shard) -> BinaryIO:
        try:
            return open_file(self.folder / shard.file, SHARD)
        except OSError as error:
            raise _unreadable(self.folder / shard.file, error) from error

    def _damage(self, shard: Shard, found: str) -> RowsError:
        path = self.folder / shard.file
        return RowsError(f"{path}: expected a shard as it was written, found {found}. {REMEDY}")


def _read_index(folder: Path) -> tuple[int, list[Shard]]:
    """Columns and shards, checked against the files' sizes by `Shard.size` when these are read."""
    path = folder / INDEX
    content = read_json_object(path, RowsError, f"{INDEX} of a sparse block", REMEDY)
    digest = content.pop("sha256", None)
    try:
        columns, shards = content["columns"], [Shard(**shard) for shard in content["shards"]]
        counts = [columns, *(n for shard in shards for n in (shard.rows, shard.entries))]
        sound = (
            digest == _digest(content)
            and content["format"] == FORMAT
            and all(type(n) is int and 0 <= n < 2**48 for n in counts)
            and columns < 2**31
            and all(shard.rows and NAME.fullmatch(shard.file) for shard in shards)
        )
    except (KeyError, TypeError, ValueError):  # the last of text that is no UTF-8
        sound = False
    if not sound:
        raise RowsError(
            f"{path}: expected {INDEX} as it was written, found other content. {REMEDY}"
        )
    for shard in shards:
        _check_size(folder / shard.file, shard.size)
    return columns, shards


def _array(
    path: Path, file: BinaryIO, offset: int, dtype: np.dtype[Any], count: int
) -> NDArray[Any]:
    """An array that lies in a file."""
    array = np.empty(count, dtype)
    try:
        file.seek(offset)
        length = file.readinto(array.view(np.uint8).data)  # type: ignore[attr-defined]
    except OSError as error:
        raise _unreadable(path, error) from error
    if length != array.nbytes:
        raise RowsError(f"{path}: expected a shard, found too few bytes. {REMEDY}")
    return array


def _unreadable(path: Path, error: OSError) -> RowsError:
    found = found_instead(path, error) or error.strerror
    return RowsError(f"{path}: expected a shard, found that it cannot be read: {found}. {REMEDY}")


def _check_size(path: Path, size: int) -> None:
    try:
        found = path.stat().st_size
    except OSError as error:
        raise _unreadable(path, error) from error
    if found != size:
        raise RowsError(
            f"{path}: expected a shard of {counted(size, 'byte')}, found {found:,}. {REMEDY}"
        )
