"""Splits and folds of labels of any number and frequency: shares hold, what cannot hold is told."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hybrid.audit.audit import audit_catalogue
from hybrid.catalogue import load_catalogue
from hybrid.cli.main import _run
from hybrid.errors import SplitError
from hybrid.splitting.findings import describe_split
from hybrid.splitting.methods import SplitOptions, make_splits
from hybrid.splitting.splits import make_folds, make_split
from hybrid.types import PARTS

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "catalogues"
SHARES = (0.7, 0.1, 0.2)
GENRES = ["Drama", "Horror", "Western", "War", "Noir", "Epic"]


def zipf(n: int, n_labels: int, exponent: float, random: np.random.Generator) -> NDArray[Any]:
    """Each item has 1 to 7 labels, the j-th most frequent in proportion to ``1 / j ** exponent``."""
    labels = np.zeros((n, n_labels), dtype=np.uint8)
    rates = 1 / np.arange(1, n_labels + 1) ** exponent
    for row in labels:
        row[random.choice(n_labels, random.integers(1, 8), p=rates / rates.sum())] = 1
    return labels


def one_item(n: int, n_labels: int, random: np.random.Generator) -> NDArray[Any]:
    """A label for all items, one for a third, and some that one item has, all of them of that third."""
    labels = np.zeros((n, n_labels + 2), dtype=np.uint8)
    labels[:, 0] = 1
    third = random.choice(n, n // 3, replace=False)
    labels[third, 1] = 1
    labels[third[: min(n_labels, n // 3)], np.arange(min(n_labels, n // 3)) + 2] = 1
    return labels


@st.composite
def catalogues(draw: st.DrawFn) -> tuple[NDArray[Any], NDArray[Any], int]:
    seed = draw(st.integers(0, 2**32))
    random = np.random.default_rng(seed)
    n, n_labels = int(random.integers(30, 400)), draw(st.sampled_from([1, 10, 100, 1000, 10_000]))
    kind = draw(st.sampled_from(["zipf", "one item", "own"]))
    if kind == "zipf":
        labels = zipf(n, n_labels, random.uniform(0.6, 1.5), random)
    elif kind == "one item":
        labels = one_item(n, n_labels, random)
    else:
        labels = np.eye(n, max(n, n_labels), dtype=np.uint8)[:, :n_labels]
    return labels, random.integers(0, draw(st.sampled_from([n, 20 * n])), n), seed


def check_shares(
    part: NDArray[np.int64], labels: NDArray[Any], groups: NDArray[Any], shares: tuple[float, ...]
) -> None:
    """The words of docs/splits.md: three times the largest group, and 2 % of the items."""
    largest = np.unique(groups, return_counts=True)[1].max()
    for p, share in enumerate(shares):
        there = part == p
        assert abs(there.sum() - share * len(part)) <= 3 * largest + 0.02 * len(part)
        off = np.abs(labels[there].sum(axis=0) - share * labels.sum(axis=0))
        assert (off <= 3 * largest + 0.02 * labels.sum(axis=0)).all()


@given(catalogues())
@settings(max_examples=25, deadline=None)
def test_shares_hold_for_any_label_counts(case: tuple[NDArray[Any], NDArray[Any], int]) -> None:
    labels, groups, seed = case
    ids = [f"f{i}" for i in range(len(labels))]
    split = make_split(ids, labels, groups=groups, seed=seed)
    check_shares(np.array([PARTS.index(p) for p in split.parts]), labels, groups, SHARES)
    folds = make_folds(ids, labels, 5, groups=groups, seed=seed)
    check_shares(folds, labels, groups, (0.2,) * 5)


@pytest.mark.parametrize("seed", range(3))
def test_rare_labels_do_not_push_frequent_ones_out_of_their_share(seed: int) -> None:
    """All items of the most frequent label have a label of their own, and 120 labels have four items."""
    random = np.random.default_rng(seed)
    frequent = random.random((300, 3)) < [0.5, 0.3, 0.1]
    fours = np.zeros((300, 120), dtype=bool)
    for column in fours.T:
        column[random.choice(300, 4, replace=False)] = True
    own = np.eye(300, dtype=bool)[:, frequent[:, 0]]
    labels = np.hstack([frequent, own, fours]).astype(np.uint8)
    split = make_split([f"f{i}" for i in range(300)], labels, seed=seed)
    part = np.array([PARTS.index(p) for p in split.parts])
    check_shares(part, labels, np.arange(300), SHARES)


def test_labels_that_one_item_has_are_in_train() -> None:
    labels = one_item(100, 30, np.random.default_rng(0))
    split = make_split([f"f{i}" for i in range(100)], labels)
    assert [int((split.parts == part).sum()) for part in PARTS] == [70, 10, 20]
    # The label that all of them have leaves no more room in train: 70 % of 33, and no tolerance.
    assert labels[split.parts == "train", 2:].sum() == 23
    few = one_item(100, 20, np.random.default_rng(0))
    split = make_split([f"f{i}" for i in range(100)], few)
    assert few[split.parts == "train", 2:].sum() == 20


def test_labels_of_two_items_are_in_two_folds() -> None:
    labels = np.eye(40, dtype=np.uint8)[:, :20]
    labels[20:] = labels[:20]
    folds = make_folds([f"f{i}" for i in range(40)], labels, 5)
    assert np.bincount(folds).tolist() == [8] * 5
    assert all(len(set(folds[column == 1])) == 2 for column in labels.T)


def write(path: Path, cells: list[str], **more: list[str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "genres", *more])
        columns = zip(cells, *more.values(), strict=True)
        writer.writerows([f"f{i}", *row] for i, row in enumerate(columns))
    return path


def test_rare_labels_are_told(tmp_path: Path) -> None:
    cells = [f"Drama|Own{i}" if i < 40 else "Drama" for i in range(100)]
    catalogue = load_catalogue(write(tmp_path / "c.csv", cells))
    (split,) = make_splits(catalogue)
    (found,) = split.findings
    assert (found.kind, found.count) == ("labels too rare to split", 40)
    assert found.message == (
        "40 labels of 41 have fewer than 3 items, or groups of them, too few for train, validation and "
        "test (Own0, Own1, Own10, Own11, Own12, …): they belong to train. --min-label-count 3 leaves out "
        "those of fewer items"
    )
    assert {part for part, cell in zip(split.parts, cells, strict=True) if "Own" in cell} == {
        "train"
    }


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize("method", ["iterative", "random", "kfold"])
def test_too_few_items_are_an_error_at_once(n: int, method: str, tmp_path: Path) -> None:
    catalogue = load_catalogue(write(tmp_path / "c.csv", GENRES[:n]))
    options = SplitOptions(method, folds=2) if method == "kfold" else SplitOptions(method)
    found = f"found {n} items in {n} groups"
    with pytest.raises(SplitError, match=f"expected 5 labelled items or more .* {found}"):
        make_splits(catalogue, options)


@pytest.mark.parametrize("n", [5, 6])
def test_of_few_items_each_part_has_one_and_it_is_told(n: int, tmp_path: Path) -> None:
    catalogue = load_catalogue(write(tmp_path / "c.csv", GENRES[:n]))
    (split,) = make_splits(catalogue)
    assert [int((split.parts == part).sum()) for part in PARTS] == [n - 2, 1, 1]
    assert split.findings[0].kind == "part sizes"
    assert (
        f"{n - 2} train, 1 validation, 1 test: figures on fewer than 5 items"
        in split.findings[0].message
    )


def test_a_temporal_split_of_one_time_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "c.csv", ["Drama"] * 20, year=["1999"] * 20)
    with pytest.raises(SplitError, match=r"found none in .*: the times in column year are too few"):
        make_splits(load_catalogue(path), SplitOptions("temporal", by="year"))


def test_a_part_without_a_share_is_told(tmp_path: Path) -> None:
    catalogue = load_catalogue(write(tmp_path / "c.csv", ["Drama", "Horror"] * 50))
    (split,) = make_splits(catalogue, SplitOptions(validation=0.0))
    assert [found.message for found in split.findings] == [
        "no item is validation, as asked for; the commands that fit a model need items in each part"
    ]


def test_labels_that_miss_a_part_or_their_share_are_told() -> None:
    ids = [f"f{i}" for i in range(40)]
    labels = np.zeros((40, 2), dtype=np.uint8)
    labels[:20, 0] = labels[20:, 1] = 1
    split = make_split(ids, labels[:, :0])  # labels are not seen
    order = np.argsort(np.array([PARTS.index(part) for part in split.parts]))
    found = {f.kind: f for f in describe_split(split, labels[order.argsort()], ["A", "B"], SHARES)}
    assert found["missing labels"].examples == ("A",)  # all 20 of it are in train
    assert "1 in validation, 1 in test" in found["missing labels"].message
    assert found["label shares"].examples == ("A", "B")


def test_far_off_parts_of_large_groups_are_told(tmp_path: Path) -> None:
    names = [f"N{i % 5}" for i in range(200)]
    catalogue = load_catalogue(write(tmp_path / "c.csv", ["Drama", "Horror"] * 100, name=names))
    with pytest.warns(match="the largest group"):
        (split,) = make_splits(catalogue, SplitOptions(group_columns=("name",)))
    assert [int((split.parts == part).sum()) for part in PARTS] == [120, 40, 40]
    kinds = {found.kind: found.message for found in split.findings}
    assert "5 are shared by more than 12 items each, the largest by 40" in kinds["large groups"]
    assert "120 train, 40 validation, 40 test, where 140, 20, 40 were wanted" in kinds["part sizes"]


def test_more_folds_than_items_are_an_error(tmp_path: Path) -> None:
    catalogue = load_catalogue(write(tmp_path / "c.csv", GENRES))
    with pytest.raises(SplitError, match=r"only 6 groups of items\. Take at most 6 --folds"):
        make_splits(catalogue, SplitOptions("kfold", folds=8))
    with pytest.raises(SplitError, match=r"Take at most 6 --folds"):
        make_splits(catalogue, SplitOptions("kfold", folds=7))
    assert len(make_splits(catalogue, SplitOptions("kfold", folds=6))) == 6


def test_the_command_tells_what_is_unusual(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "catalogue.csv", [f"Drama|Own{i}" if i < 40 else "Drama" for i in range(100)])
    monkeypatch.chdir(tmp_path)
    assert _run(["split", "--quiet"]) == 0
    told = capsys.readouterr().err
    assert "note: 40 labels of 41 have fewer than 3 items" in told
    assert _run(["split", "--json", "--quiet", "--method", "repeated", "--repeats", "2"]) == 0
    found = capsys.readouterr()
    for each in json.loads(found.out):
        assert [
            f["count"] for f in each["findings"] if f["kind"] == "labels too rare to split"
        ] == [40]
    assert found.err.count("note: 40 labels of 41") == 1  # what is the same in all is told once


def test_the_command_tells_a_kind_once_for_all_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = [f"Drama|Own{i}" if i < 9 else "Drama" for i in range(60)]
    write(tmp_path / "catalogue.csv", cells)
    monkeypatch.chdir(tmp_path)
    assert _run(["split", "--json", "--quiet", "--method", "kfold", "--folds", "6"]) == 0
    found = capsys.readouterr()
    told = [line for line in found.err.splitlines() if "have fewer than 3 items" in line]
    messages = [f["message"] for each in json.loads(found.out) for f in each["findings"]
                if f["kind"] == "labels too rare to split"]  # fmt: skip
    assert len(messages) == 6
    assert len(set(messages)) > 1
    assert len(told) == 1
    assert "(in 6 of 6 splits, with other figures; --json has each)" in told[0]


@pytest.mark.parametrize(
    ("case", "sizes"),
    [
        ("45-long-tail-tags/own60", (70, 10, 20)),
        ("45-long-tail-tags/zipf200_2", (140, 20, 40)),
        ("45-long-tail-tags/zipf1000_3", (700, 100, 200)),
        ("56-products-same-title/catalogue", (140, 20, 40)),
        ("31-chinese-leak/zh", (70, 10, 20)),
        ("31-chinese-leak/ja", (70, 10, 20)),
        ("31-chinese-leak/en", (70, 10, 20)),
    ],
)
def test_the_shares_of_the_shared_cases_hold(case: str, sizes: tuple[int, ...]) -> None:
    path = CASES / f"{case}.csv"
    if not path.is_file():
        pytest.skip("shared/cases is not there")
    catalogue = load_catalogue(path)
    (split,) = make_splits(catalogue)
    largest = np.unique(split.groups, return_counts=True)[1].max()
    for part, size in zip(PARTS, sizes, strict=True):
        assert abs((split.parts == part).sum() - size) <= 3 * largest + 0.02 * len(split.ids)
    assert split.findings or "leak" in case
    assert audit_catalogue(catalogue, split).clean
    if "leak" in case:
        assert not audit_catalogue(catalogue, make_split(catalogue.ids, catalogue.labels)).clean


def test_labels_that_were_not_looked_at_are_not_counted(tmp_path: Path) -> None:
    cells = ["Drama|?Noir" if i < 90 else "Drama|Noir" if i < 92 else "Drama" for i in range(100)]
    (split,) = make_splits(load_catalogue(write(tmp_path / "c.csv", cells)))
    (found,) = split.findings
    assert (found.kind, found.examples) == ("labels too rare to split", ("Noir",))
    assert split.parts[90:92].tolist() == ["train", "train"]
