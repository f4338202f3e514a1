"""No command opens a pickle, but `hybrid convert --allow-pickle`; and what a run's files are is known."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import joblib
import pytest

from hybrid.catalogue import load_catalogue
from hybrid.cli.main import COMMANDS, _run
from hybrid.errors import RunError
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.runs import replacement
from hybrid.runs.convert import convert_run
from hybrid.runs.experiment import Experiment
from hybrid.runs.fit_head import fit_head
from hybrid.runs.folder import read_run
from hybrid.runs.predict import load_head
from hybrid.runs.record import RunRecord
from hybrid.splitting.methods import split_catalogue
from hybrid.splitting.split_file import write_split

OLD = "runs/old"
ADVICE = "hybrid convert runs/old --allow-pickle"


class Canary:
    """Makes a folder when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("canary",)


@pytest.fixture(scope="module")
def made(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a run; not to be changed."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(films.parent, folder, dirs_exist_ok=True)
    catalogue = load_catalogue(folder / films.name)
    split = split_catalogue(catalogue)
    write_split(split, folder / "splits.csv")
    model = make_hybrid(catalogue, blocks=["text", "metadata"], grid={"C": [0.1]}, folds=2)
    fit_head(Experiment(catalogue, split, folder / "runs/svm", folder / "splits.csv"), model, {})
    return folder


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, and the current directory in it."""
    shutil.copytree(made, tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.delenv("HYBRID_CACHE", raising=False)
    return tmp_path / "home"


def make_old(model: Any) -> None:
    """A run as earlier versions wrote it: the same record, a pickle for its model, no manifest."""
    shutil.copytree("runs/svm", OLD)
    for name in ("model.json", "model.npz", "manifest.json"):
        Path(OLD, name).unlink()
    joblib.dump(model, Path(OLD, "model.joblib"), compress=3)


# Command → its words; those that are not here name no run.
WORDS = {
    "predict": [OLD, "--out", "p.csv"],
    "explain": [OLD],
    "study": [OLD, "--ablation"],
    "describe": [OLD],
    "report": [OLD, "--draws", "20", "--out", "r.html"],
    "model-card": [OLD, "--draws", "20"],
    "audit": ["--run", OLD],
    "convert": [OLD],
    "fit-svm": ["--name", "old", "--blocks", "text", "--C", "0.1", "--folds", "2"],
    "fit-ovr": ["--name", "old", "--blocks", "text", "--estimator", "naive-bayes", "--folds", "2"],
}
NEEDS_MODEL = ("predict", "explain", "study")
NO_RUN = {
    *("demo", "sample", "import", "fetch-posters", "check", "split", "extract", "cache"),
    *("backbones", "fit-deep", "import-embeddings", "tune", "race"),
}


def test_each_command_is_tried() -> None:
    assert set(WORDS) | NO_RUN == set(COMMANDS)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", WORDS)
def test_no_command_opens_a_pickle(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    make_old(Canary())
    shutil.copy(f"{OLD}/model.joblib", f"{OLD}/model.blocks.joblib")
    code = _run([name, *WORDS[name], "--quiet"])
    said = capsys.readouterr().err
    assert not Path("canary").exists()
    if name in NEEDS_MODEL:
        assert code == 1
        assert "model.joblib, which an earlier version of hybrid wrote. It is a pickle" in said
        assert ADVICE in said
    if name == "convert":
        assert code == 2
        assert "allow it with --allow-pickle" in said
    assert Path(OLD, "model.joblib").exists() == (not name.startswith("fit-"))


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", ["model.json", "model.npz"])
def test_a_pickle_under_the_name_of_a_model_is_not_opened(name: str) -> None:
    make_old(Canary())
    shutil.copy("runs/svm/model.json", OLD)
    shutil.copy("runs/svm/model.npz", OLD)
    shutil.copy(f"{OLD}/model.joblib", f"{OLD}/{name}")
    with pytest.raises(RunError, match=rf"{name}: expected"):
        load_head(Path(OLD), RunRecord.read(Path(OLD)))
    assert not Path("canary").exists()


@pytest.mark.usefixtures("home")
def test_a_run_is_converted_once_and_answers_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    record = RunRecord.read(Path("runs/svm"))
    model = load_head(Path("runs/svm"), record)
    make_old(model)
    Path(OLD, "studies").mkdir()
    Path(OLD, "studies/notes.txt").write_text("mine")
    frame = load_catalogue("catalogue.csv").frame
    before = {path.name: path.read_bytes() for path in Path(OLD).glob("[!m]*.*")}
    with pytest.warns(UserWarning, match="whatever code it holds is run"):
        assert _run(["convert", "old", "--allow-pickle"]) == 0
    assert capsys.readouterr().out == "runs/old: converted, model.joblib removed\n"
    assert {path.name: path.read_bytes() for path in Path(OLD).glob("[!m]*.*")} == before
    assert Path(OLD, "studies/notes.txt").read_text() == "mine"
    assert not list(Path("runs").rglob("*.joblib"))
    found = load_head(Path(OLD), RunRecord.read(Path(OLD))).predict_proba(frame)
    assert found.tobytes() == model.predict_proba(frame).tobytes()
    assert _run(["convert", "old"]) == 0
    assert capsys.readouterr().out == "runs/old: holds no pickle, nothing to convert\n"


@pytest.mark.usefixtures("home")
def test_a_conversion_that_the_disk_refused_at_last_can_be_run_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The new run has its name, and a disk that died keeps it."""
    make_old(load_head(Path("runs/svm"), RunRecord.read(Path("runs/svm"))))

    def refuse(*_: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def die(folder: Path) -> None:
        monkeypatch.setattr(replacement, "exchange", refuse)
        refuse()

    monkeypatch.setattr(replacement, "sync", die)
    with pytest.warns(UserWarning, match="is opened"), pytest.raises(RunError, match="Read-only"):
        convert_run(OLD, allow_pickle=True)
    assert convert_run(OLD, allow_pickle=True) == ()


@pytest.mark.usefixtures("home")
def test_what_cannot_be_converted_stays() -> None:
    make_old({"not": "a model"})
    with (
        pytest.warns(UserWarning, match="is opened"),
        pytest.raises(RunError, match="expected a HybridClassifier, found a dict"),
    ):
        convert_run(OLD, allow_pickle=True)
    Path(OLD, "model.joblib").write_bytes(b"\x80\x04cno_such_module\nthing\n.")
    with (
        pytest.warns(UserWarning, match="is opened"),
        pytest.raises(RunError, match="that the installed libraries can open"),
    ):
        convert_run(OLD, allow_pickle=True)
    assert Path(OLD, "model.joblib").exists()


# manifest.json


def test_the_manifest_has_each_file(home: Path) -> None:
    names = sorted(path.name for path in (home / "runs/svm").iterdir())
    listed = json.loads((home / "runs/svm/manifest.json").read_text())["files"]
    assert sorted([*listed, "manifest.json"]) == names
    data = (home / "runs/svm/model.npz").read_bytes()
    assert listed["model.npz"]["bytes"] == len(data)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", ["model.json", "model.npz"])
def test_a_changed_file_of_the_model_is_named(name: str) -> None:
    path = Path("runs/svm", name)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunError, match=rf"found {name} missing, damaged or changed"):
        load_head(Path("runs/svm"), RunRecord.read(Path("runs/svm")))


@pytest.mark.usefixtures("home")
def test_other_changed_files_are_told() -> None:
    read_run("runs/svm")
    with Path("runs/svm/run.json").open("a") as file:
        file.write("\n")
    Path("runs/svm/provenance.json").unlink()
    with pytest.warns(UserWarning, match=r"svm: provenance\.json, run\.json missing, damaged or"):
        read_run("runs/svm")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"{}", b'{"format": 2}', b'{"format": 1, "files": []}', b"[" * 10**5),
        b'{"format": 1, "files": {"../../x": {"bytes": 1, "sha256": "a"}}}',
        b'{"format": 1, "files": {"/etc/passwd": {"bytes": 1, "sha256": "a"}}}',
        b" " * 2**21,
    ],
)
def test_a_damaged_manifest_is_refused(content: bytes) -> None:
    Path("runs/svm/manifest.json").write_bytes(content)
    with pytest.raises(RunError, match=r"manifest\.json: expected the list of the run's files"):
        read_run("runs/svm")
