"""A Dask cluster of processes on this machine, each of which can be killed, stopped, limited or cut off."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

LOOK_SECONDS = 0.5  # after which a process that has ended is started again
WAIT_SECONDS = 120.0
NETWORK = "10.77.0"  # of the network namespaces
BRIDGE = "hybrid-bench"


class Processes:
    """A scheduler and its workers inside a ``with`` block; workers that end are started again.

    Parameters
    ----------
    folder : Path
        For their output and scratch files.
    workers : int
    host : str, default="127.0.0.1"
    before : dict of int to sequence of str, optional
        Number of a worker → what comes before its command, such as ``prlimit``.
    options : sequence of str
        Of each worker.
    """

    def __init__(
        self,
        folder: Path,
        workers: int,
        host: str = "127.0.0.1",
        before: dict[int, Sequence[str]] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.folder, self.host, self.before, self.options = folder, host, before or {}, options
        self.port = free_port(host)
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes] | None] = [None] * workers
        self.starts = 0  # of workers
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    @property
    def address(self) -> str:
        """Of the scheduler."""
        return f"tcp://{self.host}:{self.port}"

    def __enter__(self) -> Processes:
        self.start_scheduler()
        self._keeper.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._keeper.join()
        for process in (*self.workers, self.scheduler):
            if process is not None:
                process.kill()
                process.wait()

    def start_scheduler(self) -> None:
        """Start it, again where it was killed, at the same address."""
        where = ["--host", self.host, "--port", str(self.port), "--no-dashboard"]
        self.scheduler = self._start("scheduler", ["scheduler", *where])

    def wait_for_workers(self) -> None:
        """Wait until all are there."""
        from distributed import Client

        with Client(self.address, timeout=WAIT_SECONDS, set_as_default=False) as client:
            client.wait_for_workers(len(self.workers), timeout=WAIT_SECONDS)

    def _keep(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            for number, process in enumerate(self.workers):
                if process is None or process.poll() is not None:
                    where = [self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
                    where += ["--local-directory", str(self.folder), *self.options]
                    before = self.before.get(number, ())
                    self.workers[number] = self._start(
                        f"worker-{number}", ["worker", *where], before
                    )
                    self.starts += 1

    def _start(
        self, name: str, command: Sequence[str], before: Sequence[str] = ()
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [*before, sys.executable, "-m", "dask", *command], stdout=log, stderr=log
            )

    def signal_worker(self, number: int, which: int = signal.SIGKILL) -> None:
        """Send a signal to a worker, if it runs."""
        process = self.workers[number]
        if process is not None and process.poll() is None:
            process.send_signal(which)


class Namespaces:
    """A network namespace for each worker inside a ``with`` block, joined by a bridge; needs root.

    Parameters
    ----------
    workers : int
    """

    host = f"{NETWORK}.1"

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def __enter__(self) -> Namespaces:
        try:
            ip("link", "add", BRIDGE, "type", "bridge")
            ip("addr", "add", f"{self.host}/24", "dev", BRIDGE)
            ip("link", "set", BRIDGE, "up")
            for number in range(self.workers):
                name, link = self.name(number), self.link(number)
                ip("netns", "add", name)
                ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
                ip("link", "set", link, "master", BRIDGE, "up")
                inside = ("-n", name)
                ip(*inside, "addr", "add", f"{NETWORK}.{number + 2}/24", "dev", "eth0")
                ip(*inside, "link", "set", "eth0", "up")
                ip(*inside, "link", "set", "lo", "up")
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove what there is of it."""
        for number in range(self.workers):
            ip("link", "del", self.link(number), check=False)
            ip("netns", "del", self.name(number), check=False)
        ip("link", "del", BRIDGE, check=False)

    def name(self, number: int) -> str:
        """Of the namespace of a worker."""
        return f"{BRIDGE}-{number}"

    def link(self, number: int) -> str:
        """The end of its cable at the bridge."""
        return f"hb-veth{number}"

    def before(self) -> dict[int, Sequence[str]]:
        """What starts each worker in its namespace."""
        return {n: ("ip", "netns", "exec", self.name(n)) for n in range(self.workers)}

    def cut(self, number: int, off: bool) -> None:
        """Cut a worker off, or bring it back."""
        ip("link", "set", self.link(number), "down" if off else "up")


def ip(*arguments: str, check: bool = True) -> None:
    """Run the tool for networks of Linux."""
    subprocess.run(["ip", *arguments], check=check, capture_output=True)


def free_port(host: str = "127.0.0.1") -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as found:
        found.bind((host, 0))
        return int(found.getsockname()[1])


def memory_mib(process: int, which: str = "VmHWM") -> float:
    """Memory of a process, by default its peak."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(rf"{which}:\s+(\d+)", status)
    assert found is not None
    return int(found[1]) / 1024


def processor_seconds(process: int) -> float:
    """What a process has used, user and system."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def described(machine: dict[str, Any]) -> dict[str, Any]:
    """The machine, and how busy it is with other work."""
    return machine | {"load": [round(each, 1) for each in os.getloadavg()]}
