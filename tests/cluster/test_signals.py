"""Signals to a command with workers of its own: its exit code, and no process that outlives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hybrid import load_catalogue, write_sample
from hybrid.cache import EmbeddingCache
from hybrid.extraction.lookup import hash_catalogue
from hybrid.utils.context import Context
from tests.cluster.outside import wait_until

MOST_SECONDS = 60.0
# The command line, with blocks that wait instead of a command.
WAITS = """
import os
from hybrid.cli import main as cli
from hybrid.cluster.blocks import BlockRun
from hybrid.cluster.connection import use_cluster
from hybrid.utils.context import Context
from hybrid.utils.interrupt import until_interrupted

def wait(block, turn):
    print("at work in", os.getpid(), flush=True)
    while True:
        turn.interrupts.wait(0.05)

def call(arguments):
    with use_cluster(Context(workers=2, cluster="local:2")) as cluster:
        with until_interrupted() as interrupted:
            list(BlockRun(cluster, wait, range(9), interrupted))
    return 0

cli._call = call
cli.main([])
"""


@contextmanager
def started(*command: object, **more: Any) -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own, as a terminal has them."""
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **more,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def is_gone(process: str) -> bool:
    """Whether a process has ended; nobody may have waited for it."""
    return not Path(f"/proc/{process}/fd/1").exists()


def press_ctrl_c(process: subprocess.Popen[str]) -> None:
    """A terminal sends it to all processes of the group."""
    os.killpg(process.pid, signal.SIGINT)


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        pytest.param(press_ctrl_c, 130, "interrupted\n", id="Ctrl-C"),
        pytest.param(
            subprocess.Popen.terminate,
            143,
            "interrupted by SIGTERM\n",
            id="SIGTERM",
            marks=pytest.mark.slow,
        ),
        pytest.param(subprocess.Popen.kill, -signal.SIGKILL, "", id="SIGKILL"),
    ],
)
def test_no_worker_outlives_the_command(
    end: Callable[[subprocess.Popen[str]], None], code: int, said: str
) -> None:
    with started("-c", WAITS) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        workers = [line.split()[-1] for line in lines]
        assert len({*workers, str(process.pid)}) == 3
        end(process)
        # Read to the end, which comes when no process holds it any more.
        more, errors = process.communicate(timeout=MOST_SECONDS)
    assert (process.returncode, more) == (code, "")
    assert errors == said or code < 0  # then Python tells of semaphores that it removes
    assert all(map(is_gone, workers))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "code"),
    [(press_ctrl_c, 130), (subprocess.Popen.terminate, 143), (subprocess.Popen.kill, -9)],
    ids=["Ctrl-C", "SIGTERM", "SIGKILL"],
)
def test_an_extraction_that_was_ended_is_continued(
    tmp_path: Path, end: Callable[[subprocess.Popen[str]], None], code: int
) -> None:
    write_sample(tmp_path / "films", n_items=1000)
    films = load_catalogue(tmp_path / "films" / "catalogue.csv")
    command = ["-m", "hybrid", "extract", "--catalogue", tmp_path / "films" / "catalogue.csv"]
    command += ["--backbone", "mobilenet-075", "--weights", "random", "--precision", "float32"]
    command += ["--cache", tmp_path / "cache", "--cluster", "local:2"]
    with started(*command) as process:
        wait_until(lambda: any((tmp_path / "cache").glob("*/parts/*")))
        end(process)
        _, errors = process.communicate(timeout=MOST_SECONDS)
    assert process.returncode == code, errors
    keys = {key for key in hash_catalogue(films, Context("none")) if isinstance(key, bytes)}
    (store,) = EmbeddingCache(tmp_path / "cache").stores()
    before = int(store.has(list(keys)).sum())
    assert 0 < before < len(keys)
    if code > 0:
        assert f"stopped: {before} computed; all of them are saved." in errors
    with started(*command, "--json") as process:
        found, errors = process.communicate(timeout=MOST_SECONDS)
    assert process.returncode == 0, errors
    assert json.loads(found)["hits"] == before
    store.refresh()
    assert store.knows(list(keys)).all()
