"""The transfer of many posters: requests under way at the same time, retries, files named by content."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from hybrid.catalogue.download.client import Client, Refusal
from hybrid.catalogue.download.lanes import host_of
from hybrid.catalogue.download.ledger import Entry, Failed, Fetched
from hybrid.catalogue.download.pacing import MAX_WAIT, Pacer, backoff
from hybrid.catalogue.download.settings import FetchSettings
from hybrid.errors import CatalogueError
from hybrid.images.decode import BadPoster
from hybrid.images.examine import CUT_SHORT, examine_image
from hybrid.utils.files import TEMPORARY, remove, write_unsynced

FOLDER = "posters"
NAME_DIGITS = 32  # of the SHA-256 of the content
FLUSH_SECONDS = 1.0
# So many that find no server, and none that does: it is the network.
UNREACHED = 20

Result = TypeVar("Result")


class Book(Protocol):
    """What is told what each URL gave: a `hybrid.catalogue.download.ledger.Ledger`, or what a worker has."""

    @property
    def folder(self) -> Path:
        """That ``posters`` is in."""

    @property
    def entries(self) -> Mapping[str, Entry]:
        """What is known of URLs."""

    def add(self, entry: Entry) -> None:
        """Note what a URL gave."""

    def flush(self) -> None:
        """Pass on what was noted; called every second. An error in it ends the transfer."""


class UnreachedError(CatalogueError):
    """No server answers."""


@dataclass
class Reach:
    """Whether servers answer: where none does, it is the network that fails, not the posters.

    Parameters
    ----------
    answered : bool, default=False
        Whether one has answered, or it is known that the network is there.
    unreached : int, default=0
        URLs that found no server.
    """

    answered: bool = False
    unreached: int = 0

    def miss(self) -> None:
        """Count a URL that found no server.

        Raises
        ------
        UnreachedError
            If there are many, and none has found one.
        """
        self.unreached += 1
        self.check()

    def check(self) -> None:
        """Raise where it is the network."""
        if self.unreached >= UNREACHED and not self.answered:
            raise UnreachedError(
                f"expected an answer from a server, found none for {self.unreached} URLs. Is there a "
                "network? Then call the command again with --retry-failed."
            )


def transfer_posters(
    urls: Sequence[str],
    book: Book,
    settings: FetchSettings,
    workers: int,
    advance: Callable[[int], None],
    *,
    pacer: Pacer | None = None,
    reach: Reach | None = None,
) -> None:
    """Fetch URLs; the book is told of each.

    Parameters
    ----------
    urls : sequence of str
        Different ones.
    book : Book
        The posters go to the folder ``posters`` in its folder.
    settings : FetchSettings
    workers : int
        Number of threads that check and write what has come.
    advance : callable
        Called with 1 after each.
    pacer : Pacer, optional
        By default one of the settings' rate.
    reach : Reach, optional
        By default nothing is known of the network.

    Raises
    ------
    UnreachedError
        If no server at all can be reached.
    OSError
        If the disk refuses.
    """
    pacer = Pacer(settings.rate) if pacer is None else pacer
    with _without_searches():
        _run(_Transfer(book, settings, workers, advance, pacer, reach or Reach()).run(urls))


def remove_unfinished(folder: Path) -> None:
    """Remove what those who were killed had begun to write among the posters; nobody may be writing now."""
    for left in folder.glob(f"{TEMPORARY}*"):
        remove(left)


def store_poster(data: bytes, folder: Path, settings: FetchSettings) -> Fetched | Refusal:
    """Check an image, and write it under the name that its content gives, in one step.

    The disk is not waited for; see `Ledger`.

    Parameters
    ----------
    data : bytes
    folder : Path
        That ``posters`` is in.
    settings : FetchSettings
        Its cap on the pixels is used.

    Returns
    -------
    Fetched or Refusal
        Without the URL.
    """
    facts = examine_image(data, settings.max_pixels)
    if isinstance(facts, BadPoster):
        return Refusal(facts.reason, again=facts.reason == CUT_SHORT)
    file = f"{FOLDER}/{hashlib.sha256(data).hexdigest()[:NAME_DIGITS]}.{facts.ending}"
    path = folder / file
    if not is_there(path, len(data)):
        write_unsynced(path, data)
    return Fetched("", file, len(data))


def is_there(path: Path, size: int) -> bool:
    """Tell whether there is a file of this size."""
    try:
        return path.stat().st_size == size
    except OSError:
        return False


class _Transfer:
    """State of one transfer: what is under way, and what has answered."""

    def __init__(
        self,
        book: Book,
        settings: FetchSettings,
        workers: int,
        advance: Callable[[int], None],
        pacer: Pacer,
        reach: Reach,
    ) -> None:
        self.book, self.settings, self.advance = book, settings, advance
        self.workers, self.pacer, self.reach = workers, pacer, reach

    async def run(self, urls: Sequence[str]) -> None:
        # Who waits for a retry does not take the place of a request.
        self.places = asyncio.Semaphore(self.settings.concurrency)
        coming = iter(urls)
        with ThreadPoolExecutor(self.workers) as self.pool:
            async with Client(self.settings) as self.client:
                count = min(len(urls), 4 * self.settings.concurrency)
                tasks = [asyncio.create_task(self._work(coming)) for _ in range(count)]
                flushing = asyncio.create_task(self._flush_often())
                all_done = asyncio.gather(*tasks)
                try:
                    await asyncio.wait((all_done, flushing), return_when=asyncio.FIRST_COMPLETED)
                    if flushing.done():
                        flushing.result()  # raises
                    await all_done
                finally:
                    for task in (*tasks, flushing):
                        task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.gather(all_done, *tasks, flushing, return_exceptions=True)
                    self.book.flush()

    async def _work(self, coming: Iterator[str]) -> None:
        for url in coming:
            entry = await self._fetch(url)
            self.book.add(entry)
            self.advance(1)

    async def _flush_often(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self.book.flush()

    async def _fetch(self, url: str) -> Entry:
        """Fetch one URL, with retries."""
        known = self._known(url)
        host, attempt = host_of(url), 0
        while True:
            attempt += 1
            found = await self._attempt(url, host, known)
            if not isinstance(found, Refusal):
                return found
            last = attempt > self.settings.retries or not found.again
            if found.wait is not None and found.wait > MAX_WAIT:
                return Failed(url, f"{found.reason}; it asks to wait {found.wait:.0f} s")
            if last:
                if not found.answered:
                    self.reach.miss()
                return Failed(url, found.reason)
            pause = backoff(attempt, self.settings.backoff)
            if found.wait is not None:  # said by the server, and so for all that is asked of it
                self.pacer.hold(host, found.wait, asyncio.get_running_loop().time())
            await asyncio.sleep(pause)

    def _known(self, url: str) -> Fetched | None:
        """What an earlier call has fetched, if it is still there: the server is asked for what is newer."""
        known = self.book.entries.get(url)
        there = isinstance(known, Fetched) and is_there(self.book.folder / known.file, known.size)
        return known if isinstance(known, Fetched) and there else None

    async def _attempt(self, url: str, host: str, known: Fetched | None) -> Entry | Refusal:
        headers = {}
        if known:
            headers = {"If-None-Match": known.etag, "If-Modified-Since": known.modified}
        await self.pacer.wait(host)
        async with self.places:
            answer = await self.client.get(url, {k: v for k, v in headers.items() if v})
        if isinstance(answer, Refusal):
            self.reach.answered |= answer.answered
            return answer
        self.reach.answered = True
        if answer.unchanged:
            return known or Refusal(
                "HTTP 304 (Not Modified), but there is nothing that it could be"
            )
        stored = await asyncio.get_running_loop().run_in_executor(
            self.pool, store_poster, answer.data, self.book.folder, self.settings
        )
        if isinstance(stored, Refusal):
            return stored
        return Fetched(url, stored.file, stored.size, answer.etag, answer.modified)


@contextlib.contextmanager
def _without_searches() -> Iterator[None]:
    """Let httpcore know at once that sniffio is not installed: it asks a dozen times a request.

    Python remembers no import that failed; each searches all folders again.
    """
    name = "sniffio"
    missing = name not in sys.modules and importlib.util.find_spec(name) is None
    if missing:
        sys.modules[name] = None  # type: ignore[assignment]  # as the import system has it
    try:
        yield
    finally:
        if missing:
            sys.modules.pop(name, None)


def _run(job: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine, also where an event loop is running already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(job)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, job).result()
