"""Parquet files that unpack to too much, though they are small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

import hybrid.utils.unpacking
from hybrid.catalogue import load_catalogue
from hybrid.catalogue.importers.huggingface import _batches
from hybrid.errors import HybridError
from hybrid.extraction.imported_file import read_embeddings
from hybrid.images.references import RowReference
from hybrid.images.stored import read_stored
from hybrid.utils.parquet import open_parquet
from hybrid.utils.unpacking import UnpackedTooLargeError

N = 2_000
LONG = "a" * 10_000
IDS = [f"f{i}" for i in range(N)]
GENRES = ["Horror", "Comedy", "Drama|War", ""] * (N // 4)
IMAGE = {"bytes": b"\xff\xd8\xff" + bytes(20_000), "path": None}
BOMBS: dict[str, Any] = {
    "a text that comes again": {"overview": [LONG] * N},
    "texts that are packed": {"overview": [f"{i}{LONG}" for i in range(N)]},
    "a text in lists": {"overview": [[LONG, "b"]] * N},
    "an image that comes again": {"image": [IMAGE] * N},
    "numbers": {"year": [[0] * 500] * N},
    "bytes": {"image": [IMAGE["bytes"]] * N},
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hybrid.utils.unpacking, "ALLOWED", 200_000)


def write(path: Path, columns: dict[str, Any]) -> Path:
    table = pa.table({"id": IDS, "title": IDS, "genres": GENRES, **columns})
    pa.parquet.write_table(table, path, compression="zstd")
    return path


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused(bomb: str, tmp_path: Path) -> None:
    path = write(tmp_path / "films.parquet", BOMBS[bomb])
    assert path.stat().st_size < 100_000
    with pytest.raises(UnpackedTooLargeError, match="decompression bomb"):
        open_parquet(path, path)
    with pytest.raises(
        HybridError, match=r"cannot read the catalogue .*decompression bomb.*CSV\.$"
    ):
        load_catalogue(path)
    with pytest.raises(HybridError, match="decompression bomb"):
        list(_batches(path))
    assert "decompression bomb" in read_stored(RowReference(str(path), "image", 0))


def test_embeddings_that_come_again(tmp_path: Path) -> None:
    table = pa.table({"id": IDS, "embedding": [np.zeros(500, np.float32)] * N})
    pa.parquet.write_table(table, tmp_path / "e.parquet", compression="zstd")
    with pytest.raises(HybridError, match="decompression bomb"):
        read_embeddings(tmp_path / "e.parquet")


def test_sound_files_are_read(tmp_path: Path) -> None:
    """Labels and short texts come again in any catalogue."""
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(["ghost", "war", "love"], 9)) for _ in range(N)]
    columns = {"overview": texts, "language": ["en"] * N, "year": [1999] * N, "none": [None] * N}
    found = load_catalogue(write(tmp_path / "films.parquet", columns))
    pd.read_parquet(tmp_path / "films.parquet").to_csv(tmp_path / "films.csv", index=False)
    assert found.frame.equals(load_catalogue(tmp_path / "films.csv").frame)


def test_images_of_a_row_group_are_copied_some_at_a_time(tmp_path: Path) -> None:
    images = [{"bytes": bytes([i % 256]) * (1 + i % 7), "path": None} for i in range(N)]
    images[5] = {"bytes": None, "path": "5.jpg"}
    path = write(tmp_path / "films.parquet", {"image": images})
    assert pa.parquet.ParquetFile(path).num_row_groups == 1
    for row in (0, 17, N - 1):
        assert read_stored(RowReference(str(path), "image", row)) == images[row]["bytes"]
    assert read_stored(RowReference(str(path), "image", 5)) == "the row holds no image"
    assert "no column" in read_stored(RowReference(str(path), "poster", 5))


def test_pages_that_were_read_are_let_go(tmp_path: Path) -> None:
    """pyarrow's default keeps those of a whole column: of 2,000,000 texts half a gigabyte."""
    path = tmp_path / "many.parquet"
    words = np.random.default_rng(0).integers(0, 2**62, (40, 20_000)).astype(str)
    with pa.parquet.ParquetWriter(path, pa.schema([("text", pa.string())])) as writer:
        for some in words:
            writer.write_batch(pa.record_batch([pa.array(some)], names=["text"]))
    pool, most = pa.default_memory_pool(), 0
    before = pool.bytes_allocated()
    for batch in open_parquet(path, path).iter_batches(2000, columns=["text"]):
        most = max(most, pool.bytes_allocated() - before)
        del batch
    assert most < path.stat().st_size / 4
