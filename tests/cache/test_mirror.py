"""The mirror of a cache at a URL; a folder stands for the URL. Against an S3 server: tests/remote."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import hybrid.cache.store
from hybrid.cache import EmbeddingCache, EmbeddingStore, compact, remote
from hybrid.cache.gc import collect
from hybrid.cache.verify import verify
from hybrid.errors import CacheError
from hybrid.remote.errors import RemoteError, RemoteFileError
from hybrid.utils.local_copy import local_copy
from hybrid.utils.read_only import read_only

URL = "s3://bucket/cache"
FIELDS = {"architecture": "test", "dimension": 4, "dtype": "float32"}


class PowerCutError(BaseException):
    """The process ends here."""


class Bucket:
    """Stands for `hybrid.remote.folder.RemoteFolder`.

    Attributes
    ----------
    before, after : callable
        Called with the method and the name of the file; what they raise comes before, or after, it was done.
    """

    def __init__(self, folder: Path) -> None:
        self.url, self.folder, self.is_read_only = URL, folder, False
        self.asked: list[tuple[str, str]] = []
        self.before: Callable[[str, str], None] = lambda *_: None
        self.after: Callable[[str, str], None] = lambda *_: None

    def url_of(self, name: str) -> str:
        return f"{URL}/{name}"

    def __getattr__(self, method: str) -> Any:
        act = getattr(type(self), "do_" + method)

        def call(name: str = "", *rest: Any) -> Any:
            self.asked.append((method, name))
            self.before(method, name)
            found = act(self, name, *rest)
            self.after(method, name)
            return found

        return call

    def do_list(self, folder: str) -> dict[str, int | None]:
        return {name: len(data) for name, data in files(self.folder, folder).items()}

    def do_read(self, name: str) -> bytes | None:
        path = self.folder / name
        return path.read_bytes() if path.exists() else None

    def do_write(self, name: str, data: bytes) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(data)

    def do_create(self, name: str, data: bytes) -> None:
        if (self.folder / name).exists():
            raise FileExistsError(name)
        self.do_write(name, data)

    def do_remove(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)


def files(folder: Path, under: str = "") -> dict[str, bytes]:
    paths = sorted(path for path in (folder / under).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


class Machine:
    """One of the machines that use the cache; `start` starts a process on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self) -> EmbeddingCache:
        os.environ["HYBRID_REMOTE"] = str(self.folder)
        remote._mirrors.pop(local_copy(URL), None)
        return EmbeddingCache(URL)

    def store(self) -> EmbeddingStore:
        return self.start().make(FIELDS)


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setenv("HYBRID_REMOTE", "set by Machine")
    found = Bucket(tmp_path / "bucket")
    monkeypatch.setattr(remote, "RemoteFolder", lambda url: found)
    yield found
    remote._mirrors.clear()


@pytest.fixture
def here(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "there")


def keys(*numbers: int) -> list[bytes]:
    return [hashlib.sha256(b"%d" % n).digest() for n in numbers]


def rows(*numbers: int) -> np.ndarray:
    return np.array([[n, n / 3, n / 7, 1] for n in numbers], dtype=np.float32)


def append(store: EmbeddingStore, *numbers: int) -> None:
    store.append(keys(*numbers), rows(*numbers))


def lost(store: EmbeddingStore, *numbers: int) -> list[int]:
    """Numbers whose rows the store lacks, or has otherwise."""
    found = store.read(keys(*numbers))
    return [n for n, row in zip(numbers, found, strict=True) if row.tobytes() != rows(n).tobytes()]


def fill(store: EmbeddingStore) -> None:
    append(store, 1, 2)
    append(store, 3)
    store.append_failures({keys(9)[0]: "too small"})
    assert compact(store)


def test_the_bucket_holds_what_a_local_cache_does(
    bucket: Bucket, here: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hybrid.cache.store.time, "time", lambda: 5.0)
    store = EmbeddingCache(tmp_path / "local").make(FIELDS)
    fill(store)
    fill(here.store())
    there = files(bucket.folder)
    assert there == files(tmp_path / "local")
    assert len(there) == 2 + 3 + 1 + 3  # FORMAT, config; parts; failures; a generation
    (mirror,) = here.folder.iterdir()
    assert {n: data for n, data in files(mirror).items() if "outbox" not in n} == there


def test_another_machine_has_every_row_and_fetches_no_file_twice(
    bucket: Bucket, here: Machine, there: Machine
) -> None:
    fill(here.store())
    other = there.store()
    assert (len(other), lost(other, 1, 2, 3), other.failures()) == (
        3,
        [],
        {keys(9)[0]: "too small"},
    )
    append(other, 4)
    bucket.asked.clear()
    store = here.store()
    assert lost(store, 1, 2, 3, 4) == []
    assert [name.split("/")[1] for method, name in bucket.asked if method == "read"] == [
        "CURRENT",
        "parts",
    ]
    assert store.cache == other.cache == URL


def test_a_store_reads_again_what_others_sent_meanwhile(
    bucket: Bucket, here: Machine, there: Machine
) -> None:
    store = here.store()
    append(store, 1)
    append(there.store(), 2)
    store.refresh()  # a listing of a moment ago counts
    assert len(store) == 1
    store.refresh(max_age=0.0)
    assert lost(store, 1, 2) == []


def test_a_worker_that_only_appends_fetches_no_rows(
    bucket: Bucket, here: Machine, there: Machine
) -> None:
    store = here.store()
    fill(store)
    cache = there.start()
    bucket.asked.clear()
    worker = cache.find(store.fingerprint, only_append=True)
    append(worker, 7)
    worker.refresh(max_age=0.0)
    assert [(method, name.split("/")[1]) for method, name in bucket.asked] == [("write", "parts")]
    assert lost(here.store(), 1, 2, 3, 7) == []
    assert lost(there.store(), 1, 2, 3, 7) == []  # the rest is fetched once it is asked for


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_cannot_be_sent_waits_and_is_sent_by_the_next_process(
    bucket: Bucket, here: Machine, there: Machine, when: str
) -> None:
    store = here.store()
    append(store, 1)

    def away(method: str, name: str) -> None:
        raise RemoteError("the server is away")

    setattr(bucket, when, away)
    with pytest.raises(RemoteError, match="the server is away"):
        append(store, 2, 3)
    with pytest.raises(RemoteError, match="the server is away"):
        store.append_failures({keys(9)[0]: "too small"})
    setattr(bucket, when, lambda *_: None)
    with read_only():
        assert len(here.start().find(store.fingerprint)) in (1, 3)  # nothing is sent
    here.start()
    other = there.store()
    assert lost(other, 1, 2, 3) == []
    assert other.failures() == {keys(9)[0]: "too small"}
    (mirror,) = here.folder.iterdir()
    assert not [path for path in (mirror / "outbox").rglob("*") if path.is_file()]


def test_what_was_damaged_in_the_outbox_is_not_sent(bucket: Bucket, here: Machine) -> None:
    store = here.store()
    append(store, 1)

    def away(method: str, name: str) -> None:
        raise RemoteError("away")

    bucket.before = away
    with pytest.raises(RemoteError):
        append(store, 2)
    bucket.before = lambda *_: None
    (mirror,) = here.folder.iterdir()
    (waiting,) = (mirror / "outbox").rglob("part-*")
    waiting.write_bytes(waiting.read_bytes()[:-1])
    with pytest.warns(UserWarning, match="was damaged before it was sent"):
        assert len(here.store()) == 1
    assert not (bucket.folder / store.fingerprint / "parts" / waiting.name).exists()
    assert (mirror / "quarantine" / waiting.name).exists()


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_call_of_the_server_no_acknowledged_row_is_lost(
    bucket: Bucket, tmp_path: Path, when: str
) -> None:
    for cut in range(100):
        bucket.folder = tmp_path / f"bucket {cut}"
        here, there = Machine(tmp_path / f"here {cut}"), Machine(tmp_path / f"there {cut}")
        calls = iter(range(1000))

        def end(method: str, name: str, cut: int = cut, calls: Iterator[int] = calls) -> None:
            if next(calls) == cut:
                raise PowerCutError

        safe: list[int] = []
        setattr(bucket, when, end)
        try:
            store = here.store()
            for n in range(3):
                append(store, n)
                safe.append(n)
            compact(store)
            collect(here.start())
            whole = True
        except PowerCutError:
            whole = False
        setattr(bucket, when, lambda *_: None)
        for machine in (there, here, there):
            assert lost(machine.store(), *safe) == []
            assert verify(machine.start(), deep=True).problems == ()
        if whole:
            break
    assert cut >= 20


def test_a_reader_goes_on_while_another_machine_compacts_and_collects(
    bucket: Bucket, here: Machine, there: Machine
) -> None:
    store = here.store()
    for n in range(10):
        append(store, n)
    reader = there.store()
    assert len(reader) == 10
    assert compact(here.store())
    removed = {Path(garbage.path).name for garbage in collect(here.start())}
    assert len(removed) == 10
    assert not removed & {path.name for path in bucket.folder.rglob("*")}
    assert lost(reader, *range(10)) == []  # of what it has
    reader = there.store()
    assert lost(reader, *range(10)) == []  # of what there is now
    assert not removed & {path.name for path in reader.folder.rglob("*")}
    assert len(reader.view.in_snapshot) == 1


def once(bucket: Bucket, when: str, method: str, act: Callable[[], None]) -> None:
    """Act at the next call of a method for a store."""

    def call(called: str, name: str) -> None:
        if called == method and name:
            setattr(bucket, when, lambda *_: None)
            act()

    setattr(bucket, when, call)


def test_a_snapshot_that_is_replaced_while_it_is_fetched_is_fetched_anew(
    bucket: Bucket, here: Machine, there: Machine
) -> None:
    store = here.store()
    fill(store)
    append(store, 4)

    def compact_and_collect() -> None:
        assert compact(store)
        collect(here.start())

    once(bucket, "before", "list", compact_and_collect)
    reader = there.store()
    assert lost(reader, 1, 2, 3, 4) == []  # a snapshot that lacks its files would be a warning
    assert reader.view.parts == reader.view.in_snapshot


def test_what_another_process_of_this_machine_sends_meanwhile_is_not_taken_for_removed(
    bucket: Bucket, here: Machine
) -> None:
    store = here.store()
    append(store, 1)
    once(bucket, "after", "list", lambda: append(here.store(), 2))
    reader = here.store()
    assert lost(reader, 1) == []
    assert len(list(here.folder.rglob("part-*"))) == 2
    assert lost(here.store(), 1, 2) == []


def test_two_machines_that_compact_at_once_lose_nothing(
    bucket: Bucket, here: Machine, there: Machine
) -> None:
    store = here.store()
    for n in range(10):
        append(store, n)
    faster = there.store()
    append(faster, 10)
    slower = here.store()

    def compact_there(method: str, name: str) -> None:
        if method == "create":
            bucket.before = lambda *_: None
            assert compact(faster)

    bucket.before = compact_there
    assert not compact(slower)
    for machine in (here, there):
        assert lost(machine.store(), *range(11)) == []
        assert verify(machine.start(), deep=True).problems == ()


def test_an_object_that_was_damaged_at_the_url_goes_to_quarantine_there(
    bucket: Bucket, here: Machine, there: Machine
) -> None:
    store = here.store()
    append(store, 1)
    append(store, 2)
    (part,) = (p for p in bucket.folder.rglob("part-*") if keys(2)[0] in p.read_bytes())
    part.write_bytes(part.read_bytes()[::-1])
    ((url, problem),) = verify(here.start(), deep=True).problems
    assert url == f"{URL}/{part.relative_to(bucket.folder)}"
    assert "differs" in problem
    with read_only(), pytest.warns(UserWarning, match=r"damaged \(its hash is wrong\)"):
        assert len(there.start().find(store.fingerprint)) == 1
    assert part.exists()
    (copy,) = there.folder.rglob(part.name)
    copy.unlink()
    other = there.store()
    with pytest.warns(UserWarning, match="is now in quarantine"):
        assert len(other) == 1
    assert not part.exists()
    assert (part.parents[1] / "quarantine" / part.name).exists()
    append(other, 2)  # as extract does
    assert lost(here.store(), 1, 2) == []
    assert [Path(g.path).name for g in collect(there.start())] == [part.name]
    assert not (part.parents[1] / "quarantine" / part.name).exists()


def test_verification_and_gc_look_at_all_that_is_at_the_url(
    bucket: Bucket, here: Machine, there: Machine, tmp_path: Path
) -> None:
    fill(here.store())
    found = verify(there.start())
    assert (found.parts, found.embeddings, found.failures) == (3, 3, 1)
    removed = collect(Machine(tmp_path / "elsewhere").start())
    assert [Path(garbage.path).name[:5] for garbage in removed] == ["part-"] * 2
    assert len(list(bucket.folder.rglob("part-*"))) == 1
    (part,) = bucket.folder.rglob("part-*")
    part.write_bytes(part.read_bytes()[::-1])
    ((_, problem),) = verify(Machine(tmp_path / "new").start()).problems
    assert problem == "its hash is wrong"


def test_bytes_that_change_on_their_way_are_read_again(
    bucket: Bucket, here: Machine, there: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(here.store(), 1)
    read, seen = Bucket.do_read, set()

    def disturbed(self: Bucket, name: str) -> bytes | None:
        data = read(self, name)
        first = name not in seen
        seen.add(name)
        return data[:-1] if data and first and "parts" in name else data

    monkeypatch.setattr(Bucket, "do_read", disturbed)
    assert lost(there.store(), 1) == []


def test_a_copy_that_is_damaged_here_is_fetched_again(bucket: Bucket, here: Machine) -> None:
    append(here.store(), 1)
    (part,) = here.folder.rglob("part-*")
    part.write_bytes(part.read_bytes()[::-1])
    with pytest.warns(UserWarning, match="is now in quarantine"):
        assert len(here.store()) == 0
    assert lost(here.store(), 1) == []
    part.write_bytes(part.read_bytes()[:-1])
    assert lost(here.store(), 1) == []


def test_a_cache_that_is_gone_or_another_one_leaves_the_mirror_alone(
    bucket: Bucket, here: Machine, tmp_path: Path
) -> None:
    append(here.store(), 1)
    before = files(here.folder)
    bucket.folder = tmp_path / "elsewhere"
    with pytest.raises(CacheError, match=r"expected the cache that .* mirrors, found none"):
        here.start()
    assert files(here.folder) == before


def test_a_store_that_was_removed_at_the_url_is_gone(bucket: Bucket, here: Machine) -> None:
    store = here.store()
    append(store, 1)
    other = here.start().make({**FIELDS, "architecture": "other"})
    for path in (bucket.folder / store.fingerprint).rglob("*"):
        if path.is_file():
            path.unlink()
    assert [found.fingerprint for found in here.start().stores()] == [other.fingerprint]


def test_names_that_are_not_of_the_format_are_not_touched(
    bucket: Bucket, here: Machine, tmp_path: Path
) -> None:
    store = here.store()
    for name in ("../outside", "notes.txt", f"{store.fingerprint}/claims/a.claim", "memo/keys"):
        bucket.do_write(name, b"something")
    append(here.store(), 1)
    (mirror,) = here.folder.iterdir()
    assert not (mirror.parent / "outside").exists()
    assert not {"notes.txt", "memo"} & {path.name for path in mirror.iterdir()}
    assert (bucket.folder / "notes.txt").read_bytes() == b"something"


def test_a_cache_that_can_only_be_read_is_read(
    bucket: Bucket, here: Machine, there: Machine
) -> None:
    append(here.store(), 1)
    bucket.is_read_only = True
    store = there.store()
    assert lost(store, 1) == []
    with pytest.raises(CacheError, match="which can only be read"):
        append(store, 2)
    with pytest.raises(CacheError, match=r"--cache: .* which can only be read"):
        remote.check_takes_rows(URL)


def test_a_full_disk_here_is_told_and_nothing_is_lost(
    bucket: Bucket, here: Machine, there: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = here.store()
    append(store, 1)
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(CacheError, match=r"No space left on device\. 1 embedding is safe"):
        append(store, 2)
    with pytest.raises(CacheError, match=r"the mirror .*No space left"):
        there.store()
    monkeypatch.setattr(os, "write", write)
    append(store, 3)
    assert lost(there.store(), 1, 3) == []


def test_what_the_server_refuses_is_told_and_kept(
    bucket: Bucket, here: Machine, there: Machine
) -> None:
    store = here.store()
    append(store, 1)

    def refuse(method: str, name: str) -> None:
        raise RemoteFileError(
            errno.EACCES, "the server refuses it (Forbidden)", bucket.url_of(name)
        )

    bucket.before = refuse
    with pytest.raises(CacheError, match=r"cache cannot be used: .*part-.*Forbidden.*kept in"):
        append(store, 2)
    with pytest.raises(CacheError, match=r"cache cannot be used: .*Forbidden"):
        there.start()
    bucket.before = lambda *_: None
    here.start()
    assert lost(there.store(), 1, 2) == []


def test_without_a_url_no_mirror_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYBRID_REMOTE", str(tmp_path / "mirrors"))
    append(EmbeddingCache(tmp_path / "cache").make(FIELDS), 1)
    assert not remote._mirrors
    assert not (tmp_path / "mirrors").exists()


class TwoMachines(RuleBasedStateMachine):
    """Whatever two machines do, in whatever order, each acknowledged row is at the URL, as it was written."""

    numbers = st.lists(st.integers(0, 30), min_size=1, max_size=4, unique=True)
    which = st.sampled_from([0, 1])

    def __init__(self) -> None:
        super().__init__()
        self._patch = pytest.MonkeyPatch()
        self._folder = tempfile.TemporaryDirectory(
            dir="/dev/shm" if Path("/dev/shm").is_dir() else None
        )
        folder = Path(self._folder.name)
        self.bucket = Bucket(folder / "bucket")
        self._patch.setattr(remote, "RemoteFolder", lambda url: self.bucket)
        self._patch.setenv("HYBRID_REMOTE", "set by Machine")
        self.machines = [Machine(folder / name) for name in "012"]
        self.stores = [machine.store() for machine in self.machines]
        self.safe: set[int] = set()

    def teardown(self) -> None:
        remote._mirrors.clear()
        self._patch.undo()
        self._folder.cleanup()

    @rule(which=which, numbers=numbers)
    def append(self, which: int, numbers: list[int]) -> None:
        append(self.stores[which], *numbers)
        self.safe.update(numbers)

    @rule(which=which, numbers=numbers, when=st.sampled_from(["before", "after"]))
    def fail(self, which: int, numbers: list[int], when: str) -> None:
        def away(method: str, name: str) -> None:
            raise RemoteError("away")

        setattr(self.bucket, when, away)
        with contextlib.suppress(RemoteError):
            append(self.stores[which], *numbers)
            self.safe.update(numbers)  # it has them all
        setattr(self.bucket, when, lambda *_: None)

    @rule(which=which)
    def restart(self, which: int) -> None:
        self.stores[which] = self.machines[which].store()

    @rule(which=which, max_age=st.sampled_from([0.0, 1000.0]))
    def refresh(self, which: int, max_age: float) -> None:
        self.stores[which].refresh(max_age)

    @rule(which=which)
    def compact(self, which: int) -> None:
        compact(self.stores[which])

    @rule(which=which)
    def collect(self, which: int) -> None:
        self.stores[which] = self.machines[which].store()
        collect(self.machines[which].start())

    @rule(which=which)
    def read(self, which: int) -> None:
        store = self.stores[which]
        mine = [n for n in self.safe if store.has(keys(n))[0]]
        assert lost(store, *mine) == []

    @invariant()
    def nothing_is_lost(self) -> None:
        assert lost(self.machines[2].store(), *self.safe) == []


def test_two_machines_lose_nothing_whatever_they_do(
    fault_counts: dict[str, int], tally: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: None
    )  # takes long, and nobody pulls the plug
    n = fault_counts["machines"]
    run_state_machine_as_test(
        TwoMachines, settings=settings(max_examples=n, stateful_step_count=12, deadline=None)
    )
    tally(f"two machines, a cache at a URL: {n} sequences of up to 12 steps, 0 rows lost")
