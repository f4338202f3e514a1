"""A target of `make fuzz`: whole run folders of which files are changed, and the commands that read them.

The bytes that are fed choose the changes and the commands. What must never happen: a file is executed, an
error that is not the library's own, a file outside the project that is read or changed, a result that differs
from the true one without a word. An enemy who writes the hashes, too, is tried as often as an accident; then
a result may be another one, but all else holds.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from folder_changes import change
from run_projects import ALL, OUTSIDE, QUICK, make_project

COUNTS: Counter[str] = Counter()  # what came of the commands
MOST = 10_000  # characters of an error on the terminal
HANG = 5.0  # seconds of the processor, beyond twice what the command needs of a sound run
READS = ("predict", "explain", "item", "page", "card", "describe", "audit", "report", "convert")
# A report takes ten times as long as all others.
WEIGHTS = (60, 30, 30, 30, 45, 45, 45, 1, 15)
ITEM = "f003"


def arguments(command: str, run: str, other: str) -> list[str]:
    """A command that reads a run."""
    return {
        "predict": ["predict", run, "--out", "out/predictions.csv", "--force"],
        "explain": ["explain", run],
        "item": ["explain", run, ITEM],
        "page": ["explain", run, ITEM, "--html", "out/page.html", "--force"],
        "card": ["model-card", run, "--draws", "20"],
        "describe": ["describe", f"runs/{run}"],
        "audit": ["audit", "--run", run, "--json"],
        "report": ["report", run, other, "--draws", "20", "--out", "out/report.html", "--force"],
        "convert": ["convert", f"runs/{run}"],
    }[command]


class Watch:
    """Notes which files outside of a project are opened."""

    def __init__(self) -> None:
        self.project: Path | None = None
        self.opened: set[str] = set()
        own = (
            sys.prefix,
            sys.base_prefix,
            Path(__file__).parents[2],
            "/usr",
            "/lib",
            "/proc",
            "/sys",
        )
        more = (
            "/dev/null",
            "/dev/urandom",
            "/dev/zero",
            "/dev/tty",
            "/etc",
            *map(os.path.dirname, filter(None, sys.path)),
        )
        self.allowed = tuple({f"{os.path.realpath(p)}" for p in (*own, *more, *sys.path) if p})
        sys.addaudithook(self._note)

    def _note(self, event: str, values: tuple[Any, ...]) -> None:
        if self.project is None or event != "open" or not isinstance(values[0], (str, bytes)):
            return
        real = os.path.realpath(os.fsdecode(values[0]))
        if not real.startswith(str(self.project)):
            read_only = not (values[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            if not (read_only and real.startswith(self.allowed)):
                self.opened.add(real)

    @contextlib.contextmanager
    def of(self, project: Path) -> Iterator[set[str]]:
        """The files that are opened inside the block."""
        self.opened = set()
        self.project = project
        try:
            yield self.opened
        finally:
            self.project = None


class RunFolders:
    """Projects, and what their commands say as long as nothing is changed."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self.folder = Path(os.path.realpath(folder))
        self.sound, self.project = self.folder / "sound", self.folder / "project"
        self.watch = Watch()
        self.names = make_project(self.sound, names)
        self.outside = self.folder / OUTSIDE
        shutil.copytree(self.sound / "runs", self.outside / "runs")
        shutil.copy(self.sound / "catalogue.csv", self.outside / "catalogue.csv")
        shutil.copytree(self.sound, self.project)
        self.canary = self.folder / "canary"
        self.truth: dict[tuple[str, ...], tuple[Any, ...]] = {}
        self.state = _state(self.project)
        self.outside_state = _state(self.outside)

    def feed(self, data: bytes) -> None:
        """Change a run, and run commands."""
        draw = random.Random(data)
        name = draw.choice(self.names)
        other = draw.choice([each for each in self.names if each != name])
        run = self.project / "runs" / name
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            change(draw, run, self.project / "runs" / other, self.outside, self.canary)
        enemy = draw.random() < 0.5
        if enemy:
            self._write_hashes(run)
        chosen = draw.choices(READS, WEIGHTS, k=2)
        COUNTS["folders"] += 1
        COUNTS["commands"] += len(set(chosen))
        try:
            for command in dict.fromkeys(chosen):
                self._try(arguments(command, name, other), enemy)
        finally:
            _remove(self.project / "runs")
            shutil.copytree(self.sound / "runs", self.project / "runs")

    def _write_hashes(self, run: Path) -> None:
        from hybrid.model_file.manifest import MANIFEST, write_manifest

        with contextlib.suppress(OSError):
            if (run / MANIFEST).is_file() and not (run / MANIFEST).is_symlink():
                write_manifest(run)

    def _try(self, command: list[str], enemy: bool) -> None:
        from hybrid.utils.visible import bounded

        key = tuple(command)
        if key not in self.truth:
            self.truth[key] = self._true(command)
        _remove(self.project / "out")  # opens relative to a folder, which the watch cannot tell
        (self.project / "out").mkdir()
        before = _state(self.project)
        start = time.process_time()
        with self.watch.of(self.project) as opened:
            error, found, told = run_here(command, self.project)
        seconds = time.process_time() - start
        assert seconds < HANG + 2 * self.truth[key][2], f"{command}: {seconds:.1f} s"
        kind = "enemy" if enemy else "damage"
        assert not self.canary.exists(), f"{command}: executed"
        assert not opened, f"{command}: opened {sorted(opened)}"
        assert _state(self.outside) == self.outside_state, f"{command}: changed outside"
        changed = {
            path
            for path in before.keys() ^ _state(self.project).keys()
            if not path.startswith((".hybrid-cache", "out", ".hybrid-outputs"))
        }
        assert not changed, f"{command}: made or removed {changed}"
        if error is not None:
            assert len(bounded(str(error))) < MOST, f"{command}: {len(str(error)):,} characters"
            COUNTS[f"{kind}: told error"] += 1
            return
        same = found == self.truth[key][0]
        told -= self.truth[key][1]
        word = "same" if same else "another"
        COUNTS[f"{kind}: {word} result, {'told' if told else 'not told'}"] += 1
        assert enemy or same or told, f"{command}: another result without a word"

    def _true(self, command: list[str]) -> tuple[Any, ...]:
        """What a command says in the same place of what is not changed."""
        aside = self.folder / "aside"
        self.project.rename(aside)
        shutil.copytree(self.sound, self.project)
        start = time.process_time()
        try:
            error, found, told = run_here(command, self.project)
            seconds = time.process_time() - start
            assert error is None or command[0] in ("explain", "convert"), error
            return (None, set(), seconds) if error else (found, told, seconds)
        finally:
            _remove(self.project)
            aside.rename(self.project)


def run_here(command: list[str], project: Path) -> tuple[Exception | None, Any, set[str]]:
    """Run a command in this process; the error that it tells, what it gives, and what it says beside it."""
    import click

    from hybrid.cli.main import hybrid
    from hybrid.errors import HybridError

    out, err, before = io.StringIO(), io.StringIO(), Path.cwd()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        os.chdir(project)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = hybrid.main(command, standalone_mode=False)
        except (HybridError, click.ClickException) as error:
            return error, None, set()
        finally:
            os.chdir(before)
    written = [
        (project / "out" / name).read_bytes() if (project / "out" / name).exists() else b""
        for name in ("predictions.csv", "page.html", "report.csv")
    ]
    told = {str(each.message) for each in warned if each.category is UserWarning}
    return None, (code, out.getvalue(), *written), told | set(err.getvalue().splitlines())


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file's size and time."""
    found = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        found[str(path.relative_to(folder))] = (status.st_size, status.st_mtime_ns)
    return found


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


def quick(folder: Path) -> RunFolders:
    """Runs that are made in seconds."""
    return RunFolders(folder, QUICK)


def every(folder: Path) -> RunFolders:
    """Runs of each kind of model."""
    return RunFolders(folder, ALL)
