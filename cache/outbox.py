"""What was written to the mirror of a cache and is not at its URL yet."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from hybrid.utils.abandoned import is_abandoned
from hybrid.utils.files import (
    make_folder,
    move,
    remove_tree,
    sync,
    write_atomically,
    writer_name,
)
from hybrid.utils.reading import PART, read_bytes

NAME = "outbox"


class Outbox:
    """Files of a mirror that wait to be sent: each in a folder of the process that wrote it.

    A file goes from the outbox to its place in the mirror, by renaming, once it is at the URL. So, whenever a
    process is killed, what lies in its place was sent, and what lies in the outbox may not have been.

    Parameters
    ----------
    mirror : Path
        Folder of the mirror.
    put : callable
        ``put(name, data)`` sends a file, or raises.
    is_sound : callable
        ``is_sound(name, data)`` tells whether a file is what was written.
    """

    def __init__(
        self,
        mirror: Path,
        put: Callable[[str, bytes], None],
        is_sound: Callable[[str, bytes], bool],
    ) -> None:
        self.mirror, self.folder = mirror, mirror / NAME
        self._put, self._is_sound = put, is_sound
        self._sending: set[Path] = set()

    def send(self, name: str, data: bytes) -> None:
        """Write a file, send it, and take it to its place; where it cannot be sent, it stays.

        Raises
        ------
        OSError
            If the disk refuses.
        HybridError
            As `put` does.
        """
        waiting = self.folder / _writer(os.getpid()) / name
        self._sending.add(waiting)
        try:
            make_folder(waiting.parent)
            write_atomically(waiting, data)
            self._put(name, data)
            self._settle(waiting, name)
        finally:
            self._sending.discard(waiting)

    def left(self) -> list[tuple[Path, str]]:
        """List what processes that are gone, and failed attempts of this one, have left: path and name."""
        return [
            (path, path.relative_to(writer).as_posix())
            for writer in self._writers()
            for path in sorted(writer.rglob("[!.]*"))
            if path.is_file() and path not in self._sending
        ]

    def send_left(self) -> None:
        """Send what was left, and remove the folders of processes that are gone."""
        for waiting, name in self.left():
            with suppress(FileNotFoundError):  # another process has sent it meanwhile
                data = read_bytes(waiting, PART)
                if not self._is_sound(name, data):
                    move(waiting, self.mirror / "quarantine")
                    warnings.warn(
                        f"{waiting.name} was damaged before it was sent, and is now in quarantine: "
                        f"{self.mirror / 'quarantine'}. What it held is missing until hybrid extract "
                        "computes it again.",
                        stacklevel=2,
                    )
                    continue
                self._put(name, data)
                self._settle(waiting, name)
        for writer in self._writers():
            if writer.name != _writer(os.getpid()):
                remove_tree(writer)

    def _settle(self, waiting: Path, name: str) -> None:
        """Take a file that was sent to its place."""
        path = self.mirror / name
        make_folder(path.parent)
        with suppress(FileNotFoundError):  # another process has sent it as well
            os.replace(waiting, path)
        sync(path.parent)

    def _writers(self) -> Iterator[Path]:
        """Folders of this process, and of those that are gone."""
        for writer in sorted(self.folder.iterdir()) if self.folder.is_dir() else ():
            if writer.name == _writer(os.getpid()) or is_abandoned(writer):
                yield writer


@functools.cache
def _writer(process: int) -> str:  # a forked process is another writer
    return writer_name()
