"""Run folders: whole or not at all; predictions come back as they were written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.errors import RunError, SettingError
from hybrid.runs import predictions_file
from hybrid.runs.folder import check_run_folder, check_run_name, find_runs, new_run, read_run
from hybrid.runs.migration import FORMAT
from hybrid.runs.predictions_file import read_predictions, write_predictions
from hybrid.runs.record import RunRecord
from hybrid.types import Predictions
from hybrid.utils.environment import library_versions


def predictions(
    genres: tuple[str, ...] = ("Comedy", "Drama"), ids: tuple[str, ...] = ("a", "b")
) -> Predictions:
    shape = (len(ids), len(genres))
    labels = np.indices(shape).sum(axis=0) % 2
    probabilities = np.linspace(0, 1, labels.size).reshape(shape)
    splits = np.array(["test", "train", ""])[np.arange(len(ids)) % 3]
    return Predictions(np.array(ids), splits, genres, labels.astype(np.uint8), probabilities)


def write_run(folder: Path, **record: Any) -> None:
    with new_run(folder) as new:
        RunRecord(**record).write(new)
        write_predictions(new / "predictions.csv", predictions())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Predictions

GENRE = st.text(
    st.characters(blacklist_categories=["C", "Z"], blacklist_characters="|"), min_size=1, max_size=9
)


@st.composite
def any_predictions(draw: st.DrawFn) -> Predictions:
    n, genres = draw(st.integers(0, 6)), draw(st.lists(GENRE, min_size=1, max_size=4, unique=True))
    ids = [f"{i}{draw(st.sampled_from(['', ',', 'é', '0', ' x']))}" for i in range(n)]
    splits = [draw(st.sampled_from(["train", "validation", "test", ""])) for _ in range(n)]
    cells = n * len(genres)
    labels = draw(st.lists(st.integers(0, 1), min_size=cells, max_size=cells))
    chances = draw(
        st.lists(st.floats(0, 1) | st.just(float("nan")), min_size=cells, max_size=cells)
    )
    return Predictions(
        np.array(ids, dtype=str),
        np.array(splits, dtype=str),
        tuple(genres),
        np.array(labels, dtype=np.uint8).reshape(n, len(genres)),
        np.array(chances, dtype=np.float64).reshape(n, len(genres)),
    )


@given(any_predictions(), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_predictions_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, written: Predictions, rows: int
) -> None:
    """However many rows are text at a time; the file is the same."""
    path = tmp_path_factory.getbasetemp() / "any-predictions.csv"
    write_predictions(path, written)
    whole = path.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictions_file, "ROWS", rows)
        write_predictions(path, written)
        assert path.read_bytes() == whole
        read = read_predictions(path)
    assert read.ids.tolist() == written.ids.tolist()
    assert read.splits.tolist() == written.splits.tolist()
    assert read.genres == written.genres
    assert read.labels.dtype == np.uint8
    np.testing.assert_array_equal(read.labels, written.labels)
    np.testing.assert_allclose(read.probabilities, written.probabilities, rtol=0, atol=5.1e-7)


@pytest.mark.parametrize(
    "genres",
    [
        ("Sci-Fi, old", 'say "x"', "日本", "p:x", " padded "),
        ("two\nlines", "NA"),
    ],
)
def test_odd_genres_are_read_back(tmp_path: Path, genres: tuple[str, ...]) -> None:
    written = predictions(genres)
    write_predictions(tmp_path / "p.csv", written)
    read = read_predictions(tmp_path / "p.csv")
    assert read.genres == genres
    np.testing.assert_array_equal(read.labels, written.labels)


def test_predictions_are_a_plain_table(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.csv", predictions())
    assert (tmp_path / "p.csv").read_text() == (
        "id,split,genres,p:Comedy,p:Drama\n"
        "a,test,Drama,0.000000,0.333333\n"
        "b,train,Comedy,0.666667,1.000000\n"
    )
    assert pd.read_csv(tmp_path / "p.csv").shape == (2, 5)


def test_predictions_made_elsewhere_are_read(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(
        b"\xef\xbb\xbfp:Drama,note,id,genres,split,p:Comedy\r\n"
        b".5,hm,007,Drama|Comedy,test,1e-3\r\n,,8,,,\r\n"
    )
    read = read_predictions(path)
    assert read.ids.tolist() == ["007", "8"]
    assert read.splits.tolist() == ["test", ""]
    assert read.genres == ("Drama", "Comedy")
    assert read.labels.tolist() == [[1, 1], [0, 0]]
    np.testing.assert_array_equal(read.probabilities, [[0.5, 1e-3], [np.nan, np.nan]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read .*No such file"),
        (b"", "cannot read .*No columns"),
        (b"\xff\xfe\x00", "cannot read .*decode"),
        (b"id,split,genres,p:a\n1,test,a,0.5\n2,test,a,0.5,6\n", "cannot read .*line 3"),
        (b"id,genres,p:a\n1,a,0.5\n", "the columns id, split, genres and .* found id, genres, p:a"),
        (b"id,split,genres\n1,test,a\n", "p:GENRE for each genre, found id, split, genres"),
        (b"id,split,genres,p:a\n1,test,a,0\n2,test,a|b,1\n", "row 2 predicts 'b', which has no"),
        (b"id,split,genres,p:a\n1,test,a,high\n", "expected numbers .* 'high'"),
        pytest.param(b"id,split,genres,p:a,p:a\n1,test,a,0.5,0.6\n", "p:a"),
        pytest.param(b"id,split,genres,p:a\n1,test,a,7\n", "0 to 1|between"),
        pytest.param(b"id,split,genres,p:a\n1,dev,a,0.7\n", "dev"),
    ],
)
def test_files_that_are_no_predictions(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "predictions.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=message):
        read_predictions(path)


def test_a_wrong_row_is_told_by_its_place_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions_file, "ROWS", 2)
    (tmp_path / "p.csv").write_text("id,split,genres,p:a\n1,,a,0\n2,,,0\n3,,a,0\n4,,b,0\n")
    with pytest.raises(RunError, match="row 4 predicts 'b'"):
        read_predictions(tmp_path / "p.csv")


def test_predictions_that_cannot_be_written_leave_the_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.csv"
    write_predictions(path, predictions())
    old = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(RunError, match=r"cannot write .*p\.csv: No space left on device"):
        write_predictions(path, predictions(("Horror",)))
    assert path.read_bytes() == old
    assert names(tmp_path) == ["p.csv"]


# The record


def test_the_record_is_read_back(tmp_path: Path) -> None:
    record = RunRecord(seed=3, name="é", settings={"nested": {"c": [1.5, None]}})
    record.write(tmp_path)
    assert RunRecord.read(tmp_path) == record
    data = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert (data["format"], data["name"]) == (FORMAT, "é")
    assert data["settings"] == {"nested": {"c": [1.5, None]}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"expected a run \(a folder with run\.json\), found none\. Make one with"),
        ("", "expected a readable record"),
        ("[]", "expected a readable record"),
        ("{}", "expected a readable record, found no key 'format'"),
        ('{"format": 4}', "expected format 3 or older, found 4. Update hybrid"),
        pytest.param('{"format": "1"}', "expected"),
    ],
)
def test_folders_that_are_no_run(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunError, match=message):
        RunRecord.read(tmp_path)


# The folder


def test_a_run_is_written_read_and_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "svm"
    write_run(folder, seed=1)
    (folder / "model.npz").write_bytes(b"old")
    run = read_run(str(folder))
    assert run.name == "svm"
    assert run.record == RunRecord(seed=1)
    assert run.predictions.genres == ("Comedy", "Drama")
    write_run(folder, seed=2)
    assert read_run(folder).record.seed == 2
    assert names(folder) == ["manifest.json", "predictions.csv", "run.json"]
    assert names(tmp_path / "runs") == ["svm"]


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_run_that_fails_leaves_things_as_they_were(
    tmp_path: Path, there: bool, error: type[BaseException]
) -> None:
    folder = tmp_path / "svm"
    if there:
        write_run(folder, seed=1)

    def fail() -> None:
        with new_run(folder) as new:
            RunRecord(seed=2).write(new)
            assert not folder.exists() or RunRecord.read(folder).seed == 1
            raise error("half way")

    with pytest.raises(error, match="half way"):
        fail()
    assert names(tmp_path) == (["svm"] if there else [])
    if there:
        assert read_run(folder).record.seed == 1


@pytest.mark.parametrize("exchange", [True, False])
def test_the_old_run_stays_when_the_new_one_cannot_take_its_name(
    exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "svm"
    write_run(folder, seed=1)
    rename = Path.rename

    def refuse_new(path: Path, target: Path) -> Any:
        if path.name.endswith(".tmp"):
            raise OSError(28, "No space left on device")
        return exchange or rename(path, target)

    monkeypatch.setattr("hybrid.runs.replacement.exchange", refuse_new if exchange else no_exchange)
    monkeypatch.setattr(Path, "rename", refuse_new)
    with pytest.raises(RunError, match=r"cannot write the run .*svm: No space left"):
        write_run(folder, seed=2)
    assert names(tmp_path) == ["svm"]
    assert read_run(folder).record.seed == 1


def no_exchange(first: Path, second: Path) -> bool:
    """As on a file system that cannot exchange names."""
    return False


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_what_is_no_run_is_not_replaced(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "photos")
    with pytest.raises(RunError, match="expected a run or nothing, found something else"):
        write_run(tmp_path / "photos")
    assert names(tmp_path) == ["photos"]


@pytest.mark.parametrize("name", ["..", ".hidden", " padded", "padded "])
def test_names_that_are_no_plain_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingError, match="--name: expected a plain folder name, found"):
        check_run_folder(tmp_path / name)


@pytest.mark.parametrize(
    "name", ["../x", "/x", "a/b", "a\\b", "a\nb", "a\u202eb", "a\x1bb", "a\0b", "", ".", "\ud800"]
)
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(SettingError, match="--name: expected a plain folder name, found"):
        check_run_name(name)


def test_a_name_is_not_too_long() -> None:
    check_run_name("日" * 60)
    with pytest.raises(SettingError, match="at most 180 bytes, found 183 bytes"):
        check_run_name("日" * 61)


def test_a_run_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot write the run .*Not a directory"):
        write_run(tmp_path / "file" / "svm")


def test_runs_are_found_by_name(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected runs, found none"):
        find_runs(tmp_path)
    for name in ("b", "a"):
        write_run(tmp_path / name)
    (tmp_path / "photos").mkdir()
    (tmp_path / ".a.1.old").mkdir()
    (tmp_path / ".a.1.old" / "run.json").touch()
    assert find_runs(tmp_path) == [tmp_path / "a", tmp_path / "b"]


def test_versions_are_those_that_run() -> None:
    versions = library_versions()
    assert versions["numpy"] == np.__version__
    assert versions["pandas"] == pd.__version__
