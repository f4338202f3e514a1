"""Faults of a Dask cluster while `hybrid extract --cluster` embeds posters; `cluster.py faults` runs them.

A scheduler and workers are processes, without Dask's nanny; workers that end are started again, as a batch
system would. After each fault the embeddings are compared, to the bit, with those of one process.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from cluster_processes import Namespaces, Processes

from hybrid import load_catalogue
from hybrid.cache import EmbeddingCache
from hybrid.extraction.lookup import hash_catalogue
from hybrid.utils.context import Context

BEGUN = 200  # rows in the cache, after which most faults come
MOST_SECONDS = 1800.0
FILE_BYTES = 65_536  # that a worker whose disk is full may write to a file
POISON = """
import os
from hybrid.extraction import on_cluster

embed = getattr(on_cluster, "embed_without_poison", on_cluster.embed_block)  # loaded twice


def embed_or_die(order, block, turn):
    if any({key!r} in todo for todo in block.todo):
        os._exit(9)
    return embed(order, block, turn)


on_cluster.embed_without_poison, on_cluster.embed_block = embed, embed_or_die
"""


@dataclass
class Films:
    """What is embedded: options of the command, and the keys of the posters."""

    options: Sequence[str]
    keys: list[bytes]
    expected: np.ndarray[Any, Any]  # embeddings of one process

    @classmethod
    def of(cls, catalogue: Path, options: Sequence[str], folder: Path) -> Films:
        """Embed all posters in one process, if `folder` has them not yet."""
        command = ["--catalogue", str(catalogue.absolute()), *options]
        if not folder.exists():
            extract(command, folder)
        found = hash_catalogue(load_catalogue(catalogue), Context(str(folder)))
        keys = list(dict.fromkeys(key for key in found if isinstance(key, bytes)))
        (store,) = EmbeddingCache(folder).stores()
        keys = [key for key in keys if key in store]
        return cls(command, keys, store.read(keys))


@dataclass
class Trial:
    """One extraction on a cluster, and what was done to it."""

    films: Films
    cache: Path
    processes: Processes
    command: subprocess.Popen[str]
    started: float = field(default_factory=time.monotonic)
    events: list[dict[str, Any]] = field(default_factory=list)
    known: set[bytes] = field(default_factory=set)  # rows that were in the cache at some fault

    @property
    def runs(self) -> bool:
        """Whether the command has not ended."""
        assert time.monotonic() - self.started < MOST_SECONDS, "it hangs"
        return self.command.poll() is None

    def rows(self) -> set[bytes]:
        """What the cache has now."""
        stores = EmbeddingCache(self.cache).stores() if self.cache.exists() else []
        if not stores:
            return set()
        return {
            k
            for k, there in zip(self.films.keys, stores[0].has(self.films.keys), strict=True)
            if there
        }

    def wait(self, seconds: float) -> None:
        """Wait, as long as the command runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.command.wait(seconds)

    def begin(self) -> None:
        """Wait until some rows are in the cache."""
        while self.runs and len(self.rows()) < BEGUN:
            self.wait(0.5)

    def note(self, what: str) -> None:
        """Record a fault, and the rows that must survive it."""
        rows = self.rows()
        self.known |= rows
        seconds = round(time.monotonic() - self.started, 1)
        self.events.append({"seconds": seconds, "fault": what, "rows": len(rows)})
        print(f"  {seconds:6.1f} s: {what}, {len(rows)} rows", file=sys.stderr, flush=True)

    def judge(self, aside: set[bytes]) -> dict[str, Any]:
        """What came of it; `aside` are keys that cannot be embedded."""
        said = self.command.communicate()[1]
        (store,) = EmbeddingCache(self.cache).stores()
        wanted = np.array([key not in aside for key in self.films.keys])
        found = store.read(self.films.keys)
        return {
            "exit": self.command.returncode,
            "seconds": round(time.monotonic() - self.started, 1),
            "events": self.events,
            "workers_started": self.processes.starts,
            "rows": int(store.has(self.films.keys).sum()),
            "acknowledged": len(self.known),
            "lost": len(self.known - self.rows()),
            "equal": bool(np.array_equal(found[wanted], self.films.expected[wanted])),
            "said": [line for line in said.splitlines() if " of " not in line][-60:],
        }


def extract(options: Sequence[str], cache: Path, **more: Any) -> None:
    """Run the command, which must succeed."""
    subprocess.run(extract_command(options, cache), check=True, capture_output=True, **more)


def extract_command(options: Sequence[str], cache: Path) -> list[str]:
    """What a shell would start."""
    return [sys.executable, "-m", "hybrid", "extract", *options, "--cache", str(cache)]


def kill_workers(trial: Trial, every: float = 10.0) -> None:
    """Kill a worker every ten seconds, until the command ends."""
    chance = random.Random(0)
    while trial.runs:
        trial.wait(every)
        if trial.runs:
            number = chance.randrange(len(trial.processes.workers))
            trial.note(f"worker {number} killed")
            trial.processes.signal_worker(number)


def stop_worker(trial: Trial, seconds: float = 45.0) -> None:
    """Stop a worker, as a machine that swaps or a virtual machine that is moved, and let it go on."""
    trial.begin()
    trial.note("worker 0 stopped")
    trial.processes.signal_worker(0, signal.SIGSTOP)
    trial.wait(seconds)
    trial.processes.signal_worker(0, signal.SIGCONT)
    trial.note("worker 0 goes on")


def cut_off(trial: Trial, network: Namespaces) -> None:
    """Cut a worker off for less than TCP waits, then two of them for longer, and bring them back."""
    trial.begin()
    for numbers, seconds in (((0,), 10.0), ((1, 2), 60.0)):
        trial.note(f"workers {numbers} cut off")
        for number in numbers:
            network.cut(number, off=True)
        trial.wait(seconds)
        for number in numbers:
            network.cut(number, off=False)
        trial.note(f"workers {numbers} brought back")
        trial.wait(10.0)


def restart_scheduler(trial: Trial, away: float = 5.0) -> None:
    """Kill the scheduler twice, and start it again: at once, and after some seconds."""
    trial.begin()
    for seconds in (0.0, away):
        if not trial.runs:
            return
        trial.note("scheduler killed")
        scheduler = trial.processes.scheduler
        assert scheduler is not None
        scheduler.kill()
        scheduler.wait()
        trial.wait(seconds)
        trial.processes.start_scheduler()
        trial.note("scheduler started")
        trial.wait(45.0)


def nothing(trial: Trial) -> None:
    """Only start: the fault is there from the beginning."""
    trial.begin()
    trial.note("some rows are written")


FAULTS = ("none", "kill", "stop", "network", "disk", "scheduler", "poison")


def run_fault(name: str, films: Films, folder: Path, workers: int) -> dict[str, Any]:
    """Run the command under one fault, and compare."""
    print(f"fault: {name}", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    does: dict[str, Callable[[Trial], None]] = {
        "kill": kill_workers,
        "stop": stop_worker,
        "scheduler": restart_scheduler,
    }
    do, options, aside, before = does.get(name, nothing), list[str](), set[bytes](), {}
    with contextlib.ExitStack() as stack:
        host = "127.0.0.1"
        if name == "network":
            network = stack.enter_context(Namespaces(workers))
            host, before = network.host, network.before()
            do = lambda trial: cut_off(trial, network)  # noqa: E731
        if name == "disk":
            before = {0: ("prlimit", f"--fsize={FILE_BYTES}")}
        if name == "poison":
            key = films.keys[len(films.keys) // 2]
            (folder / "poison.py").write_text(POISON.replace("{key!r}", repr(key)))
            options = ["--preload", str(folder / "poison.py")]
        processes = stack.enter_context(Processes(folder, workers, host, before, options))
        processes.wait_for_workers()
        command = stack.enter_context(started(films, folder / "cache", processes.address))
        trial = Trial(films, folder / "cache", processes, command)
        do(trial)
        command.wait(MOST_SECONDS)
        if name == "poison":
            aside = set(films.keys) - trial.rows()
        found = trial.judge(aside)
    found["set_aside"] = len(aside)
    if name == "poison":
        found["poison_set_aside"] = key in aside
    return found


@contextlib.contextmanager
def started(films: Films, cache: Path, address: str) -> Iterator[subprocess.Popen[str]]:
    """The command on a cluster; killed at the end, if it still runs."""
    options = [*films.options, "--cluster", address]
    log = cache.with_suffix(".log")
    with log.open("w") as file:
        command = subprocess.Popen(
            extract_command(options, cache), stdout=file, stderr=subprocess.PIPE, text=True
        )
    try:
        yield command
    finally:
        command.kill()
        command.wait()
