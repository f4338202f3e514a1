"""The contents of a store on the disk: an index of its parts, its failures, its damaged files."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from hybrid.cache.failures import Failure, read_failures
from hybrid.cache.generations import Generation, read_generation
from hybrid.cache.parts import PART_NAME, Layout, Part, open_part
from hybrid.cache.quarantine import tell_damage
from hybrid.cache.verified_files import DamageError
from hybrid.errors import CacheError
from hybrid.utils.key_index import EMPTY, Index, Keys, index_part, merge
from hybrid.utils.resources import default_workers

Item = TypeVar("Item")
Found = TypeVar("Found")
MAX_THREADS = 8  # more do not read, write or hash parts faster
RETRIES = 5  # while other processes move parts away


class SnapshotError(Exception):
    """The snapshot disagrees with a part; the part itself is sound."""


@dataclass(frozen=True, eq=False)
class View:
    """An index of a store at one moment; immutable, so that threads may read it.

    Parameters
    ----------
    base, recent : Index
        Where each key is; no key is in both. `recent` is small, so that adding to it is cheap.
    known : frozenset of str
        Parts that need not be opened: those of the indexes, and superseded ones.
    in_snapshot : frozenset of str
        Parts that the current generation indexes.
    failed : dict
        Key → failure.
    failed_files : frozenset of str
        The batches of failures that were read.
    """

    base: Index = EMPTY
    recent: Index = EMPTY
    known: frozenset[str] = frozenset()
    in_snapshot: frozenset[str] = frozenset()
    failed: dict[bytes, Failure] = field(default_factory=dict)
    failed_files: frozenset[str] = frozenset()

    @property
    def indexes(self) -> tuple[Index, Index]:
        """Both indexes."""
        return self.base, self.recent

    @property
    def index(self) -> Index:
        """Both, merged."""
        return merge(self.indexes)

    @property
    def parts(self) -> set[str]:
        """Names of the parts that hold rows."""
        return {name for index in self.indexes for name in index.parts}

    def with_indexes(self, indexes: Iterable[Index]) -> View:
        """Merge more parts into the view."""
        new = [*indexes]
        recent, base = merge([self.recent, *new]), self.base
        twice = base.find(recent.keys) >= 0
        if len(recent) * 8 > len(base) or twice.any():
            base, recent = merge([base, recent]), EMPTY
        known = self.known | {name for index in new for name in index.parts}
        return replace(self, base=base, recent=recent, known=known)


class Contents:
    """The parts and failures of a store, as they were when the disk was last read.

    Parameters
    ----------
    folder : Path
        Of the store.
    layout : Layout

    Attributes
    ----------
    view : View
        Replaced as a whole, never changed.
    """

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.folder = folder
        self.layout = layout
        self._lock = threading.RLock()  # for whoever replaces the view
        self._verified: dict[str, Part] = {}
        self._unusable: set[str] = set()  # damaged, and could not be moved away
        self._snapshot_usable = True
        self._snapshot_lacks = False  # some of its parts
        self.reload()

    def part_path(self, name: str) -> Path:
        """Path of a part."""
        return self.folder / "parts" / name

    def reload(self) -> None:
        """Read the disk anew, from the snapshot on; damaged files go to quarantine."""
        with self._lock:
            self._verified = {}
            for _ in range(RETRIES):
                # The snapshot first: a compaction after that only adds parts.
                view = self._from_generation(self.generation())
                self.view, vanished = self._with_parts(view, self.present() - view.known)
                if not vanished:
                    break
            self.view = self._with_failures(self.view)

    def refresh(self) -> None:
        """Read what other processes have changed on the disk."""
        with self._lock:
            present = self.present()
            vanished = True
            if self.view.known <= present:
                self.view, vanished = self._with_parts(self.view, present - self.view.known)
            if vanished:
                self.reload()
            else:
                self.view = self._with_failures(self.view)

    def add(self, parts: Sequence[tuple[str, Keys]]) -> None:
        """Add parts that this process has written: the name and the keys of each."""
        with self._lock:
            self.view = self.view.with_indexes([index_part(*part) for part in parts])

    def add_failures(self, failed: dict[bytes, Failure]) -> None:
        """Add failures that this process has written."""
        with self._lock:
            self.view = replace(self.view, failed={**self.view.failed, **failed})

    def generation(self) -> Generation | None:
        """Read the current generation; None if there is none, or it is damaged."""
        if not self._snapshot_usable:
            return None
        try:
            return read_generation(self.folder)
        except DamageError as damage:
            self.ignore_snapshot(str(damage))
        except OSError as error:
            raise _unreadable(Path(error.filename or self.folder), error) from error
        return None

    @property
    def snapshot_damaged(self) -> bool:
        """Whether there is a snapshot that cannot be used, or lacks some of its parts."""
        return not self._snapshot_usable or self._snapshot_lacks

    def ignore_snapshot(self, problem: str) -> None:
        """Warn of a damaged snapshot, and read all parts from now on."""
        self._snapshot_usable = False
        warnings.warn(
            f"{self.folder}: the snapshot of the last compaction is damaged ({problem}); all parts "
            "are read instead. hybrid extract or hybrid cache compact makes a new one.",
            stacklevel=2,
        )

    def use_snapshot(self) -> None:
        """Use the snapshot again; there is a new one."""
        self._snapshot_usable = True

    def verify_part(self, name: str, changed: bool = False) -> Part:
        """Open a part: verify its hash, and that its rows are those of the index.

        Parameters
        ----------
        name : str
        changed : bool, default=False
            The file is another one than that which was verified; a second writer may have made the same.

        Returns
        -------
        Part

        Raises
        ------
        DamageError
            If it is not what was written.
        SnapshotError
            If it is, but its rows are not those of the index.
        FileNotFoundError
            If it is gone.
        CacheError
            If it cannot be read.
        """
        verified = None if changed else self._verified.get(name)
        if verified is not None:
            return verified
        try:
            part, keys = open_part(self.part_path(name), self.layout)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _unreadable(self.part_path(name), error) from error
        if not all(index.agrees(name, keys) for index in self.view.indexes):
            raise SnapshotError(f"it is wrong about {name}")
        self._verified[name] = part
        return part

    def verify_parts(self, names: Iterable[str]) -> None:
        """Verify some parts; damaged ones go to quarantine, and their rows are lost."""
        ordered = sorted(names)
        if not all(in_threads(self._is_sound, ordered)):
            self.reload()

    def _is_sound(self, name: str) -> bool:
        try:
            self.verify_part(name)
        except DamageError as damage:
            self.quarantine(self.part_path(name), str(damage))
        except SnapshotError as error:
            self.ignore_snapshot(str(error))
        except FileNotFoundError:  # another process moved it away
            pass
        else:
            return True
        return False

    def quarantine(self, path: Path, problem: str) -> None:
        """Move a damaged file to quarantine, and warn; in read-only mode it stays, and is not used."""
        remedy = "What it held is missing until hybrid extract computes it again."
        if not tell_damage(path, self.folder, problem, remedy):
            self._unusable.add(path.name)

    def present(self) -> set[str]:
        """List the parts in the folder that may be used."""
        names = {name for name in list_files(self.folder / "parts") if PART_NAME.fullmatch(name)}
        return names - self._unusable

    def _from_generation(self, generation: Generation | None) -> View:
        """The view of the snapshot. Where one of its parts is gone, the superseded ones count again."""
        self._snapshot_lacks = False
        if generation is None:
            return View()
        present, index = self.present(), generation.index
        names = frozenset(index.parts)
        self._snapshot_lacks = not names <= present
        if not self._snapshot_lacks:
            return View(
                index, known=names | (present & {*generation.superseded}), in_snapshot=names
            )
        here = names & present
        return View(index.without(names - present), known=here, in_snapshot=here)

    def _with_parts(self, view: View, names: set[str]) -> tuple[View, bool]:
        """The view with more parts; and whether one vanished before it was read."""
        ordered = sorted(names)
        found = in_threads(self._index_of, ordered)
        new, vanished = [], False
        for name, index in zip(ordered, found, strict=True):
            if isinstance(index, str):
                self.quarantine(self.part_path(name), index)
            elif index is None:
                vanished = True
            else:
                new.append(index)
        return (view.with_indexes(new) if new else view), vanished

    def _index_of(self, name: str) -> Index | str | None:
        """Index of a part; or what is wrong with it; or None where another process removed it."""
        try:
            part, keys = open_part(self.part_path(name), self.layout)
        except DamageError as damage:
            return str(damage)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(self.part_path(name), error) from error
        self._verified[name] = part
        return index_part(name, keys)

    def _with_failures(self, view: View) -> View:
        """The view with the batches of failures that it lacks; of one image the latest counts."""
        folder, failed, read = self.folder / "failed", dict(view.failed), set(view.failed_files)
        for name in sorted({*list_files(folder)} - read - self._unusable):
            if not name.endswith(".jsonl"):
                continue
            try:
                batch = read_failures(folder / name)
            except DamageError as damage:
                self.quarantine(folder / name, str(damage))
                continue
            except FileNotFoundError:  # put in quarantine by another process
                continue
            except OSError as error:
                raise _unreadable(folder / name, error) from error
            read.add(name)
            for key, failure in batch.items():
                if key not in failed or failed[key].time <= failure.time:
                    failed[key] = failure
        if len(read) == len(view.failed_files):
            return view
        return replace(view, failed=failed, failed_files=frozenset(read))


def in_threads(call: Callable[[Item], Found], items: Sequence[Item]) -> list[Found]:
    """Call a function for each item in threads; the results are in order.

    Parameters
    ----------
    call : callable
    items : sequence of n items

    Returns
    -------
    list of n results

    Examples
    --------
    >>> in_threads(abs, [-2, 3])
    [2, 3]
    """
    # A thread takes longer to start than one item does; to count the cores, files are read.
    if len(items) < 2 or (threads := min(MAX_THREADS, default_workers())) < 2:
        return [call(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(call, items))


def list_files(folder: Path) -> list[str]:
    """List the names in a folder, without hidden ones; none where the folder is missing.

    Raises
    ------
    CacheError
        If it cannot be read, or something else is in its place.
    """
    try:
        return [name for name in os.listdir(folder) if not name.startswith(".")]
    except FileNotFoundError as error:
        if not folder.is_symlink():
            return []
        raise CacheError(
            f"{folder}: expected a folder, found a link to nothing. Is its disk mounted? If not, hybrid "
            "extract puts the link aside and begins a new one."
        ) from error
    except NotADirectoryError as error:
        if folder.parent.is_dir():
            raise CacheError(
                f"{folder}: expected a folder, found something else. hybrid extract puts it aside."
            ) from error
        return []
    except OSError as error:
        raise _unreadable(folder, error) from error


def _unreadable(path: Path, error: OSError) -> CacheError:
    return CacheError(f"cannot read {path}: {error.strerror}. Nothing was changed.")
