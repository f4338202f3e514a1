"""A command that only reads leaves every file of the project as it is, the cache included."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hybrid import load_catalogue
from hybrid.backbones import get_backbone, resolve_weights
from hybrid.cache import EmbeddingCache
from hybrid.cli.main import main
from hybrid.extraction.lookup import hash_catalogue, make_store
from hybrid.utils.context import Context

NET = ("--backbone", "mobilenet-075", "--weights", "random")
FLOAT32 = (*NET, "--precision", "float32")
# OUT stands for a file outside the project.
READING = {
    "check": ["check"],
    "audit": ["audit"],
    "audit of a run": ["audit", "--run", "svm"],
    "audit with a page": ["audit", "--sheet", "OUT.html"],
    "predict": ["predict", "runs/svm", "--out", "OUT.csv"],
    "report": ["report", "--out", "OUT.html", "--draws", "20"],
    "model-card": ["model-card", "runs/svm", "--draws", "20"],
    "explain": ["explain", "runs/svm"],
    "explain an item": ["explain", "runs/svm", "f001"],
    "explain on a page": ["explain", "runs/svm", "f001", "--html", "OUT.html"],
    "cache ls": ["cache", "ls"],
    "cache explain": ["cache", "explain", *FLOAT32],
    "cache verify": ["cache", "verify", "--deep"],
    "cache gc --dry-run": ["cache", "gc", "--dry-run"],
    "cache export": ["cache", "export", "--out", "OUT.npz"],
    "extract --dry-run": ["extract", *FLOAT32, "--dry-run"],
    "backbones": ["backbones"],
}
NEEDS_ROWS = {
    *("explain", "explain an item", "explain on a page", "cache export"),
}


def call(*arguments: str) -> int:
    """The exit code of a command in this process."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damage, and of random weights
            main([*arguments])
    except SystemExit as done:
        return int(done.code or 0)
    raise AssertionError("expected that main exits")


@pytest.fixture(scope="module")
def home(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with embeddings, made by hand, and a run; the cache remembers no hashes yet."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(films.parent, folder, dirs_exist_ok=True)
    before = Path.cwd()
    os.chdir(folder)
    try:
        catalogue, spec = load_catalogue("catalogue.csv"), get_backbone("mobilenet-075")
        store = make_store(".hybrid-cache", spec, resolve_weights(spec, "random"))
        keys = hash_catalogue(catalogue, Context(workers=1))
        known = [key for key in keys if isinstance(key, bytes)]
        random = np.random.default_rng(0)
        for some in (known[::2], known[1::2]):
            store.append(some, random.normal(size=(len(some), 768)).astype(np.float32))
        assert call("split", "--quiet") == 0
        assert call("fit-svm", *NET, "--C", "0.1", "--folds", "2", "--quiet") == 0
    finally:
        os.chdir(before)
    shutil.rmtree(folder / ".hybrid-cache" / "memo", ignore_errors=True)
    return folder


def snapshot(folder: Path) -> dict[str, tuple[int, ...]]:
    """Kind, size and time of change of each file and folder; what came and went shows in its folder."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        said = path.lstat()
        found[str(path.relative_to(folder))] = (said.st_mode, said.st_size, said.st_mtime_ns)
    return found


@pytest.fixture
def read_only_project(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A copy of the project that cannot be written to, unless root asks."""
    folder = tmp_path / "project"
    shutil.copytree(home, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("HYBRID_CACHE", raising=False)
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for each in folders:
        each.chmod(0o555)
    yield folder
    for each in folders:
        if each.exists():
            each.chmod(0o755)


def spoil(project: Path) -> Path:
    """Cut off the end of one part, where it lies."""
    part = min(project.glob(".hybrid-cache/*/parts/part-*.h5"))
    part.write_bytes(part.read_bytes()[:-1])
    return part


@pytest.mark.parametrize("name", READING)
@pytest.mark.parametrize("state", ["sound", "damaged", "no cache"])
def test_nothing_is_written(name: str, state: str, read_only_project: Path, tmp_path: Path) -> None:
    if name in ("extract --dry-run", "predict") and state != "sound":
        pytest.skip("the first has a test below; the second embeds what the cache lacks")
    if state == "damaged":
        spoil(read_only_project)
    if state == "no cache":
        for path in [read_only_project, *read_only_project.rglob("*")]:
            path.chmod(0o755)
        shutil.rmtree(read_only_project / ".hybrid-cache")
    before = snapshot(read_only_project)
    out = str(tmp_path / "out")
    code = call(*(word.replace("OUT", out) for word in READING[name]))
    assert snapshot(read_only_project) == before
    if name in NEEDS_ROWS and state != "sound":
        assert code in (0, 1)  # it says what is missing
    else:
        assert code == int(name == "cache verify" and state == "damaged")


@pytest.mark.parametrize("state", ["damaged", "no store"])
def test_a_dry_run_of_extract_makes_no_store(
    state: str,
    read_only_project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("hybrid.extraction.extract._measure_rate", lambda *arguments: 1.0)
    options = ["--dtype", "float32"] if state == "no store" else []
    if state == "damaged":
        part = spoil(read_only_project)
    before = snapshot(read_only_project)
    assert call("extract", *FLOAT32, *options, "--dry-run", "--json") == 0
    assert snapshot(read_only_project) == before
    assert f'"to_compute": {90 if options else 45}' in capsys.readouterr().out
    if state == "damaged":
        assert part.exists()


def test_elsewhere_a_damaged_part_goes_to_quarantine(read_only_project: Path) -> None:
    for path in read_only_project.rglob("*"):
        path.chmod(0o755)
    part = spoil(read_only_project)
    (store,) = EmbeddingCache(".hybrid-cache").stores()
    with pytest.warns(UserWarning, match="is now in quarantine"):
        assert len(store) == 45
    assert not part.exists()
