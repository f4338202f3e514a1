"""What lets a model see its test items is found, and counted right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.audit.audit import audit_catalogue
from hybrid.audit.leaks import audit_fitted_on, audit_learnt, audit_split
from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.errors import CatalogueError
from hybrid.splitting.methods import SplitOptions, split_catalogue
from hybrid.splitting.splits import split_hash
from hybrid.types import Audit, DuplicateGroups, Leak, Split
from hybrid.utils.context import Context


def make(*rows: tuple[str, str]) -> Split:
    """A split, as if read from a file: (id, part) a row."""
    ids, parts = (np.array(column) for column in zip(*rows, strict=True))
    return Split(ids, parts, ids, split_hash(ids, parts))


def same_images(
    *groups: tuple[str, ...], kind: str = "same image bytes", **same: str
) -> DuplicateGroups:
    return DuplicateGroups(kind, groups, same=dict(same))


def test_a_clean_split_has_no_leak() -> None:
    split = make(("a", "train"), ("b", "train"), ("c", "validation"), ("d", "test"))
    audit = audit_split(split, [same_images(("a", "b"))])
    assert audit.clean
    assert audit.leaks == audit.warnings == ()
    assert audit.checks == ("same id", "same image bytes")


def test_an_id_in_two_parts_is_a_leak() -> None:
    split = make(
        ("a", "train"), ("a", "test"), ("b", "test"), ("c", "test"), ("d", "test"), ("d", "test")
    )
    audit = audit_split(split)
    assert not audit.clean
    assert audit.leaks == (
        Leak("same id", 1, 1 / 5, (("a", "train", "a", "test"),), "leak", ("a",)),
    )


def test_an_image_in_two_parts_is_a_leak() -> None:
    split = make(
        ("a", "train"),
        ("b", "test"),
        ("c", "test"),
        ("d", "validation"),
        ("e", "test"),
        ("f", "test"),
    )
    (leak,) = audit_split(split, [same_images(("a", "b", "c"), ("d", "e"))]).leaks
    assert leak.kind == "same image bytes"
    assert leak.count == 3
    assert leak.share == 3 / 4
    assert leak.items == ("b", "c", "e")
    assert set(leak.pairs) == {
        ("a", "train", "b", "test"),
        ("a", "train", "c", "test"),
        ("d", "validation", "e", "test"),
    }


def test_both_kinds_of_leak_are_told_apart() -> None:
    split = make(("a", "train"), ("a", "test"), ("b", "train"), ("c", "test"))
    leaks = audit_split(split, [same_images(("b", "c"))]).leaks
    assert [(leak.kind, leak.count, leak.share) for leak in leaks] == [
        ("same id", 1, 0.5),
        ("same image bytes", 1, 0.5),
    ]


def test_what_is_the_same_is_not_counted_as_nearly_the_same() -> None:
    split = make(("a", "train"), ("b", "test"), ("c", "test"), ("d", "train"))
    near = same_images(("a", "b", "c"), kind="near", a="1", b="1", c="2")
    (leak,) = audit_split(split, [near]).leaks
    assert (leak.count, leak.pairs, leak.items) == (1, (("a", "train", "c", "test"),), ("c",))


def test_a_warning_leaves_the_split_clean() -> None:
    split = make(("a", "train"), ("b", "test"), ("c", "test"))
    audit = audit_split(
        split, [DuplicateGroups("same collection", (("a", "b"),), "warning")], ["x: no y"]
    )
    assert audit.clean
    assert audit.skipped == ("x: no y",)
    assert audit.leaked == frozenset()
    (warning,) = audit.warnings
    assert (warning.kind, warning.severity, warning.count, warning.share) == (
        "same collection",
        "warning",
        1,
        0.5,
    )


def test_what_is_in_no_part_leaks_nothing() -> None:
    split = make(("a", "unused"), ("b", "test"), ("a2", "train"))
    assert audit_split(split, [same_images(("a", "b"))]).clean


def test_a_leak_from_train_to_validation_has_no_share_of_the_test_items() -> None:
    split = make(("a", "train"), ("b", "validation"), ("c", "test"))
    (leak,) = audit_split(split, [same_images(("a", "b"))]).leaks
    assert (leak.count, leak.share) == (1, 0)


def test_a_split_without_test_items_is_audited() -> None:
    (leak,) = audit_split(make(("a", "train"), ("a", "validation"))).leaks
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
    leaks = audit_split(split, [same_images(("a", "b"))]).leaks
    assert [leak.kind for leak in leaks] == ["same id", "same image bytes"]


def test_many_twins_are_all_counted_and_some_are_kept() -> None:
    split = make(*((f"a{i}", "train") for i in range(60)), *((f"b{i}", "test") for i in range(40)))
    (leak,) = audit_split(split, [same_images(tuple(split.ids.tolist()))]).leaks
    assert (leak.count, leak.share, len(leak.pairs)) == (60 * 40, 1.0, 1000)
    assert len(leak.items) == 40


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_counts_are_those_of_all_pairs_compared_one_by_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = {
        (f"i{random.integers(8)}", str(random.choice(["train", "validation", "test", "unused"])))
        for _ in range(random.integers(1, 16))
    }
    same = {f"i{i}": int(random.integers(3)) for i in range(8)}
    group = [f"i{i}" for i in range(8) if random.random() < 0.7]
    pairs = {
        frozenset((x, y))
        for x in rows
        for y in rows
        if "unused" not in (x[1], y[1])
        and x[1] != y[1]
        and {x[0], y[0]} <= set(group)
        and same[x[0]] != same[y[0]]
    }
    hit = {name for pair in pairs for name, part in pair if part == "test"}
    audit = audit_split(make(*rows), [DuplicateGroups("near", (tuple(group),), same=same)])
    leaks = [leak for leak in audit.leaks if leak.kind == "near"]
    assert sum(leak.count for leak in leaks) == len(pairs) == sum(len(k.pairs) for k in leaks)
    assert {frozenset((p[:2], p[2:])) for leak in leaks for p in leak.pairs} == pairs
    assert {name for leak in leaks for name in leak.items} == hit


def test_a_run_that_learnt_from_test_items_is_found_out() -> None:
    split = make(("a", "train"), ("b", "test"), ("c", "test"))
    clean = audit_split(split)
    kind = "run learnt from test items"

    def audit(learnt: str, fitted_on: str) -> Audit:
        found = audit_learnt(clean, split, dict.fromkeys(learnt, "mine"), kind)
        return audit_fitted_on(found, split, {"thresholds": [fitted_on]}, "mine")

    assert audit("a", "train").clean
    first, second = audit("ab", "test").leaks
    assert (first.kind, first.count, first.share, first.items) == (
        "run learnt from test items",
        1,
        0.5,
        ("b",),
    )
    assert first.pairs == (("b", "test", "b", "learnt from by mine"),)
    assert (second.kind, second.share) == ("preprocessing or thresholds saw test items", 1.0)
    assert second.pairs[0] == ("b", "test", "b", "thresholds of mine")


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
    split = split_catalogue(
        catalogue,
        options=SplitOptions(validation=0.25, test=0.25),
        context=Context(seed=seed, workers=2),
    )
    part = dict(zip(split.ids.tolist(), split.parts.tolist(), strict=True))
    group = dict(zip(split.ids.tolist(), split.groups.tolist(), strict=True))
    assert set(part) == {f"f{i}" for i in range(39)}  # the last has nothing to learn from
    assert set(part.values()) == {"train", "validation", "test"}
    for i in range(4, 38, 2):
        assert part[f"f{i}"] == part[f"f{i + 1}"]
        assert group[f"f{i}"] == group[f"f{i + 1}"] == f"f{i}"
    assert [group[f"f{i}"] for i in range(4)] == ["f0", "f1", "f2", "f3"]  # missing is no image
    assert audit_catalogue(catalogue, split, context=Context(workers=2)).clean


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
