"""The commands as a user types them: three in processes of their own, the rest in that of the tests."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hybrid.cli.main import COMMANDS, _run

Run = Callable[..., Any]
NET = ("--backbone", "mobilenet-075", "--weights", "random")
EXTRACT = ("extract", *NET, "--input-size", "64x48")


def ok(done: Any) -> str:
    """Standard output of a command that must have worked, without a traceback or noise."""
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return str(done.stdout)


@pytest.fixture(scope="module")
def home(
    films: Path, tmp_path_factory: pytest.TempPathFactory, hybrid_command: Run, loaded: Any
) -> Path:
    """A project folder in which the main job was done."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(films.parent, folder, dirs_exist_ok=True)

    def alone(*arguments: str) -> None:
        ok(loaded.run("from hybrid.cli.main import main; main()", *arguments, cwd=folder))

    def here(*arguments: str) -> None:
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            patch.chdir(folder)
            warnings.simplefilter("default")
            assert _run([*arguments, "--quiet"]) == 0

    here("check")
    here("split", "--seed", "0")
    ok(hybrid_command(*EXTRACT, cwd=folder))
    alone("fit-svm")
    here("fit-svm", "--blocks", "text", "--name", "svm-text")
    here("fit-ovr", "--estimator", "dummy-stratified")
    alone("report")
    return folder


def test_the_main_job_leaves_what_was_promised(home: Path) -> None:
    record = json.loads((home / "runs" / "svm" / "run.json").read_text())
    assert record["blocks"] == ["poster", "text", "metadata"]
    assert record["command"] == "hybrid fit-svm"
    assert record["audit"]["clean"] is True
    assert record["split"]["counts"] == dict(
        pd.read_csv(home / "splits.csv")["split"].value_counts()
    )
    assert {stage["name"] for stage in record["stages"]} >= {"fit", "predict"}
    predictions = pd.read_csv(home / "runs" / "svm" / "predictions.csv")
    assert list(predictions)[:3] == ["id", "split", "genres"]
    assert set(predictions["id"]) == set(pd.read_csv(home / "catalogue.csv")["id"])
    assert "svm-text" in (home / "report.html").read_text()


def test_metrics_in_the_record_are_those_of_the_predictions(home: Path) -> None:
    from sklearn.metrics import f1_score

    record = json.loads((home / "runs" / "svm" / "run.json").read_text())
    truth = pd.read_csv(home / "catalogue.csv").set_index("id")["genres"]
    found = pd.read_csv(home / "runs" / "svm" / "predictions.csv", keep_default_na=False)
    found = found[found["split"] == "test"].set_index("id")
    genres = record["genres"]

    def matrix(cells: Any) -> Any:
        return [[int(genre in cell.split("|")) for genre in genres] for cell in cells]

    expected = f1_score(
        matrix(truth[found.index]), matrix(found["genres"]), average="weighted", zero_division=0
    )
    assert record["metrics"]["f1_weighted"]["value"] == pytest.approx(expected)


def test_second_extract_computes_nothing(home: Path, hybrid_command: Run) -> None:
    done = hybrid_command(*EXTRACT, cwd=home)
    assert "nothing to compute" in ok(done)
    assert "random weights: these embeddings mean nothing" in done.stderr
    assert "loading" not in done.stderr


def test_predict_needs_only_run_catalogue_and_weights(
    home: Path, hybrid_here: Run, tmp_path: Path
) -> None:
    shutil.copytree(home / "runs" / "svm", tmp_path / "moved")
    other = tmp_path / "other"
    shutil.copytree(home / "posters", other / "posters")
    table = pd.read_csv(home / "catalogue.csv", dtype=str).drop(columns="genres").head(12)
    table.loc[0, "poster"], table.loc[1, "overview"], table.loc[2, "poster"] = "", "", "gone.jpg"
    table.to_csv(other / "catalogue.csv", index=False)
    done = hybrid_here(
        "predict", "moved", "--catalogue", "other/catalogue.csv", "--out", "p.csv", cwd=tmp_path
    )
    assert "12 items" in ok(done)
    predictions = pd.read_csv(tmp_path / "p.csv", keep_default_na=False)
    assert predictions["id"].tolist() == table["id"].tolist()
    assert set(predictions["split"]) == {""}
    probabilities = predictions.filter(like="p:").astype(float)
    assert probabilities.notna().all(axis=None)
    assert probabilities.stack().between(0, 1).all()


def test_predict_same_items_same_answers(home: Path, hybrid_here: Run, tmp_path: Path) -> None:
    ok(hybrid_here("predict", "runs/svm", "--out", tmp_path / "p.csv", cwd=home))
    new = pd.read_csv(tmp_path / "p.csv", keep_default_na=False).set_index("id")
    old = pd.read_csv(home / "runs" / "svm" / "predictions.csv", keep_default_na=False)
    test = old[old["split"] == "test"].set_index("id").drop(columns="split")
    pd.testing.assert_frame_equal(new.loc[test.index].drop(columns="split"), test, atol=2e-6)


@pytest.mark.parametrize(
    "command",
    [
        ["check"],
        ["split"],
        ["audit"],
        [*EXTRACT],
        ["cache", "ls"],
        ["backbones"],
        ["fit-ovr", "--estimator", "dummy-uniform", "--blocks", "text"],
        ["report", "runs/svm", "runs/svm-text"],
    ],
)
def test_json_is_json(home: Path, hybrid_here: Run, command: list[str]) -> None:
    json.loads(ok(hybrid_here(*command, "--json", "--quiet", cwd=home)))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["chek"], 2, "Did you mean check"),
        (["check", "--sed", "1"], 2, "No such option"),
        (["extract", "--backbone", "vgg61"], 2, "Did you mean vgg16"),
        (["fit-ovr", "--estimator", "forrest"], 2, "Did you mean forest"),
        (["fit-svm", "--blocks", "posters"], 2, "Did you mean poster"),
        (["fit-svm", "--block-weight", "poster"], 2, "expected BLOCK=NUMBER"),
        (["fit-svm", "--name", ".hidden"], 2, "expected a plain folder name"),
        (["fit-svm", "--name", "../x"], 2, "expected a plain folder name, found '../x'"),
        (
            ["fit-deep", "--backbone", "small", "--name", "../x"],
            2,
            "a plain folder name, found '../x'",
        ),
        (["explain", "x" * 300], 1, "File name too long"),
        (
            ["fit-deep", "--backbone", "scratch", "--epochs", "-1"],
            2,
            "--epochs: expected 0 or more",
        ),
        (["check", "--catalogue", "none.csv"], 1, "expected a catalogue at none.csv"),
        (["split", "--validation", "0.9"], 2, "add up to 1"),
        (["fit-svm", "--splits", "none.csv"], 1, "hybrid split"),
        (["fit-svm", "--cache", "none"], 1, "hybrid extract"),
        (["extract", "--backbone", "scratch"], 1, "hybrid fit-deep --backbone scratch"),
        (["predict", "runs/none"], 1, "expected a run"),
        (["predict", "runs/svm", "--out", "none/p.csv"], 1, "expected a file in a folder"),
        (["report", "--runs", "none"], 1, "expected runs, found none"),
    ],
)
def test_errors_say_what_to_do(
    home: Path, hybrid_here: Run, arguments: list[str], code: int, said: str
) -> None:
    done = hybrid_here(*arguments, cwd=home)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_strict_is_exit_1_on_bad_posters(project: Path, hybrid_here: Run) -> None:
    (project / "posters" / "3.png").write_bytes(b"")
    for command in (["check"], [*EXTRACT]):
        assert "the file is empty" in ok(hybrid_here(*command))
        assert hybrid_here(*command, "--strict").returncode == 1


def test_audit_finds_a_leak_and_exits_1(project: Path, hybrid_here: Run) -> None:
    shutil.copy("posters/0.png", "posters/1.png")
    ok(hybrid_here("split"))
    assert "clean" in ok(hybrid_here("audit"))
    split = pd.read_csv("splits.csv")
    split.loc[split["id"] == "f000", "split"] = "train"
    split.loc[split["id"] == "f001", "split"] = "test"
    split.to_csv("splits.csv", index=False)
    done = hybrid_here("audit", "--json")
    assert done.returncode == 1
    (leak,) = json.loads(done.stdout)["leaks"]
    assert leak["kind"] == "same image bytes"
    assert leak["pairs"] == [["f000", "train", "f001", "test"]]
    run = ok(hybrid_here("fit-svm", "--blocks", "text"))
    assert "LEAKS" in run


def test_a_grown_catalogue_needs_a_new_split(project: Path, hybrid_here: Run) -> None:
    ok(hybrid_here("split"))
    with Path("catalogue.csv").open("a") as file:
        file.write("new,New,2000,Comedy,a new film,Nobody,\n")
    done = hybrid_here("fit-svm", "--blocks", "text")
    assert done.returncode == 1
    assert "1 labelled item is in no part of it (new)" in done.stderr


def test_unextracted_posters_are_not_taken_for_missing(project: Path, hybrid_here: Run) -> None:
    ok(hybrid_here("split"))
    ok(hybrid_here(*EXTRACT))
    shutil.copy("posters/0.png", "posters/old.png")
    with Path("posters/0.png").open("ab") as file:
        file.write(b"changed")
    done = hybrid_here("fit-svm", "--blocks", "poster")
    assert done.returncode == 1
    assert "1 of 90 different posters has no embedding" in done.stderr


def test_interrupt_is_exit_130(project: Path) -> None:
    """Ctrl-C while posters are read; the file never ends, so the command is surely at it.

    Where pytest runs in the background, its children inherit that Ctrl-C is ignored.
    """
    code = (
        "import hybrid.catalogue.check as c, os, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "c._look_at = lambda path: os.kill(os.getpid(), signal.SIGINT) or ''\n"
        "from hybrid.cli.main import main\n"
        "main(['check'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr
    assert "interrupted" in done.stderr
    assert signal.SIGINT == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, hybrid_here: Run) -> None:
    text = ok(hybrid_here(name, "--help"))
    if name != "cache":  # tests/cli/test_options.py has a table of the others
        assert {"quiet", "json"} <= set(re.findall(r"--([a-z-]+)", text))


def test_no_backbone_takes_the_one_extracted_and_lists_several(
    home: Path, hybrid_here: Run, tmp_path: Path
) -> None:
    shutil.copytree(home, tmp_path / "p")
    cwd = tmp_path / "p"
    ok(hybrid_here(*EXTRACT, "--seed", "5", cwd=cwd))
    done = hybrid_here("fit-svm", "--blocks", "poster", cwd=cwd)
    assert done.returncode == 2
    assert done.stderr.count("mobilenet-075, weights random") == 2
    ok(hybrid_here("fit-svm", "--blocks", "poster", *NET, "--seed", "5", cwd=cwd))
