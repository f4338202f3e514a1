"""What will keep a command from writing its result is told before the work, not after it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hybrid.errors import RunError
from hybrid.utils.files import TEMPORARY
from hybrid.utils.writable import check_new_folder, write_problem

Call = Callable[..., int]
Capture = pytest.CaptureFixture[str]

FIT = ["--blocks", "text", "--C", "0.1", "--folds", "2"]
NET = ["--backbone", "mobilenet-075", "--weights", "random"]
# Command → its option that names what it writes, and words without it.
WRITING = {
    "fit-svm": ("--runs", ["fit-svm", *FIT]),
    "fit-ovr": ("--runs", ["fit-ovr", "--estimator", "logistic", "--blocks", "text"]),
    "fit-deep": ("--runs", ["fit-deep", "--backbone", "text"]),
    "study": ("", ["study", "text", "--curve"]),
    "split": ("--splits", ["split"]),
    "audit --repair": ("--splits", ["audit", "--repair"]),
    "audit --sheet": ("--sheet", ["audit"]),
    "predict": ("--out", ["predict", "text"]),
    "report": ("--out", ["report", "text", "--draws", "20"]),
    "model-card": ("--out", ["model-card", "text", "--draws", "20"]),
    "explain --html": ("--html", ["explain", "text", "f001"]),
    "cache export": ("--out", ["cache", "export", *NET]),
    "extract": ("--cache", ["extract", *NET]),
    "sample": ("DIR", ["sample"]),
    "demo": ("DIR", ["demo"]),
}
SUFFIX = {
    "audit --sheet": "s.html",
    "report": "r.html",
    "explain --html": "c.html",
    "cache export": "e.npz",
}


@pytest.fixture
def project(fitted_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(fitted_project, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("HYBRID_CACHE", raising=False)
    return folder


def words_for(name: str, target: str) -> list[str]:
    option, words = WRITING[name]
    if option == "DIR":
        return [*words, target]
    if name == "study":
        return words
    folder = option in ("--runs", "--cache")
    return [*words, option, target if folder else f"{target}/{SUFFIX.get(name, 'out.csv')}"]


@pytest.mark.parametrize("name", WRITING)
@pytest.mark.parametrize("fault", [errno.EROFS, errno.ENOSPC])
def test_a_disk_that_refuses(
    name: str,
    fault: int,
    project: Path,
    call: Call,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("there").mkdir()
    if name == "audit --repair":
        shutil.copy("splits.csv", "there/out.csv")
    refuse(monkeypatch, fault)
    heavy(monkeypatch)
    assert call(*words_for(name, "there"), "--quiet") == 1
    said = capsys.readouterr().err
    assert os.strerror(fault) in said
    assert not [path for path in project.rglob("*") if path.name.startswith(TEMPORARY)]


def refuse(monkeypatch: pytest.MonkeyPatch, fault: int) -> None:
    """No new file can be made (EROFS), or none can be written (ENOSPC), but its folder can be read."""
    opened = os.open

    def refused(*args: Any, **named: Any) -> int:
        raise OSError(fault, os.strerror(fault))

    def no_new_file(path: Any, flags: int, *args: Any, **named: Any) -> int:
        return refused() if flags & new else opened(path, flags, *args, **named)

    new = os.O_CREAT | (getattr(os, "O_TMPFILE", 0) & ~os.O_DIRECTORY)

    if fault == errno.EROFS:
        monkeypatch.setattr(os, "open", no_new_file)
    monkeypatch.setattr(os, "write", refused)
    monkeypatch.setattr(os, "posix_fallocate", refused)


def heavy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the work of the commands fail the test."""

    def begun(*args: Any, **named: Any) -> None:
        pytest.fail("the work had begun")

    monkeypatch.setattr("hybrid.heads.classifier.HybridClassifier.fit", begun)
    monkeypatch.setattr("hybrid.heads.classifier.HybridClassifier.predict_proba", begun)
    monkeypatch.setattr("hybrid.extraction.extract.embed_here", begun)
    monkeypatch.setattr("hybrid.duplicates.find.find_duplicates", begun, raising=False)
    monkeypatch.setattr("hybrid.datasets.sample._write_table", begun)
    monkeypatch.setattr("hybrid.report.build.compare_groups", begun)


def test_without_files_that_have_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rights and free space are asked for instead; nothing is made that a kill could leave."""
    opened, unnamed = os.open, os.O_TMPFILE

    def without(path: Any, flags: int, *args: Any, **named: Any) -> int:
        if flags & unnamed == unnamed:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        assert not flags & os.O_CREAT
        return opened(path, flags, *args, **named)

    monkeypatch.setattr(os, "open", without)
    assert write_problem(tmp_path) is None
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *arguments: False)
        assert write_problem(tmp_path) == os.strerror(errno.EACCES)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=10**9, free=1000))
        assert write_problem(tmp_path) == os.strerror(errno.ENOSPC)
    with monkeypatch.context() as patch:  # a disk of a network may not know its size
        patch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=0, free=0))
        assert write_problem(tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_where_nothing_can_be_made_is_not_a_full_disk() -> None:
    with pytest.raises(
        RunError, match=r"that /proc cannot be: nothing can be made in it \(No such"
    ):
        check_new_folder("--runs", Path("/proc/nope"))


@pytest.mark.parametrize(
    "name", ["predict", "report", "model-card", "explain --html", "cache export"]
)
def test_a_folder_that_is_not_there(name: str, project: Path, call: Call, capsys: Capture) -> None:
    assert call(*words_for(name, "nowhere"), "--quiet") == 1
    assert "expected a file in a folder that exists, found nowhere/" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["fit-svm", "extract", "sample", "demo"])
def test_a_file_where_a_folder_is_to_be(
    name: str, project: Path, call: Call, capsys: Capture
) -> None:
    Path("taken").write_text("a file")
    assert call(*words_for(name, "taken"), "--quiet") == 1
    assert "taken" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["predict", "model-card", "report"])
def test_a_pipe_or_a_folder_is_not_replaced(
    name: str, project: Path, call: Call, capsys: Capture
) -> None:
    option, words = WRITING[name]
    os.mkfifo("pipe")
    for there, kind in (("pipe", "device or pipe"), ("posters", "folder")):
        assert call(*words, option, there, "--quiet") == 1
        assert f"expected the name of a file, found the {kind} {there}" in capsys.readouterr().err
    assert Path("pipe").is_fifo()


@pytest.mark.parametrize(
    "words", [["predict", "text", "--out", "catalogue.csv"], ["split", "--splits", "catalogue.csv"]]
)
def test_the_catalogue_is_not_replaced(
    words: list[str], project: Path, call: Call, capsys: Capture
) -> None:
    before = Path("catalogue.csv").read_bytes()
    assert call(*words, "--quiet") == 1
    assert "expected a new file, found catalogue.csv, which is read" in capsys.readouterr().err
    assert Path("catalogue.csv").read_bytes() == before


def test_a_name_that_is_taken(project: Path, call: Call, capsys: Capture) -> None:
    Path("runs/notes").mkdir()
    Path("catalogue.csv").unlink()  # not even this is read before
    assert call("fit-svm", *FIT, "--name", "notes") == 1
    assert "runs/notes: expected a run or nothing, found something else" in capsys.readouterr().err


def test_without_a_home(project: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("KERAS_HOME", raising=False)
    assert call("extract", *NET, "--precision", "float32", "--limit", "1", "--dry-run") == 0
    assert call("backbones") == 0
