"""The mirror of a cache at a URL: a copy of it on this machine, in a folder of the user's cache."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from hybrid.cache.outbox import Outbox
from hybrid.errors import CacheError
from hybrid.remote.errors import RemoteFileError
from hybrid.remote.folder import RemoteFolder
from hybrid.utils.counts import counted
from hybrid.utils.files import make_folder, remove, write_atomically
from hybrid.utils.progress import current_progress
from hybrid.utils.read_only import is_read_only
from hybrid.utils.reading import PART, read_bytes
from hybrid.utils.refusals import describe_refusal

RETRIES = 5  # while other machines compact
MAX_THREADS = 8
# What all machines share. Other names are neither fetched nor sent nor removed.
SHARED = re.compile(
    r"FORMAT|[0-9a-f]{64}/"
    r"(config\.json|provenance\.json|CURRENT|(parts|failed|gen|quarantine)/[^/.][^/]*)"
)
SMALL = re.compile(r"FORMAT|[^/]+/(config|provenance)\.json")  # needed to know what there is
WORK = re.compile(r"[^/]+/(parts|failed)/.*")  # what took long to compute
NAMED_FOR_HASH = re.compile(
    r"[^/]+/(?:parts|failed|gen)/(?:part-|index-)?([0-9a-f]{64})\.(?:h5|jsonl)"
)


def check_writable(remote: RemoteFolder) -> None:
    """Raise `CacheError` where files can only be read."""
    if remote.is_read_only:
        raise CacheError(
            f"--cache: expected a cache that can be written, found {remote.url}, which can only be read. "
            "Name one at s3:// or gs://, or a folder."
        )


class Mirror:
    """The copy of a cache at a URL.

    What lies in its place in the mirror was at the URL once: what is not there any more, another machine has
    removed.

    Parameters
    ----------
    folder : Path
    remote : RemoteFolder
    """

    def __init__(self, folder: Path, remote: RemoteFolder) -> None:
        self.folder, self.remote = folder, remote
        self._outbox = Outbox(folder, self._put, _is_sound)
        self._lock = threading.RLock()
        self._listed: dict[str, float] = {}
        self._damaged: set[str] = set()  # at the URL

    def pull(self, store: str = "", max_age: float = 0.0) -> None:
        """Bring a store up to date; without one, the small files of the cache and of all stores.

        Raises
        ------
        RemoteError, CacheError
            See `open_mirror`.
        """
        with self._lock, self._refusals():
            if time.monotonic() - self._listed.get(store, float("-inf")) < max_age:
                return
            for _ in range(RETRIES):
                done = self._pull_store(store) if store else self._pull_small()
                if done:
                    self._listed[store] = time.monotonic()
                    return
        raise CacheError(f"{self.remote.url}: its files vanish while they are fetched; try again.")

    def _pull_small(self) -> bool:
        """Fetch what says which stores there are, drop those that are gone; whether nothing vanished."""
        here, there = self._files(), self._files_there()
        if "FORMAT" in here and "FORMAT" not in there:
            raise CacheError(
                f"{self.remote.url}: expected the cache that {self.folder} mirrors, found none. Is the "
                "address right, and that of the server? If the cache was removed for good, remove that "
                "folder, too."
            )
        wanted = [name for name in _differing(here, there) if SMALL.fullmatch(name)]
        stores = {name.partition("/")[0] for name in there}
        gone = here.keys() - there.keys()
        gone = {n for n in gone if SMALL.fullmatch(n) or n.partition("/")[0] not in stores}
        if not self._fetch(wanted):
            return False
        self._remove_here(gone)
        return True

    def _pull_store(self, store: str) -> bool:
        """Fetch the contents of a store; whether nothing vanished, and the snapshot is still the same."""
        pointer = f"{store}/CURRENT"
        current = self.remote.read(pointer)  # first: a compaction after that only adds files
        changed = current != self._read_here(pointer)
        here, there = self._files(store), self._files_there(store)
        wanted = [n for n in _differing(here, there) if n != pointer and not SMALL.fullmatch(n)]
        if changed:  # a number of a generation may have been given twice
            wanted += [n for n in there if n in here and re.search(r"/gen/\d+\.json$", n)]
        if not self._fetch(wanted) or (changed and self.remote.read(pointer) != current):
            return False
        if changed and current is not None:
            write_atomically(self.folder / pointer, current)
        self._remove_here(n for n in here.keys() - there.keys() if not SMALL.fullmatch(n))
        return True

    def _files(self, store: str = "") -> dict[str, int]:
        """The files in the mirror: name → size.

        To be read before those at the URL: what another process of this machine sends in between is then not
        taken for something that has gone from there.
        """
        found = {}
        for folder, _, names in os.walk(self.folder / store):
            for path in (Path(folder, name) for name in names):
                name = path.relative_to(self.folder).as_posix()
                if SHARED.fullmatch(name):
                    with suppress(FileNotFoundError):
                        found[name] = os.lstat(path).st_size
        return found

    def _files_there(self, store: str = "") -> dict[str, int | None]:
        found = self.remote.list(store)
        return {name: size for name, size in found.items() if SHARED.fullmatch(name)}

    def _fetch(self, names: list[str]) -> bool:
        """Fetch files; whether all were there."""
        if len(names) < 2:
            return all(map(self._fetch_one, names))
        with (
            current_progress().bar(f"fetching {self.remote.url}", len(names), "files") as advance,
            ThreadPoolExecutor(min(MAX_THREADS, len(names))) as pool,
        ):
            found = []
            for one in pool.map(self._fetch_one, names):
                found.append(one)
                advance(1)
            return all(found)

    def _fetch_one(self, name: str) -> bool:
        data = self.remote.read(name)
        if data is None:
            return False
        if not _is_sound(name, data):
            again = self.remote.read(name)  # perhaps it was damaged on its way
            if again != data:
                return False
            self._damaged.add(name)  # whoever reads it will say so
        make_folder((self.folder / name).parent)
        write_atomically(self.folder / name, data)
        return True

    def _read_here(self, name: str) -> bytes | None:
        """A file in the mirror; None where there is none that is of use."""
        try:
            return read_bytes(self.folder / name, PART)
        except OSError:
            return None

    def _remove_here(self, names: Iterable[str]) -> None:
        for name in sorted(names):  # CURRENT before what it names
            if "/quarantine/" not in name:
                remove(self.folder / name)

    def write(self, path: Path, data: bytes) -> None:
        """See `write_through`. What took long to compute is kept in the outbox where it cannot be sent."""
        name = self._shared_name(path)
        if name is None:
            write_atomically(path, data)
        elif WORK.fullmatch(name):
            self._outbox.send(name, data)
        else:
            self._put(name, data)
            write_atomically(path, data)

    def send_left(self) -> None:
        """Send what is in the outbox; in read-only mode it stays."""
        if is_read_only() or self.remote.is_read_only:
            return
        with self._lock, self._refusals():
            if left := len(self._outbox.left()):
                what = counted(left, "file that was", "files that were")
                current_progress().say(f"sending {what} not sent before to {self.remote.url}")
            self._outbox.send_left()

    def create(self, path: Path, data: bytes) -> None:
        """Send a file that must not be at the URL yet."""
        if name := self._shared_name(path):
            check_writable(self.remote)
            self.remote.create(name, data)

    def remove(self, path: Path) -> None:
        """See `remove_there`."""
        if name := self._shared_name(path):
            check_writable(self.remote)
            with self._refusals():
                self.remote.remove(name)

    def set_aside(self, path: Path) -> None:
        """See `set_aside_there`."""
        name = self._shared_name(path)
        if name not in self._damaged or self.remote.is_read_only:
            return
        self._damaged.discard(name)
        if (data := self.remote.read(name)) is not None:
            self._put(f"{name.partition('/')[0]}/quarantine/{path.name}", data)
            self.remote.remove(name)

    def verify_there(self) -> list[tuple[str, str]]:
        """See the function of this name."""
        names = sorted(self._files().keys() & self._files_there().keys())
        with self._refusals(), ThreadPoolExecutor(MAX_THREADS) as pool:
            found = pool.map(lambda name: self.remote.read(name) == self._read_here(name), names)
            return [
                (self.remote.url_of(name), f"it differs from {self.folder / name}")
                for name, same in zip(names, found, strict=True)
                if not same
            ]

    def _put(self, name: str, data: bytes) -> None:
        check_writable(self.remote)
        with self._refusals():
            self.remote.write(name, data)

    def _shared_name(self, path: Path) -> str | None:
        """Name of a file that all machines share; None for another."""
        name = path.relative_to(self.folder).as_posix()
        return name if SHARED.fullmatch(name) else None

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Raise `CacheError` where a disk, or the server, refuses a file."""
        try:
            yield
        except RemoteFileError as error:
            raise CacheError(
                f"the cache {self.remote.url} cannot be used: {error}. What is computed is kept in "
                f"{self.folder}, and sent by the same command once it can be."
            ) from error
        except OSError as error:
            raise CacheError(describe_refusal(f"the mirror {self.folder}", error)) from error


def _differing(here: dict[str, int], there: dict[str, int | None]) -> Iterator[str]:
    """Files that the mirror lacks, or has in another size; HTTP tells none."""
    for name, size in there.items():
        if name not in here or (here[name] != size and (size is not None or SMALL.fullmatch(name))):
            yield name


def _is_sound(name: str, data: bytes) -> bool:
    """Whether a file is what was written, as far as its name tells."""
    hashed = NAMED_FOR_HASH.fullmatch(name)
    return not hashed or hashlib.sha256(data).hexdigest() == hashed[1]
