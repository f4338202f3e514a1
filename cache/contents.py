"""What stands on the disk of one store: parts, failures, and what must not be used."""

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
from hybrid.cache.parts import PART_NAME, DamageError, Layout, Part, open_part
from hybrid.errors import CacheError
from hybrid.utils.files import move
from hybrid.utils.key_index import EMPTY, Index, Keys, index_part, merge

Item = TypeVar("Item")
Found = TypeVar("Found")
THREADS = min(8, os.cpu_count() or 1)
LOOKS = 5  # how often to look again while other processes move parts away


class SnapshotError(Exception):
    """The snapshot says of a part what is not in it; the part itself is sound."""


@dataclass(frozen=True, eq=False)
class View:
    """What was seen at one moment; never changed, so that threads may read it.

    Parameters
    ----------
    base, recent : Index
        Where each key is; no key is in both. `recent` is small, so that adding to it is cheap.
    seen : frozenset of str
        Parts that need not be looked at: those of the indexes, and superseded ones.
    in_snapshot : frozenset of str
        Parts that the current generation indexes.
    failed : dict
        Key → failure.
    failed_files : frozenset of str
        The batches that were read.
    """

    base: Index = EMPTY
    recent: Index = EMPTY
    seen: frozenset[str] = frozenset()
    in_snapshot: frozenset[str] = frozenset()
    failed: dict[bytes, Failure] = field(default_factory=dict)
    failed_files: frozenset[str] = frozenset()

    @property
    def indexes(self) -> tuple[Index, Index]:
        """Both indexes."""
        return self.base, self.recent

    @property
    def index(self) -> Index:
        """Both as one."""
        return merge(self.indexes)

    @property
    def parts(self) -> set[str]:
        """Names of the parts that hold rows."""
        return {name for index in self.indexes for name in index.parts}

    def adding(self, indexes: Iterable[Index]) -> View:
        """The same, with more parts."""
        new = [*indexes]
        recent, base = merge([self.recent, *new]), self.base
        known = base.find(recent.keys) >= 0
        if len(recent) * 8 > len(base) or known.any():
            base, recent = merge([base, recent]), EMPTY
        seen = self.seen | {name for index in new for name in index.parts}
        return replace(self, base=base, recent=recent, seen=seen)


class Contents:
    """The parts and failures of a store, as they were when the disk was last looked at.

    Parameters
    ----------
    folder : Path
        Of the store.
    layout : Layout

    Attributes
    ----------
    view : View
        Replaced as a whole when something was added or found.
    """

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.folder = folder
        self.layout = layout
        self._lock = threading.RLock()  # of those who replace the view
        self._proved: dict[str, Part] = {}
        self._unusable: set[str] = set()  # damaged, and could not be moved away
        self._trusted = True  # the snapshot
        self.look()

    def part_path(self, name: str) -> Path:
        """The file of a part."""
        return self.folder / "parts" / name

    def look(self) -> None:
        """Look at the disk as if for the first time; what is damaged goes to quarantine."""
        with self._lock:
            self._proved = {}
            for _ in range(LOOKS):
                # First the snapshot: a compaction after that only adds parts.
                view = self._start(self.generation())
                self.view, vanished = self._taking(view, self.present() - view.seen)
                if not vanished:
                    break
            self.view = self._taking_failures(self.view)

    def refresh(self) -> None:
        """Look at the disk for what other processes have changed."""
        with self._lock:
            present = self.present()
            vanished = True
            if self.view.seen <= present:
                self.view, vanished = self._taking(self.view, present - self.view.seen)
            if vanished:
                self.look()
            else:
                self.view = self._taking_failures(self.view)

    def add(self, name: str, keys: Keys) -> None:
        """Take note of a part that this process has written."""
        with self._lock:
            self.view = self.view.adding([index_part(name, keys)])

    def add_failures(self, failed: dict[bytes, Failure]) -> None:
        """Take note of failures that this process has written."""
        with self._lock:
            self.view = replace(self.view, failed={**self.view.failed, **failed})

    def generation(self) -> Generation | None:
        """The current generation, if there is a sound one."""
        if not self._trusted:
            return None
        try:
            return read_generation(self.folder)
        except DamageError as damage:
            self.distrust(str(damage))
        except OSError as error:
            raise _unreadable(self.folder, error) from error
        return None

    def distrust(self, problem: str) -> None:
        """Do without the snapshot from now on, and say so."""
        self._trusted = False
        warnings.warn(
            f"{self.folder}: the snapshot of the last compaction is damaged ({problem}); all parts "
            "are read instead. hybrid cache compact makes a new one.",
            stacklevel=2,
        )

    def trust(self) -> None:
        """Use the snapshot again, once there is a new one."""
        self._trusted = True

    def prove(self, name: str, again: bool = False) -> Part:
        """A part whose hash is right, and whose rows are those that the index says.

        Parameters
        ----------
        name : str
        again : bool
            The file is another one now; a second writer may have made the same.

        Raises
        ------
        DamageError
            If it is not what was written.
        SnapshotError
            If it is, but its rows are not those that the index says.
        FileNotFoundError
            If it is gone.
        CacheError
            If it cannot be read.
        """
        proved = None if again else self._proved.get(name)
        if proved is not None:
            return proved
        try:
            part, keys = open_part(self.part_path(name), self.layout)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _unreadable(self.part_path(name), error) from error
        if not all(index.agrees(name, keys) for index in self.view.indexes):
            raise SnapshotError(f"it is wrong about {name}")
        self._proved[name] = part
        return part

    def prove_all(self, names: Iterable[str]) -> None:
        """Prove some parts now; what is damaged goes to quarantine, and its rows are gone."""
        ordered = sorted(names)
        if not all(in_threads(self._is_sound, ordered)):
            self.look()

    def _is_sound(self, name: str) -> bool:
        try:
            self.prove(name)
        except DamageError as damage:
            self.quarantine(self.part_path(name), str(damage))
        except SnapshotError as error:
            self.distrust(str(error))
        except FileNotFoundError:  # another process moved it away
            pass
        else:
            return True
        return False

    def quarantine(self, path: Path, problem: str) -> None:
        """Take a damaged file out of service, and say so."""
        folder = self.folder / "quarantine"
        try:
            move(path, folder)
            where = f"is now in quarantine: {folder}"
        except OSError as error:
            self._unusable.add(path.name)
            where = f"cannot be moved away ({error.strerror}); it is not used"
        warnings.warn(
            f"{path.name} in the cache was damaged ({problem}) and {where}. What it held is missing "
            "until hybrid extract computes it again.",
            stacklevel=2,
        )

    def present(self) -> set[str]:
        """Names of the parts in the folder that may be used."""
        names = {name for name in list_files(self.folder / "parts") if PART_NAME.fullmatch(name)}
        return names - self._unusable

    def _start(self, generation: Generation | None) -> View:
        """What the snapshot tells. Where one of its parts is gone, those before it count again."""
        if generation is None:
            return View()
        present, index = self.present(), generation.index
        names = frozenset(index.parts)
        if names <= present:
            return View(index, seen=names | (present & {*generation.superseded}), in_snapshot=names)
        here = names & present
        return View(index.without(names - present), seen=here, in_snapshot=here)

    def _taking(self, view: View, names: set[str]) -> tuple[View, bool]:
        """The view with parts that are new to it; and whether one vanished before it was read."""
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
        return (view.adding(new) if new else view), vanished

    def _index_of(self, name: str) -> Index | str | None:
        """The index of a part; or what is wrong with it; or None where another process removed it."""
        try:
            part, keys = open_part(self.part_path(name), self.layout)
        except DamageError as damage:
            return str(damage)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(self.part_path(name), error) from error
        self._proved[name] = part
        return index_part(name, keys)

    def _taking_failures(self, view: View) -> View:
        """The view with the batches of failures that are new to it; of one image the latest counts."""
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
    """What `call` gives for each item, in order; a thread would take longer to start than one does."""
    if len(items) < 2:
        return [call(item) for item in items]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(call, items))


def list_files(folder: Path) -> list[str]:
    """Names in a folder, hidden ones left out; none where the folder is missing.

    Raises
    ------
    CacheError
        If it cannot be read.
    """
    try:
        return [name for name in os.listdir(folder) if not name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(folder, error) from error


def _unreadable(path: Path, error: OSError) -> CacheError:
    return CacheError(f"cannot read {path}: {error.strerror}. Nothing was changed.")
