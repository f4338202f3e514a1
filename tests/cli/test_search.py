"""The option --search: how settings are chosen, and what is said of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., int]
FIT = ("fit-svm", "--blocks", "text,metadata", "--max-chars", "0", "--folds", "2", "--quiet")


@pytest.fixture
def project(fitted_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one's own, where halving begins with few items."""
    folder = shutil.copytree(fitted_project, tmp_path / "project")
    monkeypatch.chdir(folder)
    for name, value in {"LEAST": 60, "FIRST": 16, "USUAL": 64}.items():
        monkeypatch.setattr(f"hybrid.heads.halving.{name}", value)
    return folder


def test_a_run_says_how_its_settings_were_chosen(
    project: Path, call: Call, capfd: pytest.CaptureFixture[str]
) -> None:
    said, tried = {}, {}
    for name, words in {
        "auto": (),
        "full": ("--search", "full"),
        "bare": ("--search",),
        "grid": ("--search", "grid"),
    }.items():
        assert call(*FIT, "--name", name, *words) == 0
        said[name] = capfd.readouterr().out
        record = json.loads((project / "runs" / name / "run.json").read_text("utf-8"))
        tried[name] = record["tried"]
        assert record["settings"]["search"] == ("grid" if name == "bare" else name)
    training = {each["items"] for each in tried["full"]}
    assert len(training) == 1
    assert "chosen by cross-fitting: C " in said["full"]
    sizes = list(dict.fromkeys(each["items"] for each in tried["auto"]))
    assert len(sizes) == 3
    assert sizes[-1] < min(training)  # the items of one fold, here fewer than the last sample has
    assert sizes[-1] < sizes[1]
    named = " and ".join(str(size) for size in sizes[:2])
    assert f"chosen by cross-fitting on samples of {named} items: C " in said["auto"]
    assert "quality  spread  seconds  settings" in said["grid"]
    assert [each["choice"] for each in tried["bare"]] == [each["choice"] for each in tried["grid"]]
    assert len(tried["grid"]) > len(tried["full"])


def test_halving_of_few_items_is_refused(
    project: Path, call: Call, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hybrid.heads.classifier_checks.LEAST", 8192)
    assert call(*FIT, "--name", "few", "--search", "halving") == 2
    assert "search: halving needs 8,192 items or more, found" in capfd.readouterr().err
    assert not (project / "runs/few").exists()
