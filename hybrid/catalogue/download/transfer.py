"""The transfer of many posters: requests under way at the same time, retries, files named by content."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from hybrid.catalogue.download.client import Client, Refusal
from hybrid.catalogue.download.ledger import Entry, Failed, Fetched, Ledger
from hybrid.catalogue.download.pacing import MAX_WAIT, Pacer, backoff
from hybrid.catalogue.download.settings import FetchSettings
from hybrid.errors import CatalogueError
from hybrid.images.decode import BadPoster
from hybrid.images.examine import CUT_SHORT, examine_image
from hybrid.utils.files import write_unsynced

FOLDER = "posters"
NAME_DIGITS = 32  # of the SHA-256 of the content
FLUSH_SECONDS = 1.0
# So many that find no server, and none that does: it is the network.
UNREACHED = 20

Result = TypeVar("Result")


def transfer_posters(
    urls: Sequence[str],
    ledger: Ledger,
    settings: FetchSettings,
    workers: int,
    advance: Callable[[int], None],
) -> None:
    """Fetch URLs; the ledger is told of each.

    Parameters
    ----------
    urls : sequence of str
        Different ones.
    ledger : Ledger
        The posters go to the folder ``posters`` beside it.
    settings : FetchSettings
    workers : int
        Number of threads that check and write what has come.
    advance : callable
        Called with 1 after each.

    Raises
    ------
    CatalogueError
        If no server at all can be reached.
    OSError
        If the disk refuses.
    """
    with _without_searches():
        _run(_Transfer(ledger, settings, workers, advance).run(urls))


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
        ledger: Ledger,
        settings: FetchSettings,
        workers: int,
        advance: Callable[[int], None],
    ) -> None:
        self.ledger, self.settings, self.advance = ledger, settings, advance
        self.folder = ledger.file.parent
        self.workers = workers
        self.pacer = Pacer(settings.rate)
        self.answered, self.unreached = False, 0

    async def run(self, urls: Sequence[str]) -> None:
        # Who waits for a retry does not take the place of a request.
        self.places = asyncio.Semaphore(self.settings.concurrency)
        coming = iter(urls)
        with ThreadPoolExecutor(self.workers) as self.pool:
            async with Client(self.settings) as self.client:
                count = min(len(urls), 4 * self.settings.concurrency)
                tasks = [asyncio.create_task(self._work(coming)) for _ in range(count)]
                flushing = asyncio.create_task(self._flush_often())
                try:
                    await asyncio.gather(*tasks)
                finally:
                    for task in (*tasks, flushing):
                        task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.gather(*tasks, flushing, return_exceptions=True)
                    self.ledger.flush()

    async def _work(self, coming: Iterator[str]) -> None:
        for url in coming:
            entry = await self._fetch(url)
            self.ledger.add(entry)
            self.advance(1)

    async def _flush_often(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self.ledger.flush()

    async def _fetch(self, url: str) -> Entry:
        """Fetch one URL, with retries."""
        known = self._known(url)
        host, attempt = _host(url), 0
        while True:
            attempt += 1
            found = await self._attempt(url, host, known)
            if not isinstance(found, Refusal):
                return found
            last = attempt > self.settings.retries or not found.again
            if found.wait is not None and found.wait > MAX_WAIT:
                return Failed(url, f"{found.reason}; it asks to wait {found.wait:.0f} s")
            if last:
                self._count(found)
                return Failed(url, found.reason)
            pause = backoff(attempt, self.settings.backoff)
            if found.wait is not None:  # said by the server, and so for all that is asked of it
                self.pacer.hold(host, found.wait, asyncio.get_running_loop().time())
            await asyncio.sleep(pause)

    def _known(self, url: str) -> Fetched | None:
        """What an earlier call has fetched, if it is still there: the server is asked for what is newer."""
        known = self.ledger.entries.get(url)
        there = isinstance(known, Fetched) and is_there(self.folder / known.file, known.size)
        return known if isinstance(known, Fetched) and there else None

    async def _attempt(self, url: str, host: str, known: Fetched | None) -> Entry | Refusal:
        headers = {}
        if known:
            headers = {"If-None-Match": known.etag, "If-Modified-Since": known.modified}
        await self.pacer.wait(host)
        async with self.places:
            answer = await self.client.get(url, {k: v for k, v in headers.items() if v})
        if isinstance(answer, Refusal):
            self.answered |= answer.answered
            return answer
        self.answered = True
        if answer.unchanged:
            return known or Refusal(
                "HTTP 304 (Not Modified), but there is nothing that it could be"
            )
        stored = await asyncio.get_running_loop().run_in_executor(
            self.pool, store_poster, answer.data, self.folder, self.settings
        )
        if isinstance(stored, Refusal):
            return stored
        return Fetched(url, stored.file, stored.size, answer.etag, answer.modified)

    def _count(self, refusal: Refusal) -> None:
        """Stop where it is the network that fails, not the posters."""
        self.unreached += not refusal.answered
        if self.unreached >= UNREACHED and not self.answered:
            raise CatalogueError(
                f"expected an answer from a server, found none for {self.unreached} URLs. Is there a "
                "network? Then call the command again with --retry-failed."
            )


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


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:  # an address in brackets that is none
        return ""


def _run(job: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine, also where an event loop is running already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(job)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, job).result()
