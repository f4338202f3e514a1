"""What stands on the disk of one store: parts, failures, and what must not be used."""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from hybrid.cache.failures import Failure, read_failures
from hybrid.cache.generations import Generation, read_generation
from hybrid.cache.index import EMPTY, Index, index_part, merge
from hybrid.cache.parts import PART_NAME, DamageError, Layout, Part, open_part
from hybrid.errors import CacheError
from hybrid.files import move

THREADS = min(8, os.cpu_count() or 1)


class Contents:
    """The parts and failures of a store, as they were when the disk was last looked at.

    Parameters
    ----------
    folder : Path
        Of the store.
    layout : Layout

    Attributes
    ----------
    base, recent : Index
        Where each key is; `recent` holds what this process has added, until it is worth merging.
    failed : dict
        Key → failure.
    """

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.folder = folder
        self.layout = layout
        self.look()

    @property
    def indexes(self) -> tuple[Index, Index]:
        """Both indexes; no key is in both."""
        return self.base, self.recent

    @property
    def index(self) -> Index:
        """Both as one."""
        return merge(self.indexes)

    def part_path(self, name: str) -> Path:
        """The file of a part."""
        return self.folder / "parts" / name

    def look(self) -> None:
        """Look at the disk as if for the first time; what is damaged goes to quarantine."""
        present = self.present()
        self.base, self.recent = EMPTY, EMPTY
        self._seen: set[str] = set()
        self._in_snapshot: frozenset[str] = frozenset()
        self._proved: dict[str, Part] = {}
        self.failed: dict[bytes, Failure] = {}
        self._seen_failed: set[str] = set()
        self._take_failures()
        generation = self.generation()
        if generation:
            gone = set(generation.index.parts) - present
            self.base = generation.index.without(gone) if gone else generation.index
            self._seen = present & {*generation.index.parts, *generation.superseded}
            self._in_snapshot = frozenset(generation.index.parts)
        self._take(present - self._seen)

    def refresh(self) -> None:
        """Look at the disk for what other processes have changed."""
        present = self.present()
        if self._seen <= present:
            self._take(present - self._seen)
            self._take_failures()
        else:
            self.look()

    def add(self, name: str, index: Index) -> None:
        """Take note of a part that this process has written; none of its keys was there before."""
        self._seen.add(name)
        self.recent = merge([self.recent, index])
        if len(self.recent) * 8 > len(self.base):
            self.base, self.recent = self.index, EMPTY

    def replace(self, index: Index) -> None:
        """Take note that the rows have moved to other parts."""
        self._seen |= set(index.parts)
        self._in_snapshot = frozenset(index.parts)
        self.base, self.recent = index, EMPTY

    def outside_snapshot(self) -> set[str]:
        """Parts that the current generation does not index."""
        return {name for index in self.indexes for name in index.parts} - self._in_snapshot

    def generation(self) -> Generation | None:
        """The current generation, if there is a sound one."""
        try:
            return read_generation(self.folder)
        except DamageError as damage:
            warnings.warn(
                f"{self.folder}: the snapshot of the last compaction is damaged ({damage}); all parts "
                "are read instead. hybrid cache compact makes a new one.",
                stacklevel=2,
            )
        except OSError as error:
            raise _unreadable(self.folder, error) from error
        return None

    def prove(self, name: str) -> Part:
        """A part whose hash is right, and whose rows are those that the index says.

        Raises
        ------
        DamageError
            If it is not.
        FileNotFoundError
            If it is gone.
        CacheError
            If it cannot be read.
        """
        if name not in self._proved:
            try:
                part, keys = open_part(self.part_path(name), self.layout)
            except FileNotFoundError:
                raise
            except OSError as error:
                raise _unreadable(self.part_path(name), error) from error
            for index in self.indexes:
                if name in index.parts:
                    at = np.flatnonzero(index.part == index.parts.index(name))
                    rows = index.row[at]
                    if rows.max(initial=0) >= len(keys) or (keys[rows] != index.keys[at]).any():
                        raise DamageError("its keys are not those of the index")
            self._proved[name] = part
        return self._proved[name]

    def prove_again(self, name: str) -> Part:
        """Prove a part whose file is another one now; a second writer may have made the same."""
        self._proved.pop(name, None)
        return self.prove(name)

    def prove_all(self) -> None:
        """Prove every part now; what is damaged goes to quarantine."""
        names = [name for index in self.indexes for name in index.parts]
        with ThreadPoolExecutor(THREADS) as pool:
            reasons = list(pool.map(self._damage_of, names))
        for name, reason in zip(names, reasons, strict=True):
            if reason:
                self.quarantine(self.part_path(name), reason)
        if any(reasons):
            self.look()

    def _damage_of(self, name: str) -> str:
        try:
            self.prove(name)
        except DamageError as damage:
            return str(damage)
        except FileNotFoundError:
            return "it is gone"
        return ""

    def quarantine(self, path: Path, problem: str) -> None:
        """Take a damaged file out of service, and say so."""
        folder = self.folder / "quarantine"
        try:
            move(path, folder)
            where = f"is now in quarantine: {folder}"
        except OSError as error:
            where = f"cannot be moved away ({error.strerror}); it is not used"
        warnings.warn(
            f"{path.name} in the cache was damaged ({problem}) and {where}. What it held is missing "
            "until hybrid extract computes it again.",
            stacklevel=2,
        )

    def present(self) -> set[str]:
        """Names of the parts in the folder."""
        return {name for name in list_files(self.folder / "parts") if PART_NAME.fullmatch(name)}

    def _take(self, names: set[str]) -> None:
        """Index parts that are new to this object."""
        ordered = sorted(names)
        with ThreadPoolExecutor(THREADS) as pool:
            found = list(pool.map(self._index_of, ordered))
        new = []
        for name, index in zip(ordered, found, strict=True):
            if isinstance(index, str):
                self.quarantine(self.part_path(name), index)
            elif index is not None:
                new.append(index)
                self._seen.add(name)
        if new:
            self.base, self.recent = merge([*self.indexes, *new]), EMPTY

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

    def _take_failures(self) -> None:
        """Read the batches of failures that are new to this object; of one image the latest counts."""
        folder = self.folder / "failed"
        for name in sorted(set(list_files(folder)) - self._seen_failed):
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
            self._seen_failed.add(name)
            for key, failure in batch.items():
                if key not in self.failed or self.failed[key].time <= failure.time:
                    self.failed[key] = failure


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
