"""The split of many items: compiled loops deal as plain Python does; sizes of blocks make no difference."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.catalogue import load_catalogue
from hybrid.duplicates.groups import group_by_column
from hybrid.split_types import SplitMethod
from hybrid.splitting import balance, dealing, group_counts, methods, splits, stratification
from hybrid.splitting.findings import check_parts, count_groups, count_parts
from hybrid.splitting.group_counts import count_labels, number_values
from hybrid.splitting.methods import check_group_sizes, connected_groups
from hybrid.splitting.nested_samples import nested_samples
from hybrid.splitting.split_file import read_split, write_split
from hybrid.splitting.splits import make_split
from hybrid.types import Split
from hybrid.utils import csv_text
from tests.splitting import plain_stratification

SHARES = [(0.7, 0.1, 0.2), (0.6, 0.0, 0.4), (0.25, 0.25, 0.25, 0.25), (0.1234567, 0.2, 0.6765433)]


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    """What `assign_parts` takes: often rare labels, and labels that groups have in common."""
    n, n_labels = draw(st.integers(1, 60)), draw(st.integers(0, 6))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    member = random.integers(0, draw(st.integers(1, n)), n)
    chances = random.random((n, n_labels))
    chances = chances[member] if draw(st.booleans()) else chances
    return {
        "ids": np.array([f"tt{i}é" for i in random.permutation(n)]),
        "labels": chances < draw(st.floats(0.01, 0.7)),
        "groups": np.array([f"g{m}" for m in member]),
        "shares": draw(st.sampled_from(SHARES)),
        "seed": draw(st.integers(0, 2**40)),
        "home": draw(st.sampled_from([None, 0, 1])),
    }


@given(cases())
@settings(max_examples=150, deadline=None)
def test_groups_are_dealt_as_plain_python_deals_them(case: dict[str, Any]) -> None:
    given_lists = {k: v.tolist() for k, v in case.items() if isinstance(v, np.ndarray)}
    expected = plain_stratification.deal(**{**case, **given_lists})
    member = stratification._number_groups(case["ids"], case["groups"], case["seed"])
    counts = count_labels(case["labels"], member)
    whole = stratification._whole_shares(case["shares"], 1)
    part = stratification._deal(counts, whole, case["home"])
    dealt = dict(zip(given_lists["groups"], part[member].tolist(), strict=True))
    assert dealt == expected


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float64])
def test_items_are_counted_by_group_and_label(dtype: type) -> None:
    random = np.random.default_rng(0)
    labels = (random.random((300, 7)) < 0.3).astype(dtype) * dtype(1)
    member = random.permutation(np.append(np.arange(50), random.integers(0, 50, 250)))
    counts = count_labels(labels, member)
    expected = np.zeros((50, 8), dtype=int)
    np.add.at(expected, member, np.column_stack([labels != 0, np.ones(300)]).astype(int))
    for group, row in enumerate(expected):
        found, items = counts.of_group(group)
        assert found.tolist() == np.flatnonzero(row).tolist()
        assert items.tolist() == row[row > 0].tolist()
    for label in range(8):
        assert counts.groups_of(label).tolist() == np.flatnonzero(expected[:, label]).tolist()
    assert counts.sizes.tolist() == expected[:, 7].tolist()
    assert counts.holders.tolist() == (expected > 0).sum(axis=0).tolist()


def test_changes_of_the_excess_are_those_of_the_definition() -> None:
    random = np.random.default_rng(1)
    labels, member = random.random((80, 4)) < 0.4, np.arange(80) // 2
    part = random.integers(0, 3, 40)
    found = balance.Balance(count_labels(labels, member), part.copy(), [7, 1, 2])

    def excess(parts: Any) -> int:
        has = np.column_stack([labels, np.ones(80, dtype=bool)]).astype(int)
        totals = has.sum(axis=0)
        of_parts = np.array([has[parts[member] == p].sum(axis=0) for p in range(3)])
        off = np.abs(10 * of_parts - np.outer([7, 1, 2], totals))
        return int(np.maximum(off - (10 * 3 * 2 + 10 * 2 * totals // 100), 0).sum())

    some = np.flatnonzero(part == 1).astype(np.int32)
    expected = [
        excess(np.where(np.arange(40) == group, 2, part)) - excess(part) for group in some.tolist()
    ]
    assert found._changes(some, 1, 2).tolist() == expected
    assert any(expected)


def test_groups_are_ordered_by_the_whole_hash_where_its_first_bytes_are_equal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids, labels = np.array([f"t{i}" for i in range(200)]), np.ones((200, 1))

    def shorten(seed: int, name: str) -> bytes:
        whole = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
        return bytes(7) + bytes([whole[0] % 3]) + whole

    monkeypatch.setattr(stratification, "_digest", shorten)
    member = stratification._number_groups(ids, ids, 5)
    assert ids[np.argsort(member)].tolist() == sorted(ids, key=lambda name: shorten(5, name))
    assert np.bincount(make_split(ids, labels).parts == "test").tolist() == [160, 40]


def test_the_size_of_blocks_makes_no_difference(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    random = np.random.default_rng(2)
    ids = np.array([f"=t{i}" if i % 7 else f'"t,{i}' for i in random.permutation(500)])
    pairs = [tuple(ids[random.integers(0, 500, 2)].tolist()) for _ in range(60)]
    labels = random.random((500, 3)) < 0.3

    def result() -> tuple[Any, ...]:
        groups = connected_groups(ids, [*pairs, ("not labelled", pairs[0][0])])
        split = make_split(ids, labels, groups=groups, seed=3)
        write_split(split, tmp_path / "splits.csv")
        return split.sha256, (tmp_path / "splits.csv").read_bytes(), groups.tolist()

    expected = result()
    for module, name in (
        *((module, "BLOCK") for module in (splits, methods, stratification)),
        (group_counts, "_BLOCK"),
        (csv_text, "_ROWS"),
    ):
        monkeypatch.setattr(module, name, 7)
    assert result() == expected
    assert read_split(tmp_path / "splits.csv").sha256 == expected[0]


@pytest.mark.parametrize("strange", ["", "a\rb"])
def test_a_carriage_return_quotes_all_blocks(
    strange: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(csv_text, "_ROWS", 2)
    ids = np.array(["a", "b", "c", "d", f"e{strange}"])
    split = make_split(ids, np.ones((5, 1)))
    write_split(split, tmp_path / "splits.csv")
    first = (tmp_path / "splits.csv").read_bytes().split(b"\n")[0]
    assert first == (b'"id","split","group"' if strange else b"id,split,group")
    assert read_split(tmp_path / "splits.csv").ids.tolist() == ids.tolist()


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=3)))
@settings(max_examples=60, deadline=None)
def test_values_are_numbered_in_their_order(values: list[str]) -> None:
    found, different = number_values(np.array(values, dtype=str))
    names = sorted(set(values))
    assert found.tolist() == [names.index(value) for value in values]
    assert different == len(names)


@given(st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_connected_groups_are_named_by_their_smallest_id(seed: int) -> None:
    random = np.random.default_rng(seed)
    names = [f"t{i}" for i in random.permutation(30)]
    together = [tuple(random.choice(names, random.integers(1, 4))) for _ in range(12)]
    sets = {name: {name} for name in names}
    for group in together:
        merged = set().union(*(sets[name] for name in group))
        sets.update(dict.fromkeys(merged, merged))
    ids = np.array(names[:20])
    assert connected_groups(ids, together).tolist() == [min(sets[name]) for name in names[:20]]


def test_entries_of_a_column_group_the_items_that_share_them(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    pool = [f"Name {i}" for i in range(40)] + ["name 1", "N/A", "", "STRASSE", "straße"]
    cells = ["|".join(random.choice(pool, random.integers(0, 4))) for _ in range(90)]
    lines = [f"i{i},Drama|War,{cell}\n" for i, cell in enumerate(cells)]
    (tmp_path / "catalogue.csv").write_text("id,genres,cast\n" + "".join(lines), encoding="utf-8")
    expected: dict[str, list[str]] = {}
    for i, cell in enumerate(cells):
        for entry in dict.fromkeys(cell.split("|") if cell != "N/A" else ()):
            if entry:
                expected.setdefault(entry.casefold(), []).append(f"i{i}")
    found = group_by_column(load_catalogue(tmp_path / "catalogue.csv"), "cast")
    assert [list(group) for group in found] == [g for g in expected.values() if len(g) > 1]


def test_what_a_split_is_told_to_have(recwarn: pytest.WarningsRecorder) -> None:
    split = Split(
        np.array(["a", "b", "c", "d", "a", "e", "f"]),
        np.array(["train", "train", "test", "unused", "test", "validation", "train"]),
        np.array(["a", "x", "x", "x", "a", "y", "y"]),
        "",
        SplitMethod("iterative"),
    )
    assert list(count_parts(split).items()) == [
        ("train", 3),
        ("test", 2),
        ("unused", 1),
        ("validation", 1),
    ]
    assert count_groups(split) == (3, 3)
    with pytest.raises(Exception, match="found 7 items in 3 groups"):
        check_parts(split, (0.5, 0.25, 0.25))
    check_group_sizes(np.array(list("zzabbzcdb")), (0.7, 0.2, 0.1))
    assert "the largest group (z and others) has 3 of 9 items" in str(recwarn[0].message)


def test_shares_of_unrelated_denominators_are_no_larger_than_64_bits() -> None:
    n = 1_300_001  # the shares of these samples have no small common denominator
    whole = stratification._whole_shares([0.1234567, 0.2345678, 0.6419755], n * 21)
    assert sum(whole) * n * 21 <= 2**62
    assert np.allclose(np.array(whole) / sum(whole), [0.1234567, 0.2345678, 0.6419755])
    ids = np.arange(300).astype(str)
    sizes = [len(rows) for rows in nested_samples(ids, np.ones((300, 1)), ids, (17, 89, 300), 0)]
    assert sizes == [17, 89, 300]


def test_a_group_without_a_part_that_holds_it_is_dealt() -> None:
    counts = count_labels(np.ones((9, 1)), np.array([0] * 8 + [1]))
    dealt = dealing.Dealt(
        part=np.full(2, -1),
        room=np.array([3, 9]),
        wanted=np.array([[5], [4]]),
        holders=np.array([2]),
    )
    dealing.deal(counts, dealt, np.array([0, 1]), 1, 0)
    assert dealt.part.tolist() == [1, 0]
