"""What lets a model see its test items is found, and counted right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hybrid.audit import audit_split
from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.errors import CatalogueError
from hybrid.records import Leak, Split
from hybrid.splits import split_hash
from hybrid.splitting import audit_catalogue, split_catalogue


def make(*rows: tuple[str, str]) -> Split:
    """A split, as if read from a file: (id, part) a row."""
    ids, parts = (np.array(column) for column in zip(*rows, strict=True))
    return Split(ids, parts, ids, split_hash(ids, parts))


def test_a_clean_split_has_no_leak() -> None:
    split = make(("a", "train"), ("b", "train"), ("c", "validation"), ("d", "test"))
    audit = audit_split(split, {"a": b"1", "b": b"1", "c": b"2", "d": b"3"})
    assert audit.clean
    assert audit.leaks == ()
    assert audit.checks == ("same id", "same image bytes")


def test_an_id_in_two_parts_is_a_leak() -> None:
    split = make(
        ("a", "train"), ("a", "test"), ("b", "test"), ("c", "test"), ("d", "test"), ("d", "test")
    )
    audit = audit_split(split, {})
    assert not audit.clean
    assert audit.leaks == (Leak("same id", 1, 1 / 5, (("a", "train", "a", "test"),)),)


def test_an_image_in_two_parts_is_a_leak() -> None:
    split = make(
        ("a", "train"),
        ("b", "test"),
        ("c", "test"),
        ("d", "validation"),
        ("e", "test"),
        ("f", "test"),
    )
    keys = {"a": b"same", "b": b"same", "c": b"same", "d": b"else", "e": b"else", "f": b"own"}
    (leak,) = audit_split(split, keys).leaks
    assert leak.kind == "same image bytes"
    assert leak.count == 3
    assert leak.share == 3 / 4
    assert set(leak.pairs) == {
        ("a", "train", "b", "test"),
        ("a", "train", "c", "test"),
        ("d", "validation", "e", "test"),
    }


def test_both_kinds_of_leak_are_told_apart() -> None:
    split = make(("a", "train"), ("a", "test"), ("b", "train"), ("c", "test"))
    leaks = audit_split(split, {"a": b"1", "b": b"2", "c": b"2"}).leaks
    assert [(leak.kind, leak.count, leak.share) for leak in leaks] == [
        ("same id", 1, 0.5),
        ("same image bytes", 1, 0.5),
    ]


def test_a_leak_from_train_to_validation_has_no_share_of_the_test_items() -> None:
    split = make(("a", "train"), ("b", "validation"), ("c", "test"))
    (leak,) = audit_split(split, {"a": b"1", "b": b"1"}).leaks
    assert (leak.count, leak.share) == (1, 0)


def test_a_split_without_test_items_is_audited() -> None:
    (leak,) = audit_split(make(("a", "train"), ("a", "validation")), {}).leaks
    assert (leak.count, leak.share) == (1, 0)


@pytest.mark.parametrize(
    "parts",
    [
        ("train", "test"),
        pytest.param(("test", "train")),
    ],
)
def test_an_image_of_an_id_in_two_parts_is_compared_in_both(parts: tuple[str, str]) -> None:
    split = make(*(("a", part) for part in parts), ("b", "train"))
    leaks = audit_split(split, {"a": b"1", "b": b"1"}).leaks
    assert [leak.kind for leak in leaks] == ["same id", "same image bytes"]


def test_many_twins_are_all_counted_and_some_are_kept() -> None:
    split = make(*((f"a{i}", "train") for i in range(60)), *((f"b{i}", "test") for i in range(40)))
    (leak,) = audit_split(split, dict.fromkeys(split.ids.tolist(), b"1")).leaks
    assert (leak.count, leak.share, len(leak.pairs)) == (60 * 40, 1.0, 1000)


# On files


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """40 films: each image twice, two without an image, one without genres."""
    lines = ["id,genres,poster"]
    for i in range(40):
        (tmp_path / f"{i}.jpg").write_bytes(f"image {i // 2}".encode())
        genres = "" if i == 39 else ("Comedy", "Drama", "Comedy|Drama")[i % 3]
        poster = {0: "gone.jpg", 1: "gone.jpg", 2: ""}.get(i, f"{i}.jpg")
        lines.append(f"f{i},{genres},{poster}")
    path = tmp_path / "catalogue.csv"
    path.write_text("\n".join(lines) + "\n")
    return load_catalogue(path)


@pytest.mark.parametrize("seed", [0, 1])
def test_items_with_the_same_image_are_never_parted(catalogue: Catalogue, seed: int) -> None:
    split = split_catalogue(catalogue, seed=seed, workers=2, shares=(0.5, 0.25, 0.25))
    part = dict(zip(split.ids.tolist(), split.parts.tolist(), strict=True))
    group = dict(zip(split.ids.tolist(), split.groups.tolist(), strict=True))
    assert set(part) == {f"f{i}" for i in range(39)}  # the last has nothing to learn from
    assert set(part.values()) == {"train", "validation", "test"}
    for i in range(4, 38, 2):
        assert part[f"f{i}"] == part[f"f{i + 1}"]
        assert group[f"f{i}"] == group[f"f{i + 1}"] == f"f{i}"
    assert [group[f"f{i}"] for i in range(4)] == ["f0", "f1", "f2", "f3"]  # missing is no image
    assert audit_catalogue(catalogue, split, workers=2).clean


def test_a_split_that_parts_twins_is_found_out(catalogue: Catalogue) -> None:
    rows = [(f"f{i}", "test" if i in (5, 7, 8, 9, 0) else "train") for i in range(39)]
    (leak,) = audit_catalogue(catalogue, make(*rows)).leaks
    assert leak.kind == "same image bytes"
    assert leak.pairs == (("f4", "train", "f5", "test"), ("f6", "train", "f7", "test"))
    assert leak.share == 2 / 5


def test_ids_that_are_not_in_the_catalogue_are_no_leak(catalogue: Catalogue) -> None:
    assert audit_catalogue(catalogue, make(("x", "train"), ("y", "test"), ("f4", "test"))).clean


def test_a_catalogue_without_labels_is_not_split(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("id,title\n1,a\n2,b\n")
    with pytest.raises(CatalogueError, match="expected a column 'genres'"):
        split_catalogue(load_catalogue(tmp_path / "c.csv"))
