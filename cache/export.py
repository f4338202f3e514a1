"""Export of embeddings: .npz, .parquet, .csv, .h5; block by block, so that memory stays flat."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from hybrid.cache.costs import RowCosts
from hybrid.errors import CacheError, MissingExtraError, SettingError
from hybrid.utils.csv_text import escape_row
from hybrid.utils.files import sync
from hybrid.utils.outputs import replacing_output
from hybrid.utils.progress import shows_step
from hybrid.utils.refusals import describe_refusal, raising_refusals
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
            with raising_refusals(path):
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


def _write_h5(path: Path, ids: Ids, dimension: int, blocks: Blocks, costs: RowCosts) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("ids", data=ids.astype(object), dtype=h5py.string_dtype())
        file.create_dataset("seconds", data=costs.seconds)
        names = costs.names().astype(object)
        file.create_dataset("device", data=names, dtype=h5py.string_dtype())
        embeddings = file.create_dataset("embeddings", (len(ids), dimension), dtype="<f4")
        start = 0
        for block in blocks:
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
