from __future__ import annotations

import gc
import hashlib
import tempfile
from pathlib import Path

import pytest

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
