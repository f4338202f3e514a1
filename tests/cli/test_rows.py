"""The option --rows: where features are while a head is fitted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

Call = Callable[..., int]
FIT = (
    "fit-svm",
    "--blocks",
    "poster,metadata",
    "--folds",
    "2",
    "--C",
    "0.3",
    "--block-weight",
    "poster=1",
    "--quiet",
)


@pytest.fixture
def project(fitted_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = shutil.copytree(fitted_project, tmp_path / "project")
    monkeypatch.chdir(folder)
    return folder


def test_a_run_on_disk_is_that_in_memory(
    project: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hybrid.explain.importance.MOST", 20)
    found = {}
    for rows in ("auto", "disk"):
        assert call(*FIT, "--name", rows, "--rows", rows) == 0
        found[rows] = json.loads((project / "runs" / rows / "run.json").read_text("utf-8"))
        assert found[rows]["settings"]["rows"] == rows
    assert (found["auto"]["rows"], found["disk"]["rows"]) == ("memory", "disk")
    assert found["disk"]["chosen"] == found["auto"]["chosen"]
    assert found["disk"]["why"].keys() == found["auto"]["why"].keys()
    tables = [pd.read_csv(project / f"runs/{rows}/predictions.csv") for rows in ("auto", "disk")]
    assert tables[0]["id"].tolist() == tables[1]["id"].tolist()
    probabilities = [table.filter(like="p:").to_numpy() for table in tables]
    assert np.abs(probabilities[0] - probabilities[1]).max() < 0.05  # as good as --tol says
    assert call("predict", "disk", "--quiet") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("fit-ovr", "--estimator", "knn", "--rows", "disk"),
            "--rows: expected none, since knn needs all rows in memory",
        ),
        (("fit-svm", "--chain", "--rows", "disk"), "--rows disk: expected a head without --chain"),
        (("fit-svm", "--rows", "tape"), "'tape' is not one of 'auto', 'memory', 'disk'"),
    ],
)
def test_what_needs_memory_is_refused(
    project: Path,
    call: Call,
    capfd: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    message: str,
) -> None:
    assert call(*words, "--blocks", "text", "--name", "no", "--quiet") == 2
    assert message in " ".join(capfd.readouterr().err.split())
    assert not (project / "runs/no").exists()
