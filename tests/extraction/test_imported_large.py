"""Files of embeddings that are larger than memory: they are read in blocks, and the result is the same."""

from __future__ import annotations

import json
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from hybrid.cache import compaction, store
from hybrid.errors import ExtractionError, TemporaryFileError
from hybrid.extraction import import_embeddings as import_embeddings_module
from hybrid.extraction import imported_arrays, imported_file
from hybrid.extraction.import_embeddings import import_embeddings
from hybrid.extraction.imported_file import read_embeddings
from hybrid.types import ImportSettings
from hybrid.utils import reading, row_file
from hybrid.utils.context import Context

FORMATS = ["x.npz", "x.npy", "x.parquet", "x.jsonl"]


def write(path: str, rows: NDArray[Any], compressed: bool = True) -> dict[str, Any]:
    """Write vectors, those of NaN as none where a format has that; returns what else the import needs."""
    ids = [f"item {i}" for i in range(len(rows))]
    absent = np.isnan(rows).all(axis=1) if rows.dtype.kind == "f" else np.zeros(len(rows), bool)
    cells = [None if none else row.tolist() for row, none in zip(rows, absent, strict=True)]
    if path.endswith("npz"):
        (np.savez_compressed if compressed else np.savez)(path, ids=ids, embeddings=rows)
    elif path.endswith("npy"):
        np.save(path, rows)
        Path("ids.txt").write_text("\n".join(ids))
        return {"ids": "ids.txt"}
    elif path.endswith("parquet"):
        kind = pa.list_(pa.from_numpy_dtype(rows.dtype))
        pq.write_table(pa.table({"id": ids, "embedding": pa.array(cells, kind)}), path)
    else:
        lines = (json.dumps({"id": i, "vector": c}) for i, c in zip(ids, cells, strict=True))
        Path(path).write_text("\n".join(lines))
    return {}


@pytest.fixture
def small_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 3 rows of 5 numbers, and files of 7."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(row_file, "BLOCK", 60)
    monkeypatch.setattr(imported_arrays, "BLOCK", 60)
    monkeypatch.setattr(row_file, "SPILL", 140)
    monkeypatch.setattr(imported_file, "BATCH", 4)
    monkeypatch.setattr(import_embeddings_module, "PART_ROWS", 2)
    monkeypatch.setattr(import_embeddings_module, "APPENDED", 250)


@pytest.mark.parametrize("gaps", [(), (0, 1, 2, 3, 4, 17), range(8, 13), (40,), range(41)])
@pytest.mark.parametrize("path", FORMATS)
def test_rows_are_those_of_the_file_with_and_without_gaps(
    path: str, gaps: Any, small_blocks: None
) -> None:
    rows = np.random.default_rng(0).standard_normal((41, 5)).astype(np.float32)
    rows[list(gaps)] = np.nan
    raw = read_embeddings(path, **write(path, rows))
    assert raw.ids == [f"item {i}" for i in range(41)]
    if raw.rows.shape[1] or path in FORMATS[:2]:  # without any vector the others have no width
        np.testing.assert_array_equal(raw.rows, rows)
        assert raw.rows.dtype == np.float32
    else:
        assert (len(gaps), raw.rows.shape) == (41, (41, 0))


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8", "|i1", ">i8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("path", FORMATS[:2])
def test_files_of_numpy_are_read_as_numpy_reads_them(
    path: str, order: str, dtype: str, small_blocks: None
) -> None:
    rows = np.random.default_rng(0).integers(-9, 9, (41, 5)).astype(dtype, order=order)
    found = read_embeddings(path, **write(path, rows, compressed=False)).rows
    assert (found.dtype, found.tolist()) == (rows.dtype, rows.tolist())


@pytest.mark.parametrize("path", FORMATS)
def test_an_import_in_blocks_makes_the_same_store(path: str, small_blocks: None) -> None:
    rows = np.random.default_rng(0).standard_normal((41, 5)).astype(np.float32)
    rows[7] = np.nan
    rows[[2, 30]] = 0
    how = write(path, rows)
    made = import_embeddings(path, block="clip", **how)
    with pytest.MonkeyPatch.context() as usual:
        usual.setattr(row_file, "BLOCK", 2**24)
        usual.setattr(row_file, "SPILL", 2**26)
        again = import_embeddings(path, block="clip", **how)
    assert (made.added, made.missing, again.present) == (40, 1, 40)
    assert again.fingerprint == made.fingerprint
    assert again.findings == made.findings
    assert [finding.count for finding in made.findings] == [1, 2]  # missing, zeros
    half = ImportSettings(dtype="float16")
    assert import_embeddings(path, block="clip", settings=half, **how).dtype == "float16"


@pytest.mark.parametrize("path", FORMATS)
def test_the_vectors_are_not_in_memory(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    size = 2**18
    monkeypatch.setattr(row_file, "BLOCK", size)
    monkeypatch.setattr(imported_arrays, "BLOCK", size)
    monkeypatch.setattr(row_file, "SPILL", size)
    monkeypatch.setattr(imported_file, "BATCH", 16)
    monkeypatch.setattr(store, "PART_ROWS", 16)
    monkeypatch.setattr(compaction, "MANY_SMALL", 99)  # to merge such parts needs all of them
    rows = np.random.default_rng(0).integers(-9, 9, (420, 4096)).astype(np.float32)
    how = write(path, rows)
    assert rows.nbytes > 25 * size
    import_embeddings(path, block="warm", **how)  # modules are loaded
    tracemalloc.start()
    try:
        raw = read_embeddings(path, **how)
        made = import_embeddings(path, block="clip", context=Context(workers=1), **how)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(raw.rows), made.added) == (420, 420)
    assert peak < rows.nbytes / 2


def test_a_list_of_ids_may_be_as_long_as_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.eye(4))
    lines = [f"f{i}".ljust(reading.TEXT.limit // 4 + 1) for i in range(4)]
    Path("ids.txt").write_text("\n".join(lines))
    assert read_embeddings("x.npy", ids="ids.txt").ids == ["f0", "f1", "f2", "f3"]


@pytest.mark.parametrize("path", FORMATS[1:])
def test_a_length_that_changes_late_is_told(path: str, small_blocks: None) -> None:
    how = write(path, np.ones((41, 5), np.float32))
    if path.endswith("npy"):
        Path(path).write_bytes(Path(path).read_bytes()[:-4])
        message = "Failed to read all data"
    elif path.endswith("parquet"):
        cells = [[1.0] * 5] * 40 + [[1.0] * 6]
        pq.write_table(pa.table({"id": list(map(str, range(41))), "embedding": cells}), path)
        message = "vectors of one length, found some of 5, 6 numbers"
    else:
        with Path(path).open("a") as file:
            file.write('\n{"id": "x", "vector": [1, 2, 3, 4, 5, 6]}')
        message = "vectors of one length, found some of 5, 6 numbers"
    with pytest.raises(ExtractionError, match=message):
        read_embeddings(path, **how)


@pytest.mark.parametrize("more", [-4, 4])
def test_an_array_of_a_npz_file_that_is_shorter_or_longer_than_it_says(
    more: int, small_blocks: None
) -> None:
    write("y.npz", np.ones((41, 5), np.float32))
    with zipfile.ZipFile("y.npz") as given, zipfile.ZipFile("x.npz", "w") as changed:
        changed.writestr("ids.npy", given.read("ids.npy"))
        array = given.read("embeddings.npy")
        changed.writestr("embeddings.npy", array[:more] if more < 0 else array + bytes(more))
    with pytest.raises(ExtractionError, match=r"a \.npz file of arrays, found"):
        read_embeddings("x.npz")


def test_a_disk_that_refuses_is_told(small_blocks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    how = write("x.npz", np.ones((41, 5), np.float32))

    def full(**given: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(row_file.tempfile, "TemporaryFile", full)
    with pytest.raises(TemporaryFileError, match=r"No space left.*TMPDIR names another folder"):
        read_embeddings("x.npz", **how)
