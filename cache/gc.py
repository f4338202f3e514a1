"""Garbage collection: superseded parts, old snapshots, what killed processes left behind."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hybrid.cache.compaction import COMPACTION
from hybrid.cache.contents import list_files
from hybrid.cache.folder import EmbeddingCache
from hybrid.cache.generations import CURRENT
from hybrid.cache.leases import HEARTBEAT_SUFFIX, LEASE_SUFFIX, Leases, is_held
from hybrid.cache.parts import open_part
from hybrid.cache.quarantine import QUARANTINE
from hybrid.cache.remote import remove_there
from hybrid.cache.store import EmbeddingStore
from hybrid.cache.verified_files import DamageError
from hybrid.errors import CacheError
from hybrid.utils.abandoned import ABANDONED_SECONDS, is_abandoned
from hybrid.utils.files import TEMPORARY, remove
from hybrid.utils.read_only import read_only

RATE = "throughput.json"


@dataclass(frozen=True)
class Garbage:
    """A file that nothing needs.

    Parameters
    ----------
    path : str
    bytes : int
        Its size.
    reason : str
        Why nothing needs it.

    Examples
    --------
    >>> Garbage("parts/part-1.h5", 4096, "its rows are in a larger part").bytes
    4096
    """

    path: str
    bytes: int
    reason: str


def collect(cache: EmbeddingCache, dry_run: bool = False) -> list[Garbage]:
    """Remove the files that nothing needs from all stores of a cache.

    Before a superseded part is removed, the hash of every part is verified.

    Parameters
    ----------
    cache : EmbeddingCache
    dry_run : bool, default=False
        Only list them; nothing is written, leases included.

    Returns
    -------
    list of Garbage
        What was removed, or would be.

    Raises
    ------
    CacheError
        If the cache cannot be read, or a file not be removed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     collect(EmbeddingCache(folder), dry_run=True)
    []
    """
    with read_only(dry_run):
        return _collect(cache, dry_run)


def _collect(cache: EmbeddingCache, dry_run: bool) -> list[Garbage]:
    found = _clear(_temporary([cache.folder, cache.folder / "memo"]), dry_run)
    found += _clear(_quarantined(cache.folder), dry_run)
    for store in cache.stores():
        store.refresh(max_age=0.0)
        with Leases(store.folder) as leases:
            mine = leases.acquire(COMPACTION)
            found += _clear(_leftovers(store, leases), dry_run)
            if mine:  # else another process compacts, and what looks old may be new
                found += _clear(_superseded(store), dry_run)
    return found


def _clear(garbage: Iterator[Garbage], dry_run: bool) -> list[Garbage]:
    """List garbage; and remove it, unless it is a dry run."""
    try:
        found = list(garbage)
        for one in found if not dry_run else ():
            _remove(Path(one.path))
    except OSError as error:
        raise CacheError(
            f"cannot clear {error.filename}: {error.strerror}. Nothing that is needed was removed."
        ) from error
    return found


def _remove(path: Path) -> None:
    """Remove a file; where damage has put a folder in its place, that."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        remove_there(path)
        remove(path)


def _quarantined(folder: Path) -> Iterator[Garbage]:
    for name in list_files(folder / QUARANTINE):
        yield from _garbage(folder / QUARANTINE / name, "damaged, in quarantine")


def _leftovers(store: EmbeddingStore, leases: Leases) -> Iterator[Garbage]:
    folder = store.folder
    parts = ("parts", "failed", "gen", "claims", "quarantine")
    yield from _temporary([folder, *(folder / name for name in parts)])
    yield from _quarantined(folder)
    if os.path.lexists(folder / RATE):
        yield from _garbage(folder / RATE, "rate of an earlier version; parts hold what they cost")
    now = leases.now()
    for path in sorted(leases.folder.glob("*" + LEASE_SUFFIX)):
        if math.isfinite(now) and not is_held(path, now):
            yield from _garbage(path, "lease of a process that is gone")
    for path in sorted(leases.folder.glob("*" + HEARTBEAT_SUFFIX)):
        if _age(path) > ABANDONED_SECONDS:
            yield from _garbage(path, "heartbeat of a process that is gone")


def _superseded(store: EmbeddingStore) -> Iterator[Garbage]:
    """Parts and snapshots that the current generation has replaced; its own parts are verified first."""
    contents = store.contents
    contents.verify_parts(store.view.parts)
    generation = contents.generation()
    if generation is None:
        return
    for name in sorted(contents.present() & {*generation.superseded} - store.view.parts):
        if _has_all(store, name):
            yield from _garbage(contents.part_path(name), "its rows are in a larger part")
    now = (store.folder / CURRENT).stat().st_mtime
    for path in sorted((store.folder / "gen").iterdir()):
        # What is younger may be of a compaction that is not finished.
        if path.name not in generation.files and os.lstat(path).st_mtime <= now:
            yield from _garbage(path, "snapshot before the current one")


def _has_all(store: EmbeddingStore, name: str) -> bool:
    """Whether every row of a part is in another one as well; a damaged part has none."""
    try:
        _, keys = open_part(store.contents.part_path(name), store.contents.layout)
    except DamageError:
        return True
    return bool(store.has([key.tobytes() for key in keys]).all())


def _temporary(folders: Iterable[Path]) -> Iterator[Garbage]:
    """Unfinished files of processes that are gone: of this machine, or of any after a day."""
    for folder in folders:
        for path in sorted(folder.glob(TEMPORARY + "*")):
            if is_abandoned(path):
                yield from _garbage(path, "left by a process that was killed")


def _age(path: Path) -> float:
    """Seconds since a file was changed; 0 where it is gone."""
    with contextlib.suppress(FileNotFoundError):
        return time.time() - os.lstat(path).st_mtime
    return 0.0


def _garbage(path: Path, reason: str) -> Iterator[Garbage]:
    """The record of a file, unless another process has removed it."""
    with contextlib.suppress(FileNotFoundError):
        yield Garbage(str(path), os.lstat(path).st_size, reason)
