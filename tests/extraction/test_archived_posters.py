"""Posters in tar and Parquet files: the same keys, embeddings and findings as those of the same files."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.catalogue.check import check_posters
from hybrid.duplicates.find import find_duplicates
from hybrid.extraction.extract import extract_embeddings
from hybrid.extraction.lookup import hash_catalogue, load_embeddings
from hybrid.images.decode import BadPoster
from hybrid.images.thumbnails import load_thumbnail
from hybrid.types import ColumnOptions, EmbeddingOptions, ExtractSummary
from hybrid.utils.context import Context

pytestmark = pytest.mark.filterwarnings("ignore:random weights")
EXACT = EmbeddingOptions(precision="float32")


@pytest.fixture(scope="module", autouse=True)
def _shallow(shallow_mobilenet: None) -> None:
    """What is embedded here, in whatever order, is embedded by the shallow network."""


def content(catalogue: Catalogue) -> list[bytes | None]:
    files = [Path(path) if path else None for path in catalogue.poster_paths]
    return [file.read_bytes() if file and file.is_file() else None for file in files]


def packed(catalogue: Catalogue, folder: Path, kind: str) -> Catalogue:
    """The same catalogue, its posters in three tar files, or in one Parquet file that it names, or is."""
    folder.mkdir()
    table, data = catalogue.table.copy(), content(catalogue)
    if kind == "tar":
        for shard in range(3):
            with tarfile.open(folder / f"shard-{shard}.tar", "w") as tar:
                for i in range(shard, len(data), 3):
                    if (image := data[i]) is not None:
                        member = tarfile.TarInfo(f"{i:06d}.jpg")
                        member.size = len(image)
                        tar.addfile(member, io.BytesIO(image))
        table["poster"] = [f"shard-{i % 3}.tar#{i:06d}.jpg" for i in range(len(data))]
        table.to_csv(folder / "films.csv", index=False)
        return load_catalogue(folder / "films.csv")
    images = pd.Series([{"bytes": image, "path": None} for image in data])
    if kind == "own Parquet":
        table.assign(poster=images).to_parquet(folder / "films.parquet")
        return load_catalogue(folder / "films.parquet")
    (folder / "posters").mkdir()
    pd.DataFrame({"image": images}).to_parquet(folder / "posters" / "p.parquet", row_group_size=7)
    table["poster"] = [f"p.parquet#{i}" for i in range(len(data))]
    table.to_csv(folder / "films.csv", index=False)
    return load_catalogue(folder / "films.csv", ColumnOptions(posters=folder / "posters"))


def extract(catalogue: Catalogue, cache: Path) -> tuple[ExtractSummary, np.ndarray]:
    context = Context(str(cache), workers=3)
    summary = extract_embeddings(
        catalogue, "mobilenet-075", weights="random", options=EXACT, context=context
    )
    return summary, load_embeddings(catalogue, context=context)


@pytest.mark.parametrize("kind", ["tar", "Parquet", "own Parquet"])
def test_archived_posters_are_those_of_the_files(kind: str, films: Path, tmp_path: Path) -> None:
    if kind != "tar":
        pytest.importorskip("pyarrow", exc_type=ImportError)
    files = load_catalogue(films)
    there = packed(files, tmp_path / "packed", kind)
    keys, same = hash_catalogue(files), hash_catalogue(there)
    assert [key for key in same if isinstance(key, bytes)] == [
        key for key in keys if isinstance(key, bytes)
    ]
    expected, embeddings = extract(files, tmp_path / "one")
    summary, found = extract(there, tmp_path / "two")
    np.testing.assert_array_equal(found, embeddings)
    assert (summary.embedded, summary.images) == (expected.embedded, expected.images)
    assert [(bad.row, bad.id) for bad in summary.bad] == [(b.row, b.id) for b in expected.bad]
    assert [bad.row for bad in check_posters(there)] == [bad.row for bad in check_posters(files)]
    again, _ = extract(there, tmp_path / "one")  # the same keys: nothing is left to compute
    assert (again.computed, again.hits) == (0, expected.images)


def test_what_looks_at_pixels(films: Path, tmp_path: Path) -> None:
    files = load_catalogue(films)
    there = packed(files, tmp_path / "packed", "tar")
    for one, two in zip(files.poster_paths, there.poster_paths, strict=True):
        expected, found = load_thumbnail(one, 64), load_thumbnail(two, 64)
        assert isinstance(expected, BadPoster) == isinstance(found, BadPoster)
        assert isinstance(expected, BadPoster) or found == expected
    context = Context(str(tmp_path / "none"))
    told = [find_duplicates(each, hash_catalogue(each), context=context) for each in (files, there)]
    assert repr(told[0]) == repr(told[1])


def test_a_bad_tar_file_is_each_of_its_posters(films: Path, tmp_path: Path) -> None:
    files = load_catalogue(films)
    there = packed(files, tmp_path / "packed", "tar")
    (tmp_path / "packed" / "shard-1.tar").write_bytes(b"no tar file" * 1000)
    (tmp_path / "packed" / "shard-2.tar").unlink()
    summary, found = extract(load_catalogue(there.path), tmp_path / "cache")
    reasons = {bad.row - 1: bad.reason for bad in summary.bad}
    for i in range(len(files)):
        if i % 3:
            expected = "its tar file is no tar file" if i % 3 == 1 else "tar file not found"
            assert reasons[i] == expected
        else:
            assert (i in reasons) == bool(np.isnan(found[i]).all())
    assert summary.embedded == sum(not np.isnan(row).all() for row in found)
    assert summary.embedded > len(files) // 4
