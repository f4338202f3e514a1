"""Advisory leases: they keep processes from computing the same rows, and are never needed to be right."""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import time
from pathlib import Path
from types import TracebackType

from hybrid.cache.quarantine import write_over
from hybrid.cache.verified_files import UNPARSABLE
from hybrid.utils.abandoned import is_running
from hybrid.utils.files import make_folder, remove, writer_name
from hybrid.utils.read_only import is_read_only
from hybrid.utils.reading import POINTER, read_json

LEASE_SECONDS = 120.0
RENEW_SECONDS = 10.0
LEASE_SUFFIX, HEARTBEAT_SUFFIX = ".claim", ".alive"  # as cache/FORMAT.md has them


class Leases:
    """The leases of one process on shards of the work at one store.

    A lease holds while the heartbeat of its owner is less than 120 seconds old; on the machine of the
    owner also no longer than the owner runs. Times are those of the file system, so clocks may differ.
    Where a lease cannot be written, the work is done without one.

    Parameters
    ----------
    store : Path
        Folder of the store.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = Path(folder.name)
    >>> with Leases(store) as ours, Leases(store) as theirs:
    ...     ours.acquire("a3"), theirs.acquire("a3"), theirs.acquire("b7")
    (True, False, True)
    >>> folder.cleanup()
    """

    def __init__(self, store: Path) -> None:
        self.folder = store / "claims"
        self.owner = writer_name()
        self.heartbeat = self.folder / (self.owner + HEARTBEAT_SUFFIX)
        self._held: set[str] = set()
        self._renewed = -math.inf

    def __enter__(self) -> Leases:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def acquire(self, shard: str) -> bool:
        """Acquire the lease of a shard.

        Parameters
        ----------
        shard : str
            Name of the shard; part of a file name.

        Returns
        -------
        bool
            False where another process holds it; True also where no lease can be written, and in read-only
            mode, where none is.
        """
        path = self.folder / (shard + LEASE_SUFFIX)
        if is_read_only():
            return not is_held(path, self.now())
        try:
            self.renew()
            if not self._create(path):
                if is_held(path, self.now()):
                    return False
                write_over(path, self._content(), self.folder.parent)
                if _owner_of(path) != self.owner:  # another process took it over as well
                    return False
        except OSError:
            return True  # an advisory lease that cannot be had must not stop the work
        self._held.add(shard)
        return True

    def now(self) -> float:
        """The time of the file system at the last heartbeat; infinite where there is none.

        In read-only mode, which writes no heartbeat, that of this machine's clock.
        """
        if is_read_only():
            return time.time()
        try:
            return os.stat(self.heartbeat).st_mtime
        except OSError:
            return math.inf

    def renew(self) -> None:
        """Write a heartbeat, at most every 10 seconds."""
        now = time.monotonic()
        if now - self._renewed < RENEW_SECONDS:
            return
        with contextlib.suppress(OSError):
            make_folder(self.folder)
            self.heartbeat.touch()
            self._renewed = now

    def release(self) -> None:
        """Release all leases."""
        with contextlib.suppress(OSError):
            for shard in self._held:
                path = self.folder / (shard + LEASE_SUFFIX)
                if _owner_of(path) == self.owner:
                    remove(path)
            remove(self.heartbeat)
        self._held.clear()
        self._renewed = -math.inf

    def _content(self) -> bytes:
        content = {"owner": self.owner, "host": socket.gethostname(), "pid": os.getpid()}
        return json.dumps(content).encode()

    def _create(self, path: Path) -> bool:
        try:
            with path.open("xb") as file:
                file.write(self._content())
        except FileExistsError:
            return False
        return True


def is_held(lease: Path, now: float) -> bool:
    """Tell whether the owner of a lease is still at work.

    Parameters
    ----------
    lease : Path
        File of the lease.
    now : float
        See `Leases.now`.

    Returns
    -------
    bool
    """
    try:
        written = os.stat(lease).st_mtime
        content = read_json(lease, POINTER)
        owner, host, pid = str(content["owner"]), str(content["host"]), int(content["pid"])
        if host == socket.gethostname() and not is_running(pid):
            return False
        return now - os.stat(lease.parent / (owner + HEARTBEAT_SUFFIX)).st_mtime < LEASE_SECONDS
    except OSError:  # its owner has released it
        return False
    except UNPARSABLE:  # perhaps it is being written
        return now - written < RENEW_SECONDS


def _owner_of(lease: Path) -> str:
    try:
        return str(read_json(lease, POINTER)["owner"])
    except (OSError, *UNPARSABLE):
        return ""
