"""Small catalogues that users have, from the shared folder: the commands do with them what is right."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from hybrid.cli.main import hybrid
from hybrid.errors import SplitError
from tests.conftest import SHARED

CASES = SHARED / "cases" / "catalogues"
pytestmark = pytest.mark.skipif(
    not CASES.is_dir(), reason="the shared cases (beside the checkout) are not here"
)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(hybrid, [*map(str, arguments)], catch_exceptions=False)


def run_json(*arguments: object) -> dict[str, Any]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_addresses_of_posters_are_understood(place: Path) -> None:
    table = CASES / "05-kaggle-moviegenre" / "catalogue.csv"
    named = ("--encoding", "latin-1", "--id-column", "imdbId", "--label-column", "Genre")
    told = run_json("check", "--catalogue", table, *named, "--text", "Title")
    roles = {column["column"]: column for column in told["columns"]}
    assert roles["Poster"]["role"] == "poster"
    assert roles["Imdb Link"]["role"] == "URL"
    assert any("hybrid fetch-posters" in finding["message"] for finding in told["findings"])


def test_numbers_in_dress_are_fitted_as_plain_ones(place: Path) -> None:
    scores = []
    for name in ("plain", "catalogue"):
        table = ("--catalogue", CASES / "15-numbers-in-dress" / f"{name}.csv")
        assert run("split", *table, "--splits", f"{name}.csv").exit_code == 0
        fit = ("fit-svm", *table, "--splits", f"{name}.csv", "--name", name, "--quiet")
        assert run(*fit).exit_code == 0
        record = json.loads((place / "runs" / name / "run.json").read_text())
        scores.append(record["metrics"]["f1_weighted"])
    assert scores[0] == scores[1]


def test_predict_has_a_line_for_each_line(place: Path) -> None:
    case = CASES / "17-predict-drops-rows"
    table = ("--catalogue", case / "catalogue.csv")
    assert run("split", *table).exit_code == 0
    assert run("fit-svm", *table, "--blocks", "text", "--quiet").exit_code == 0
    told = run_json("predict", "runs/svm", "--catalogue", case / "new.csv", "--out", "new.csv")
    with (case / "new.csv").open(newline="", encoding="utf-8") as file:
        given = [row["id"] for row in csv.DictReader(file)]
    with (place / "new.csv").open(newline="", encoding="utf-8") as file:
        assert [row["id"] for row in csv.DictReader(file)] == given
    assert {row["row"] for row in told["bad"]} == {
        i for i, name in enumerate(given, start=1) if not name or name in given[: i - 1]
    }
    assert told["bad"]


@pytest.mark.parametrize("case", ["one", "five"])
def test_few_items_are_split_and_told(place: Path, case: str) -> None:
    told = run_json("split", "--catalogue", CASES / "41-few-labels-few-items" / f"{case}.csv")
    assert min(told["counts"].values()) > 0
    assert any("say little" in finding["message"] for finding in told["findings"])


def test_too_few_items_are_told_at_once(place: Path) -> None:
    table = CASES / "41-few-labels-few-items" / "two.csv"
    with pytest.raises(SplitError, match="expected 5 labelled items or more"):
        run("split", "--catalogue", table)
    assert not (place / "splits.csv").exists()


@pytest.mark.parametrize("case", ["c20", "c45"])
def test_a_placeholder_ties_nobody(place: Path, case: str) -> None:
    table = place / "catalogue.csv"
    shutil.copy(CASES / "52-placeholder-posters" / f"{case}.csv", table)
    with table.open(newline="", encoding="utf-8") as file:
        posters = [row["poster"] for row in csv.DictReader(file)]
    (place / "posters").mkdir()
    for number, name in enumerate(posters):
        plain, own = Image.new("L", (60, 90), 128), Image.effect_noise((60, 90), 10 + number)
        (plain if "none" in name else own).convert("RGB").save(place / name)
    told = run_json("split")
    assert any(finding["kind"] == "shared by many" for finding in told["findings"])
    assert told["counts"] == pytest.approx({"train": 70, "validation": 10, "test": 20}, abs=3)
    assert run("audit").exit_code == 0
