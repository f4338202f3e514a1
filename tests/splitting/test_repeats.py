"""Further splits follow the method of the given one: seeds, folds, earlier periods; nothing is guessed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hybrid.catalogue import load_catalogue
from hybrid.errors import SettingError
from hybrid.split_types import SplitMethod
from hybrid.splitting.methods import SplitOptions, make_splits, read_times, split_catalogue
from hybrid.splitting.repeats import FurtherSplit, check_repeats, further_splits
from hybrid.splitting.splits import (
    make_fold_splits,
    make_legacy_split,
    make_split,
    make_temporal_split,
    split_hash,
)
from hybrid.types import Split
from hybrid.utils.context import Context

IDS = np.array([f"f{i:03}" for i in range(120)])
LABELS = np.random.default_rng(0).random((120, 3)) < 0.4
PAIRS = np.array([f"g{i // 2}" for i in range(120)])


def part(split: Split, *names: str) -> set[str]:
    return set(split.ids[np.isin(split.parts, names)].tolist())


def unknown(split: Split) -> Split:
    return replace(split, method=None)


def groups_are_whole(split: Split) -> bool:
    of = {g: set(split.parts[split.groups == g].tolist()) for g in split.groups.tolist()}
    return all(len(parts) == 1 for parts in of.values())


@pytest.mark.parametrize("stratify", [True, False])
def test_other_seeds_of_the_same_method(stratify: bool) -> None:
    shares = (0.6, 0.1, 0.3)
    split = make_split(IDS, LABELS, groups=PAIRS, shares=shares, seed=7, stratify=stratify)
    found = further_splits(split, LABELS, 4, 1)
    assert [(each.name, each.seed) for each in found] == [
        ("seed 8", 2), ("seed 9", 3), ("seed 10", 4),
    ]  # fmt: skip
    for seed, each in zip((8, 9, 10), found, strict=True):
        exact = [float((split.parts == p).mean()) for p in ("train", "validation", "test")]
        expected = make_split(IDS, LABELS, groups=PAIRS, shares=exact, seed=seed, stratify=stratify)
        assert part(each.split, "test") == part(expected, "test")
        assert groups_are_whole(each.split)


def test_unused_items_stay_so() -> None:
    split = make_split(IDS[:100], LABELS[:100], seed=0)
    ids, parts = IDS, np.concatenate([split.parts, ["unused"] * 20])
    wider = Split(ids, parts, ids, split_hash(ids, parts), split.method)
    for each, same in zip(
        further_splits(wider, LABELS, 3, 0), further_splits(split, LABELS[:100], 3, 0), strict=True
    ):
        assert part(each.split, "unused") == set(IDS[100:].tolist())
        assert part(each.split, "test") == part(same.split, "test")
        assert each.split.ids.tolist() == IDS.tolist()


def test_the_same_split_is_not_taken_twice() -> None:
    # Named methods do not know the seed of the split: that of the run may be another.
    split = unknown(make_split(IDS, LABELS, seed=2))
    found = further_splits(split, LABELS, 3, 0, method=SplitMethod("iterative"))
    assert [each.name for each in found] == ["seed 1", "seed 3"]
    few = make_split(["a", "b", "c"], [[1]] * 3, shares=(1 / 3, 1 / 3, 1 / 3))
    with pytest.raises(SettingError, match="so many different splits of 3 items, found 3, not 9"):
        further_splits(few, [[1]] * 3, 9, 0)


def test_the_other_folds() -> None:
    splits = make_fold_splits(IDS, LABELS, 4, groups=PAIRS, seed=3)
    found = further_splits(splits[2], LABELS, 4, 0)
    assert [each.name for each in found] == ["fold 4 of 4", "fold 1 of 4", "fold 2 of 4"]
    for fold, each in zip((3, 0, 1), found, strict=True):
        assert each.split.parts.tolist() == splits[fold].parts.tolist()
    tested = [part(splits[2], "test"), *(part(each.split, "test") for each in found)]
    assert sum(map(len, tested)) == len(IDS)
    assert set.union(*tested) == set(IDS.tolist())
    with pytest.raises(SettingError, match="expected at most 4, the folds of the split, found 5"):
        further_splits(splits[2], LABELS, 5, 0)
    with pytest.raises(SettingError, match="labels or groups have changed since it was made"):
        further_splits(splits[2], ~LABELS, 2, 0)


def temporal(times: np.ndarray, groups: np.ndarray | None = None) -> Split:
    split = make_temporal_split(IDS, times, groups=groups)
    return replace(split, method=SplitMethod("temporal", by="year"))


def test_rolling_origins_test_on_earlier_periods_and_learn_from_older_items() -> None:
    times = np.repeat(np.arange(1980.0, 2010.0), 4)  # 120 items, a fifth is 24: six years
    found = further_splits(temporal(times), LABELS, 4, 5, times=times)
    # 2004 to 2009 is the split itself.
    assert [(each.name, each.seed) for each in found] == [
        ("test from 1998 to 2003", 6), ("test from 1992 to 1997", 7), ("test from 1986 to 1991", 8),
    ]  # fmt: skip
    for each, first in zip(found, (1998, 1992, 1986), strict=True):
        years = {p: times[each.split.parts == p] for p in ("train", "validation", "test", "unused")}
        assert years["test"].min() == first
        assert years["train"].min() == 1980
        assert years["train"].max() < years["validation"].min()
        assert years["validation"].max() < first
        assert years["unused"].min() == first + 6
        assert len(years["test"]) == 24
    # An eighth of what is learnt from is for validation, as in the split itself.
    assert [int((each.split.parts == "validation").sum()) for each in found] == [8, 8, 4]


def test_more_origins_than_periods_overlap_and_keep_as_much_to_learn_from_as_to_test_on() -> None:
    times = np.arange(120.0)
    found = further_splits(temporal(times), LABELS, 7, 0, times=times)
    tests = [part(each.split, "test") for each in found]
    assert all(len(t) == 24 for t in tests)
    assert all(len(part(e.split, "train", "validation")) >= 24 for e in found)
    assert tests[0] & tests[1]
    few = np.repeat([1980.0, 1990.0, 2000.0, 2010.0], 30)
    with pytest.raises(SettingError, match=r"expected 4 periods to test on, .* found 2 in these"):
        further_splits(temporal(few), LABELS, 4, 0, times=few)


def test_a_group_is_in_one_period_and_items_without_a_time_in_none() -> None:
    times = np.repeat(np.arange(1980.0, 2010.0), 4)
    times[:4] = np.nan
    groups = IDS.copy()
    groups[10] = groups[110] = "twins"
    split = temporal(times, groups)
    found = further_splits(split, LABELS, 3, 0, times=times)
    for each in found:
        assert groups_are_whole(each.split)
        assert not {IDS[10], IDS[110]} & part(each.split, "train", "validation", "test")
        assert part(each.split, "unused") >= set(IDS[:4].tolist())


def test_what_cannot_be_repeated_says_why() -> None:
    legacy = make_legacy_split(IDS, LABELS, shares=(0.8, 0.1, 0.1))
    with pytest.raises(SettingError, match="legacy-2017, which leaks by construction"):
        check_repeats(legacy, 3)
    own = unknown(make_split(IDS, LABELS))
    with pytest.raises(SettingError, match=r"it is not known how it was made. Name the method"):
        check_repeats(own, 3)
    with pytest.raises(SettingError, match="expected iterative, random, temporal, found 'kfold'"):
        check_repeats(own, 3, SplitMethod("kfold"))
    with pytest.raises(SettingError, match="--by: expected with --method temporal"):
        check_repeats(own, 3, SplitMethod("temporal"))
    with pytest.raises(SettingError, match="expected each id once in the split"):
        check_repeats(unknown(legacy), 3, SplitMethod("iterative"))
    with pytest.raises(SettingError, match="expected the column with the time"):
        check_repeats(make_temporal_split(IDS, range(120)), 3)
    made = make_split(IDS, LABELS)
    with pytest.raises(SettingError, match="the split was made by iterative; leave --method"):
        check_repeats(made, 3, SplitMethod("temporal", by="year"))
    with pytest.raises(SettingError, match="expected test items that are newer than all others"):
        further_splits(
            own, LABELS, 3, 0, method=SplitMethod("temporal", by="year"), times=range(120)
        )


@pytest.mark.parametrize("method", ["iterative", "random", "temporal", "kfold", "repeated"])
def test_a_split_of_a_catalogue_can_be_repeated(method: str, films: Path, tmp_path: Path) -> None:
    catalogue = load_catalogue(films)
    by = "year" if method == "temporal" else None
    context = Context(cache=str(tmp_path / "cache"), seed=2)
    several = {"kfold": {"folds": 3}, "repeated": {"repeats": 2}}.get(method, {})
    options = SplitOptions(method, by=by, group_columns=("title",), **several)
    for split in make_splits(catalogue, options, context):
        assert split.method is not None
        assert (split.method.by, split.method.group_columns) == (by, ("title",))
        assert split.method.near_duplicates is True
        times = read_times(catalogue, "year") if by else None
        (found,) = further_splits(split, catalogue.labels, 2, 0, times=times)
        assert isinstance(found, FurtherSplit)
        assert part(found.split, "test") != part(split, "test")


def test_times_may_be_dates(tmp_path: Path) -> None:
    days = np.datetime64("1995-01-01") + 10 * np.arange(100)
    rows = "".join(f"f{i:03},{day},{'AB'[i % 2]}\n" for i, day in enumerate(days))
    (tmp_path / "c.csv").write_text(f"id,released,genres\n{rows}")
    catalogue = load_catalogue(tmp_path / "c.csv")
    split = split_catalogue(catalogue, SplitOptions("temporal", by="released"))
    times = read_times(catalogue, "released")
    cells = catalogue.table["released"].tolist()
    (found,) = further_splits(split, catalogue.labels, 2, 0, times=times, moments=cells)
    assert found.name == f"test from {days[60]} to {days[79]}"
    with pytest.raises(
        SettingError, match=r"--by: unknown column 'relased'. Did you mean released"
    ):
        read_times(catalogue, "relased")
