"""Advisory leases: they save processes from computing the same, and are never needed to be right."""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import time
from pathlib import Path
from types import TracebackType

from hybrid.cache.parts import UNPARSABLE
from hybrid.utils.files import make_folder, remove, write_atomically, writer_name

LEASE_SECONDS = 120.0
RENEW_SECONDS = 10.0
CLAIM, SIGN = ".claim", ".alive"


class Claims:
    """The leases of one process on shares of the work at one store.

    A lease holds while its owner's sign of life is young; on the owner's own machine also no longer
    than the owner runs. Times are those of the file system, so clocks may differ. Where a lease
    cannot be written, the work is done without.

    Parameters
    ----------
    store : Path
        Folder of the store.
    """

    def __init__(self, store: Path) -> None:
        self.folder = store / "claims"
        self.owner = writer_name()
        self.sign = self.folder / (self.owner + SIGN)
        self._held: set[str] = set()
        self._renewed = -math.inf

    def __enter__(self) -> Claims:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def take(self, share: str) -> bool:
        """Claim a share of the work; False where another process has it."""
        path = self.folder / (share + CLAIM)
        try:
            self.renew()
            if not self._create(path):
                if is_alive(path, self.sign):
                    return False
                write_atomically(path, self._content())
                if _owner_of(path) != self.owner:  # another process took it over as well
                    return False
        except OSError:
            return True  # an advisory lease that cannot be had must not stop the work
        self._held.add(share)
        return True

    def renew(self) -> None:
        """Give a sign of life, at most every 10 seconds."""
        now = time.monotonic()
        if now - self._renewed < RENEW_SECONDS:
            return
        with contextlib.suppress(OSError):
            make_folder(self.folder)
            self.sign.touch()
            self._renewed = now

    def release(self) -> None:
        """Give all leases back."""
        with contextlib.suppress(OSError):
            for share in self._held:
                path = self.folder / (share + CLAIM)
                if _owner_of(path) == self.owner:
                    remove(path)
            remove(self.sign)
        self._held.clear()
        self._renewed = -math.inf

    def _content(self) -> bytes:
        said = {"owner": self.owner, "host": socket.gethostname(), "pid": os.getpid()}
        return json.dumps(said).encode()

    def _create(self, path: Path) -> bool:
        try:
            with path.open("xb") as file:
                file.write(self._content())
        except FileExistsError:
            return False
        return True


def is_alive(claim: Path, clock: Path) -> bool:
    """Whether the owner of a claim still works.

    Parameters
    ----------
    claim : Path
    clock : Path
        A file that was touched just now, to know the file system's time.
    """
    try:
        now, age = os.stat(clock).st_mtime, os.stat(claim).st_mtime
    except OSError:
        return False
    try:
        said = json.loads(claim.read_bytes())
        owner, host, pid = str(said["owner"]), str(said["host"]), int(said["pid"])
        if host == socket.gethostname() and not is_running(pid):
            return False
        return now - os.stat(claim.parent / (owner + SIGN)).st_mtime < LEASE_SECONDS
    except OSError:  # its owner has given it back
        return False
    except UNPARSABLE:  # perhaps it is being written
        return now - age < RENEW_SECONDS


def _owner_of(claim: Path) -> str:
    try:
        return str(json.loads(claim.read_bytes())["owner"])
    except (OSError, *UNPARSABLE):
        return ""


def is_running(pid: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
