"""Blocks on real workers: each is done once, whatever dies, and what cannot be done is named."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from psutil import Process

from hybrid.cluster import blocks
from hybrid.cluster.blocks import MOST_DEATHS, BlockRun, SetAside
from hybrid.cluster.connection import DEATHS, Cluster
from hybrid.errors import CacheError, ClusterError, SettingError, TemporaryFileError
from hybrid.remote.errors import RemoteFileError
from hybrid.utils.interrupt import Interrupts
from tests.cluster.outside import wait_until


def run(
    cluster: Cluster, function: Callable[..., Any], blocks: list[Any], **more: Any
) -> tuple[list[Any], list[SetAside]]:
    found = list(BlockRun(cluster, function, blocks, Interrupts(), **more))
    aside = [each for each in found if isinstance(each, SetAside)]
    return sorted(each for each in found if not isinstance(each, SetAside)), aside


def dying(folder: Path, on: int, times: int) -> Callable[..., int]:
    """A function that leaves a file for each call, and ends its process at one block, so often."""

    def work(block: int, turn: Any) -> int:
        calls = len(list(folder.glob(f"{block}-*")))
        (folder / f"{block}-{calls}-{os.getpid()}").touch()
        if block == on and calls < times:
            os._exit(7)
        return block * block

    return work


def calls(folder: Path, block: int) -> int:
    return len(list(folder.glob(f"{block}-*")))


def test_each_block_is_done_once_with_the_workers_threads(cluster, tmp_path):
    work = dying(tmp_path, on=-1, times=0)
    done, aside = run(cluster, work, list(range(40)))
    assert (done, aside) == ([n * n for n in range(40)], [])
    assert len(list(tmp_path.iterdir())) == 40
    processes = {path.name.split("-")[2] for path in tmp_path.iterdir()}
    assert len(processes) == 2
    assert str(os.getpid()) not in processes
    done, _ = run(cluster, lambda block, turn: turn.threads, [0])
    assert done == [1]


def test_a_scheduler_keeps_nothing_of_blocks_that_are_done(cluster):
    def kept(dask_scheduler: Any) -> tuple[int, int]:
        spans = dask_scheduler.extensions["spans"].spans.values()
        noted = [(span._metadata or {}).get("collections", []) for span in spans]
        return len(dask_scheduler.tasks), sum(map(len, noted))

    before = cluster.client.run_on_scheduler(kept)  # of what ran before, fits among it
    run(cluster, lambda block, turn: block, list(range(60)))
    tasks, noted = np.subtract(cluster.client.run_on_scheduler(kept), before)
    assert max(tasks, noted) <= 5  # those under way at the end


def test_names_of_blocks_are_taken_again_once_they_have_rested(cluster, monkeypatch):
    def names(dask_scheduler: Any) -> int:
        from dask.utils import key_split

        return int(key_split.cache_info().currsize)

    monkeypatch.setattr(blocks, "RESTING_NAMES", 10)
    before = cluster.client.run_on_scheduler(names)
    done, aside = run(cluster, lambda block, turn: block, list(range(80)))
    assert (done, aside) == (list(range(80)), [])
    known = cluster.client.run_on_scheduler(names) - before
    assert 10 < known <= 10 + 10  # and those under way


def test_the_name_of_a_block_whose_worker_died_is_not_taken_again(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "RESTING_NAMES", 0)
    submit, keys = cluster.client.submit, []
    monkeypatch.setattr(
        cluster.client,
        "submit",
        lambda *arguments, **more: keys.append(more["key"]) or submit(*arguments, **more),
    )
    lost: list[Any] = []
    died = BlockRun._died
    monkeypatch.setattr(
        BlockRun,
        "_died",
        lambda self, entry: lost.append((entry.name, len(keys))) or died(self, entry),
    )
    done, _ = run(cluster, dying(tmp_path, on=3, times=1), list(range(30)))
    assert done == [n * n for n in range(30)]
    names = [name for _, name in keys]
    assert len(set(names)) < len(names)  # of the others, some were
    assert lost
    assert not any(name in names[submitted:] for name, submitted in lost)


def test_a_block_whose_worker_dies_is_done_by_another(cluster, tmp_path):
    done, aside = run(cluster, dying(tmp_path, on=3, times=1), list(range(8)))
    assert (done, aside) == ([n * n for n in range(8)], [])
    assert calls(tmp_path, 3) == 2


def test_a_block_that_kills_its_workers_is_set_aside_and_all_others_are_done(cluster, tmp_path):
    done, aside = run(cluster, dying(tmp_path, on=3, times=99), list(range(8)))
    assert done == [n * n for n in range(8) if n != 3]
    assert [(each.block, each.reason) for each in aside] == [
        (3, f"{DEATHS} workers died while they worked at it")
    ]
    assert calls(tmp_path, 3) == DEATHS


def test_deaths_do_not_count_while_a_block_makes_progress(cluster, tmp_path):
    work = dying(tmp_path, on=0, times=DEATHS + 1)
    done, aside = run(cluster, work, [0, 1], progressed=lambda block: True)
    assert (done, aside) == ([0, 1], [])
    assert calls(tmp_path, 0) == DEATHS + 2


REFUSALS = (
    CacheError("no space left"),
    TemporaryFileError("cannot write a temporary file"),
    RemoteFileError(errno.EACCES, "it is refused", "s3://films/catalogue.csv"),
)


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda error: type(error).__name__)
def test_what_one_worker_is_refused_another_does(cluster, tmp_path, refusal):
    def work(block: int, turn: Any) -> int:
        from distributed import get_worker

        with contextlib.suppress(FileExistsError):
            (tmp_path / "full").symlink_to(get_worker().address)
        if str((tmp_path / "full").readlink()) == get_worker().address:
            raise refusal
        return block

    done, aside = run(cluster, work, list(range(12)))
    assert (done, aside) == (list(range(12)), [])


def test_where_no_worker_can_do_anything_the_run_ends_at_once(cluster, tmp_path):
    def work(block: int, turn: Any) -> int:
        (tmp_path / f"{block}").touch()
        raise CacheError("expected the cache at /shared, found none.")

    with pytest.raises(ClusterError, match=r"no worker of the cluster.*found none"):
        run(cluster, work, list(range(1000)))
    assert len(list(tmp_path.iterdir())) < 20


def test_a_disk_of_all_workers_that_is_full_ends_the_run(cluster, tmp_path):
    def work(block: int, turn: Any) -> int:
        (tmp_path / f"{block}").touch()
        if len(list(tmp_path.iterdir())) > 4:
            raise CacheError("no space left")
        return block

    with pytest.raises(ClusterError, match=r"no worker of the cluster.*no space left"):
        run(cluster, work, list(range(1000)))
    assert len(list(tmp_path.iterdir())) < 20


def test_a_process_that_dask_gave_up_is_started_again(cluster):
    name, nanny = next(iter(cluster.local.workers.items()))
    cluster.local.sync(nanny.close)
    del cluster.local.workers[name]
    wait_until(lambda: len(cluster.workers()) == 2)


def test_the_scheduler_of_a_local_cluster_is_not_waited_for(cluster):
    with pytest.raises(ClusterError, match=r"found that it has ended\. What was finished is kept"):
        cluster.reconnect()


def test_a_local_cluster_listens_to_this_machine_alone(cluster):
    here = Process()
    processes = [here, *here.children(recursive=True)]
    ends = [end for each in processes for end in each.net_connections("tcp")]
    addresses = {end.laddr.ip for end in ends if end.status == "LISTEN"}
    assert addresses == {"127.0.0.1"}


def test_a_wrong_setting_is_told_with_the_worker(cluster):
    def work(block: int, turn: Any) -> int:
        raise SettingError("--engine: expected keras, found none.")

    with pytest.raises(SettingError, match=r"worker tls://127\.0\.0\.1.*--engine"):
        run(cluster, work, [1, 2])


def test_an_error_of_the_program_is_raised_as_it_is(cluster):
    with pytest.raises(ZeroDivisionError):
        run(cluster, lambda block, turn: 1 // block, [0])


def test_an_error_that_cannot_be_sent_is_told_in_words(cluster):
    class Odd(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(one + two)

    def work(block: int, turn: Any) -> int:
        def deeper(n: int) -> int:
            return deeper(n + 1)

        if block == 0:
            raise Odd(3, 4)
        return deeper(0)

    with pytest.raises(ClusterError, match=r"Odd: 7"):
        run(cluster, work, [0])
    with pytest.raises(RecursionError, match=r"maximum recursion depth") as found:
        run(cluster, work, [1])
    assert "in deeper" in str(found.value.__cause__)


def test_workers_of_another_version_are_refused(cluster, monkeypatch):
    monkeypatch.setattr("hybrid.cluster.blocks.__version__", "99.0")
    with pytest.raises(ClusterError, match=r"expected hybrid 99\.0, as where the command runs"):
        run(cluster, lambda block, turn: block, [1])


def test_an_interrupted_run_ends_with_what_was_done(cluster, tmp_path):
    def work(block: int, turn: Any) -> int:
        (tmp_path / f"{block}").touch()
        while True:
            turn.interrupts.wait(0.05)  # raises once it is told

    interrupts = Interrupts()

    class Told(BlockRun[int, int]):
        def _submit(self) -> None:
            super()._submit()
            if len(list(tmp_path.iterdir())) == 2:  # both workers are at it
                interrupts.number = signal.SIGINT

    assert list(Told(cluster, work, list(range(50)), interrupts)) == []
    assert len(list(tmp_path.iterdir())) == 2
    done, _ = run(cluster, lambda block, turn: block, [1, 2])  # the workers are free again
    assert done == [1, 2]


def test_where_workers_die_under_all_blocks_none_is_blamed(cluster, tmp_path):
    def work(block: int, turn: Any) -> int:
        (tmp_path / f"{block}-{os.getpid()}").touch()
        os._exit(9)

    with pytest.raises(
        ClusterError, match=r"found that \d+ died under \d different blocks, and none"
    ):
        run(cluster, work, list(range(3)))
    assert len(list(tmp_path.iterdir())) <= MOST_DEATHS


def test_a_single_block_that_kills_its_workers_is_set_aside(cluster, tmp_path):
    done, aside = run(cluster, dying(tmp_path, on=0, times=99), [0])
    assert (done, [each.deaths for each in aside]) == ([], [DEATHS])


def test_what_a_block_tells_comes_before_its_end_and_what_is_left_is_done_again(cluster, tmp_path):
    def work(block: tuple[int, ...], turn: Any) -> str:
        for each in block:
            turn.tell(each)
            if each == 2 and not (tmp_path / "died").exists():
                (tmp_path / "died").touch()
                os._exit(9)
        return f"{len(block)} in {turn.worker}"

    told: list[int] = []
    left = lambda block: tuple(each for each in block if each not in told)  # noqa: E731
    for each in BlockRun(cluster, work, [(0, 1, 2, 3, 4)], Interrupts(), remaining=left):
        if isinstance(each, int):
            told.append(each)
        else:
            end = each
    assert told == [0, 1, 2, 3, 4]
    assert end.startswith("2 in tls://127.0.0.1:")


def test_no_more_blocks_are_under_way_than_may_be(cluster, tmp_path):
    def work(block: int, turn: Any) -> int:
        (tmp_path / f"{block}").touch()
        under_way = len(list(tmp_path.iterdir()))
        (tmp_path / f"{block}").unlink()
        return under_way

    assert run(cluster, work, list(range(20)), most=1) == ([1] * 20, [])


def test_a_worker_stops_when_the_command_has_failed(cluster, tmp_path):
    def work(block: int, turn: Any) -> int:
        turn.tell(block)
        try:
            while True:
                turn.interrupts.wait(0.05)
        finally:
            (tmp_path / "stopped").touch()

    results = iter(BlockRun(cluster, work, [1], Interrupts()))
    assert next(results) == 1
    results.close()
    wait_until((tmp_path / "stopped").exists)
