"""A command that only reads leaves every file of the project as it is, the cache included."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hybrid.cache import EmbeddingCache

Call = Callable[..., int]
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
    "describe": ["describe", "svm"],
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


def snapshot(folder: Path) -> dict[str, tuple[int, ...]]:
    """Kind, size and time of change of each file and folder; what came and went shows in its folder."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        said = path.lstat()
        found[str(path.relative_to(folder))] = (said.st_mode, said.st_size, said.st_mtime_ns)
    return found


@pytest.fixture
def read_only_project(
    fitted_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A copy of the project that cannot be written to, unless root asks."""
    folder = tmp_path / "project"
    shutil.copytree(fitted_project, folder)
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
def test_nothing_is_written(
    name: str, state: str, read_only_project: Path, tmp_path: Path, call: Call
) -> None:
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
    call: Call,
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
