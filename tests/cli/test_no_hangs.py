"""A pipe or a device in the place of any file: no command waits for it, or ends in a traceback."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hybrid.cache import EmbeddingCache
from hybrid.images.memo import ENTRY, save_entries

Call = Callable[..., int]
Capture = pytest.CaptureFixture[str]

REPORT = ["report", "runs/text", "--draws", "10", "--quiet", "--json"]
EXTRACT = ["extract", "--quiet", "--backbone", "mobilenet-075"]
VERIFY = ["cache", "verify"]
# File → the command that reads it, and its exit codes. "STORE" is the folder of a store.
FILES: dict[str, tuple[list[str], set[int]]] = {
    "catalogue.csv": (["check", "--quiet"], {1}),
    "splits.csv": (["audit", "--quiet"], {1}),
    "splits.method.json": (["audit", "--quiet"], {0, 1}),
    "runs/text/run.json": (REPORT, {1}),
    "runs/text/predictions.csv": (REPORT, {1}),
    "runs/text/model.json": (["explain", "runs/text", "--quiet"], {1}),
    "runs/text/model.npz": (["explain", "runs/text", "--quiet"], {1}),
    "runs/text/manifest.json": (REPORT, {1}),
    "runs/text/stages.csv": (REPORT, {0, 1}),
    "runs/text/provenance.json": (REPORT, {0}),
    "runs/text/studies/learning-curve.json": (REPORT, {0, 1}),
    "mine.csv": ([*REPORT, "--external", "mine=mine.csv"], {1}),
    "map.csv": (["check", "--quiet", "--label-map", "map.csv"], {2}),
    "ids.txt": ([*EXTRACT, "--ids", "@ids.txt"], {1, 2}),
    "net.weights.h5": ([*EXTRACT, "--weights", "net.weights.h5"], {1}),
    "posters/1.png": (["check", "--quiet"], {0}),
    ".hybrid-cache/FORMAT": (VERIFY, {1}),
    ".hybrid-cache/memo/keys": (["check", "--quiet"], {0}),
    "STORE/config.json": (VERIFY, {1}),
    "STORE/CURRENT": (VERIFY, {1}),
    "STORE/provenance.json": (VERIFY, {1}),
}
THINGS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("thing", THINGS)
def test_no_command_waits(
    thing: str,
    file: str,
    fitted_project: Path,
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    shutil.copytree(fitted_project, "project")
    monkeypatch.chdir("project")
    save_entries(Path(".hybrid-cache/memo/keys"), np.empty(0, dtype=ENTRY))
    words, codes = FILES[file]
    path = Path(file.replace("STORE", str(EmbeddingCache(".hybrid-cache").folders()[0])))
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    THINGS[thing](path)
    code = call(*words)
    said = capsys.readouterr()
    assert code in codes, said.err
    if code:
        assert any(word in said.err + said.out for word in ("regular file", "found no file"))
        assert path.name in said.err + said.out
