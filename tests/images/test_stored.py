from __future__ import annotations

import errno
import gc
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from hybrid.errors import TemporaryFileError
from hybrid.images.references import RowReference
from hybrid.images.stored import FILES, read_stored
from tests.open_files import counts_open_files, open_files

arrow = pytest.importorskip("pyarrow", exc_type=ImportError)


@counts_open_files
def test_the_copies_of_files_that_are_no_longer_read_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as parquet

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    images = [bytes([number]) * 1000 for number in range(3 * FILES)]
    for number, image in enumerate(images):
        parquet.write_table(arrow.table({"image": [image]}), tmp_path / f"{number}.parquet")
    references = [
        RowReference(f"{tmp_path / str(number)}.parquet", "image", 0)
        for number in range(len(images))
    ]
    found = [read_stored(reference) for reference in references[:FILES]]
    gc.collect()
    before = len(open_files(tmp_path))
    assert before >= FILES
    found += [read_stored(reference) for reference in references[FILES:]]
    gc.collect()
    assert [hashlib.sha256(data).digest() for data in found if isinstance(data, bytes)] == [
        hashlib.sha256(data).digest() for data in images
    ]
    assert len(open_files(tmp_path)) == before


def write_images(path: Path, images: list[bytes]) -> list[RowReference]:
    import pyarrow.parquet as parquet

    parquet.write_table(arrow.table({"image": images}), path, row_group_size=2)
    return [RowReference(str(path), "image", row) for row in range(len(images))]


def test_a_full_disk_of_temporary_files_is_no_fault_of_the_posters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [bytes([number]) * 1000 for number in range(6)]
    references = write_images(tmp_path / "films.parquet", images)
    room, write = [2500], os.pwrite

    def refuse(file: int, data: Any, at: int) -> int:
        """A disk with some room, which takes what fits."""
        if at >= room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data[: room[0] - at], at)

    monkeypatch.setattr(os, "pwrite", refuse)
    assert read_stored(references[1]) == images[1]
    for _ in range(2):
        with pytest.raises(TemporaryFileError, match=r"temporary file in .*No space left.*TMPDIR"):
            read_stored(references[2])
    room[0] = 10**6  # somebody has made some
    assert [read_stored(reference) for reference in references] == images


def test_a_temporary_folder_that_is_gone_is_no_fault_of_the_posters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    references = write_images(tmp_path / "films.parquet", [b"one"])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(TemporaryFileError, match=f"temporary file in {tmp_path / 'gone'}: "):
        read_stored(references[0])
