"""Ids, labels and a seed → train, validation and test."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hybrid.errors import SettingError, SplitError
from hybrid.split_types import SplitMethod
from hybrid.splitting.split_file import read_split, write_split
from hybrid.splitting.splits import (
    make_fold_splits,
    make_folds,
    make_legacy_split,
    make_split,
    make_temporal_split,
    stratification_tolerance,
)
from hybrid.types import PARTS

FEW = settings(max_examples=40, deadline=None)


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    """Ids, labels, groups, shares and a seed."""
    n = draw(st.integers(1, 40))
    labels = draw(st.integers(0, 5))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    shares = draw(st.sampled_from([(0.7, 0.1, 0.2), (0.5, 0.25, 0.25), (0.6, 0.0, 0.4), (0, 0, 1)]))
    return {
        "ids": [f"tt{i:04}é" for i in random.permutation(5 * n)[:n]],
        "labels": (random.random((n, labels)) < draw(st.floats(0.02, 0.7))).astype(int),
        "groups": [f"g{g}" for g in random.integers(0, draw(st.integers(1, n)), n)],
        "shares": shares,
        "seed": draw(st.integers(0, 2**40)),
    }


def random_labels(n: int, rates: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
    random = np.random.default_rng(seed)
    return (random.random((n, len(rates))) < rates).astype(int)


def names(n: int) -> list[str]:
    return [f"tt{i:04}" for i in range(n)]


@given(cases())
@FEW
def test_a_split_is_a_partition_that_keeps_groups_whole(case: dict[str, Any]) -> None:
    split = make_split(**case)
    assert split.ids.tolist() == case["ids"]
    assert split.groups.tolist() == case["groups"]
    assert len(split.parts) == len(case["ids"])
    allowed = {part for part, share in zip(PARTS, case["shares"], strict=True) if share > 0}
    assert set(split.parts.tolist()) <= allowed
    part_of: dict[str, str] = {}
    for group, part in zip(case["groups"], split.parts.tolist(), strict=True):
        assert part_of.setdefault(group, part) == part


@given(cases(), st.randoms(use_true_random=False))
@FEW
def test_a_split_depends_on_the_seed_and_not_on_the_order(
    case: dict[str, Any], random: Any
) -> None:
    split = make_split(**case)
    order = list(range(len(case["ids"])))
    random.shuffle(order)
    shuffled = {
        **case,
        "ids": [case["ids"][i] for i in order],
        "labels": case["labels"][order],
        "groups": [case["groups"][i] for i in order],
    }
    again = make_split(**shuffled)
    assert again.sha256 == split.sha256
    assert again.parts.tolist() == split.parts[order].tolist()


@given(cases())
@FEW
def test_what_groups_are_called_does_not_matter(case: dict[str, Any]) -> None:
    renamed = [hashlib.md5(g.encode()).hexdigest() for g in case["groups"]]
    expected = make_split(**case).parts.tolist()
    assert make_split(**{**case, "groups": renamed}).parts.tolist() == expected


def test_another_seed_gives_another_split() -> None:
    labels = random_labels(200, np.full(4, 0.3), 0)
    seeds = {make_split(names(200), labels, seed=seed).sha256 for seed in range(5)}
    assert len(seeds) == 5


def golden_labels() -> list[list[bool]]:
    return [[i % 2 == 0, i % 3 == 0, i in (1, 5, 12, 19)] for i in range(24)]


@pytest.mark.parametrize(
    ("seed", "shares", "parts"),
    [
        (0, (0.5, 0.25, 0.25), "rrerrreaaerearerraaerrra"),
        (7, (0.5, 0.25, 0.25), "rrrreeareaaerrarraearerr"),
        (0, (0.7, 0.1, 0.2), "rrrrrreerrreeerrrraarrrr"),
    ],
)
def test_the_same_seed_gives_the_stored_split(
    seed: int, shares: tuple[float, ...], parts: str
) -> None:
    ids = [f"tt{i:02}" for i in range(24)]
    split = make_split(ids, golden_labels(), seed=seed, shares=shares)
    assert "".join(part[1] for part in split.parts) == parts  # tRain, vAlidation, tEst


def test_the_split_does_not_depend_on_how_python_adds_floats(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def left_to_right(values: Any) -> float:  # sum() before Python 3.12
        total = 0.0
        for value in values:
            total += value
        return total

    def splits() -> list[str]:
        return [
            make_split(names(40), random_labels(40, np.full(5, 0.3), seed), seed=seed).sha256
            for seed in range(40)
        ]

    monkeypatch.setattr("hybrid.splitting.stratification.sum", left_to_right, raising=False)
    old = splits()
    monkeypatch.setattr(
        "hybrid.splitting.stratification.sum", math.fsum
    )  # correctly rounded, as since 3.12
    assert splits() == old


@pytest.mark.parametrize("seed", range(0, 100, 10))
def test_a_label_of_three_items_is_in_every_part(seed: int) -> None:
    for case in range(seed, seed + 10):
        random = np.random.default_rng(case)
        n = int(random.integers(20, 120))
        labels = random_labels(n, random.uniform(0.03, 0.5, random.integers(1, 8)), case)
        split = make_split(names(n), labels, seed=case)
        for column in labels.T:
            if column.sum() >= 3:
                assert set(split.parts[column == 1]) == set(PARTS)


def test_every_label_has_its_share_in_every_part() -> None:
    labels = random_labels(2000, np.geomspace(0.4, 0.01, 20), 3)
    split = make_split(names(2000), labels)
    for part, share in zip(PARTS, (0.7, 0.1, 0.2), strict=True):
        there = split.parts == part
        assert abs(there.sum() - 2000 * share) <= 5
        off = np.abs(labels[there].sum(axis=0) - share * labels.sum(axis=0))
        assert (off <= np.maximum(2, 0.01 * labels.sum(axis=0))).all()


def test_labels_have_their_share_when_items_come_in_groups() -> None:
    random = np.random.default_rng(1)
    labels = random_labels(2000, np.geomspace(0.4, 0.02, 12), 4)
    split = make_split(names(2000), labels, groups=random.integers(0, 700, 2000))
    for part, share in zip(PARTS, (0.7, 0.1, 0.2), strict=True):
        there = split.parts == part
        assert abs(there.mean() - share) < 0.01
        np.testing.assert_allclose(labels[there].sum(axis=0) / labels.sum(axis=0), share, atol=0.04)


@given(st.integers(0, 2**32), st.sampled_from([(0.7, 0.1, 0.2), (0.5, 0.25, 0.25)]))
@settings(max_examples=150, deadline=None)
def test_labels_miss_their_shares_by_no_more_than_the_tolerance(
    seed: int, shares: tuple[float, ...]
) -> None:
    random = np.random.default_rng(seed)
    n = int(random.integers(30, 400))
    labels = random_labels(n, random.uniform(0.02, 0.6, random.integers(1, 12)), seed)
    groups = random.integers(0, random.integers(n // 5, n + 1), n)
    split = make_split(names(n), labels, groups=groups, shares=shares, seed=seed)
    for part, share in zip(PARTS, shares, strict=True):
        off = np.abs(labels[split.parts == part].sum(axis=0) - share * labels.sum(axis=0))
        assert (off <= stratification_tolerance(labels, groups)).all()


def test_the_tolerance_is_three_of_the_largest_group_and_two_in_a_hundred() -> None:
    labels = np.repeat([[1, 0]], 100, axis=0)
    groups = ["large"] * 4 + [f"g{i}" for i in range(96)]
    assert stratification_tolerance(labels, groups).tolist() == [14.0, 12.0]


def test_a_random_split_does_not_look_at_labels() -> None:
    labels = random_labels(100, np.full(3, 0.3), 0)
    one = make_split(names(100), labels, stratify=False)
    assert one.sha256 == make_split(names(100), 1 - labels, stratify=False).sha256
    assert [int((one.parts == part).sum()) for part in PARTS] == [70, 10, 20]
    assert one.sha256 != make_split(names(100), labels).sha256


@given(cases(), st.integers(2, 5))
@FEW
def test_each_item_is_test_in_one_split_of_the_folds(case: dict[str, Any], n_folds: int) -> None:
    arguments = {"groups": case["groups"], "seed": case["seed"]}
    splits = make_fold_splits(case["ids"], case["labels"], n_folds, validation=0.1, **arguments)
    folds = make_folds(case["ids"], case["labels"], n_folds, **arguments)
    for fold, split in enumerate(splits):
        assert split.ids.tolist() == case["ids"]
        assert ((split.parts == "test") == (folds == fold)).all()
        for group in set(case["groups"]):
            assert len(set(split.parts[np.array(case["groups"]) == group])) == 1


def test_folds_leave_the_share_of_validation() -> None:
    labels = random_labels(1000, np.full(4, 0.3), 1)
    for split in make_fold_splits(names(1000), labels, 5, validation=0.1):
        assert [int((split.parts == part).sum()) for part in PARTS] == [700, 100, 200]
    with pytest.raises(SettingError, match=r"expected 2 folds or more, .* found 1 fold,"):
        make_fold_splits(names(4), labels[:4], 1)
    with pytest.raises(SettingError, match=r"leaves something to train on, .* validation 0\.5"):
        make_fold_splits(names(4), labels[:4], 2, validation=0.5)


def test_the_newest_are_test_and_a_year_is_never_cut() -> None:
    years = [2000] * 5 + [2001] * 2 + [2002] * 1 + [2003] * 2 + [float("nan")]
    split = make_temporal_split(names(11), years)
    assert split.parts.tolist() == ["train"] * 7 + ["validation"] + ["test"] * 2 + ["unused"]
    tied = make_temporal_split(names(11), years, groups=[0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 9])
    assert tied.parts.tolist()[0] == tied.parts.tolist()[9] == "test"  # as new as its newest


@given(cases(), st.integers(0, 2**32))
@FEW
def test_nothing_in_train_is_newer_than_what_comes_later(case: dict[str, Any], seed: int) -> None:
    random = np.random.default_rng(seed)
    n = len(case["ids"])
    times = np.where(random.random(n) < 0.1, np.nan, random.integers(1950, 1960, n))
    if np.isnan(times).all():
        times[0] = 1950
    groups = np.array(case["groups"])
    split = make_temporal_split(case["ids"], times, groups=groups)
    newest = {g: np.nanmax(np.append(times[groups == g], -1)) for g in set(groups.tolist())}
    for earlier, later in (("train", "validation"), ("validation", "test"), ("train", "test")):
        a = [newest[g] for g in groups[split.parts == earlier].tolist()]
        b = [newest[g] for g in groups[split.parts == later].tolist()]
        assert not a or not b or max(a) < min(b)
    unknown = {g for g, time in newest.items() if time < 0}
    assert set(groups[split.parts == "unused"].tolist()) == unknown


def test_a_temporal_split_needs_times() -> None:
    with pytest.raises(SettingError, match="times: expected a number for some items, found none"):
        make_temporal_split(names(2), [float("nan")] * 2)


def test_empty_shares_and_single_items() -> None:
    assert set(make_split(names(9), np.ones((9, 1)), shares=(1, 0, 0)).parts) == {"train"}
    assert make_split(["a"], [[1]], shares=(0, 0, 1)).parts.tolist() == ["test"]
    unlabelled = make_split(names(100), np.zeros((100, 0)))
    assert [int((unlabelled.parts == part).sum()) for part in PARTS] == [70, 10, 20]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ids": ["a", "b", "a"]}, "ids: expected each once"),
        ({"labels": [1, 0, 1]}, r"labels: expected shape \(3, L\), found \(3,\)"),
        ({"labels": [[1], [0]]}, r"labels: expected shape \(3, L\), found \(2, 1\)"),
        ({"groups": ["a", "b"]}, r"groups: expected shape \(3,\), found \(2,\)"),
        ({"shares": (0.5, 0.1, 0.1)}, "shares: expected numbers from 0 to 1 that add up to 1"),
        ({"shares": (1.5, -0.5, 0)}, "shares: expected numbers from 0 to 1"),
        ({"shares": (float("nan"), 0.5, 0.5)}, "shares: expected numbers from 0 to 1"),
        (
            {"ids": ["a", "a", "b"], "labels": [1], "shares": (1, 1, 1)},
            "(?s)labels:.*ids:.*shares:",
        ),
        pytest.param({"shares": (0.25, 0.25, 0.25, 0.25)}, "shares"),
        pytest.param({"shares": (0.5, 0.5)}, "shares"),
    ],
)
def test_wrong_settings_are_all_named(changed: dict[str, Any], message: str) -> None:
    right = {"ids": ["a", "b", "c"], "labels": [[1], [0], [1]]}
    with pytest.raises(SettingError, match=message):
        make_split(**{**right, **changed})


@given(cases(), st.integers(1, 6))
@FEW
def test_folds_are_whole_groups_in_any_order(case: dict[str, Any], n_folds: int) -> None:
    arguments = {"groups": case["groups"], "seed": case["seed"]}
    folds = make_folds(case["ids"], case["labels"], n_folds, **arguments)
    assert folds.shape == (len(case["ids"]),)
    assert set(folds.tolist()) <= set(range(n_folds))
    for group in set(case["groups"]):
        assert len({f for f, g in zip(folds, case["groups"], strict=True) if g == group}) == 1
    arguments["groups"] = case["groups"][::-1]
    turned = make_folds(case["ids"][::-1], case["labels"][::-1], n_folds, **arguments)
    assert turned.tolist() == folds[::-1].tolist()


def test_folds_have_equal_shares_of_items_and_labels() -> None:
    labels = random_labels(1000, np.geomspace(0.4, 0.02, 10), 5)
    folds = make_folds(names(1000), labels, 5)
    assert np.bincount(folds).tolist() == [200] * 5
    for fold in range(5):
        off = np.abs(labels[folds == fold].sum(axis=0) - labels.sum(axis=0) / 5)
        assert (off <= np.maximum(2, 0.03 * labels.sum(axis=0))).all()


def test_the_stored_folds() -> None:
    ids = [f"tt{i:02}" for i in range(24)]
    folds = make_folds(ids, golden_labels(), 4, seed=1)
    assert "".join(map(str, folds)) == "220111303122020310233013"


@pytest.mark.parametrize("n_folds", [-1, pytest.param(0)])
def test_there_must_be_folds(n_folds: int) -> None:
    with pytest.raises(SettingError, match="expected"):
        make_folds(["a", "b"], [[1], [0]], n_folds)


@pytest.mark.parametrize(
    "ids",
    [
        ["a,b", 'say "x"', "日本", "NA", "null", "007", "1.0"],
        ["line\nbreak", "b"],
    ],
)
def test_a_written_split_is_read_back(tmp_path: Path, ids: list[str]) -> None:
    groups = ["g", "g", *ids[2:]]
    split = make_split(ids, np.ones((len(ids), 1)), groups=groups)
    write_split(split, tmp_path / "splits.csv")
    read = read_split(tmp_path / "splits.csv")
    assert read.ids.tolist() == ids
    assert read.parts.tolist() == split.parts.tolist()
    assert read.groups.tolist() == groups
    assert read.sha256 == split.sha256
    assert sorted(path.name for path in tmp_path.iterdir()) == ["splits.csv", "splits.method.json"]


def test_the_file_and_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    path.write_text("id,split\nb,test\na,train\n")
    split = read_split(path)
    assert split.groups.tolist() == ["b", "a"]
    assert split.sha256 == hashlib.sha256(b"a\0train\nb\0test\n").hexdigest()
    write_split(split, path)
    assert path.read_bytes() == b"id,split,group\nb,test,b\na,train,a\n"
    path.write_text("id,split\na,train\nb,test\n")
    assert read_split(path).sha256 == split.sha256
    path.write_text("id,split\na,test\nb,train\n")
    assert read_split(path).sha256 != split.sha256


def test_an_id_may_stand_in_a_file_twice(tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_text("id,split\na,train\na,test\n")
    assert read_split(tmp_path / "splits.csv").ids.tolist() == ["a", "a"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot read the split .*No columns"),
        (b"\xff\xfe\x00", "cannot read the split .*decode"),
        (b"id,split\n1,train\n2,test,x,y\n", "cannot read the split"),
        (b"id,part\n1,train\n", "expected the columns id, split and group, found id, part"),
        (
            b"id,split\n1,Train\n2,dev\n",
            "expected train, validation, test or unused .* 'Train', 'dev'",
        ),
    ],
)
def test_files_that_are_no_split(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "splits.csv"
    path.write_bytes(content)
    with pytest.raises(SplitError, match=message):
        read_split(path)


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SplitError, match=r"found no such file\. Make one with: hybrid split"):
        read_split(tmp_path / "splits.csv")


def test_a_split_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "splits.csv"
    split = make_split(["a", "b"], [[1], [1]])
    write_split(split, path)
    old = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SplitError, match=r"cannot write the split .*No space left on device"):
        write_split(make_split(["c"], [[1]]), path)
    assert path.read_bytes() == old
    assert read_split(path).method == split.method
    assert sorted(p.name for p in tmp_path.iterdir()) == ["splits.csv", "splits.method.json"]


def test_how_a_split_was_made_is_read_back_with_it(tmp_path: Path) -> None:
    ids, labels, path = list("abcdefgh"), np.ones((8, 1)), tmp_path / "splits.csv"
    third = (1 / 3, 1 / 3, 1 / 3)
    made = {
        SplitMethod("iterative", 3, third): make_split(ids, labels, shares=third, seed=3),
        SplitMethod("random", 4, third): make_split(
            ids, labels, shares=third, seed=4, stratify=False
        ),
        SplitMethod("temporal", shares=third): make_temporal_split(ids, range(8), shares=third),
        SplitMethod("kfold", 5, (0.5, 0.0, 0.5), folds=2, fold=1): make_fold_splits(
            ids, labels, 2, validation=0.0, seed=5
        )[1],
        SplitMethod("legacy-2017", 6, third): make_legacy_split(ids, labels, shares=third, seed=6),
    }
    for method, split in made.items():
        assert split.method == method
        write_split(split, path)
        assert read_split(path).method == method
    # Another split under the same name is not taken for it, be it written by hand or by hybrid.
    path.write_text("id,split\na,train\nb,test\n")
    assert read_split(path).method is None
    write_split(read_split(path), path)
    assert [p.name for p in tmp_path.iterdir()] == ["splits.csv"]


@pytest.mark.parametrize(
    "change",
    [{"seed": "3"}, {"method": None}, {"shares": ["a"]}, {"folds": 1.5}, {"sha256": "0"}, None],
)
def test_a_damaged_note_on_the_method_says_nothing(tmp_path: Path, change: Any) -> None:
    path = tmp_path / "splits.csv"
    write_split(make_split(["a", "b"], [[1], [1]]), path)
    note = tmp_path / "splits.method.json"
    data = json.loads(note.read_text())
    note.write_text("{" if change is None else json.dumps({**data, **change}))
    assert read_split(path).method is None
