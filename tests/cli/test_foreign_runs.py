"""A run in another project is judged by its own catalogue and split, not by those where the user stands."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

Call = Callable[..., int]
Capture = pytest.CaptureFixture[str]
RUN = "../theirs/runs/text"


@pytest.fixture
def theirs(fitted_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another project with a run; the user stands in one with the same ids, other labels, another split."""
    theirs, mine = tmp_path / "theirs", tmp_path / "mine"
    shutil.copytree(fitted_project, theirs)
    mine.mkdir()
    table = pd.read_csv(theirs / "catalogue.csv", dtype=str, na_filter=False)
    table["genres"] = table["genres"].to_numpy()[::-1]
    table["title"] = "another film"
    table.to_csv(mine / "catalogue.csv", index=False)
    split = pd.read_csv(theirs / "splits.csv", dtype=str)
    split["split"] = split["split"].to_numpy()[::-1]
    split.to_csv(mine / "splits.csv", index=False)
    monkeypatch.chdir(mine)
    monkeypatch.delenv("HYBRID_CACHE", raising=False)
    return theirs


COMMANDS = {
    "report": ["report", RUN, "--draws", "20"],
    "model-card": ["model-card", RUN, "--draws", "20"],
    "explain": ["explain", RUN],
    "explain an item": ["explain", RUN, "f001"],
    "audit": ["audit", "--run", RUN, "--cache", "../theirs/.hybrid-cache"],
    "study": ["study", RUN, "--curve"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_run_is_judged_by_its_own_catalogue(
    name: str, theirs: Path, call: Call, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*COMMANDS[name], "--quiet", "--json"]
    code = call(*words)
    from_mine = json.loads(capsys.readouterr().out)
    monkeypatch.chdir(theirs)
    if name == "study":
        shutil.rmtree("runs/text/studies")
    assert call(*words) == code
    from_theirs = json.loads(capsys.readouterr().out)
    for one in (from_mine, from_theirs):  # seconds differ; figures do not
        one.pop("costs", None)
    assert from_mine == from_theirs


def test_the_audit_says_what_it_judged_the_run_by(
    theirs: Path, call: Call, capsys: Capture
) -> None:
    audit = [*COMMANDS["audit"], "--quiet"]
    call(*audit)
    said = capsys.readouterr().out
    files = "catalogue ../theirs/catalogue.csv and split ../theirs/splits.csv"
    assert said.count(f"text was audited on {files}\n") == 1
    call(*audit, "--json")
    data = json.loads(capsys.readouterr().out)
    own = [str((theirs / name).resolve()) for name in ("catalogue.csv", "splits.csv")]
    assert [data["catalogue"], data["splits"]] == own
    named = ["--catalogue", "catalogue.csv", "--splits", "splits.csv"]
    call(*audit, *named)
    assert "text was audited on catalogue catalogue.csv and split splits.csv\n" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_without_its_own_catalogue_it_is_not_judged(
    name: str, theirs: Path, call: Call, capsys: Capture
) -> None:
    with (theirs / "catalogue.csv").open("a") as file:
        file.write("\n")
    assert call(*COMMANDS[name], "--quiet") == 1
    said = capsys.readouterr().err
    assert "theirs/runs/text: expected the catalogue that the run was fitted on (sha256 " in said
    assert "found another one at ../theirs/catalogue.csv" in said
    assert "Name it with --catalogue" in said


def test_a_copy_with_another_name_is_its_catalogue(theirs: Path, call: Call) -> None:
    (theirs / "catalogue.csv").rename("../mine/catalogue.csv")
    assert call("report", RUN, "--draws", "20", "--quiet") == 0


def test_a_catalogue_that_is_named_is_used_and_it_is_said(
    theirs: Path, call: Call, capsys: Capture
) -> None:
    words = ["report", RUN, "--catalogue", "catalogue.csv", "--draws", "20", "--quiet"]
    assert call(*words) == 0
    assert "text was fitted on another version of the catalogue" in capsys.readouterr().out


def test_runs_of_two_catalogues_are_two_groups(theirs: Path, call: Call, capsys: Capture) -> None:
    quick = ["--blocks", "text", "--C", "0.1", "--folds", "2", "--quiet", "--name", "mine"]
    assert call("fit-svm", *quick) == 0
    capsys.readouterr()
    figures = {}
    for runs in (["runs/mine"], [RUN], ["runs/mine", RUN]):
        assert call("report", *runs, "--draws", "20", "--quiet", "--json") == 0
        said = json.loads(capsys.readouterr().out)
        found = {run["name"]: run["evaluation"]["metrics"]["f1_weighted"] for run in said["runs"]}
        if len(runs) == 2:
            assert len(said["groups"]) == 2
            assert found == figures
        figures |= found
