"""What a spreadsheet would compute is text in every CSV file, and hybrid reads back what it wrote."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.report.external import external_test_ids
from hybrid.runs.predictions_file import read_predictions, write_predictions
from hybrid.split_types import SplitMethod
from hybrid.splitting.split_file import read_split, write_split
from hybrid.splitting.splits import split_hash
from hybrid.types import Predictions, Split
from hybrid.utils.csv_text import escape_formula, unescape_formula

STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
IDS = [
    *(start + rest for start in STARTS for rest in ("1+1", "cmd|' /C calc'!A0", "")),
    *("'" + start + "x" for start in STARTS),
    *(
        "''=x",
        "'''-x",
        "'",
        "''",
        "'90s",
        "a=1",
        "plain",
        "-5",
        "+1",
        "a\rb",
        'q"q',
        "=a,b",
        "'=a\nb",
    ),
]


def make_split(ids: list[str], groups: list[str], method: SplitMethod | None = None) -> Split:
    parts = np.array([("train", "test")[i % 2] for i in range(len(ids))])
    names = np.array(ids, dtype=str)
    return Split(names, parts, np.array(groups, dtype=str), split_hash(names, parts), method)


def make_predictions(ids: list[str], genres: tuple[str, ...]) -> Predictions:
    labels = np.array([[i % 2, 1] for i in range(len(ids))], dtype=np.uint8)
    return Predictions(
        np.array(ids, dtype=str), np.full(len(ids), "test"), genres, labels, labels / 4
    )


def raw_cells(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("method", [None, SplitMethod("random", seed=0)])
def test_a_split_is_read_as_it_was_written(tmp_path: Path, method: SplitMethod | None) -> None:
    split = make_split(IDS, IDS[::-1], method)
    write_split(split, tmp_path / "s.csv")
    again = read_split(tmp_path / "s.csv")
    assert again.ids.tolist() == IDS
    assert again.groups.tolist() == IDS[::-1]
    assert again.sha256 == split.sha256
    assert not any(cell.startswith(STARTS) for row in raw_cells(tmp_path / "s.csv") for cell in row)


def test_groups_are_read_back_where_no_id_is_escaped(tmp_path: Path) -> None:
    write_split(
        make_split(["a", "b"], ["-g", "'=g"], SplitMethod("random", seed=0)), tmp_path / "s.csv"
    )
    assert read_split(tmp_path / "s.csv").groups.tolist() == ["-g", "'=g"]


def test_predictions_are_read_as_they_were_written(tmp_path: Path) -> None:
    path, genres = tmp_path / "p.csv", ("=HYPERLINK(1)", "Drama")
    write_predictions(path, make_predictions(IDS, genres))
    again = read_predictions(path)
    assert again.ids.tolist() == IDS
    assert again.genres == genres
    assert again.labels.tolist() == [[i % 2, 1] for i in range(len(IDS))]
    assert external_test_ids(path) == frozenset(IDS)
    assert not any(cell.startswith(STARTS) for row in raw_cells(path) for cell in row)


def test_files_of_earlier_versions_are_read_as_before(tmp_path: Path) -> None:
    """They have formulas as they are."""
    (tmp_path / "s.csv").write_text("id,split,group\n=1,train,-g\n'90s,test,@b\n-5,test,'\n")
    split = read_split(tmp_path / "s.csv")
    assert split.ids.tolist() == ["=1", "'90s", "-5"]
    assert split.groups.tolist() == ["-g", "@b", "'"]
    (tmp_path / "p.csv").write_text("id,split,genres,p:-x\n=1,test,-x,0.5\n")
    assert read_predictions(tmp_path / "p.csv").ids.tolist() == ["=1"]
    assert read_predictions(tmp_path / "p.csv").labels.tolist() == [[1]]


def test_a_split_of_an_earlier_version_with_apostrophes(tmp_path: Path) -> None:
    """Its method names its hash: that tells that nothing in it is escaped."""
    ids = ["'=1", "b"]
    (tmp_path / "s.csv").write_text("id,split,group\n'=1,train,'=1\nb,test,b\n")
    digest = make_split(ids, ids).sha256
    about = {"sha256": digest, "method": "random", "seed": 0}
    (tmp_path / "s.method.json").write_text(json.dumps(about))
    assert read_split(tmp_path / "s.csv").ids.tolist() == ids


def test_ordinary_files_have_the_bytes_that_they_had(tmp_path: Path) -> None:
    ids = ["a", "b c", "x,y", "tt01", "'90s", "ü"]
    write_split(make_split(ids, ids), tmp_path / "s.csv")
    expected = 'id,split,group\na,train,a\nb c,test,b c\n"x,y",train,"x,y"\ntt01,test,tt01\n'
    expected += "'90s,train,'90s\nü,test,ü\n"
    assert (tmp_path / "s.csv").read_bytes() == expected.encode()


@given(st.text())
def test_any_text_is_read_back(cell: str) -> None:
    written = escape_formula(cell)
    assert unescape_formula(written) == cell
    assert not written.startswith(STARTS)
