"""Commands that write, on a disk that refuses: one message, nothing torn, and they can be called again."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import pytest

from hybrid.runs.predict import load_head
from hybrid.runs.record import RunRecord

HERE = Path(__file__).parent
NET = ["--backbone", "mobilenet-075", "--weights", "random", "--precision", "float32"]
SMALL = [*NET, "--input-size", "32x32", "--limit", "4", "--workers", "1"]
TEXT = ["--blocks", "text", "--C", "0.1", "--folds", "2", "--name", "text"]
CURVES = ["--draws", "20"]
RACED = [
    "--text-encoder",
    "one",
    "--text-encoder",
    "other",
    "--with-blocks",
    "none",
    "--start",
    "1000",
]
TUNED = ["--folds", "2", "--epochs", "1", "--layers", "1", "--max-length", "8"]
PROGRAM = """
import sys
sys.path[:0] = [sys.argv[1]]
import disk_faults
disk_faults.serve(sys.argv[2])
"""


class Case(NamedTuple):
    """A command; `heavy`: it takes seconds each time, and each of its calls is refused once."""

    words: list[str]
    heavy: bool = False
    project: str = "fitted"


CASES = {
    "sample": Case(["sample", "s", "--items", "50"]),
    "split": Case(["split", "--splits", "s.csv"]),
    "split, again": Case(["split", "--force"]),
    "split into folds": Case(["split", "--method", "kfold", "--folds", "2"]),
    "audit --sheet": Case(["audit", "--sheet", "a.html"]),
    "audit --repair": Case(["audit", "--repair", "--force"], project="ungrouped"),
    "fit-svm": Case(["fit-svm", "--C", "0.1", "--folds", "2", "--name", "new"]),
    "fit-svm, again": Case(["fit-svm", *TEXT]),
    "fit-svm --rows disk": Case(["fit-svm", *TEXT, "--rows", "disk"]),
    "fit-ovr": Case(["fit-ovr", "--estimator", "logistic", *TEXT[:2], *TEXT[4:]]),
    "study": Case(["study", "text", "--curve"]),
    "predict": Case(["predict", "text"]),
    "report": Case(["report", "text", *CURVES]),
    "explain --html": Case(["explain", "text", "f001", "--html", "e.html"]),
    "model-card": Case(["model-card", "text", *CURVES, "--out", "c.md"]),
    "convert": Case(["convert", "runs/old", "--allow-pickle"], project="old"),
    "cache compact": Case(["cache", "compact"]),
    "cache gc": Case(["cache", "gc"]),
    "cache export, npz": Case(["cache", "export", *NET[:4], "--out", "e.npz"]),
    "cache export, h5": Case(["cache", "export", *NET[:4], "--out", "e.h5"]),
    "cache export, parquet": Case(["cache", "export", *NET[:4], "--out", "e.parquet"]),
    "import csv": Case(["import", "csv", "catalogue.csv", "--out", "i"]),
    "import folder": Case(["import", "folder", "classes", "--out", "i"], project="classes"),
    "fetch-posters": Case(
        ["fetch-posters", "--catalogue", "urls.csv", "--out", "f.csv"], project="urls"
    ),
    "import-embeddings": Case(["import-embeddings", "clip.npz", "--block", "clip"]),
    "cache export, csv": Case(["cache", "export", *NET[:4], "--out", "e.csv"]),
    "extract": Case(["extract", *SMALL], heavy=True),
    "extract --text-encoder": Case(
        ["extract", "--text-encoder", "encoder", "--limit", "8", "--workers", "1"], heavy=True
    ),
    "tune": Case(["tune", "--text-encoder", "encoder", *TUNED, "--workers", "1"], heavy=True),
    "fit-deep": Case(["fit-deep", "--backbone", "text", "--epochs", "1"], heavy=True),
    "race": Case(["race", *RACED, "--out", "r.json"], heavy=True, project="raced"),
    "demo": Case(["demo"], heavy=True),
}
# Of those, in the gate: each way of writing once, none that takes long.
GATE = [
    "fit-svm, again",
    "predict",
    "explain --html",
    "cache export, h5",
    "import folder",
    "fetch-posters",
    "check",
    "explain",
]
# These only read, and work where nothing can be written.
READING = {
    "check": Case(["check"]),
    "describe": Case(["describe", "runs/text"]),
    "cache ls": Case(["cache", "ls"]),
    "cache verify": Case(["cache", "verify"]),
    "cache explain": Case(["cache", "explain", *NET]),
    "cache gc --dry-run": Case(["cache", "gc", "--dry-run"]),
    "explain": Case(["explain", "text"]),
    "model-card, printed": Case(["model-card", "text", *CURVES]),
    "audit": Case(["audit"]),
    "backbones": Case(["backbones"]),
    "extract --dry-run": Case(["extract", *SMALL, "--dry-run"], heavy=True),
    "fit-deep --dry-run": Case(["fit-deep", "--backbone", "text", "--dry-run"], heavy=True),
}


@pytest.fixture(scope="module")
def server(films: Path) -> Iterator[str]:
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *args: None})
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(handler, directory=films.parent / "posters")
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def projects(fitted_project: Path, text_encoder: Path, server: str) -> Iterator[Path]:
    """A folder, in memory where that can be had, with the projects that the cases start from."""
    memory = Path("/dev/shm")
    where = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=where) as name:
        folder = Path(name)
        for project in ("fitted", "raced"):
            shutil.copytree(fitted_project, folder / project)
        for name in RACED[1:4:2]:
            shutil.copytree(text_encoder, folder / "raced" / name)
        shutil.copytree(fitted_project, folder / "ungrouped")
        split = folder / "ungrouped/splits.csv"  # knows no duplicates: to be repaired
        rows = [line.rpartition(",")[0] for line in split.read_text().splitlines()]
        split.write_text("\n".join(rows) + "\n")
        shutil.copytree(text_encoder, folder / "fitted/encoder")
        ids = [f"f{i:03}" for i in range(90)]
        np.savez(folder / "fitted/clip.npz", ids=ids, embeddings=np.eye(90, dtype=np.float32))
        shutil.copytree(fitted_project / "runs", folder / "old/runs")
        old = folder / "old/runs/old"
        shutil.copytree(fitted_project / "runs/text", old)
        for path in [*old.glob("model.*"), old / "manifest.json"]:
            path.unlink()
        text = fitted_project / "runs/text"
        joblib.dump(load_head(text, RunRecord.read(text)), old / "model.joblib")
        for i, label in enumerate(("train/a", "train/b", "test/a", "test/b")):
            (folder / "classes/classes" / label).mkdir(parents=True, exist_ok=True)
            shutil.copy(fitted_project / f"posters/{i}.png", folder / "classes/classes" / label)
        (folder / "urls").mkdir()
        rows = [f"f{i},t{i},Comedy,{server}/{i}.png\n" for i in range(4)]
        (folder / "urls/urls.csv").write_text("id,title,genres,poster_url\n" + "".join(rows))
        yield folder


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Faults of all calls of each command, or one of each of some commands."""
    if "names" in metafunc.fixturenames:
        full = metafunc.config.getoption("--fault-counts") == "full"
        metafunc.parametrize(
            "names", [[n] for n in (*CASES, *READING)] if full else [GATE], ids=",".join
        )


def test_calls_that_are_refused(
    names: list[str], loaded: Any, projects: Path, tally: Callable[[str], None]
) -> None:
    def describe(name: str) -> dict[str, Any]:
        case = {**CASES, **READING}[name]
        some = 0 if name in READING else "each" if case.heavy else None
        quiet = (
            [] if case.words[0] in ("convert", "cache", "describe", "backbones") else ["--quiet"]
        )
        return {
            "name": name,
            "words": [*case.words, *quiet],
            "template": str(projects / case.project),
            "root": str(projects / "run"),
            "count": some if names == [name] or name in READING else 1,
            "seed": len(name),
            "warm": not case.heavy,
        }

    done = loaded.run(PROGRAM, HERE, json.dumps([describe(name) for name in names]))
    assert done.returncode == 0, done.stderr
    problems = []
    for line in done.stdout.splitlines():
        if not line.startswith("{"):
            problems.append(line)
            continue
        found = json.loads(line)
        assert found["faults"] or not found["calls"], f"{line}: nothing was refused"
        tally(
            f"disk: {found['name']}: {found['calls']} calls, {found['faults']} refused: "
            f"{found['errors']} clean errors, {found['harmless']} harmless, {found['problems']} problems, "
            f"{found['left']} leftovers, {found['seconds']} s"
        )
    assert not problems, "\n".join(problems)
