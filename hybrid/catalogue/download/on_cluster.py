"""The transfer of many posters by the workers of a cluster, who write them to the folder that all see."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hybrid.catalogue.download.lanes import host_of, make_lanes, share_settings
from hybrid.catalogue.download.ledger import Entry, Failed, Fetched, Ledger
from hybrid.catalogue.download.pacing import Pacer
from hybrid.catalogue.download.settings import FetchSettings
from hybrid.catalogue.download.transfer import (
    FOLDER,
    Reach,
    UnreachedError,
    is_there,
    remove_unfinished,
    transfer_posters,
)
from hybrid.cluster.blocks import BlockRun, SetAside
from hybrid.cluster.connection import Cluster
from hybrid.errors import ClusterError
from hybrid.utils.interrupt import Interrupts, until_interrupted

if TYPE_CHECKING:
    from hybrid.cluster.worker import Turn

CAREFUL = (
    64  # URLs that are fetched one by one where a worker died, so that it is known under which
)


class Lane(NamedTuple):
    """URLs for one worker.

    Parameters
    ----------
    number : int
    urls : list of str
    known : dict of str to Fetched
        What was fetched before, where servers are to be asked whether it has changed.
    again : bool, default=False
        Whether a worker was at it before, and has probably died.
    """

    number: int
    urls: list[str]
    known: dict[str, Fetched]
    again: bool = False


class Part(NamedTuple):
    """What some URLs of a lane gave.

    Parameters
    ----------
    lane : int
    entries : list of Fetched or Failed
    worker : str
    """

    lane: int
    entries: list[Entry]
    worker: str


class Doubted(NamedTuple):
    """What URLs of a lane gave of which none found a server, which may be the worker's network.

    Parameters
    ----------
    part : Part
    unreached : int
        URLs that were asked for.
    """

    part: Part
    unreached: int


def transfer_on_cluster(
    cluster: Cluster,
    urls: Sequence[str],
    ledger: Ledger,
    settings: FetchSettings,
    advance: Callable[[int], None],
) -> None:
    """Fetch URLs on the workers of a cluster; the ledger is told of each.

    The URLs of a host are with one worker at a time, which does what the server asks; the rate, and the
    requests under way, are divided among the workers.

    Parameters
    ----------
    cluster : Cluster
    urls : sequence of str
        Different ones.
    ledger : Ledger
        The posters go to the folder ``posters`` beside it, which has the same path on all workers.
    settings : FetchSettings
    advance : callable
        Called with the number of further URLs.

    Raises
    ------
    UnreachedError
        If no server at all can be reached.
    ClusterError
        If the scheduler is gone, or no worker can do anything.
    KeyboardInterrupt
        When the ledger has what the workers have fetched.
    """
    left, reach, bad_workers = list(urls), Reach(), set[str]()
    with until_interrupted() as interrupted:
        while left:
            run = _Round(cluster, ledger, settings, reach, bad_workers, advance)
            run.fetch(left, interrupted)
            interrupted.obey()
            left = [url for url in left if url not in run.done]
    remove_unfinished(ledger.folder / FOLDER)  # of workers that died


class _Round:
    """Lanes, each handed out once; what is left after it is for the next one."""

    def __init__(
        self,
        cluster: Cluster,
        ledger: Ledger,
        settings: FetchSettings,
        reach: Reach,
        bad_workers: set[str],
        advance: Callable[[int], None],
    ) -> None:
        self.cluster, self.ledger, self.settings = cluster, ledger, settings
        self.reach, self.bad_workers, self.advance = reach, bad_workers, advance
        self.done: set[str] = set()
        self.doubted: list[Doubted] = []
        self._told: Counter[int] = Counter()  # URLs of each lane
        self._looked: Counter[int] = Counter()
        self._begun: set[int] = set()

    def fetch(self, urls: Sequence[str], interrupted: Interrupts) -> None:
        """Fetch what one round can; until it is known that the network is there, nothing else is believed."""
        hosts = len(set(map(host_of, urls)))
        slots = max(1, min(len(self.cluster.workers()), self.settings.concurrency, hosts))
        known = self.ledger.entries if self.settings.refresh else {}
        lanes = [
            Lane(number, some, {u: e for u in some if isinstance(e := known.get(u), Fetched)})
            for number, some in enumerate(make_lanes(urls, slots))
        ]
        order = _Order(
            str(self.ledger.folder.absolute()),
            share_settings(self.settings, slots),
            self.reach.answered,
        )
        run = BlockRun(
            self.cluster,
            partial(fetch_lane, order),
            lanes,
            interrupted,
            self._progressed,
            self._remaining,
            slots,
        )
        run.bad_workers |= self.bad_workers
        for result in run:
            if isinstance(result, SetAside):
                self._set_aside(result)
            elif isinstance(result, Doubted):
                self._doubt(result, run.bad_workers)
            else:
                self.reach.answered |= bool(result.entries)
                self._note(result)
        self._decide()

    def _remaining(self, lane: Lane) -> Lane:
        again, left = lane.number in self._begun, [u for u in lane.urls if u not in self.done]
        self._begun.add(lane.number)
        return lane._replace(urls=left, again=again)

    def _progressed(self, lane: Lane) -> bool:
        before, self._looked[lane.number] = self._looked[lane.number], self._told[lane.number]
        return self._told[lane.number] > before

    def _note(self, part: Part) -> None:
        """Tell the ledger what a worker did, if its files are here."""
        for entry in part.entries:
            if isinstance(entry, Fetched):
                self._check(entry, part.worker)
            if entry.url not in self.done:
                self.done.add(entry.url)
                self.ledger.add(entry)
                self.advance(1)
        self._told[part.lane] += len(part.entries)
        self.ledger.flush()

    def _check(self, entry: Fetched, worker: str) -> None:
        path = self.ledger.folder / entry.file
        if not is_there(path, entry.size):
            raise ClusterError(
                f"expected {path}, which worker {worker} has written, found none: all workers must see the "
                "same folder under the same path."
            )

    def _doubt(self, doubted: Doubted, bad_workers: set[str]) -> None:
        """Let others ask the same, once they have found a server."""
        self.doubted.append(doubted)
        worker = doubted.part.worker
        if worker not in bad_workers:
            self.cluster.progress.say(f"worker {worker}: reaches no server")
            bad_workers.add(worker)
            self.bad_workers.add(worker)

    def _set_aside(self, aside: SetAside) -> None:
        """The first URL that is left is the one that workers died at: they asked for one at a time."""
        if not aside.deaths:
            raise ClusterError(f"workers cannot fetch posters: {aside.reason}")
        left = self._remaining(aside.block)
        if left.urls:
            self._note(Part(left.number, [Failed(left.urls[0], aside.reason)], ""))

    def _decide(self) -> None:
        """Where nobody has found a server, what was doubted is so, or there is no network."""
        if self.reach.answered:
            return
        self.reach.unreached += sum(each.unreached for each in self.doubted)
        for each in self.doubted:
            self._note(each.part)
        self.reach.check()


class _Order(NamedTuple):
    """What all lanes have in common; `sure` where it is known that the network is there."""

    folder: str
    settings: FetchSettings
    sure: bool


class _Telling:
    """The book of a worker: it tells the command what came, from the first answer of a server on."""

    def __init__(self, order: _Order, lane: Lane, turn: Turn, reach: Reach) -> None:
        self.folder, self.entries = Path(order.folder), lane.known
        self.lane, self.turn, self.reach = lane, turn, reach
        self.new: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """See `Book.add`."""
        self.new.append(entry)

    def flush(self) -> None:
        """See `Book.flush`; ends the transfer where the command was interrupted."""
        if self.new and self.reach.answered:
            self.turn.tell(self.part())
            self.new = []
        if self.turn.interrupts():
            raise _StoppedError

    def part(self) -> Part:
        """What was not told."""
        return Part(self.lane.number, self.new, self.turn.worker)


class _StoppedError(Exception):
    """The command was interrupted."""


def fetch_lane(order: _Order, lane: Lane, turn: Turn) -> Part | Doubted:
    """Fetch the URLs of a lane in a worker.

    Parameters
    ----------
    order : _Order
    lane : Lane
    turn : Turn

    Returns
    -------
    Part or Doubted
        What was not told before.

    Raises
    ------
    OSError
        If the disk refuses.
    KeyboardInterrupt
        When it was told to stop, and what came is told.
    """
    settings, reach = order.settings, Reach(order.sure)
    book = _Telling(order, lane, turn, reach)
    pacer = Pacer(settings.rate)
    pacer.delay("", time.monotonic())  # the lane before it has just asked
    careful = lane.urls[:CAREFUL] if lane.again else []
    # One by one, and told at once: whatever kills this worker is the first that is left.
    several = [*([url] for url in careful), lane.urls[len(careful) :]]
    try:
        for urls in several:
            transfer_posters(
                urls, book, settings, turn.threads, lambda count: None, pacer=pacer, reach=reach
            )
    except UnreachedError:
        return Doubted(book.part(), reach.unreached)
    except _StoppedError:
        raise KeyboardInterrupt from None
    return Doubted(book.part(), reach.unreached) if book.new else book.part()
