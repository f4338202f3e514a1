"""Compressed files that unpack to too much."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from pathlib import Path
from typing import Any

import pytest

import hybrid.utils.unpacking
from hybrid.catalogue import load_catalogue
from hybrid.catalogue.importers.json_files import read_values
from hybrid.errors import CatalogueError, HybridError
from hybrid.report.external import external_test_ids
from hybrid.utils.unpacking import UnpackedTooLargeError, unpack

TABLE = b"id,title,genres\n" + b"".join(b"f%d,Alien,Horror\n" % i for i in range(2000))
BOMB = TABLE + b" " * 2_000_000


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hybrid.utils.unpacking, "ALLOWED", 200_000)


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("table.csv", data)
    return file.getvalue()


PACK = {"gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zip": zipped}
ENDINGS = {"gzip": "gz", "bz2": "bz2", "xz": "xz", "zip": "zip"}


@pytest.mark.parametrize("kind", PACK)
def test_content_is_the_same_and_a_bomb_ends(kind: str) -> None:
    with unpack(io.BytesIO(PACK[kind](TABLE)), "t", kind) as content:
        assert content.read() == TABLE
        content.seek(3)
        assert content.read(5) == TABLE[3:8]
    blocks: list[bytes] = []
    content = unpack(io.BytesIO(PACK[kind](BOMB)), "t", kind)
    with pytest.raises(UnpackedTooLargeError, match="decompression bomb"):
        blocks.extend(iter(lambda: content.read(1000), b""))
    assert sum(map(len, blocks)) <= max(200_000, 100 * len(PACK[kind](BOMB)))


def test_a_line_without_an_end_ends_too() -> None:
    packed = gzip.compress(b"x" * 2_000_000)
    with unpack(io.BytesIO(packed), "t") as content, pytest.raises(UnpackedTooLargeError):
        content.readline()


@pytest.mark.parametrize("cell", ["title", "genres"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json", "parquet"])
def test_a_catalogue_that_is_a_bomb_is_named(tmp_path: Path, suffix: str, cell: str) -> None:
    row = {"id": "f1", "title": "Alien", "genres": "Horror", cell: "x" * 2_000_000}
    text = {
        "csv": ",".join(row) + "\n" + ",".join(row.values()) + "\n",
        "jsonl": json.dumps(row) + "\n",
        "json": json.dumps([row]),
        "parquet": "PAR1" + " " * 2_000_000,
    }
    path = tmp_path / f"catalogue.{suffix}.gz"
    path.write_bytes(gzip.compress(text[suffix].encode()))
    with pytest.raises(CatalogueError, match=r"catalogue\..*decompression bomb"):
        load_catalogue(path)


def test_importers_and_external_predictions_name_a_bomb(tmp_path: Path) -> None:
    films = tmp_path / "films.json.gz"
    films.write_bytes(gzip.compress(b'[{"id": "' + b"x" * 2_000_000 + b'"}]'))
    with pytest.raises(CatalogueError, match="decompression bomb"):
        list(read_values(films))
    for kind, ending in ENDINGS.items():
        mine = tmp_path / f"mine.csv.{ending}"
        mine.write_bytes(PACK[kind](TABLE))
        assert len(external_test_ids(mine)) == 2000
        mine.write_bytes(PACK[kind](BOMB))
        with pytest.raises(HybridError, match="decompression bomb"):
            external_test_ids(mine)
        mine.write_bytes(PACK[kind](TABLE)[:-9])
        with pytest.raises(HybridError, match="cannot read"):
            external_test_ids(mine)


def test_an_archive_of_several_files_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "id\n")
        archive.writestr("b.csv", "id\n")
    with pytest.raises(HybridError, match="one file in the archive, found 2"):
        external_test_ids(path)


def test_what_is_told_of_a_file_is_its_compressed_place(tmp_path: Path) -> None:
    """The bar of progress counts what is read of the disk."""
    from hybrid.catalogue.readers.source import bytes_read, open_source, open_text

    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(TABLE))
    source: Any = open_source(path)
    with open_text(source, "utf-8", "utf-8") as text:
        text.read()
        assert bytes_read(text) == path.stat().st_size
