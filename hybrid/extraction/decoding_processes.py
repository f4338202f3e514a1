"""Decoding of posters in processes of their own, for a GPU that is faster than one Python interpreter.

Half of the time that a small poster takes is Python's, which threads share: however many there are, they
decode some thousand posters a second.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from hybrid.errors import ExtractionError
from hybrid.extraction.decode_process import map_buffer
from hybrid.extraction.decoding import Buffer, Decoded, Decoders, DecodingThreads, Place
from hybrid.images.references import RowReference, parse_reference
from hybrid.remote.errors import RemoteError

WORTHWHILE = 2_000  # posters; with fewer the processes start no sooner than threads are done
AT_ONCE = 16  # posters that a process is sent: so many take it about 20 ms
# Signals are for the process that reads the answers: it finishes what it has begun.
_PROGRAM = """
import signal, sys
for each in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
    signal.signal(each, signal.SIG_IGN)
sys.path[:] = {path!r}
from hybrid.extraction.decode_process import serve
serve({memory})
"""


def make_decoders(workers: int, gpu: bool, posters: int, paths: Iterable[str]) -> Decoders:
    """Choose what decodes posters: processes for a GPU; threads where the network takes the processor's time.

    Parameters
    ----------
    workers : int
    gpu : bool
        Whether the network computes on a GPU.
    posters : int
        To decode.
    paths : iterable of str
        Theirs, looked at where processes are worth their start. Posters in Parquet files are decoded by
        threads: each process would copy the images.

    Examples
    --------
    >>> type(make_decoders(2, False, 5000, ["films/1.jpg"] * 5000)).__name__
    'DecodingThreads'
    """
    can_share = hasattr(os, "memfd_create")  # Linux
    wanted = gpu and can_share and workers > 1 and posters >= WORTHWHILE
    if not wanted or any_in_parquet(paths):
        return DecodingThreads(workers)
    return DecodingProcesses(workers)


def any_in_parquet(paths: Iterable[str]) -> bool:
    """Whether some posters are images of Parquet files.

    Examples
    --------
    >>> any_in_parquet(["films/1.jpg"]), any_in_parquet(["films.parquet#7"])
    (False, True)
    """
    return any(isinstance(parse_reference(path), RowReference) for path in paths)


class _Task(NamedTuple):
    path: str
    places: Sequence[Place]
    future: Future[Decoded]

    def request(self) -> list[object]:
        """As `hybrid.extraction.decode_process` reads it."""
        places = [
            (buffer.offset, len(buffer.pixels), row, *geometry.size, geometry.fit)
            for geometry, buffer, row in self.places
        ]
        return [self.path, places]


class DecodingProcesses(Decoders):
    """Processes that decode into memory that they share with this one; each has a thread here that asks it.

    Parameters
    ----------
    workers : int

    Examples
    --------
    >>> from hybrid.images.decode import Geometry
    >>> processes = DecodingProcesses(1)
    >>> place = Place(Geometry((32, 32)), processes.buffer((4, 32, 32, 3)), 0)
    >>> processes.submit("no-such-file.jpg", [place]).result() is None
    True
    >>> processes.close()
    """

    def __init__(self, workers: int) -> None:
        self.ahead = 2 * AT_ONCE * workers
        self._memory = os.memfd_create("hybrid-posters")
        self._size = 0
        self._free: dict[tuple[int, ...], list[Buffer]] = defaultdict(list)
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._processes = [_start(self._memory) for _ in range(workers)]
        self._threads = [
            threading.Thread(target=self._serve, args=(process,), daemon=True)
            for process in self._processes
        ]
        for thread in self._threads:
            thread.start()

    def buffer(self, shape: tuple[int, ...]) -> Buffer:
        """See `Decoders.buffer`."""
        if self._free[shape]:
            return self._free[shape].pop()
        offset, length = self._size, shape[0] * shape[1] * shape[2] * shape[3]
        self._size += -(-length // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        os.ftruncate(self._memory, self._size)
        return Buffer(map_buffer(self._memory, offset, shape), offset)

    def release(self, buffer: Buffer) -> None:
        """See `Decoders.release`."""
        self._free[buffer.pixels.shape].append(buffer)

    def submit(self, path: str, places: Sequence[Place]) -> Future[Decoded]:
        """See `Decoders.submit`."""
        future: Future[Decoded] = Future()
        self._tasks.put(_Task(path, places, future))
        return future

    def close(self) -> None:
        """See `Decoders.close`."""
        with contextlib.suppress(Empty):
            while True:
                if task := self._tasks.get_nowait():
                    task.future.cancel()
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()
        for process in self._processes:
            with contextlib.suppress(OSError):
                process.communicate()  # its input ends, and so does it
        self._free.clear()
        os.close(self._memory)

    def _serve(self, process: subprocess.Popen[str]) -> None:
        """Send a process what is queued, until there is nothing more to come."""
        while tasks := self._take():
            try:
                answers = _ask(process, tasks)
            except (OSError, ValueError) as error:
                died = _death(process, tasks)
                died.__cause__ = error
                for task in tasks:
                    task.future.set_exception(died)
                continue
            for task, answer in zip(tasks, answers, strict=True):
                if isinstance(answer, RemoteError):
                    task.future.set_exception(answer)
                else:
                    task.future.set_result(answer)

    def _take(self) -> list[_Task]:
        """The next tasks, at least one; none when all is done."""
        tasks: list[_Task] = []
        with contextlib.suppress(Empty):
            while len(tasks) < AT_ONCE:
                task = self._tasks.get(block=not tasks)
                if task is None:
                    self._tasks.put(None)  # for the next time, or another thread
                    break
                if task.future.set_running_or_notify_cancel():
                    tasks.append(task)
        return tasks


def _start(memory: int) -> subprocess.Popen[str]:
    here = [each for each in sys.path if each]
    path = [*here, str(Path(__file__).resolve().parents[2])]
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _PROGRAM.format(path=path, memory=memory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="ascii",
        pass_fds=[memory],
    )


def _ask(process: subprocess.Popen[str], tasks: Sequence[_Task]) -> list[Decoded | RemoteError]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps([task.request() for task in tasks]) + "\n")
    process.stdin.flush()
    answers = json.loads(process.stdout.readline())
    return list(map(_decoded, answers))


def _decoded(answer: Any) -> Decoded | RemoteError:
    if isinstance(answer, str):
        return RemoteError(answer)
    return answer and (bytes.fromhex(answer[0]), answer[1])


def _death(process: subprocess.Popen[str], tasks: Sequence[_Task]) -> ExtractionError:
    return ExtractionError(
        f"a process that decodes posters ended with code {process.wait()} at one of {len(tasks)}, from "
        f"{tasks[0].path} to {tasks[-1].path}. What was embedded is saved. If memory ran out, run the "
        "command again with fewer --workers; otherwise look at these files with hybrid check."
    )
