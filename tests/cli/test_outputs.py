"""No output replaces an input, or a file that hybrid did not write, without --force."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest

from hybrid.cli.main import COMMANDS, hybrid
from hybrid.cli.options import OutputFile
from hybrid.utils.files import TEMPORARY
from hybrid.utils.outputs import RECORDS, remember, written_as

Call = Callable[..., int]
Capture = pytest.CaptureFixture[str]

FETCH = ["fetch-posters", "--catalogue", "urls.csv", "--url-column", "poster"]
NET = ["--backbone", "mobilenet-075", "--weights", "random"]
CURVES = ["--draws", "20"]
ENCODERS = ["--text-encoder", "one", "--text-encoder", "other"]
QUICK = ["--with-blocks", "none", "--start", "1000", "--folds", "2"]
# Command and option → its words, a name for the file, what else it writes, and an input of it.
OUTPUTS: dict[str, tuple[list[str], str, tuple[str, ...], str]] = {
    "split --splits": (["split"], "s.csv", ("s.method.json",), "catalogue.csv"),
    "audit --sheet": (["audit"], "s.html", (), "splits.csv"),
    "predict --out": (["predict", "text"], "p.csv", (), "catalogue.csv"),
    "report --out": (
        ["report", "text", "--external", "mine=mine.csv", *CURVES],
        "r.html",
        ("r.csv", "r.json"),
        "mine.csv",
    ),
    "explain --html": (["explain", "text", "f001"], "c.html", (), "catalogue.csv"),
    "model-card --out": (["model-card", "text", *CURVES], "card.md", (), "map.csv"),
    "cache export --out": (["cache", "export", *NET], "e.npz", (), "catalogue.csv"),
    "race --out": (["race", *ENCODERS, *QUICK], "race.json", (), "splits.csv"),
    "fetch-posters --out": (
        FETCH,
        "f.csv",
        ("f.failed.csv", "f.ledger.jsonl", "f.lock"),
        "urls.csv",
    ),
}
WRITING = ("--out", "--html", "--sheet", "--name", "--tensorboard", "folder")
# What names something else to write: a folder, in which nothing is replaced but what is said here.
FOLDERS = {
    "demo folder": "an earlier demo's files",
    "sample folder": "nothing, or an interrupted sample",
    "import --out": "nothing",
    "tune --name": "an earlier tuned encoder, with --force",
    "fit-svm --name": "a run",
    "fit-ovr --name": "a run",
    "fit-deep --name": "a run",
    "fit-deep --tensorboard": "nothing: event files have names of their own",
}


def commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(hybrid)
    for name in COMMANDS:
        command = hybrid.get_command(context, name)
        if isinstance(command, click.Group):
            for inner in command.list_commands(context):
                found = command.get_command(context, inner)
                assert found is not None
                yield f"{name} {inner}", found
        else:
            assert command is not None
            yield name, command


def test_every_option_that_names_an_output_is_in_a_table() -> None:
    files, others = set(), set()
    for name, command in commands():
        options = {parameter.opts[0]: parameter for parameter in command.params}
        outputs = {each for each, one in options.items() if isinstance(one.type, OutputFile)}
        files |= {f"{name} {each}" for each in outputs}
        assert ("--force" in options) == (bool(outputs) or name in ("demo", "tune")), name
        others |= {f"{name} {each}" for each in options if each not in outputs and each in WRITING}
    assert files == set(OUTPUTS)
    assert others == set(FOLDERS)


@pytest.fixture
def project(
    fitted_project: Path, text_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(fitted_project, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("HYBRID_CACHE", raising=False)
    Path("urls.csv").write_text("id,genres,poster\n1,Drama,N/A\n2,Horror,see a.org\n")
    for name in ENCODERS[1::2]:
        shutil.copytree(text_encoder, name)
    shutil.copy("runs/text/predictions.csv", "mine.csv")
    return folder


def option_of(name: str) -> str:
    return name.split()[-1]


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output(
    name: str, project: Path, call: Call, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, target, beside, _ = OUTPUTS[name]
    option, good = option_of(name), (0, 1) if name == "fetch-posters --out" else (0,)
    for path in map(Path, (target, *beside)):  # each of them alone
        path.write_bytes(b"mine\n")
        assert call(*words, option, target, "--quiet") == 1
        said = capsys.readouterr().err
        assert f"found {path}, which" in said
        assert "is not an earlier output" in said
        assert "--force" in said
        assert path.read_bytes() == b"mine\n"
        path.unlink()
    for path in map(Path, (target, *beside)):
        path.write_bytes(b"mine\n")
    assert call(*words, option, target, "--quiet", "--force") in good
    assert Path(target).read_bytes() != b"mine\n"
    assert call(*words, option, target, "--quiet") in good  # it is hybrid's own now
    second = Path(target).read_bytes()
    with Path(target).open("ab") as file:
        file.write(b"\nmy note\n")
    assert call(*words, option, target, "--quiet") == 1
    assert "changed since" in capsys.readouterr().err
    assert Path(target).read_bytes() == second + b"\nmy note\n"
    refuse_rename(monkeypatch, target)
    before = Path(target).read_bytes()
    assert call(*words, option, target, "--quiet", "--force") == 1
    assert os.strerror(errno.EIO) in capsys.readouterr().err
    assert Path(target).read_bytes() == before
    assert not list(project.rglob(f"{TEMPORARY}*"))


def refuse_rename(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    rename = os.replace

    def refused(source: Any, to: Any, **named: Any) -> None:
        if Path(to).name == target and Path(to).parent.name != RECORDS:
            assert Path(source).parent.resolve() == Path(to).parent.resolve()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(source, to, **named)

    monkeypatch.setattr(os, "replace", refused)


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_input(name: str, project: Path, call: Call, capsys: Capture) -> None:
    """Not even one that hybrid wrote itself, by whatever name."""
    words, target, _, read = OUTPUTS[name]
    if read == "map.csv":
        Path(read).write_text("from,to\nfoo,bar\n")
        words = [*words, "--label-map", read]
    if name == "report --out":  # its table would be the file of another model
        remember(Path(read), "table of a report")
        named = "mine.html"
    else:
        ending = Path(target).suffix
        if ending in (".html", ".npz"):  # the option wants this ending: by a link, then
            Path(f"link{ending}").hardlink_to(read)
            named = f"link{ending}"
        else:
            named = read
        remember(Path(named), "anything")
    before = Path(read).read_bytes()
    assert call(*words, option_of(name), named, "--quiet") == 1
    said = capsys.readouterr().err
    assert "which is read" in said or "the catalogue itself" in said
    assert Path(read).read_bytes() == before


def test_an_output_of_another_kind(project: Path, call: Call, capsys: Capture) -> None:
    before = Path("splits.csv").read_bytes()
    assert written_as(Path("splits.csv")) == "split"
    assert call("predict", "text", "--out", "splits.csv", "--quiet") == 1
    assert "which is an earlier output of another kind: split" in capsys.readouterr().err
    assert Path("splits.csv").read_bytes() == before


def test_a_repair_replaces_its_own_split_only(project: Path, call: Call, capsys: Capture) -> None:
    assert call("audit", "--repair", "--quiet") == 0
    lines = Path("splits.csv").read_text()
    Path("splits.csv").write_text(lines + "\n")
    Path("splits.method.json").unlink()
    assert call("audit", "--repair", "--quiet") == 1
    assert "is not an earlier output" in capsys.readouterr().err
    assert Path("splits.csv").read_text() == lines + "\n"
    assert call("audit", "--repair", "--quiet", "--force") == 0


def test_a_split_of_an_earlier_version_is_known_by_its_method(
    project: Path, call: Call, capsys: Capture
) -> None:
    shutil.rmtree(RECORDS)
    assert call("split", "--quiet") == 0
    shutil.rmtree(RECORDS)  # a user who adds a column leaves ids and parts as they were
    table = pd.read_csv("splits.csv", dtype=str)
    table.assign(note="mine").to_csv("splits.csv", index=False)
    for command in (["split"], ["audit", "--repair"]):
        assert call(*command, "--quiet") == 1
        assert "is not an earlier output" in capsys.readouterr().err
    assert "mine" in Path("splits.csv").read_text()


def test_a_repair_keeps_a_users_split_in_the_form_of_pandas(
    project: Path, call: Call, capsys: Capture
) -> None:
    shutil.rmtree(RECORDS)
    Path("splits.method.json").unlink()
    pd.read_csv("splits.csv", dtype=str).to_csv("splits.csv", index=False)
    before = Path("splits.csv").read_bytes()
    assert call("audit", "--repair", "--quiet") == 1
    assert "--force" in capsys.readouterr().err
    assert Path("splits.csv").read_bytes() == before
    assert call("audit", "--repair", "--quiet", "--force") == 0


def test_each_of_several_splits(project: Path, call: Call, capsys: Capture) -> None:
    Path("splits-3.csv").write_text("mine")
    assert call("split", "--method", "repeated", "--quiet") == 1
    assert "splits-3.csv" in capsys.readouterr().err
    assert not Path("splits-0.csv").exists()


def test_a_link_is_not_replaced(project: Path, call: Call) -> None:
    Path("gone.csv").symlink_to("elsewhere/p.csv")
    assert call("predict", "text", "--out", "gone.csv", "--quiet") == 1
    assert Path("gone.csv").is_symlink()


def test_a_project_is_no_demo(project: Path, call: Call, capsys: Capture) -> None:
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    assert call("demo", ".", "--quiet") == 1
    assert "which is no sample" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before


def test_a_sample_replaces_no_posters(tmp_path: Path, call: Call, capsys: Capture) -> None:
    from hybrid.datasets.sample import write_sample

    write_sample(tmp_path / "a", n_items=50)
    name = min((tmp_path / "a/posters").iterdir()).name
    (tmp_path / "b/posters").mkdir(parents=True)
    (tmp_path / "b/posters" / name).write_bytes(b"mine")
    assert call("sample", str(tmp_path / "b"), "--items", "50") == 1
    assert name in capsys.readouterr().err
    assert (tmp_path / "b/posters" / name).read_bytes() == b"mine"


KILLED = """
import os, signal, sys
from pathlib import Path
from hybrid.utils.outputs import output_rule, write_output
rename, calls = os.replace, [int(sys.argv[1])]
def killed(*names):
    if not calls[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    calls[0] -= 1
    rename(*names)
os.replace = killed
with output_rule(False):
    write_output(Path("a.csv"), b"new", "split")
"""


@pytest.mark.parametrize("renamed", [0, 1])
def test_a_process_that_is_killed_leaves_the_old_file(tmp_path: Path, renamed: int) -> None:
    """Before the record has its name, or between that and the file's own."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")
    remember(path, "split")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", KILLED, str(renamed)]
    done = subprocess.run(words, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == -9
    assert path.read_bytes() == b"old"
    assert written_as(path) == "split"


@pytest.mark.parametrize("record", ["folder", "pipe", "bytes"])
def test_a_damaged_record_says_nothing(tmp_path: Path, record: str) -> None:
    path, there = tmp_path / "a.csv", tmp_path / RECORDS / "a.csv"
    path.write_bytes(b"old")
    there.parent.mkdir()
    if record == "folder":
        there.mkdir()
    elif record == "pipe":
        os.mkfifo(there)
    else:
        there.write_bytes(b"\xff\0" * 5000)
    assert written_as(path) is None
