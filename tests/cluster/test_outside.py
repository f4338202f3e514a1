"""A cluster of one's own: its scheduler is found, is waited for where it is restarted, and tells deaths."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import Client

from hybrid.catalogue import Catalogue
from hybrid.cluster import connection
from hybrid.cluster.blocks import BlockRun, SetAside, enough_deaths
from hybrid.cluster.connection import Cluster, use_cluster
from hybrid.errors import ClusterError
from hybrid.utils.context import Context
from hybrid.utils.interrupt import Interrupts
from tests.cluster.outside import Outside, wait_until


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    found = Outside(tmp_path_factory.mktemp("outside"))
    try:
        found.start_worker()
        yield found
    finally:
        found.close()


def connected(place: str | Path) -> Any:
    return use_cluster(Context(cluster=str(place)))


def test_a_scheduler_is_found_by_its_address_and_by_its_file(outside: Outside) -> None:
    for place in (outside.address, outside.file):
        with connected(place) as cluster:
            done = list(BlockRun(cluster, lambda block, turn: block + 1, range(5), Interrupts()))
        assert sorted(done) == [1, 2, 3, 4, 5]


def test_where_there_is_no_scheduler_the_command_says_so(
    films: Catalogue,
    hybrid_here: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.2)
    extract = (
        "extract",
        "--catalogue",
        films.path.absolute(),
        "--backbone",
        "small",
        "--weights",
        "random",
    )
    for place, said in (
        ("tcp://127.0.0.1:9", "expected a scheduler at tcp://127.0.0.1:9, found none within"),
        (tmp_path / "none.json", "expected the file that a scheduler wrote, found none at"),
    ):
        found = hybrid_here(*extract, "--cluster", place, cwd=tmp_path)
        assert found.returncode == 1
        assert said in found.stderr
        assert "Traceback" not in found.stderr


def test_a_worker_stops_when_the_command_was_killed(outside: Outside, tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from hybrid.cluster.blocks import BlockRun
from hybrid.cluster.connection import use_cluster
from hybrid.utils.context import Context
from hybrid.utils.interrupt import Interrupts

def work(block, turn):
    Path(block, "begun").touch()
    try:
        while True:
            turn.interrupts.wait(0.05)
    finally:
        Path(block, "stopped").touch()

with use_cluster(Context(cluster=sys.argv[1])) as cluster:
    list(BlockRun(cluster, work, [sys.argv[2]], Interrupts()))
"""
    command = [sys.executable, "-c", code, outside.file, tmp_path]
    with subprocess.Popen(list(map(str, command))) as process:
        wait_until((tmp_path / "begun").exists)
        process.kill()
    wait_until((tmp_path / "stopped").exists)


# Dask leaves sockets to the scheduler that died to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "back before it was noticed"])
def test_a_run_goes_on_after_its_scheduler_was_restarted(
    outside: Outside, tmp_path: Path, noticed: bool
) -> None:
    def work(block: int, turn: Any) -> int:
        (tmp_path / str(block)).touch()
        return block * block

    with connected(outside.file) as cluster:
        run = BlockRun(cluster, work, range(30), Interrupts())
        results = iter(run)
        done = [next(results), next(results)]
        before = cluster.client
        outside.restart_scheduler()
        # Dask connects to the new scheduler by itself, which knows nothing of the run.
        wait_until(lambda client=before: client.status == ("connecting" if noticed else "running"))
        if not noticed:
            before.wait_for_workers(1)
        done += results
        assert cluster.client is not before
    assert sorted(done) == [n * n for n in range(30)]
    assert len(list(tmp_path.iterdir())) == 30
    del before, run, results, cluster
    gc.collect()


def test_ctrl_c_ends_the_wait_for_a_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    said, interrupts = [], Interrupts()

    def fail(*given: Any) -> None:
        interrupts.note(signal.SIGINT, None)
        raise ClusterError("expected a scheduler, found none.")

    monkeypatch.setattr(connection, "_connect", fail)
    monkeypatch.setattr(connection, "PAUSE_SECONDS", 0.0)
    client, progress = SimpleNamespace(close=lambda timeout: None), SimpleNamespace(say=said.append)
    address: Any = SimpleNamespace(processes=None)
    lost: Any = Cluster(address, client, progress)  # type: ignore[arg-type]
    lost.reconnect(interrupts)
    assert said == ["the scheduler of the cluster is gone; waiting until it is back"]


def test_a_death_under_a_block_is_told_at_once_and_under_other_tasks_as_dask_does() -> None:
    task = SimpleNamespace(suspicious=0, group=SimpleNamespace(span_id=None))
    scheduler = SimpleNamespace(allowed_failures=3, tasks={}, extensions={})
    plugin = connection._blocks_plugin()
    plugin.scheduler = scheduler
    for key in (("hybrid-blocks-1f", 4), ("other", 1), "other"):
        scheduler.tasks = {key: task}
        for finish in ("waiting", "processing"):
            task.suspicious = 0
            plugin.transition(key, "released", finish, stimulus_id="1")
            expected = 3 if finish == "processing" and key[0] == "hybrid-blocks-1f" else 0
            assert task.suspicious == expected


def test_a_block_is_blamed_for_deaths_that_are_not_those_of_all_blocks() -> None:
    assert [enough_deaths(0, finished) for finished in (0, 1, 1000)] == [3, 3, 3]
    assert enough_deaths(1, 0) <= 12
    for innocent, finished in ((1, 99), (10, 90), (25, 75), (40, 60)):
        rate, enough = innocent / (innocent + finished), enough_deaths(innocent, finished)
        assert rate**enough <= 1e-4 * (1 + 1e-9)
        assert enough == 3 or rate ** (enough - 1) > 1e-4


@pytest.mark.slow
def test_a_block_kills_three_workers_of_a_cluster_that_tries_more_often(
    tmp_path: Path,
) -> None:
    def work(block: int, turn: Any) -> int:
        (tmp_path / f"{block}-{os.getpid()}").touch()
        if block == 1:
            os._exit(9)
        return block

    outside = Outside(tmp_path)
    try:
        for _ in range(5):
            outside.start_worker()
        with Client(outside.address, set_as_default=False) as client:
            client.wait_for_workers(5)
        with connected(outside.address) as cluster:
            found = list(BlockRun(cluster, work, range(4), Interrupts()))
    finally:
        outside.close()
    assert sorted(each for each in found if not isinstance(each, SetAside)) == [0, 2, 3]
    assert [each.block for each in found if isinstance(each, SetAside)] == [1]
    assert len(list(tmp_path.glob("1-*"))) == 3
