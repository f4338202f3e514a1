"""The embedded sample: the same on any machine, flawed as it says, and no block is enough."""

from __future__ import annotations

import csv
import errno
import hashlib
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import MultiLabelBinarizer
from sklearn.svm import LinearSVC

from hybrid.datasets import sample
from hybrid.datasets.sample import SampleSummary, is_sample, write_sample
from hybrid.errors import SampleError, SettingError
from hybrid.utils import files

COLUMNS = [
    "film_id", "title", "year", "genres", "overview", "cast", "directors", "runtime", "language",
    "certificate", "poster",
]  # fmt: skip
Rows = list[dict[str, str]]


def read_rows(folder: Path) -> Rows:
    with (folder / "catalogue.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def open_poster(folder: Path, row: dict[str, str]) -> Image.Image | None:
    """The poster, or None where it is of no use; on purpose not by `hybrid.images.decode`."""
    try:
        with Image.open(folder / row["poster"]) as image:
            rgb = image.convert("RGB")
    except OSError:
        return None
    return rgb if min(rgb.size) >= 16 else None


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> SampleSummary:
    return write_sample(tmp_path_factory.mktemp("sample"), n_items=600, seed=0)


@pytest.fixture(scope="module")
def folder(summary: SampleSummary) -> Path:
    return summary.folder


@pytest.fixture(scope="module")
def rows(folder: Path) -> Rows:
    return read_rows(folder)


@pytest.fixture(scope="module")
def posters(folder: Path, rows: Rows) -> list[Image.Image | None]:
    return [open_poster(folder, row) for row in rows]


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_sample(tmp_path / name, n_items=60, seed=seed)
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b
    assert a["catalogue.csv"] != c["catalogue.csv"]
    assert a["posters/f0001.jpg"] != c["posters/f0001.jpg"]


def test_every_decision_is_the_same_on_any_machine(folder: Path) -> None:
    # Fails when a table or a rule of the text and metadata changes; then write the new hash here.
    digest = hashlib.sha256((folder / "catalogue.csv").read_bytes()).hexdigest()
    assert digest == "2e5c720abe5a4a248f67bb503b13a97752c1725f9503d653aff2adef6531b16f"


def test_columns_ids_and_titles(rows: Rows) -> None:
    assert list(rows[0]) == COLUMNS
    assert len({row["film_id"] for row in rows}) == 600
    titles = [row["title"] for row in rows]
    assert len(set(titles)) > 500
    assert sum(not title.isascii() for title in titles) >= 4
    assert any("," in title and '"' in title for title in titles)
    assert any("<b>" in title for title in titles)


def test_every_genre_is_there_and_they_are_unequal(summary: SampleSummary, rows: Rows) -> None:
    lists = [row["genres"].split("|") for row in rows]
    counts = Counter(genre for genres in lists for genre in genres)
    assert summary.genres == tuple(sorted(counts))
    assert len(counts) == 8
    assert min(counts.values()) >= 0.04 * len(rows)
    assert max(counts.values()) >= 4 * min(counts.values())
    assert {len(genres) for genres in lists} == {1, 2, 3}
    assert all(len(set(genres)) == len(genres) for genres in lists)


def test_metadata_has_gaps_but_few(rows: Rows) -> None:
    for column in ("year", "overview", "cast", "directors", "runtime", "language", "certificate"):
        missing = sum(row[column] == "" for row in rows) / len(rows)
        assert 0.005 < missing < 0.25, column
    assert all(row["film_id"] and row["title"] and row["genres"] for row in rows)


def test_bad_posters_are_bad_and_all_others_are_good(
    summary: SampleSummary, rows: Rows, posters: list[Image.Image | None]
) -> None:
    bad = [row for row, poster in zip(rows, posters, strict=True) if poster is None]
    assert len(bad) == summary.bad_posters == 6
    assert sum(row["poster"] == "" for row in bad) == 1
    sizes = Counter(poster.size for poster in posters if poster is not None)
    assert sizes == {(182, 268): 594 - summary.near_duplicates, (176, 259): summary.near_duplicates}


def test_one_pair_of_posters_is_the_same_to_the_byte(folder: Path, rows: Rows) -> None:
    paths = [folder / row["poster"] for row in rows if row["poster"]]
    files = [path.read_bytes() for path in paths if path.is_file()]
    counts = Counter(hashlib.sha256(data).hexdigest() for data in files)
    assert sorted(counts.values())[-2:] == [1, 2]


def test_near_duplicates_are_near(
    summary: SampleSummary, rows: Rows, posters: list[Image.Image | None]
) -> None:
    place = {row["title"]: i for i, row in enumerate(rows)}
    copies = [title for title in place if title.endswith(" (Restored)")]
    assert len(copies) == summary.near_duplicates == 8
    for title in copies:
        copy, original = place[title], place[title.removesuffix(" (Restored)")]
        assert rows[copy]["genres"] == rows[original]["genres"]
        assert rows[copy]["overview"].endswith(rows[original]["overview"])
        pixels = [np.asarray(posters[i].resize((32, 48)), float) for i in (copy, original)]  # type: ignore[union-attr]
        assert np.abs(pixels[0] - pixels[1]).mean() < 4


@pytest.mark.parametrize("n_items", [40, 130])
def test_a_small_sample_has_all_that_a_large_one_has(tmp_path: Path, n_items: int) -> None:
    summary = write_sample(str(tmp_path / "new" / "deep"), n_items=n_items, seed=1)
    assert summary.items == len(read_rows(summary.folder)) == n_items
    assert len(summary.genres) == 8
    assert (summary.bad_posters, summary.near_duplicates) == (6, 2)


def test_refuses_to_overwrite(tmp_path: Path) -> None:
    (tmp_path / "catalogue.csv").write_text("mine")
    with pytest.raises(SampleError, match=r"expected .* found .*catalogue\.csv.* another folder"):
        write_sample(tmp_path, n_items=40)
    assert contents(tmp_path) == {"catalogue.csv": b"mine"}
    with pytest.raises(SampleError, match="found a file"):
        write_sample(tmp_path / "catalogue.csv", n_items=40)
    with pytest.raises(SettingError, match="expected 40 or more, found 39"):
        write_sample(tmp_path / "other", n_items=39)


def test_a_sample_that_was_interrupted_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):  # noqa: PT012
        patch.setattr("hybrid.datasets.sample._write_table", stop)
        write_sample(tmp_path / "a", n_items=40, seed=0)
    assert not (tmp_path / "a" / "catalogue.csv").exists()
    write_sample(tmp_path / "a", n_items=40, seed=1)
    write_sample(tmp_path / "b", n_items=40, seed=1)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_sample_is_known_as_one(folder: Path, tmp_path: Path) -> None:
    assert is_sample(folder)
    assert not is_sample(tmp_path)


def describe(row: dict[str, str]) -> dict[str, float]:
    """Simple metadata: categories and names one-hot, numbers scaled."""
    facts = {f"{name}={row[name]}": 1.0 for name in ("language", "certificate")}
    names = [*row["cast"].split("|"), *row["directors"].split("|")]
    facts |= {f"person={name}": 1.0 for name in names}
    facts["year"] = (float(row["year"] or 1990) - 1990) / 30
    facts["runtime"] = (float(row["runtime"] or 105) - 105) / 20
    return facts


def colours(poster: Image.Image | None) -> NDArray[np.float64]:
    """A histogram of the poster's colours, 4 levels a channel; all zeros stand for no poster."""
    if poster is None:
        return np.zeros(64)
    levels = np.asarray(poster.resize((60, 90))).reshape(-1, 3) // 64
    counts = np.bincount(levels @ [16, 4, 1], minlength=64)
    shares: NDArray[np.float64] = counts / counts.sum()
    return np.sqrt(shares)


def weighted_f1(X: csr_matrix, Y: NDArray[np.int64]) -> float:
    scores = []
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(len(Y))
        train, test = order[:480], order[480:]
        svm = OneVsRestClassifier(LinearSVC(C=0.3, class_weight="balanced"))
        predicted = svm.fit(X[train], Y[train]).predict(X[test])
        scores.append(f1_score(Y[test], predicted, average="weighted", zero_division=0))
    return float(np.mean(scores))


def test_no_block_is_enough(rows: Rows, posters: list[Image.Image | None]) -> None:
    Y = MultiLabelBinarizer().fit_transform([row["genres"].split("|") for row in rows])
    words = [f"{row['title']} {row['overview']}" for row in rows]
    blocks = {
        "text": TfidfVectorizer(sublinear_tf=True).fit_transform(words),
        "metadata": DictVectorizer().fit_transform(map(describe, rows)),
        "poster": csr_matrix([colours(poster) for poster in posters]),
    }
    alone = {name: weighted_f1(block.tocsr(), Y) for name, block in blocks.items()}
    fused = weighted_f1(hstack(list(blocks.values())).tocsr(), Y)
    chance = f1_score(Y, np.ones_like(Y), average="weighted")
    assert min(alone.values()) > chance + 0.04, alone
    assert fused > max(alone.values()) + 0.03, (fused, alone)
    assert fused < 0.8


def test_a_disk_that_refuses_to_sync_the_finished_table_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        if (path / "catalogue.csv").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(files, "sync", refuse)
        with pytest.raises(SampleError, match="No space left on device"):
            write_sample(tmp_path / "s", n_items=40)
    assert not (tmp_path / "s").exists()
    write_sample(tmp_path / "s", n_items=40)  # as its message says


def test_a_finished_table_that_cannot_be_removed_either_is_a_whole_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        if (tmp_path / "s/catalogue.csv").exists():
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    write_sample(tmp_path / "usual", n_items=40)
    monkeypatch.setattr(files, "sync", refuse)
    monkeypatch.setattr(sample, "remove", refuse)
    with pytest.warns(UserWarning, match="whole, but a power cut may undo it: Read-only file"):
        write_sample(tmp_path / "s", n_items=40)
    assert contents(tmp_path / "s") == contents(tmp_path / "usual")
