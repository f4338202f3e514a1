"""Signals, closed pipes and full disks: one line, the exit code of the docs, nothing torn, nothing left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hybrid.cli.main import hybrid, main
from hybrid.runs.record import RunRecord
from hybrid.runs.replacement import hold_run
from hybrid.utils.interrupt import undisturbed
from hybrid.utils.leftovers import MOVING

PROGRAM = """
import sys
sys.path[:0] = [sys.argv.pop(1)]
import fault_signals
fault_signals.main()
"""
SIGNALS = [
    (signal.SIGINT, 130, ""),
    (signal.SIGTERM, 143, " by SIGTERM"),
    (signal.SIGHUP, 129, " by SIGHUP"),
]
GONE = f"{socket.gethostname()}-{2**40}-{'0' * 32}"  # no process has this number


@pytest.fixture
def ended(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Run `main` with a stand-in for the commands: exit code, and what it said."""

    def run(command: Callable[[], Any]) -> tuple[int, str]:
        monkeypatch.setattr(hybrid, "main", lambda *_, **__: command())
        with pytest.raises(SystemExit) as left:
            main(["check"])
        return int(left.value.code or 0), capsys.readouterr().err

    return run


@pytest.mark.parametrize(("number", "code", "by"), SIGNALS)
def test_a_signal_ends_a_command_with_one_line(
    number: int, code: int, by: str, ended: Callable[..., Any]
) -> None:
    before = [signal.getsignal(each) for each, _, _ in SIGNALS]
    cleaned = []

    def command() -> None:
        try:
            signal.raise_signal(number)
        finally:
            cleaned.append(True)

    assert ended(command) == (code, f"interrupted{by}\n")
    assert cleaned == [True]
    assert [signal.getsignal(each) for each, _, _ in SIGNALS] == before


def test_an_error_of_what_was_broken_off_is_no_error(ended: Callable[..., Any]) -> None:
    """Libraries turn what is raised in them into errors of their own."""

    def command() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise SystemError("returned a result with an exception set") from None

    assert ended(command) == (143, "interrupted by SIGTERM\n")


def test_a_signal_where_nothing_can_be_raised_is_not_lost(ended: Callable[..., Any]) -> None:
    class Fragile:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def command() -> None:
        fragile = Fragile()
        del fragile
        signal.pause()

    assert ended(command) == (130, "interrupted\n")


def test_an_ignored_signal_stays_ignored(ended: Callable[..., Any]) -> None:
    """As with nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert ended(lambda: signal.raise_signal(signal.SIGHUP)) == (0, "")
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_must_not_be_left_half_done_is_done(ended: Callable[..., Any]) -> None:
    done = []

    def command() -> None:
        with undisturbed():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
                signal.raise_signal(number)
                done.append(number)
        done.append(0)

    code, said = ended(command)
    assert (code, said) == (143, "interrupted by SIGTERM\n")
    assert len(done) == 3


IMPORTING = """
import os, sys
from hybrid.cli.start import start
library, number = sys.argv.pop(1), int(sys.argv.pop(1))
class Finder:
    def find_spec(self, name, *_):
        if name == library:
            os.kill(os.getpid(), number)
sys.meta_path.insert(0, Finder())
start()
"""


@pytest.mark.parametrize("library", ["click", "hybrid.cli.check", "pandas"])
@pytest.mark.parametrize(("number", "code", "by"), SIGNALS)
def test_a_signal_while_libraries_are_loaded(
    library: str, number: int, code: int, by: str, films: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTING, library, str(int(number)), "check"],
        cwd=films.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, f"interrupted{by}\n")


START = "from hybrid.cli.start import start; start()"


def started(*arguments: str, **streams: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", START, *arguments], text=True, check=False, **streams
    )


def test_nobody_reads_stdout() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = started("backbones", stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_stdout_is_full() -> None:
    with Path("/dev/full").open("w") as full:
        done = started("--version", stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.startswith("error: No space left on device.")
    assert done.stderr.count("\n") == 1


CLOSED = """
import os, sys
os.close(1)
os.close(2)
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[1:]])
"""


def test_closed_streams_take_no_place_of_files(tmp_path: Path) -> None:
    """Else the first file that is opened would be stdout, and what is printed would go into it."""
    words = [START, "sample", "films", "--items", "50"]
    done = subprocess.run([sys.executable, "-c", CLOSED, *words], cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert (tmp_path / "films" / "SAMPLE.txt").read_text().startswith("Invented")
    assert "film_id" not in (tmp_path / "films" / "SAMPLE.txt").read_text()


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_the_next_command_removes_what_killed_ones_left(
    fitted_project: Path, tmp_path: Path, call: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    shutil.copytree(fitted_project, home)
    monkeypatch.chdir(home)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (home / "runs" / "svm" / "studies").mkdir()
    before = names(home)
    mark = "0" * 32
    folders = [home, home / ".hybrid-outputs", home / "runs" / "svm" / "studies", elsewhere]
    for folder in folders:
        (folder / f".tmp-{GONE}").write_text("half of")
    (home / "runs" / f".tmp-{GONE}").mkdir()
    (home / "runs" / f".tmp-{GONE}" / "a").touch()
    # Killed between the two names of a system that cannot exchange them; of the other run, before.
    (home / "runs" / "svm").rename(home / "runs" / f".svm.{mark}.old")
    shutil.copytree(home / "runs" / "text", home / "runs" / f".text.{mark}.tmp")
    (home / "runs" / ".text.lock").touch()
    os.utime(home / "runs" / ".text.lock", (0, 0))
    kept = [home / ".tmp-mine", home / f".tmp-{socket.gethostname()}-{os.getpid()}-{mark}"]
    for path in kept:
        path.touch()
        os.utime(path, (0, 0))
    assert call("check", "--quiet", f"--catalogue={home / 'catalogue.csv'}") == 0
    assert names(home) - {path.name for path in kept} == before
    assert names(elsewhere)
    assert call("split", "--quiet", "--splits", str(elsewhere / "splits.csv")) == 0
    assert names(elsewhere) == {
        *("splits.csv", "splits.method.json", ".hybrid-outputs"),
        *(".hybrid-outputs/splits.csv", ".hybrid-outputs/splits.method.json"),
    }
    assert RunRecord.read(home / "runs" / "svm").name == "svm"


def test_an_import_that_was_killed_between_its_files_is_run_again(
    tmp_path: Path, call: Callable[..., int]
) -> None:
    """Those that are there already are its own, and no reason to refuse the folder."""
    source = tmp_path / "MovieGenre.csv"
    head = "imdbId,Imdb Link,Title,IMDB Score,Genre,Poster"
    source.write_text(f"{head}\n114709,,Toy Story (1995),8.3,Comedy,\n1,,,,,\n")
    words = ["import", "movie-genre", str(source), "--quiet", "--out"]
    assert call(*words, str(tmp_path / "sound")) == 0
    moved = tmp_path / "killed"
    shutil.copytree(tmp_path / "sound", moved)
    left = moved / f".tmp-{GONE}"
    left.mkdir()
    inodes = {path.name: path.lstat().st_ino for path in moved.glob("*.csv")}
    lines = [f"{inodes[name]} {name}" for name in ("ids.csv", "left-out.csv", "catalogue.csv")]
    (moved / "catalogue.csv").rename(left / "catalogue.csv")
    (moved / "left-out.csv").write_text("half of it")
    (left / MOVING).write_text("\n".join(lines))
    (left / "scratch").touch()
    assert call(*words, str(moved)) == 0
    assert call(*words, str(moved)) == 2  # it is complete now, and nothing is overwritten
    assert names(moved) == names(tmp_path / "sound")
    for name in ("catalogue.csv", "left-out.csv"):
        assert (moved / name).read_bytes() == (tmp_path / "sound" / name).read_bytes()


def test_of_two_fits_of_one_name_the_second_says_so(
    fitted_project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], call: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    home = tmp_path / "home"
    shutil.copytree(fitted_project, home)
    monkeypatch.chdir(home)
    before = (home / "runs" / "text" / "run.json").read_bytes()
    with hold_run(home / "runs" / "text"), ThreadPoolExecutor(1) as other:
        words = ("fit-svm", "--blocks", "text", "--name", "text", "--C", "1", "--folds", "2")
        assert other.submit(call, *words, "--quiet").result() == 1
    said = capsys.readouterr().err
    assert "expected no other process to write this run, found one" in said
    assert "Errno" not in said
    assert (home / "runs" / "text" / "run.json").read_bytes() == before
    assert not list((home / "runs").glob(".*"))


def test_signals_at_any_moment(
    fault_counts: dict[str, int], tally: Callable[[str], None], tmp_path: Path, loaded: Any,
    text_encoder: Path,
) -> None:  # fmt: skip
    """At a number of calls, which needs no clock; the program and its --help say more."""
    words = ["--signals", fault_counts["signals"], "--at", "calls", "--encoder", text_encoder]
    if fault_counts["signals"] < 10:
        words += ["--commands", "split", "predict", "--again", "3"]
    done = loaded.run(PROGRAM, Path(__file__).parent, tmp_path / "c", *words)
    assert done.returncode == 0, done.stderr[-3000:]
    for name, counts in json.loads(done.stdout).items():
        wrong = counts.pop("wrong")
        tally(f"signals to {name}: {counts}, {len(wrong)} wrong")
        assert not wrong, (name, wrong)
        assert counts["interrupted"] > 0
