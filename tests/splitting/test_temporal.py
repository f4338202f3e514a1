"""Temporal splits: cuts between times, parts that must not be empty, items without a time."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.cli.main import _run
from hybrid.splitting.findings import describe_undated
from hybrid.splitting.splits import make_temporal_split
from hybrid.types import PARTS


@pytest.mark.parametrize(
    ("sizes", "shares", "expected"),
    [
        ((3, 3, 1), (0.7, 0.1, 0.2), (3, 3, 1)),
        ((1, 1, 20), (0.7, 0.1, 0.2), (1, 1, 20)),
        ((20, 1, 1), (0.7, 0.1, 0.2), (20, 1, 1)),
        ((1, 20, 1, 1), (0.7, 0.1, 0.2), (21, 1, 1)),
        ((9, 1), (0.7, 0.0, 0.3), (9, 0, 1)),
        ((1, 9), (0.7, 0.0, 0.3), (1, 0, 9)),
        ((1, 9), (0.3, 0.7, 0.0), (1, 9, 0)),
        ((9, 1), (0.0, 0.1, 0.9), (0, 9, 1)),
        ((70, 10, 20), (0.7, 0.1, 0.2), (70, 10, 20)),
        ((5, 5), (0.7, 0.1, 0.2), (5, 5, 0)),  # not possible
    ],
)
def test_no_part_of_a_temporal_split_is_empty_where_there_are_times_enough(
    sizes: tuple[int, ...], shares: tuple[float, ...], expected: tuple[int, ...]
) -> None:
    years = np.repeat(2000 + np.arange(len(sizes)), sizes)
    split = make_temporal_split([f"f{i}" for i in range(len(years))], years, shares=shares)
    assert tuple(int((split.parts == part).sum()) for part in PARTS) == expected


@given(
    st.lists(st.integers(1, 9), min_size=3, max_size=12),
    st.sampled_from([(0.7, 0.1, 0.2), (0.34, 0.33, 0.33), (0.05, 0.05, 0.9), (0.98, 0.01, 0.01)]),
)
@settings(max_examples=40, deadline=None)
def test_temporal_cuts_move_only_where_a_part_would_be_empty(
    sizes: list[int], shares: tuple[float, ...]
) -> None:
    years = np.repeat(np.arange(len(sizes)), sizes)
    split = make_temporal_split([f"f{i}" for i in range(len(years))], years, shares=shares)
    assert set(split.parts.tolist()) == set(PARTS)
    starts = np.append(0, np.cumsum(sizes))
    cuts = [starts[np.abs(starts - s * len(years)).argmin()] for s in np.cumsum(shares[:2])]
    if 0 < cuts[0] < cuts[1] < len(years):
        expected = np.diff([0, *cuts, len(years)]).tolist()
        assert [int((split.parts == part).sum()) for part in PARTS] == expected


def test_items_without_a_time_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dates = [f"{1980 + i}-05-01" for i in range(28)] + ["soon", "", "soon"]
    rows = [f"f{i},{'Drama' if i % 2 else 'Horror'},{date}" for i, date in enumerate(dates)]
    Path("catalogue.csv").write_text("id,genres,release_date\n" + "\n".join(rows) + "\n")
    command = ["split", "--method", "temporal", "--by", "release_date", "--quiet", "--json"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # told once: by the finding alone
        assert _run(command) == 0
    printed = capsys.readouterr()
    said = "3 items have no time in release_date ('soon', empty) and are unused"
    assert printed.err.count(f"note: {said}") == 1
    data = json.loads(printed.out)
    (found,) = [found for found in data["findings"] if found["kind"] == "no time"]
    assert (found["message"], found["count"], found["column"]) == (said, 3, "release_date")
    assert data["counts"]["unused"] == 3


def test_an_item_that_its_group_dates_is_not_told() -> None:
    nan = float("nan")
    split = make_temporal_split(list("abcd"), [1990, nan, nan, 2000], groups=list("xxyz"))
    (found,) = describe_undated(split, "year", ["1990", "?", "", "2000"])
    assert found.message == "1 item has no time in year (empty) and is unused"
    dated = make_temporal_split(list("ab"), [1990, 2000])
    assert describe_undated(dated, "year", ["1990", "2000"]) == ()
