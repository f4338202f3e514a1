"""Export of embeddings: .npz, .parquet, .csv, .h5; block by block, so that memory stays flat."""

from __future__ import annotations

import csv
import os
import zipfile
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hybrid.cache.costs import RowCosts
from hybrid.errors import CacheError, MissingExtraError, SettingError
from hybrid.utils.csv_text import escape_row
from hybrid.utils.files import sync
from hybrid.utils.outputs import replacing_output
from hybrid.utils.progress import shows_step
from hybrid.utils.refusals import describe_refusal
from hybrid.utils.writable import check_new_file

KIND = "exported embeddings"
Ids = NDArray[np.str_]
Blocks = Iterable[NDArray[np.float32]]


@shows_step("exporting the embeddings")
def export(
    path: Path, ids: Ids, dimension: int, blocks: Blocks, costs: RowCosts | None = None
) -> None:
    """Export embeddings to a file; its suffix names the format.

    Parameters
    ----------
    path : Path
        Ends in ``.npz``, ``.parquet``, ``.csv``, ``.h5`` or ``.hdf5``; replaced in one step if it exists.
    ids : ndarray of shape (n,), str
    dimension : int
    blocks : iterable of ndarray of shape (m, D), float32
        The embeddings, n rows in all, in the order of `ids`.
    costs : RowCosts, optional
        What each cost; by default not known.

    Raises
    ------
    SettingError
        If the ending is another, or the folder is missing.
    MissingExtraError
        If a Parquet file is asked for and pyarrow is not installed.
    CacheError
        If the file cannot be written; what was there before is untouched.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "embeddings.npz"
    >>> export(path, np.array(["a", "b"]), 2, [np.eye(2, dtype=np.float32)])
    >>> np.load(path)["embeddings"].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    >>> folder.cleanup()
    """
    check_target(path)
    costs = costs or RowCosts.unknown(len(ids))
    try:
        with replacing_output(path, KIND) as temporary:
            _WRITERS[path.suffix](temporary, ids, dimension, blocks, costs)
            sync(temporary)
    except (OSError, RuntimeError) as error:  # HDF5 raises the latter where the disk refuses
        raise CacheError(describe_refusal(path, error)) from error


def check_target(path: Path) -> None:
    """Raise `SettingError` unless `export` can write there."""
    if path.suffix not in _WRITERS:
        raise SettingError(
            f"--out: expected a file that ends in {', '.join(_WRITERS)}, found {path}."
        )
    check_new_file("--out", path, KIND)


def _write_npz(path: Path, ids: Ids, dimension: int, blocks: Blocks, costs: RowCosts) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (len(ids), dimension)}
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("ids.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array(file, ids, allow_pickle=False)
        with archive.open("embeddings.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array_header_1_0(file, header)
            for block in blocks:
                file.write(np.ascontiguousarray(block, dtype="<f4").data)
        for name, array in (("seconds", costs.seconds), ("device", costs.names())):
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


class _Enduring:
    """A new file for HDF5, which does not survive it that a disk refuses while a file is closed.

    The first refusal is kept in `error`; what is written from then on stays in memory, and is lost.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb+", buffering=0)
        self._at = self._size = 0
        self._kept: list[tuple[int, bytes]] = []
        self.error: OSError | None = None

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        self._at = place + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        content = memoryview(data).cast("B")
        if self.error is None:
            try:
                done = 0
                while done < len(content):
                    done += os.pwrite(self._file.fileno(), content[done:], self._at + done)
            except OSError as error:
                self.error = error
        if self.error:
            self._kept.append((self._at, bytes(content)))
        self._at += len(content)
        self._size = max(self._size, self._at)
        return len(content)

    def read(self, size: int = -1) -> bytes:
        found = bytearray(self._size - self._at if size < 0 else size)
        self.readinto(found)
        return bytes(found)

    def readinto(self, buffer: Any) -> int:
        wanted = memoryview(buffer).cast("B")
        there = os.pread(self._file.fileno(), len(wanted), self._at)
        wanted[: len(there)] = there
        for start, content in self._kept:
            first, last = max(start, self._at), min(start + len(content), self._at + len(wanted))
            if first < last:
                wanted[first - self._at : last - self._at] = content[first - start : last - start]
        self._at += len(wanted)
        return len(wanted)

    def truncate(self, size: int | None = None) -> int:
        self._size = self._at if size is None else size
        if self.error is None:
            try:
                self._file.truncate(self._size)
            except OSError as error:
                self.error = error
        return self._size

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """Close it, and raise the first refusal."""
        self._file.close()
        if self.error:
            raise self.error


def _write_h5(path: Path, ids: Ids, dimension: int, blocks: Blocks, costs: RowCosts) -> None:
    with closing(_Enduring(path)) as endured, h5py.File(endured, "w") as file:
        file.create_dataset("ids", data=ids.astype(object), dtype=h5py.string_dtype())
        file.create_dataset("seconds", data=costs.seconds)
        names = costs.names().astype(object)
        file.create_dataset("device", data=names, dtype=h5py.string_dtype())
        embeddings = file.create_dataset("embeddings", (len(ids), dimension), dtype="<f4")
        start = 0
        for block in blocks:
            if endured.error:
                break
            embeddings[start : start + len(block)] = block
            start += len(block)


def _write_parquet(path: Path, ids: Ids, dimension: int, blocks: Blocks, costs: RowCosts) -> None:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError(
            'writing Parquet needs pyarrow: pip install "hybrid-posters[parquet]"'
        ) from error
    vector = pa.list_(pa.float32(), dimension)
    fields = [("id", pa.string()), ("embedding", vector), ("seconds", pa.float32())]
    schema, start, devices = pa.schema([*fields, ("device", pa.string())]), 0, costs.names()
    with parquet.ParquetWriter(path, schema) as writer:
        for block in blocks:
            some = slice(start, start + len(block))
            values = pa.FixedSizeListArray.from_arrays(pa.array(block.reshape(-1)), type=vector)
            columns = [pa.array(ids[some].tolist()), values, pa.array(costs.seconds[some])]
            columns.append(pa.array(devices[some].tolist()))
            writer.write_table(pa.table(columns, schema=schema))
            start = some.stop


def _write_csv(path: Path, ids: Ids, dimension: int, blocks: Blocks, costs: RowCosts) -> None:
    """Numbers as short as they can be and still be read as the same float32; empty: cost not known."""
    devices, start = costs.names().tolist(), 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", *range(dimension), "seconds", "device"])
        for block in blocks:
            some = slice(start, start + len(block))
            texts = block.astype(np.float32).astype(str).tolist()
            seconds = costs.seconds[some].astype(str).tolist()
            for name, row, cost, device in zip(
                ids[some].tolist(), texts, seconds, devices[some], strict=True
            ):
                known = "" if cost == "nan" else cost
                writer.writerow([*escape_row([name]), *row, known, *escape_row([device])])
            start = some.stop


_WRITERS: dict[str, Callable[[Path, Ids, int, Blocks, RowCosts], None]] = {
    ".npz": _write_npz,
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".h5": _write_h5,
    ".hdf5": _write_h5,
}
