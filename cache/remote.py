"""A cache at a URL: what the rest of the cache calls where its files are read and written. See FORMAT.md.

A cache at a URL is a cache in a local folder, its mirror (`hybrid.cache.mirror`), but for two things: before
it is read, what the URL has and the mirror lacks is fetched (`open_mirror`, `pull`); and what is written is
sent before it is acknowledged (the other functions). Of a cache in a folder of the user's own, these
functions do what they would without a mirror, or nothing.
"""

from __future__ import annotations

from pathlib import Path

from hybrid.cache.mirror import Mirror, check_writable
from hybrid.remote.address import remote_url
from hybrid.remote.folder import RemoteFolder
from hybrid.utils.files import write_atomically, write_new
from hybrid.utils.local_copy import VARIABLE, local_copy
from hybrid.utils.writable import check_new_folder

FRESH_SECONDS = 10.0  # so long a listing counts, where a store is read again and again

_mirrors: dict[Path, Mirror] = {}


def open_mirror(cache: str | Path) -> Path:
    """The folder of a cache; of one at a URL that of its mirror, which then knows all stores.

    What was left unsent, by a process that was killed or for a server that was away, is sent first.

    Raises
    ------
    RemoteError
        If the server does not answer.
    CacheError
        If the mirror cannot be written, or what it mirrored is gone.
    """
    folder, url = local_copy(cache), remote_url(cache)
    if url is not None:
        mirror = _mirrors.setdefault(folder, Mirror(folder, RemoteFolder(url)))
        mirror.send_left()
        mirror.pull(max_age=FRESH_SECONDS)
    return folder


def pull(store: Path, max_age: float) -> None:
    """Fetch what the URL of a store has and its mirror lacks.

    Parameters
    ----------
    store : Path
        Its folder.
    max_age : float
        Seconds for which an earlier listing counts.
    """
    if mirror := _mirror_of(store):
        mirror.pull(store.name, max_age)


def write_through(path: Path, data: bytes) -> None:
    """Write a file atomically; in a mirror it is at the URL when this returns."""
    if mirror := _mirror_of(path):
        mirror.write(path, data)
    else:
        write_atomically(path, data)


def write_new_through(path: Path, data: bytes) -> None:
    """Write a file that must not exist yet, neither here nor at the URL.

    Raises
    ------
    FileExistsError
        If there is one.
    """
    if mirror := _mirror_of(path):
        mirror.create(path, data)
    write_new(path, data)


def remove_there(path: Path) -> None:
    """Remove a file of a mirror from its URL."""
    if mirror := _mirror_of(path):
        mirror.remove(path)


def set_aside_there(path: Path) -> None:
    """Move a file to quarantine at the URL of a mirror, if it was damaged when it came from there."""
    if mirror := _mirror_of(path):
        mirror.set_aside(path)


def cache_of(store: Path) -> str:
    """The cache of a store as a user names it: its folder, or its URL.

    Examples
    --------
    >>> cache_of(Path("films/.hybrid-cache/4f0c"))
    'films/.hybrid-cache'
    """
    mirror = _mirror_of(store)
    return mirror.remote.url if mirror else str(store.parent)


def verify_there(cache: Path) -> list[tuple[str, str]]:
    """Read all that the URL of a mirror has, and list what differs: URL, and what is wrong."""
    mirror = _mirrors.get(cache)
    return mirror.verify_there() if mirror else []


def check_takes_rows(cache: str | Path) -> None:
    """Check that embeddings can be written to a cache, before they are computed.

    Raises
    ------
    RunError
        If the folder of the cache, or that of its mirror, cannot be made or written to.
    CacheError
        If it is at a URL that can only be read, as over HTTP.

    Examples
    --------
    >>> check_takes_rows(".hybrid-cache")
    """
    url = remote_url(cache)
    if url is not None:
        check_writable(RemoteFolder(url))
    check_new_folder(VARIABLE if url else "--cache", local_copy(cache))


def _mirror_of(path: Path) -> Mirror | None:
    for folder, mirror in _mirrors.items():
        if path.is_relative_to(folder):
            return mirror
    return None
