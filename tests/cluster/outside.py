"""A cluster that runs outside of the command: a scheduler and workers, each a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

MOST_SECONDS = 60.0


def wait_until(condition: Callable[[], bool]) -> None:
    """Look until something is so, for a minute at most."""
    until = time.monotonic() + MOST_SECONDS
    while not condition():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.01)


class Outside:
    """The processes; `close` ends them.

    Parameters
    ----------
    folder : Path
        For the scheduler's file and what they print.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "scheduler.json"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start("scheduler", "--port", "0", "--host", "127.0.0.1")
        wait_until(self.file.is_file)

    @property
    def address(self) -> str:
        """Of the scheduler."""
        return str(json.loads(self.file.read_text())["address"])

    def _start(self, kind: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", kind, "--no-dashboard"]
        with (self.folder / f"{kind}.log").open("ab") as log:
            return subprocess.Popen(
                [*command, "--scheduler-file", str(self.file), *options], stdout=log, stderr=log
            )

    def start_worker(self) -> None:
        """One more, without Dask's nanny: it ends when it dies."""
        self.workers.append(
            self._start(
                *("worker", "--no-nanny", "--nthreads", "1"),
                *("--local-directory", str(self.folder), "--name", str(len(self.workers))),
            )
        )

    def restart_scheduler(self) -> None:
        """Kill all, and start another scheduler at the same address, with one worker."""
        port = self.address.rpartition(":")[2]
        self.close()
        self.file.unlink()
        self.scheduler = self._start("scheduler", "--port", port, "--host", "127.0.0.1")
        wait_until(self.file.is_file)
        self.start_worker()

    def close(self) -> None:
        """Kill all."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()
        self.workers.clear()
