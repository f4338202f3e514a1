"""Blocks of work on the workers of a cluster: handed out as workers are free, and again where one died."""

from __future__ import annotations

import math
import pickle
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from hybrid._version import __version__
from hybrid.cluster.connection import BLOCKS, DEATHS, Cluster
from hybrid.errors import CacheError, ClusterError, HybridError, TemporaryFileError
from hybrid.utils.interrupt import Interrupts

if TYPE_CHECKING:
    from distributed import Future

    from hybrid.cluster.worker import Failure, Turn

TICK_SECONDS = 0.05  # between two looks at blocks and signals
WORKERS_SECONDS = 0.5  # between two looks at the workers
STOP_SECONDS = 60.0  # for blocks under way, once the command was interrupted
BLAMED = 1e-4  # chance of a block to be set aside for deaths that it does not cause
MOST_DEATHS = 12
LONELY_SECONDS = 5.0  # without a worker, after which that is said
# Dask remembers the names of 100,000 tasks, 40 MiB. So the name of a task whose block was delivered is taken
# again, once so many others were: all machines have let it go by then.
RESTING_NAMES = 1000

B = TypeVar("B")
R = TypeVar("R")


class SetAside(NamedTuple):
    """A block that was given up.

    Parameters
    ----------
    block : object
    reason : str
    deaths : int, default=0
        Workers that died under it, where this is why.
    """

    block: Any
    reason: str
    deaths: int = 0


@dataclass
class _Entry(Generic[B]):
    """A block that is not finished: how often workers died under it, or failed at it, one after another."""

    block: B
    number: int = 0  # of the attempt
    name: int = 0  # of its task
    only: set[str] = field(default_factory=set)  # workers that may do it; any without them
    deaths: int = 0  # since it last made progress
    died: int = 0  # in all
    begun: bool = False  # in this attempt: a worker with another block lets it wait
    waited: int = 0  # how often that worker died
    failures: int = 0


def enough_deaths(innocent: int, finished: int) -> int:
    """How many deaths in a row it takes to blame a block: more where workers die under others, too.

    So many that a block which is like the others has them with a probability of at most 0.0001.

    Parameters
    ----------
    innocent : int
        Deaths under blocks that were finished afterwards.
    finished : int
        Number of blocks that were finished.

    Returns
    -------
    int
        From 3 to 12.

    Examples
    --------
    >>> enough_deaths(0, 100), enough_deaths(25, 75), enough_deaths(60, 40)
    (3, 7, 12)
    """
    if not innocent:
        return DEATHS
    rate = innocent / (innocent + max(finished, 1))
    return min(MOST_DEATHS, max(DEATHS, math.ceil(math.log(BLAMED) / math.log(rate))))


class BlockRun(Generic[B, R]):
    """Runs a function on blocks, on all workers of a cluster, each at its own rate.

    A worker has one block at a time. Results come as they are finished, in any order. A block whose worker
    died is done again by another; where workers died under it again without progress, it waits until all
    others are done, and is then tried alone; after `enough_deaths` of them it is set aside. Where workers
    die under all blocks, and none is ever finished, no block is to blame, and the run ends.

    Parameters
    ----------
    cluster : Cluster
    function : callable
        Of a block and a `hybrid.cluster.worker.Turn`; pickled. It must be harmless to call it twice.
    blocks : sequence
        Each is pickled.
    interrupted : Interrupts
        After a signal, workers are told to stop, and the results of what they have done are waited for.
    progressed : callable, optional
        Whether some of a block was finished before its worker died: then the death does not count.
    remaining : callable, optional
        What is left of a block when it is handed out, for the first time or again.
    most : int, optional
        Blocks that may be under way; by default one a worker.
    patience : float, default=60
        Seconds that blocks under way have to come to an end, once the command was interrupted.

    Raises
    ------
    ClusterError
        From the iterator, if the scheduler is gone, no worker can do anything, or all of them die.
    """

    def __init__(
        self,
        cluster: Cluster,
        function: Callable[[B, Turn], R],
        blocks: Sequence[B],
        interrupted: Interrupts,
        progressed: Callable[[B], bool] = lambda block: False,
        remaining: Callable[[B], B] = lambda block: block,
        most: int | None = None,
        patience: float = STOP_SECONDS,
    ) -> None:
        self.cluster, self.function, self.interrupted = cluster, function, interrupted
        self.progressed, self.remaining = progressed, remaining
        self.most, self.patience = most, patience
        self.name = f"{BLOCKS}{uuid.uuid4().hex}"
        self.pending = deque(_Entry(block) for block in blocks)
        self.suspects: deque[_Entry[B]] = deque()
        self.running: dict[Future[Any], _Entry[B]] = {}
        self._futures: dict[int, Future[Any]] = {}  # by the number of the attempt
        self._names = deque[int]()  # of tasks whose blocks were delivered
        self._results = self._make_queue()
        self.bad_workers: set[str] = set()
        self._submitted = 0
        self._finished = self._innocent = 0  # blocks, and deaths under these
        self._fruitful = False  # whether any block was finished, or made progress
        self._dead: list[_Entry[B]] = []  # what each worker died under, until then
        self._most_workers = 0
        self._forgotten = False  # by a scheduler that was restarted before that was noticed
        self._workers: list[str] = []
        self._looked, self._worked = -math.inf, time.monotonic()

    def _make_queue(self) -> Any:
        """Where workers deliver results: one that stays on its worker is lost with it."""
        from distributed import Queue

        return Queue(self.name, client=self.cluster.client)

    def __iter__(self) -> Iterator[R | SetAside]:
        """Yield the results, what was told before the end of a block, and the blocks that were set aside."""
        try:
            while self.pending or self.suspects or self.running:
                if self.interrupted():
                    yield from self._stop()
                    return
                if self.cluster.is_lost or self._forgotten:
                    self._start_again()
                    continue
                self._submit()
                yield from self._collect()
        finally:
            self._cancel()

    def _submit(self) -> None:
        """Give each worker a block; of those that workers died under, one at a time at the end."""
        workers = self._look_at_workers()
        if not self.pending and not self.running and self.suspects:
            self._try_suspects(workers)
        # One more than there are workers, so that a cluster that adapts sees that it should grow.
        most = len(workers) + 1 if self.most is None else min(self.most, len(workers) + 1)
        while self.pending and len(self.running) < most:
            self._start(self.pending.popleft(), workers)

    def _try_suspects(self, workers: Sequence[str]) -> None:
        """One alone, whose next death would be its last; all of whom that is not so any more."""
        last = enough_deaths(self._innocent, self._finished) - 1
        self.pending.extend(entry for entry in self.suspects if entry.deaths < last)
        self.suspects = deque(entry for entry in self.suspects if entry.deaths >= last)
        if not self.pending:
            self._start(self.suspects.popleft(), workers)

    def _start(self, entry: _Entry[B], workers: Sequence[str]) -> None:
        from hybrid.cluster.worker import run_block

        self._submitted += 1
        entry.number, entry.begun = self._submitted, False
        rested = len(self._names) > RESTING_NAMES
        entry.name = self._names.popleft() if rested else entry.number
        entry.block = self.remaining(entry.block)
        # Only where one is to be avoided: a block that waits for workers that died waits forever.
        entry.only = set(workers) - self.bad_workers if self.bad_workers else set()
        future = self.cluster.client.submit(
            run_block,
            self.function,
            entry.block,
            self.name,
            entry.number,
            __version__,
            key=(self.name, entry.name),
            pure=False,
            workers=sorted(entry.only) or None,
        )
        self.running[future], self._futures[entry.number] = entry, future

    def _collect(self) -> Iterator[R | SetAside]:
        """What workers have delivered, and what became of blocks that ended without."""
        from hybrid.cluster.worker import Begun, Told

        ended = [future for future in self.running if future.status != "pending"]
        delivered = self._deliveries()  # a worker delivers before it ends
        if not ended and not delivered:
            time.sleep(TICK_SECONDS)
        for number, outcome in delivered:
            future = self._futures.get(number)
            if future is None:
                continue  # it was done twice
            if isinstance(outcome, Begun):
                self.running[future].begun = True
            elif isinstance(outcome, Told):
                self._fruitful = True
                yield outcome.part
            else:
                entry = self._remove(future)
                self._names.append(entry.name)
                yield from self._outcome(outcome, entry)
                future.release()
        for future in ended:
            if future in self.running:
                yield from self._undelivered(future, self._remove(future))
                future.release()

    def _deliveries(self) -> list[tuple[int, Any]]:
        if self.cluster.is_lost:
            return []
        try:
            return [pickle.loads(data) for data in self._results.get(batch=True)]
        except (OSError, TimeoutError, CancelledError):
            return []  # the scheduler is gone, which is looked at next
        except KeyError:
            self._forgotten = True
            return []

    def _remove(self, future: Future[Any]) -> _Entry[B]:
        entry = self.running.pop(future)
        del self._futures[entry.number]
        return entry

    def _outcome(self, outcome: Any, entry: _Entry[B]) -> Iterator[R | SetAside]:
        from hybrid.cluster.worker import Failure

        if isinstance(outcome, Failure):
            yield from self._failed(entry, outcome)
        else:
            self._finished += 1
            self._innocent += entry.died
            self._fruitful = True
            yield outcome

    def _undelivered(self, future: Future[Any], entry: _Entry[B]) -> Iterator[SetAside]:
        from distributed import KilledWorker

        if future.status != "error":  # stopped, or the scheduler lost it
            self.pending.append(entry)
        elif isinstance(future.exception(), KilledWorker):
            yield from self._died(entry)
        else:
            future.result()  # raises

    def _died(self, entry: _Entry[B]) -> Iterator[SetAside]:
        if not self._fruitful:
            self._dead.append(entry)
        if not entry.begun and entry.waited < MOST_DEATHS:
            entry.waited += 1
            self._check_deaths()
            self.pending.append(entry)
            return
        entry.died += 1
        progressed = self.progressed(entry.block)
        self._fruitful |= progressed
        entry.deaths = 0 if progressed else entry.deaths + 1
        enough = enough_deaths(self._innocent, self._finished)
        self._check_deaths(last=entry.deaths >= enough)
        if entry.deaths >= enough:
            reason = f"{entry.deaths} workers died while they worked at it"
            yield SetAside(entry.block, reason, entry.deaths)
        elif entry.deaths == enough - 1:
            self.suspects.append(entry)
        else:
            self.pending.append(entry)

    def _check_deaths(self, last: bool = False) -> None:
        """End the run where workers die under several blocks, and never finish any.

        Each as often as it takes to blame a block; or where one would be blamed, and the others as well.
        """
        under = len({id(entry) for entry in self._dead})
        enough = max(MOST_DEATHS, DEATHS * self._most_workers)
        if not self._fruitful and under > 1 and (last or len(self._dead) >= enough):
            raise ClusterError(
                f"expected workers that finish blocks, found that {len(self._dead)} died under "
                f"{under} different blocks, and none was finished: it is not the blocks. Look at the logs of "
                "the workers, and at the memory that each may take; fewer workers on a machine have more of "
                "it. The same command again continues."
            )

    def _failed(self, entry: _Entry[B], failure: Failure) -> Iterator[SetAside]:
        """A disk that refuses is a matter of the worker: others try. Whatever else is wrong is so for all."""
        error, worker = failure.error, failure.worker
        of_worker = isinstance(error, (CacheError, TemporaryFileError, OSError, MemoryError))
        if isinstance(error, HybridError) and not of_worker:
            raise type(error)(f"worker {worker}: {error}") from error
        if not of_worker:
            raise error from ClusterError(f"worker {worker}:\n{failure.traceback}")
        if worker not in self.bad_workers:
            self.cluster.progress.say(f"worker {worker}: {error}")
            self.bad_workers.add(worker)
        entry.failures += 1
        if entry.failures < DEATHS:
            self.pending.appendleft(entry)
        elif not self._finished or self.bad_workers.issuperset(self._workers):
            raise ClusterError(
                f"no worker of the cluster can do its work. {worker}: {error}"
            ) from error
        else:
            yield SetAside(entry.block, str(error))

    def _look_at_workers(self) -> list[str]:
        """The workers as they were half a second ago; where there was none for some time, that is said."""
        now = time.monotonic()
        if now - self._looked > WORKERS_SECONDS:
            self._looked, self._workers = now, self.cluster.workers()
            self._most_workers = max(self._most_workers, len(self._workers))
            for future, entry in self.running.items():
                if entry.only and entry.only.isdisjoint(self._workers):
                    future.cancel()
        if self._workers:
            self._worked = now
        elif now - self._worked > LONELY_SECONDS:
            self.cluster.progress.say("the cluster has no worker; waiting for one")
            self._worked = math.inf  # said once
        return self._workers

    def _start_again(self) -> None:
        """After a restart of the scheduler nothing of what it had is there."""
        lost = list(self.running.values())
        self.running.clear()
        self._futures.clear()
        self.pending.extendleft(lost)
        self.cluster.reconnect(self.interrupted)
        if not self.cluster.is_lost:
            self._results = self._make_queue()
            self._forgotten = False

    def _stop(self) -> Iterator[R | SetAside]:
        """Tell the workers to stop, and wait for the results of what they have done."""
        self.pending.clear()
        self.suspects.clear()
        if self.cluster.is_lost:
            return
        self._tell_to_stop()
        until = time.monotonic() + self.patience
        while self.running and time.monotonic() < until and not self.cluster.is_lost:
            yield from self._collect()
            self.pending.clear()

    def _tell_to_stop(self) -> None:
        from distributed import Event

        Event(self.name, client=self.cluster.client).set()

    def _cancel(self) -> None:
        """Let the cluster drop what was not begun, where an error or a second signal ends the run."""
        if self.running and not self.cluster.is_lost:
            with suppress(OSError, TimeoutError, RuntimeError):  # the scheduler may go just now
                self._tell_to_stop()
                self.cluster.client.cancel(list(self.running))
        self.running.clear()
        if not self.cluster.is_lost:
            self._results.close()
