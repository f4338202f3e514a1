"""Parquet files whose end lies about rows, sizes and places; and sound ones of all kinds."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hybrid.utils.unpacking
from hybrid.catalogue import load_catalogue
from hybrid.errors import CatalogueError
from hybrid.utils.parquet import open_parquet
from hybrid.utils.parquet_pages import DamagedParquetError
from hybrid.utils.unpacking import UnpackedTooLargeError

ROWS = 1000
TABLE = {
    "id": [f"i{k}" for k in range(ROWS)],
    "year": list(range(ROWS)),
    "genres": ["Drama|War"] * ROWS,
}


def made(columns: dict[str, Any] | None = None, **how: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns or TABLE), file, **how)
    return file.getvalue()


def number(value: int, head: bytes = b"\x16") -> bytes:
    """A field of 64 bits as Thrift's compact protocol writes it; `head` says how many fields are left out."""
    left, found = 2 * value, head
    while left > 127:
        found, left = found + bytes([left & 127 | 128]), left >> 7
    return found + bytes([left])


def lie(data: bytes, said: int, instead: int, *places: int, head: bytes = b"\x16") -> bytes:
    """A file whose end says another number, at the places of those at which it says this one."""
    size = struct.unpack("<I", data[-8:-4])[0]
    parts = data[-8 - size : -8].split(number(said, head))
    assert len(number(instead)) == len(number(said))
    assert max(places) < len(parts) - 1
    joins = [number(instead if k in places else said, head) for k in range(len(parts) - 1)]
    end = parts[0] + b"".join(join + part for join, part in zip(joins, parts[1:], strict=True))
    return data[: -8 - size] + end + data[-8:]


def chunk_of(data: bytes, number: int) -> Any:
    return pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(number)


PLAIN = made()
SIZE = chunk_of(PLAIN, 1).total_compressed_size
BARE = made(use_dictionary=False, compression="none")
PLACE = chunk_of(BARE, 2).data_page_offset
# Where the number of rows stands: of the file, of the cells of each column, of the row group.
FILE, CELLS, GROUP = 0, (1, 2, 3), 4
LIES: dict[str, tuple[Callable[[], bytes], str]] = {
    "fewer rows of the file": (lambda: lie(PLAIN, ROWS, 500, FILE), "its end says 500 rows, and"),
    "more rows of the file": (lambda: lie(PLAIN, ROWS, 8000, FILE), "its end says 8,000 rows, and"),
    "fewer rows of a row group": (lambda: lie(PLAIN, ROWS, 500, GROUP), "1,000 rows, and .* 500"),
    "fewer rows of both": (lambda: lie(PLAIN, ROWS, 500, FILE, GROUP), "500 rows of the column id"),
    "more rows of both": (lambda: lie(PLAIN, ROWS, 8000, FILE, GROUP), "8,000 rows of the column"),
    "fewer of all": (
        lambda: lie(PLAIN, ROWS, 500, FILE, *CELLS, GROUP),
        "500 cells of the column id, and its pages have 1,000",
    ),
    "more of all": (lambda: lie(PLAIN, ROWS, 8000, FILE, *CELLS, GROUP), "8,000 cells of the"),
    "fewer of all, in whole pages": (
        lambda: lie(
            made(data_page_size=100, write_batch_size=100, use_dictionary=False),
            ROWS, 500, FILE, *CELLS, GROUP,
        ),
        "500 cells of the column id, and its pages have 1,000",
    ),
    "cells of a column": (lambda: lie(PLAIN, ROWS, 500, 2), "500 cells of the column year"),
    "a column outside the file": (
        lambda: lie(BARE, PLACE, PLACE + 30_000, 0, head=b"\x26"),
        "column genres are not in the file",
    ),
    "a column of more bytes": (lambda: lie(PLAIN, SIZE, SIZE + 9, 0), "page at byte|not in the file"),
    "a column of fewer bytes": (lambda: lie(PLAIN, SIZE, SIZE - 2000, 0), "pages|not in the file"),
    "a column that is another's": (
        lambda: lie(BARE, PLACE, PLACE - 1000, 0, head=b"\x26"),
        "of another",
    ),
    "pages of a dictionary outside the column": (
        lambda: lie(
            PLAIN, chunk_of(PLAIN, 2).data_page_offset, 2**20 - 1, 0, head=b"\x26"
        ),
        "column genres are not in the file",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_an_end_that_lies_is_found_out(name: str, tmp_path: Path) -> None:
    make, message = LIES[name]
    path = tmp_path / "films.parquet"
    path.write_bytes(make())
    with pytest.raises(DamagedParquetError, match=message):
        open_parquet(path, path)
    with pytest.raises(CatalogueError, match=r"films\.parquet: expected a Parquet file, found: "):
        load_catalogue(path)


def test_sizes_are_those_of_the_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """900 kB of text in a file of a few kB, whose end says that it is 9 kB."""
    monkeypatch.setattr(hybrid.utils.unpacking, "ALLOWED", 200_000)
    columns = {"overview": [f"{k}{'a' * 10_000}" for k in range(90)]}
    honest = made(columns, compression="zstd", use_dictionary=False, write_statistics=False)
    size = chunk_of(honest, 0).total_uncompressed_size
    path = tmp_path / "films.parquet"
    path.write_bytes(lie(honest, size, 9_000, 0))
    assert chunk_of(path.read_bytes(), 0).total_uncompressed_size == 9_000
    with pytest.raises(UnpackedTooLargeError, match="decompression bomb"):
        open_parquet(path, path)


SOUND: dict[str, dict[str, Any]] = {
    "as usual": {},
    "row groups": {"row_group_size": 77},
    "small pages": {"data_page_size": 64, "write_batch_size": 16},
    "second version of pages": {"data_page_version": "2.0", "version": "2.6"},
    "checksums": {"write_page_checksum": True},
    "an index of pages": {"write_page_index": True},
    "no statistics": {"write_statistics": False},
    "no dictionary": {"use_dictionary": False},
    **{kind: {"compression": kind} for kind in ("none", "gzip", "zstd", "brotli", "lz4")},
}


@pytest.mark.parametrize("how", SOUND)
def test_sound_files_are_read(how: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    columns = {
        **TABLE,
        "overview": ["x" * int(n) for n in random.integers(0, 9000, ROWS)],
        "lists": [list(range(k % 5)) for k in range(ROWS)],
        "structs": [{"a": k, "b": [None] if k % 3 else None} for k in range(ROWS)],
        "none": [None] * ROWS,
        "bytes": [bytes(k % 50) for k in range(ROWS)],
    }
    path = tmp_path / "films.parquet"
    path.write_bytes(made(columns, **SOUND[how]))
    assert open_parquet(path, path).read().to_pydict() == columns
    with path.open("rb") as file:
        assert open_parquet(file, path).read().num_rows == ROWS


def test_files_of_no_rows_and_of_no_columns(tmp_path: Path) -> None:
    for k, table in enumerate((pa.table({"id": pa.array([], pa.string())}), pa.table({}))):
        pq.write_table(table, tmp_path / f"{k}.parquet")
        assert open_parquet(tmp_path / f"{k}.parquet", tmp_path / f"{k}.parquet").read() == table


def test_many_small_pages_are_not_all_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hybrid.utils.parquet.PAGES", 10)
    path = tmp_path / "films.parquet"
    path.write_bytes(made(data_page_size=64, write_batch_size=4, use_dictionary=False))
    with pytest.raises(DamagedParquetError, match="in too many pages"):
        open_parquet(path, path)
