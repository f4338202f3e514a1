"""Send commands a signal at a random moment, look for what is torn or left, and run them again.

Run as a program, so that each command is a cheap copy of a process that has loaded the libraries:

    python tests/cli/fault_signals.py --signals 50 FOLDER

Prints one line of JSON. With ``--at calls`` the moment is a number of calls of functions, the same on each
machine, with ``--at seconds`` a time. With ``--whole``, commands start as a user's do, and load their
libraries.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from fault_project import serving, write_project

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FIT = ["--blocks", "text", "--folds", "2"]
TRAIN = ["--backbone", "scratch", "--input-size", "46", "--epochs", "2", "--batch-size", "16"]
COMMANDS = {
    "split": ["split", "--seed", "1"],
    "fit-svm": ["fit-svm", *FIT, "--C", "0.1", "--C", "1", "--name", "svm"],
    "predict": ["predict", "runs/svm", "--out", "predicted.csv"],
    "report": ["report"],
    "study": ["study", "runs/svm", "--curve", "--ablation"],
    "fit-ovr": ["fit-ovr", *FIT, "--estimator", "logistic", "--name", "ovr"],
    "audit": ["audit", "--sheet", "sheet.html"],
    "model-card": ["model-card", "runs/svm", "--out", "card.md"],
    "check": ["check"],
    "sample": ["sample", "invented", "--items", "50"],
    "import": ["import", "movie-genre", "source", "--out", "imported"],
    "fit-deep": ["fit-deep", *TRAIN, "--name", "deep"],
    "extract": ["extract", "--backbone", "scratch", "--weights", "runs/deep"],
    "fetch-posters": ["fetch-posters", "--catalogue", "urls.csv", "--out", "fetched.csv"],
    "tune": [
        *("tune", "--text-encoder", "encoder", "--folds", "2", "--epochs", "1"),
        *("--layers", "1", "--max-length", "8"),
    ],
}
# What was there before each command: an earlier result that it replaces, if any.
BEFORE = [
    ["split", "--seed", "0"],
    [*COMMANDS["fit-svm"], "--seed", "3"],
    ["fit-ovr", *FIT, "--estimator", "dummy-stratified", "--name", "ovr"],
    COMMANDS["predict"],
    ["report", "runs/svm"],
]
GOES_ON = (
    ".deep.training",
    ".partial/",
    ".hybrid-cache/",
    "invented/",
    *("posters/", "fetched.ledger.", ".tuning/"),
)  # is used by the next command
LIBRARIES = (
    *(
        "hybrid.runs.fit_head",
        "hybrid.report.build",
        "hybrid.inspection.item",
        "hybrid.studies.study",
    ),
    *("hybrid.images.resize", "hybrid.runs.predict", "hybrid.audit.audit", "hybrid.cli.study"),
)
NETWORKS = ("fit-deep", "extract", "tune")
Contents = dict[str, str]


@dataclass
class Ended:
    """How a command ended."""

    code: int
    said: str
    late: float  # seconds from the signal to the end
    calls: int
    left: bool  # whether processes of it are left


def become(
    folder: Path, arguments: list[str], kill: tuple[int, int] | None, calls: Path
) -> NoReturn:
    """Run a command in this process, a copy; at one of its calls it sends itself a signal."""
    os.setsid()
    os.chdir(folder)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder.parent / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    seen = 0

    def count(frame: Any, event: str, arg: Any) -> None:
        nonlocal seen
        if event in ("call", "c_call"):
            seen += 1
            if kill and seen == kill[0]:
                sys.setprofile(None)
                os.kill(os.getpid(), kill[1])

    from hybrid.cli.start import start

    status = 1
    sys.argv = ["hybrid", *arguments]
    # A signal that came before this ends the process, as it ends one in which Python is not ready.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if str(calls) != os.devnull:
            sys.setprofile(count)
        start()
    except SystemExit as end:
        sys.setprofile(None)
        status = int(end.code or 0)
        calls.write_text(str(seen))
    finally:
        (folder.parent / "modules").write_text("\n".join(sys.modules))
        os._exit(status)


class Runner:
    """Runs commands in a folder, each in a session of its own."""

    def __init__(self, at: str, whole: bool) -> None:
        self.at, self.whole = at, whole

    def start(self, folder: Path, arguments: list[str], kill: tuple[float, int] | None) -> int:
        """Start a command: its process."""
        if self.whole:
            code = "from hybrid.cli.start import start; start()"
            with (folder.parent / "out").open("w") as out, (folder.parent / "err").open("w") as err:
                return subprocess.Popen(
                    [sys.executable, "-c", code, *arguments],
                    cwd=folder, stdout=out, stderr=err, start_new_session=True,
                ).pid  # fmt: skip
        counted = self.at == "calls"
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until the copy has become the command
        child = os.fork()
        if not child:
            at = (int(kill[0]), kill[1]) if kill and counted else None
            become(folder, arguments, at, folder.parent / "calls" if counted else Path(os.devnull))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return child

    def run(
        self,
        folder: Path,
        arguments: list[str],
        kill: tuple[float, int] | None = None,
        twice: bool = False,
    ) -> Ended:
        """Run a command to its end; it gets a signal after so many calls or seconds."""
        child, sent = self.start(folder, arguments, kill), time.monotonic()
        if kill and self.at == "seconds":
            time.sleep(kill[0])
            sent = time.monotonic()
            for _ in range(1 + twice):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, kill[1])
                time.sleep(0.02 * twice)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        late = time.monotonic() - sent
        try:
            os.killpg(child, 0)
            left = True
        except ProcessLookupError:
            left = False
        calls = folder.parent / "calls"
        n = int(calls.read_text()) if calls.exists() else 0
        return Ended(status, (folder.parent / "err").read_text(), late, n, left)


def contents(folder: Path) -> Contents:
    """Each file → a hash of it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@dataclass
class Campaign:
    """Signals to one command, and what was found."""

    name: str
    base: Path
    runner: Runner
    again: int
    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    wrong: list[str] = field(default_factory=list)
    latest: float = 0.0

    def prepare(self) -> None:
        """Run the command undisturbed, twice: what it leaves, and which files are never the same."""
        arguments, found = COMMANDS[self.name], []
        for i in range(2):
            folder = self.copy(f"sound-{i}")
            started = time.monotonic()
            ended = self.runner.run(folder, arguments)
            self.length = time.monotonic() - started if self.runner.at == "seconds" else ended.calls
            assert ended.code == 0, (self.name, ended)
            found.append(contents(folder))
            if not self.runner.whole:
                load((folder.parent / "modules").read_text().split())
        # Parts of the cache have names of their own.
        first, again = ({n for n in one if ".hybrid-cache/" not in n} for one in found)
        assert first == again
        self.before, self.after = contents(self.base), found[0]
        self.volatile = {name for name in first if found[0][name] != found[1][name]}

    def copy(self, name: str) -> Path:
        """A project folder as it was before the command."""
        folder = self.base.parent / f"{self.name}-{name}" / "p"
        shutil.rmtree(folder.parent, ignore_errors=True)
        shutil.copytree(self.base, folder)
        return folder

    def send(self, number: int, moment: float, twice: bool) -> None:
        """Send a signal, look at what is there, and run the command again."""
        folder = self.copy("killed")
        moment *= self.length
        ended = self.runner.run(folder, COMMANDS[self.name], (moment, number), twice)
        self.counts["signals"] += 1
        self.latest = max(self.latest, ended.late)
        case = (
            f"{self.name} {signal.Signals(number).name} at {moment:.3f}{' twice' if twice else ''}"
        )
        self.judge(case, ended, number)
        now = contents(folder)
        for problem in self.torn(folder, now):
            self.wrong.append(f"{case}: {problem}")
        again = list(COMMANDS[self.name])
        if (folder / "runs" / ".deep.training" / "state.npz").exists():
            again.append("--resume")
            self.counts["resumed"] += 1
        complete = (
            folder / "imported" / "catalogue.csv"
        ).exists()  # a signal came while it was moved
        if complete or (self.name == "sample" and ended.code == 0):
            shutil.rmtree(folder / again[-1 if self.name == "import" else 1])
        if self.name == "tune":
            shutil.rmtree(folder / "encoders" / "tuned", ignore_errors=True)
        if self.counts["signals"] % self.again == 0:
            second = self.runner.run(folder, again)
            self.counts["second runs"] += 1
            if second.code:
                self.wrong.append(f"{case}: the second time: {second.code}, {second.said[-500:]}")
            for problem in self.differs(contents(folder)):
                self.wrong.append(f"{case}: after the second time: {problem}")
        shutil.rmtree(folder.parent)

    def judge(self, case: str, ended: Ended, number: int) -> None:
        """Count how it ended, and note what nobody should see."""
        code = ended.code
        lines = [line for line in ended.said.splitlines() if line.startswith("interrupted")]
        if code == 128 + number:
            self.counts["interrupted"] += 1
            if len(lines) != 1 or not ended.said.splitlines()[-1].startswith("interrupted"):
                self.wrong.append(f"{case}: it said {ended.said[-500:]!r}")
        elif code == -number:
            self.counts["before Python was ready"] += 1
        elif code == 0:
            self.counts["done before"] += 1
        else:
            self.wrong.append(f"{case}: exit code {code}, {ended.said[-2000:]}")
        if "Traceback" in ended.said or "ignored in" in ended.said:
            self.wrong.append(f"{case}: {ended.said[-3000:]}")
        if ended.left:
            self.wrong.append(f"{case}: processes are left")

    def torn(self, folder: Path, now: Contents) -> Iterator[str]:
        """Problems of the files after a signal: each is the old one, or the new one."""
        for name in self.before.keys() - now.keys():
            yield f"{name} is gone"
        for name, digest in now.items():
            if any(part in name for part in GOES_ON):
                continue
            known = {self.before.get(name), self.after.get(name)}
            if known == {None}:
                yield f"{name} is left"
            elif digest not in known and (name not in self.volatile or not is_whole(folder / name)):
                yield f"{name} is torn"
        for manifest in (folder / "runs").glob("*/manifest.json"):
            for name, stated in json.loads(manifest.read_text())["files"].items():
                digest = stated["sha256"] if isinstance(stated, dict) else stated
                relative = str((manifest.parent / name).relative_to(folder))
                if now.get(relative) != digest:
                    yield f"{relative} is of another run"

    def differs(self, now: Contents) -> Iterator[str]:
        """How a project differs from that of an undisturbed command."""
        # Parts of the cache have names of their own; records of outputs keep what was there before.
        own = (".hybrid-cache/", ".hybrid-outputs/")
        now, expected = (
            {name: digest for name, digest in some.items() if not name.startswith(own)}
            for some in (now, self.after)
        )
        yield from (f"{name} is gone" for name in sorted(expected.keys() - now.keys()))
        yield from (f"{name} is left" for name in sorted(now.keys() - expected.keys()))
        for name in sorted(expected.keys() & now.keys() - self.volatile):
            if now[name] != expected[name]:
                yield f"{name} differs"


def is_whole(path: Path) -> bool:
    """Whether a file is whole of which each copy differs, as by times."""
    text = path.read_bytes()
    if path.suffix == ".json":
        try:
            json.loads(text)
        except ValueError:
            return False
    return (
        bool(text)
        if path.suffix in (".npz", ".h5", ".npy", ".safetensors")
        else text.endswith(b"\n") or b"</html>" in text
    )


def make_base(folder: Path, names: list[str], server: str, encoder: Path | None) -> Path:
    """The project before the commands."""
    base = folder / "base" / "p"
    write_project(base, server, encoder)
    before = [*BEFORE, *([COMMANDS["fit-deep"]] if {"fit-deep", "extract"} & {*names} else [])]
    for arguments in before:
        ended = Runner("seconds", whole=False).run(base, arguments)
        assert ended.code == 0, (arguments, ended)
        load((base.parent / "modules").read_text().split())
    return base


def load(names: list[str]) -> None:
    """Load what a command has loaded, so that its next copy need not."""
    for name in names:
        with warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")
            importlib.import_module(name)


def main() -> None:
    """Send the signals, and print what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--signals", type=int, default=50, help="of each kind to each command")
    parser.add_argument("--commands", nargs="+", choices=COMMANDS)
    parser.add_argument("--encoder", type=Path, help="folder of a text encoder; tune needs one")
    parser.add_argument("--at", choices=("seconds", "calls"), default="seconds")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--again", type=int, default=1, help="run every so manieth again")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    names = asked.commands or [name for name in COMMANDS if name != "tune" or asked.encoder]
    for library in LIBRARIES:
        importlib.import_module(library)
    if {*NETWORKS} & {*names}:
        importlib.import_module("hybrid.runs.fit_deep")
        importlib.import_module("tensorflow")
        importlib.import_module("keras")
    folder = asked.folder.resolve()
    with serving(folder / "base" / "p" / "posters") as server:
        base, report = make_base(folder, names, server, asked.encoder), {}
        for name in names:
            report[name] = send_all(name, base, asked)
            print(name, report[name], file=sys.stderr, flush=True)
    print(json.dumps(report))


def send_all(name: str, base: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Send a command its signals: what was found."""
    draw = random.Random(f"{asked.seed} {name}")
    campaign = Campaign(name, base, Runner(asked.at, asked.whole), asked.again)
    campaign.prepare()
    for i in range(asked.signals):
        for number in SIGNALS:
            twice = asked.at == "seconds" and i % 5 == 4
            campaign.send(number, (i + draw.random()) / asked.signals, twice)
    return {
        **campaign.counts,
        "latest": round(campaign.latest, 1),
        "length": round(campaign.length, 1),
        "wrong": campaign.wrong,
    }


if __name__ == "__main__":
    main()
