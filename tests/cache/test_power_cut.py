"""Power cuts (simulated) and a disk that refuses, at every single call of the operating system."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hybrid.cache import EmbeddingCache, EmbeddingStore, compact
from hybrid.cache.gc import collect
from hybrid.cache.sealed import seal
from hybrid.errors import CacheError
from hybrid.utils.resources import limit_workers

STANDS_FOR = {"architecture": "test", "dimension": 5, "dtype": "float16"}
Step = tuple[Any, ...]  # name of the call, paths or data
Acknowledged = set[bytes]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """So that the order of the calls is always the same."""
    with limit_workers(1):
        yield


def key(name: object) -> bytes:
    return hashlib.sha256(str(name).encode()).digest()


def row(of: bytes) -> NDArray[np.float32]:
    """The one right embedding of a key; float16 holds it exactly."""
    return np.frombuffer(of[:5], dtype=np.uint8).astype(np.float32)


def append(store: EmbeddingStore, *names: object) -> Acknowledged:
    keys = [key(name) for name in names]
    store.append(keys, np.stack([row(k) for k in keys]))
    return set(keys)


def scenario(folder: Path, acknowledge: Callable[[Acknowledged], None]) -> None:
    """All that changes a cache, by two writers; `acknowledge` is told what must never be lost."""
    store = EmbeddingCache(folder).make(STANDS_FOR)
    acknowledge(append(store, 1, 2, 3))
    other = EmbeddingCache(folder).make(STANDS_FOR, provenance=seal({"runs": []}))
    acknowledge(append(other, 4, 5))
    store.append_failures({key("bad"): "too small"})
    acknowledge(append(store, 5, 6))  # 5 twice: `store` has not seen it
    compact(store)
    acknowledge(append(other, 7))
    store.refresh()
    compact(store)
    collect(EmbeddingCache(folder))
    acknowledge(append(other, 8))
    other.append_failures({key("worse"): "is a web page"})
    compact(other)
    collect(EmbeddingCache(folder))
    acknowledge(append(store, 9))


def read_all(folder: Path) -> dict[bytes, NDArray[np.float32]]:
    """Everything that a new process reads."""
    found = {}
    for store in EmbeddingCache(folder).stores():
        keys = [k.tobytes() for k in store.view.index.keys]
        found |= dict(zip(keys, store.read(keys), strict=True))
    return found


def check(folder: Path, acknowledged: Acknowledged) -> tuple[int, int]:
    """How many acknowledged rows are lost, and how many rows are wrong."""
    found = read_all(folder)
    lost = len(acknowledged - found.keys())
    return lost, sum(not np.array_equal(value, row(k)) for k, value in found.items())


@contextmanager
def watched(
    root: Path, before: Callable[[Step], None], after: Callable[[Step], None]
) -> Iterator[None]:
    """Call `before` and `after` each call that changes something under `root`."""
    names: dict[int, Path] = {}
    real = {name: getattr(os, name) for name in ("open", "write", "fsync", "close", "mkdir")}
    real |= {name: getattr(os, name) for name in ("replace", "unlink")}
    real["fsync"] = lambda descriptor: None  # of the real disk; it takes long

    def inside(path: Any) -> bool:
        return isinstance(path, (str, Path)) and Path(path).is_relative_to(root)

    def call(step: Step, *arguments: Any) -> Any:
        before(step)
        result = real[step[0]](*arguments)
        after(step)
        return result

    def open_(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if not inside(path):
            descriptor = real["open"](path, flags, *rest, **named)
            names.pop(descriptor, None)  # a file object may have closed it
            return descriptor
        step = ("open", Path(path)) if flags & os.O_CREAT else ("look", Path(path))
        before(step)
        descriptor = real["open"](path, flags, *rest, **named)
        after(step)
        names[descriptor] = Path(path)
        return descriptor

    def write(descriptor: int, data: Any) -> int:
        if descriptor not in names:
            return real["write"](descriptor, data)
        some = bytes(data[:3000])  # the kernel may always write less than it is given
        return call(("write", names[descriptor], some), descriptor, some)

    def fsync(descriptor: int) -> None:
        if descriptor in names:
            return call(("fsync", names[descriptor]), descriptor)
        return real["fsync"](descriptor)

    def close(descriptor: int) -> None:
        names.pop(descriptor, None)
        real["close"](descriptor)

    def on_path(name: str) -> Callable[..., None]:
        def changed(*paths: Any, **named: Any) -> None:
            if inside(paths[0]):
                call(
                    (name, *map(Path, paths[:2])) if name == "replace" else (name, Path(paths[0])),
                    *paths,
                )
            else:
                real[name](*paths, **named)

        return changed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", open_)
        patch.setattr(os, "write", write)
        patch.setattr(os, "fsync", fsync)
        patch.setattr(os, "close", close)
        for name in ("mkdir", "replace", "unlink"):
            patch.setattr(os, name, on_path(name))
        yield


def ignore(step: Step) -> None:
    """No more is asked of this side of a call."""


# Power cuts


@dataclass(eq=False)
class Node:
    """A file or folder of a simulated disk: what the system sees, and what is safe on the disk."""

    data: bytes = b""
    safe_data: bytes | None = None
    entries: dict[str, Node] | None = None
    safe_entries: dict[str, Node] = field(default_factory=dict)


class Disk:
    """A disk that keeps only what was synced: POSIX promises no more.

    File data outlives a cut after an fsync of the file; a name (made, renamed or removed) after an
    fsync of its folder. Anything else may be there, in part, or not.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.top = Node(entries={})

    def find(self, path: Path) -> Node:
        node = self.top
        for name in path.relative_to(self.root).parts:
            assert node.entries is not None
            node = node.entries[name]
        return node

    def entries(self, path: Path) -> dict[str, Node]:
        entries = self.find(path).entries
        assert entries is not None
        return entries

    def apply(self, step: Step) -> None:
        name, path, *rest = step
        if name == "open":
            self.entries(path.parent)[path.name] = Node()
        elif name == "mkdir":
            self.entries(path.parent)[path.name] = Node(entries={})
        elif name == "write":
            self.find(path).data += rest[0]
        elif name == "fsync":
            node = self.find(path)
            node.safe_data, node.safe_entries = node.data, dict(node.entries or {})
        elif name == "replace":
            self.entries(rest[0].parent)[rest[0].name] = self.entries(path.parent).pop(path.name)
        elif name == "unlink":
            del self.entries(path.parent)[path.name]

    def cut(self, target: Path, dice: random.Random, kept: float) -> None:
        """Write to `target` what is left after a cut, if each unsafe change was kept with a chance."""
        self._cut(self.top, target, dice, kept)

    def _cut(self, node: Node, target: Path, dice: random.Random, kept: float) -> None:
        if node.entries is None:
            target.write_bytes(self._left_of(node, dice, kept))
            return
        target.mkdir()
        for name in sorted(node.entries.keys() | node.safe_entries.keys()):
            now, safe = node.entries.get(name), node.safe_entries.get(name)
            child = now if dice.random() < kept else safe
            if child is not None:
                self._cut(child, target / name, dice, kept)

    def _left_of(self, node: Node, dice: random.Random, kept: float) -> bytes:
        if node.data == node.safe_data or kept == 1:
            return node.data
        if dice.random() < kept:
            part = dice.randrange(len(node.data) + 1)
            return node.data[:part] + bytes(dice.choice([0, len(node.data) - part]))
        return node.safe_data or b""


def record(folder: Path) -> tuple[list[Step], list[tuple[int, Acknowledged]]]:
    """Run the scenario: its steps, and after how many of them which rows were acknowledged."""
    steps: list[Step] = []
    promises: list[tuple[int, Acknowledged]] = []

    def note(step: Step) -> None:
        # Leases are advisory: nothing depends on them, and they are written without syncs.
        if step[0] != "look" and "claims" not in step[1].parts:
            steps.append(step)

    with watched(folder.parent, ignore, note):
        scenario(folder, lambda keys: promises.append((len(steps), keys)))
    return steps, promises


def test_the_recording_is_complete(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    steps, _ = record(tmp_path / "real" / "cache")
    disk = Disk(tmp_path / "real")
    for step in steps:
        disk.apply(step)
    disk.cut(tmp_path / "replayed", random.Random(0), kept=1)

    def files(root: Path) -> dict[str, bytes]:
        found = {str(p.relative_to(root)): p for p in root.rglob("*") if p.is_file()}
        return {name: p.read_bytes() for name, p in found.items() if "claims" not in name}

    assert files(tmp_path / "replayed") == files(tmp_path / "real")
    assert len(steps) > 100


def test_nothing_acknowledged_is_lost_in_a_power_cut(
    tmp_path: Path, fault_counts: dict[str, int], tally: Callable[[str], None]
) -> None:
    (tmp_path / "real").mkdir()
    steps, promises = record(tmp_path / "real" / "cache")
    dice = random.Random(0)
    states = lost = wrong = turn = 0
    while states < fault_counts["states"]:
        disk = Disk(tmp_path / "real")
        disk.top.safe_entries = {}
        for done, step in enumerate([None, *steps]):
            if step is not None:
                disk.apply(step)
            # After each step; of what was not synced nothing is left, all, or some: in turn.
            kept = (0.0, 1.0, dice.uniform(0.1, 0.9))[(done + turn) % 3]
            acknowledged = set().union(*(keys for at, keys in promises if at <= done))
            state = tmp_path / "state"
            disk.cut(state, dice, kept)
            states += 1
            found = check(state / "cache", acknowledged)
            lost, wrong = lost + found[0], wrong + found[1]
            # And the work goes on from there.
            append(EmbeddingCache(state / "cache").make(STANDS_FOR), "after")
            found = check(state / "cache", acknowledged | {key("after")})
            lost, wrong = lost + found[0], wrong + found[1]
            shutil.rmtree(state)
        turn += 1
    tally(f"power cut (simulated): {states} states, {lost} acknowledged rows lost, {wrong} wrong")
    assert (lost, wrong) == (0, 0)


def test_a_disk_that_forgets_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation finds what it is for: without the sync of the folder, rows are lost."""
    for module in ("utils.files", "cache.folder"):
        monkeypatch.setattr(f"hybrid.{module}.sync", lambda path: None)
    (tmp_path / "real").mkdir()
    steps, promises = record(tmp_path / "real" / "cache")
    disk = Disk(tmp_path / "real")
    for step in steps:
        disk.apply(step)
    disk.cut(tmp_path / "state", random.Random(0), kept=0)
    lost, _ = check(tmp_path / "state" / "cache", set().union(*(keys for _, keys in promises)))
    assert lost == 9


# A disk that refuses


CODES = (errno.EIO, errno.ENOSPC, errno.EINTR)
Refused = set[tuple[str, int]]  # kind of call, error


def refuse(folder: Path, at: int, turn: int, refused: Refused) -> tuple[bool, bool]:
    """Run the scenario on a disk that refuses one call; whether it came so far, and ended in an error.

    Of the calls of one kind the first is refused with one error, the second with the next, and so on; in
    the next turn each with another one.
    """
    calls: Counter[str] = Counter()
    acknowledged: Acknowledged = set()
    reason = ""

    def count(step: Step) -> None:
        nonlocal reason
        calls[step[0]] += 1
        if calls.total() == at:
            code = CODES[(calls[step[0]] + turn) % len(CODES)]
            refused.add((step[0], code))
            reason = os.strerror(code)
            raise OSError(code, reason, str(step[1]))

    message = ""
    try:
        with watched(folder, count, ignore), warnings.catch_warnings(record=True) as told:
            # A store that cannot be read is told, and the others are looked after.
            warnings.filterwarnings("always", ".*expected a readable config.json")
            scenario(folder / "cache", acknowledged.update)
        message = "".join(str(one.message) for one in told)
    except CacheError as error:
        message = str(error)
    assert not message or (reason and reason in message)
    left = [path for path in folder.rglob(".tmp-*") if "claims" not in path.parts]
    assert not left, f"call {at} left {left}"
    assert check(folder / "cache", acknowledged) == (0, 0)
    return calls.total() >= at, bool(message)


def go_on(cache: Path, whole: bool) -> None:
    """Work with a cache once the disk is well again: the scenario, or in short what it comes to."""
    if whole:
        scenario(cache, lambda keys: None)
        return
    store = EmbeddingCache(cache).make(STANDS_FOR)
    append(store, *range(1, 10))
    compact(store)
    collect(EmbeddingCache(cache))


def test_every_call_may_fail(
    tmp_path: Path, fault_counts: dict[str, int], tally: Callable[[str], None]
) -> None:
    refused: Refused = set()
    turns = fault_counts["refusals"]
    for turn in range(turns):
        at, errors, reached = 0, 0, True
        while reached:
            at += 1
            folder = tmp_path / str(at)
            folder.mkdir()
            reached, failed = refuse(folder, at, turn, refused)
            errors += failed
            go_on(folder / "cache", whole=turns > 1 or at % 4 == 0)
            assert check(folder / "cache", {key(name) for name in range(1, 10)}) == (0, 0)
            shutil.rmtree(folder)
        tally(
            f"refused: each of {at - 1} calls, turn {turn + 1}: {errors} clean errors, 0 rows lost"
        )
        assert errors > 50
    kinds = {"open", "look", "write", "fsync", "mkdir", "replace", "unlink"}
    assert refused == {(kind, code) for kind in kinds for code in CODES}
