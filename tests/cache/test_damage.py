"""Damaged and hostile files: all are noticed, none is used, and what they held is computed again."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import random
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from hybrid.cache import EmbeddingCache, EmbeddingStore, compact, contents
from hybrid.cache.gc import collect
from hybrid.cache.generations import Generation, write_generation
from hybrid.cache.parts import Layout, pack_part
from hybrid.cache.verified_files import MAX_PART_BYTES, forget_hashes
from hybrid.cache.verify import verify
from hybrid.errors import CacheError
from hybrid.utils.key_index import Index

STANDS_FOR = {"architecture": "test", "dimension": 8, "dtype": "float16"}
KEYS = [hashlib.sha256(bytes([i])).digest() for i in range(40)]


def rows(keys: list[bytes]) -> NDArray[np.float32]:
    return np.stack([np.frombuffer(key[:8], dtype=np.uint8) for key in keys]).astype(np.float32)


def make(folder: Path) -> EmbeddingStore:
    return EmbeddingCache(folder).make(STANDS_FOR)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with a snapshot, parts outside it, superseded parts and failures."""
    folder = tmp_path_factory.mktemp("sound") / "cache"
    store = make(folder)
    for start in range(0, 24, 6):
        store.append(KEYS[start : start + 6], rows(KEYS[start : start + 6]))
    assert compact(store)
    for start in range(24, 40, 8):
        store.append(KEYS[start : start + 8], rows(KEYS[start : start + 8]))
    store.append_failures({b"\1" * 32: "too small"})
    return folder


# Damage


def flip(data: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << dice.randrange(8))]) + data[at + 1 :]


def zero(data: bytes, dice: random.Random) -> bytes:
    nonzero = [i for i, byte in enumerate(data) if byte]
    at = dice.choice(nonzero)
    end = min(len(data), at + dice.randrange(1, 4096))
    return data[:at] + bytes(end - at) + data[end:]


def truncate(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data))]


def lengthen(data: bytes, dice: random.Random) -> bytes:
    return data + bytes(dice.randrange(1, 100))


DAMAGES = (flip, zero, truncate, lengthen)


def test_every_damage_is_noticed_and_mended(
    sound: Path, tmp_path: Path, fault_counts: dict[str, int], tally: Callable[[str], None]
) -> None:
    dice = random.Random(0)
    files = [p.relative_to(sound) for p in sorted(sound.rglob("*")) if p.is_file()]
    files = [file for file in files if "claims" not in file.parts]
    parts = [file for file in files if file.name.startswith("part-")]
    # Each damage to each file at least once.
    kinds = [*itertools.product(DAMAGES, files), *((None, part) for part in parts)]
    assert len(kinds) <= fault_counts["damages"]
    trials = noticed = mended = 0
    for damage, file in itertools.islice(itertools.cycle(kinds), fault_counts["damages"]):
        trials += 1
        cache = tmp_path / "cache"
        shutil.copytree(sound, cache)
        victims = [cache / file]
        before = victims[0].read_bytes()
        if damage is None:  # swapped with another part
            victims.append(cache / dice.choice([part for part in parts if part != file]))
            victims[0].write_bytes(victims[1].read_bytes())
            victims[1].write_bytes(before)
        else:
            victims[0].write_bytes(damage(before, dice))
        noticed += notices(cache, victims)
        mended += is_mended(cache)
        shutil.rmtree(cache)
    tally(
        f"damage: {trials} files flipped, zeroed, cut or swapped: {noticed} noticed, {mended} mended"
    )
    assert (noticed, mended) == (trials, trials)


def notices(cache: Path, victims: list[Path]) -> bool:
    """Whether `verify` names each damaged file, or the cache is refused because of it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a damaged marker is told when the cache is opened
            problems = verify(EmbeddingCache(cache)).problems
    except CacheError as error:
        return str(victims[0]) in str(error)
    named = {Path(path) for path, _ in problems}
    in_gen = [v for v in victims if v.parent.name == "gen"]
    return all(v in named for v in victims if v not in in_gen) and (
        not in_gen or any(path.name == "CURRENT" for path in named)
    )


def is_mended(cache: Path) -> bool:
    """Whether all rows are right again once what is missing was computed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = make(cache)
        store.verify(KEYS)
        found = store.read(KEYS)
        there = store.has(KEYS)
        if not np.array_equal(found[there], rows(KEYS)[there]) or not np.isnan(found[~there]).all():
            return False
        lacking = [key for key, known in zip(KEYS, there.tolist(), strict=True) if not known]
        if lacking:
            store.append(lacking, rows(lacking))
        compact(store)
        collect(EmbeddingCache(cache))  # damaged files that were superseded, or replaced
    problems = verify(EmbeddingCache(cache), deep=True).problems
    return not problems and np.array_equal(make(cache).read(KEYS), rows(KEYS))


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)


def test_a_part_that_is_damaged_while_it_is_in_use(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "cache")
    store = make(tmp_path / "cache")
    assert len(store) == 40  # the snapshot says so; its part was not read yet
    (part,) = store.view.in_snapshot
    spoil(store.contents.part_path(part))
    with pytest.warns(UserWarning, match=f"{part} .* is now in quarantine"):
        found = store.read(KEYS)
    # The four parts from before the compaction are still there, and count again.
    np.testing.assert_array_equal(found, rows(KEYS))
    compact(store)
    collect(EmbeddingCache(tmp_path / "cache"))
    np.testing.assert_array_equal(make(tmp_path / "cache").read(KEYS), rows(KEYS))


def test_rows_that_are_lost_while_they_are_read_are_an_error(tmp_path: Path) -> None:
    make(tmp_path).append(KEYS[:4], rows(KEYS[:4]))
    store = make(tmp_path)
    compact(store)
    store = make(tmp_path)
    assert store.has(KEYS[:4]).all()
    (part,) = store.view.parts
    spoil(store.contents.part_path(part))
    with (
        pytest.warns(UserWarning, match="quarantine"),
        pytest.raises(CacheError, match=r"4 of the embeddings .* Run hybrid extract again"),
    ):
        store.read(KEYS)
    assert not store.has(KEYS).any()
    store.append(KEYS[:4], rows(KEYS[:4]))  # the same part, under the same name
    for opened in (store, make(tmp_path)):
        np.testing.assert_array_equal(opened.read(KEYS[:4]), rows(KEYS[:4]))


def test_a_wrong_snapshot_condemns_no_part(sound: Path, tmp_path: Path) -> None:
    """Its hash is right, but it says of a part what is not in it."""
    shutil.copytree(sound, tmp_path / "cache")
    store = make(tmp_path / "cache")
    old = store.contents.generation()
    assert old is not None
    turned = Index(old.index.parts, old.index.keys, old.index.part, old.index.row[::-1].copy())
    write_generation(store.folder, Generation(2, turned, old.superseded))
    ((path, problem),) = verify(EmbeddingCache(tmp_path / "cache")).problems
    assert Path(path).name == "CURRENT"
    assert problem.startswith("it is wrong about part-")
    for look in (
        lambda store: store.read(KEYS),
        lambda store: store.verify(KEYS) or store.read(KEYS),
    ):
        store = make(tmp_path / "cache")
        with pytest.warns(UserWarning, match="the snapshot of the last compaction is damaged"):
            np.testing.assert_array_equal(look(store), rows(KEYS))
    assert not (store.folder / "quarantine").exists()
    assert compact(store)
    assert verify(EmbeddingCache(tmp_path / "cache"), deep=True).problems == ()


def test_gc_removes_no_part_whose_rows_are_nowhere_else(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "cache")
    store = make(tmp_path / "cache")
    old = store.contents.generation()
    assert old is not None
    outside = store.view.parts - store.view.in_snapshot
    everything = tuple(sorted({*old.superseded, *outside}))
    write_generation(store.folder, Generation(2, old.index, everything))
    ((_, problem),) = verify(EmbeddingCache(tmp_path / "cache")).problems
    assert "it hides 8 rows of part-" in problem
    garbage = collect(EmbeddingCache(tmp_path / "cache"))
    assert {Path(g.path).name for g in garbage if "larger" in g.reason} == {*old.superseded}
    (store.folder / "CURRENT").unlink()
    np.testing.assert_array_equal(make(tmp_path / "cache").read(KEYS), rows(KEYS))


def test_a_compaction_never_writes_rows_that_vanished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make(tmp_path)
    for i in range(3):
        store.append(KEYS[i : i + 1], rows(KEYS[i : i + 1]))
    victim = store.contents.part_path(min(store.view.parts))

    def move_away(*_: object) -> list[str]:
        victim.rename(tmp_path / victim.name)  # as another process that found it damaged
        return sorted(store.view.parts)

    monkeypatch.setattr("hybrid.cache.compaction.small_parts", move_away)
    with pytest.raises(CacheError, match=r"Nothing is lost|(was|were) in a damaged part"):
        compact(store)
    found = make(tmp_path).read(KEYS[:3])
    assert np.isnan(found).any(axis=1).sum() == 1
    assert verify(EmbeddingCache(tmp_path), deep=True).problems == ()


def test_a_compaction_never_writes_what_is_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make(tmp_path)
    for i in range(2):
        store.append(KEYS[i : i + 1], rows(KEYS[i : i + 1]))
    before = sorted((store.folder / "parts").iterdir())
    nothing = np.full((2, 8), np.nan, np.float32)
    monkeypatch.setattr(EmbeddingStore, "read", lambda self, keys: nothing)
    with pytest.raises(CacheError, match=r"parts vanished during compaction\. Nothing is lost"):
        compact(store)
    assert sorted((store.folder / "parts").iterdir()) == before


def test_a_compaction_in_the_middle_of_a_look_hides_nothing(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(sound, tmp_path / "cache")
    other, real = make(tmp_path / "cache"), contents.read_generation
    compactions = [None]

    def after_a_compaction(store: Path) -> Generation | None:
        while compactions:
            compactions.pop()
            assert compact(other)
            collect(EmbeddingCache(tmp_path / "cache"))
        return real(store)

    monkeypatch.setattr(contents, "read_generation", after_a_compaction)
    store = make(tmp_path / "cache")
    assert store.has(KEYS).all()
    np.testing.assert_array_equal(store.read(KEYS), rows(KEYS))


def test_short_reads_are_gone_on_with(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may always give less than was asked for."""

    class Short(io.FileIO):
        def readinto(self, buffer: Any) -> int | None:
            return super().readinto(memoryview(buffer)[:777])

    monkeypatch.setattr(os, "fdopen", lambda fd, mode: io.BufferedReader(Short(fd, mode), 512))
    forget_hashes()
    np.testing.assert_array_equal(make(sound).read(KEYS), rows(KEYS))


def test_readers_in_threads_see_whole_views(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "cache")
    store, other = make(tmp_path / "cache"), make(tmp_path / "cache")
    stop = threading.Event()

    def read(_: int) -> int:
        wrong = 0
        while not stop.is_set():
            wrong += not np.array_equal(store.read(KEYS), rows(KEYS))
        return wrong

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read, i) for i in range(3)]
        try:
            for _ in range(25):
                store.refresh()
                store.contents.reload()
                compact(other)
                collect(EmbeddingCache(tmp_path / "cache"))
        finally:
            stop.set()
    assert [reader.result() for reader in readers] == [0, 0, 0]


def test_damage_that_cannot_be_moved_away_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path).append(KEYS[:4], rows(KEYS[:4]))
    store = make(tmp_path)
    compact(store)
    (part,) = store.view.parts
    spoil(store.contents.part_path(part))
    store = make(tmp_path)

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("hybrid.cache.quarantine.move", refuse)
    with pytest.warns(UserWarning, match="cannot be moved away .*; it is not used") as warned:
        store.verify(KEYS)
    assert not store.has(KEYS).any()
    store.refresh()
    assert len(warned) == 1
    store.append(KEYS[4:8], rows(KEYS[4:8]))
    assert store.has(KEYS[:8]).sum() == 4


def test_a_part_that_another_process_compacted_and_removed(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "cache")
    reader, other = make(tmp_path / "cache"), make(tmp_path / "cache")
    np.testing.assert_array_equal(reader.read(KEYS), rows(KEYS))
    assert compact(other)
    assert any(
        "larger part" in garbage.reason for garbage in collect(EmbeddingCache(tmp_path / "cache"))
    )
    np.testing.assert_array_equal(reader.read(KEYS), rows(KEYS))


def test_a_part_that_another_process_writes_again(sound: Path, tmp_path: Path) -> None:
    shutil.copytree(sound, tmp_path / "cache")
    store = make(tmp_path / "cache")
    store.read(KEYS)
    for path in (store.folder / "parts").iterdir():
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)
    np.testing.assert_array_equal(store.read(KEYS), rows(KEYS))


# Hostile files: the name carries the right hash, so they reach HDF5


def base(file: Any, **changes: Any) -> None:
    """A good part, but for what `changes` says; None leaves a data set out."""
    keys = np.frombuffer(b"".join(KEYS[:4]), np.uint8).reshape(4, 32)
    file.attrs["format"] = np.int64(1)
    file.attrs["fingerprint"] = np.bytes_(FINGERPRINT)
    made: dict[str, dict[str, Any]] = {
        "keys": {"data": keys},
        "embeddings": {
            "data": rows(KEYS[:4]).astype(np.float16),
            "chunks": (4, 8),
            "fletcher32": True,
        },
    }
    for name, options in made.items():
        if changes.get(name, {}) is not None:
            file.create_dataset(name, **{**options, **changes.get(name, {})})


FINGERPRINT = "f" * 64
Maker = Callable[[Any], None]


def without(name: str, then: Maker) -> Maker:
    def write(file: Any) -> None:
        base(file, **{name: None})
        then(file)

    return write


def changed(name: str, **options: Any) -> Maker:
    return lambda file: base(file, **{name: options})


def external_link(file: Any) -> None:
    file["embeddings"] = h5py.ExternalLink("/etc/hostname", "/embeddings")


def soft_link(file: Any) -> None:
    file["other"] = rows(KEYS[:4]).astype(np.float16)
    file["embeddings"] = h5py.SoftLink("/other")


def soft_loop(file: Any) -> None:
    file["embeddings"] = h5py.SoftLink("/loop")
    file["loop"] = h5py.SoftLink("/embeddings")


def hard_loop(file: Any) -> None:
    file.create_group("embeddings")["embeddings"] = file["/"]


def external_storage(file: Any) -> None:
    file.create_dataset("embeddings", (4, 8), "<f2", external=[("/etc/passwd", 0, 64)])


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((4, 8), "<f2")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4, 8), "<f2")
    file.create_virtual_dataset("embeddings", layout)


def virtual_keys(file: Any) -> None:
    layout = h5py.VirtualLayout((4, 32), "u1")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4, 32), "u1")
    file.create_virtual_dataset("keys", layout)


def huge(file: Any) -> None:
    file.create_dataset("embeddings", (2**40, 8), "<f2", chunks=(2**16, 8), fletcher32=True)


def huge_keys(file: Any) -> None:
    file.create_dataset("keys", (2**40, 32), "u1", chunks=(2**16, 32))


def huge_keys_in_one_piece(file: Any) -> None:
    """Never written, so the file is small, and all of them would be read as zeros."""
    file.create_dataset("keys", (2**34, 32), "u1")


def unwritten(file: Any) -> None:
    file.create_dataset("embeddings", (4, 8), "<f2", chunks=(4, 8), fletcher32=True)


def half_written(file: Any) -> None:
    made = file.create_dataset("embeddings", (4, 8), "<f2", chunks=(2, 8), fletcher32=True)
    made[:2] = 1


def raw_chunk(file: Any) -> None:
    """A chunk that skips the checksum filter."""
    made = file.create_dataset("embeddings", (4, 8), "<f2", chunks=(4, 8), fletcher32=True)
    made.id.write_direct_chunk((0, 0), bytes(64), filter_mask=1)


def references(file: Any) -> None:
    file.create_dataset("embeddings", (4, 8), h5py.ref_dtype)


def named_type(file: Any) -> None:
    file["embeddings"] = np.dtype("<f2")


def long_attribute(file: Any) -> None:
    base(file)
    del file.attrs["fingerprint"]
    file.attrs["fingerprint"] = np.bytes_("f" * 60_000)


def no_fingerprint(file: Any) -> None:
    base(file)
    del file.attrs["fingerprint"]


def other_fingerprint(file: Any) -> None:
    base(file)
    file.attrs["fingerprint"] = np.bytes_("0" * 64)


def number_as_fingerprint(file: Any) -> None:
    base(file)
    file.attrs["fingerprint"] = np.arange(8.0)


text = h5py.string_dtype()


def many_chunks(file: Any) -> None:
    """Finding the n-th of so many takes HDF5 n steps."""
    file.create_dataset("embeddings", (4, 8), "<f2", chunks=(1, 1), fletcher32=True)


def other_format(file: Any) -> None:
    base(file)
    file.attrs["format"] = np.int64(2)


HOSTILE: dict[str, Maker] = {
    "chunks never written": without("embeddings", many_chunks),
    "format 2": other_format,
    "external link": without("embeddings", external_link),
    "external link for keys": without(
        "keys", lambda file: file.__setitem__("keys", h5py.ExternalLink("/etc/passwd", "/x"))
    ),
    "soft link": without("embeddings", soft_link),
    "loop of soft links": without("embeddings", soft_loop),
    "loop of groups": without("embeddings", hard_loop),
    "dangling link": without(
        "embeddings", lambda file: file.__setitem__("embeddings", h5py.SoftLink("/nowhere"))
    ),
    "external storage": without("embeddings", external_storage),
    "external storage of keys": changed(
        "keys", external=[("/etc/passwd", 0, 128)], data=None, shape=(4, 32), dtype="u1"
    ),
    "virtual": without("embeddings", virtual),
    "virtual keys": without("keys", virtual_keys),
    "huge": without("embeddings", huge),
    "huge keys": without("keys", huge_keys),
    "huge keys in one piece": without("keys", huge_keys_in_one_piece),
    "never written": without("embeddings", unwritten),
    "half written": without("embeddings", half_written),
    "chunk without checksum": without("embeddings", raw_chunk),
    "references": without("embeddings", references),
    "a type": without("embeddings", named_type),
    "a group for keys": without("keys", lambda file: file.create_group("keys")),
    "no embeddings": without("embeddings", lambda file: None),
    "no keys": without("keys", lambda file: None),
    "empty": lambda file: None,
    "no rows": lambda file: base(
        file,
        keys={"data": np.zeros((0, 32), np.uint8)},
        embeddings={"data": np.zeros((0, 8), np.float16), "maxshape": (None, 8)},
    ),
    "float64": changed("embeddings", data=np.zeros((4, 8))),
    "float32": changed("embeddings", data=np.zeros((4, 8), np.float32)),
    "big-endian": changed("embeddings", data=np.zeros((4, 8), ">f2")),
    "integers": changed("embeddings", data=np.zeros((4, 8), np.int16)),
    "booleans for keys": changed("keys", data=np.zeros((4, 32), bool)),
    "text": changed("embeddings", data=np.full((4, 8), "x", object), dtype=text, fletcher32=False),
    "text for keys": changed("keys", data=np.full((4, 32), "x", object), dtype=text),
    "compound": changed("embeddings", data=np.zeros((4, 8), [("a", "<f2")])),
    "scalar": changed("embeddings", data=np.float16(1), chunks=None, fletcher32=False),
    "null": changed("embeddings", data=h5py.Empty("<f2"), chunks=None, fletcher32=False),
    "more dimensions": changed(
        "embeddings", data=np.zeros((4, 8, 1), np.float16), chunks=(4, 8, 1)
    ),
    "other dimension": changed("embeddings", data=np.zeros((4, 9), np.float16), chunks=(4, 9)),
    "fewer rows than keys": changed("embeddings", data=np.zeros((3, 8), np.float16), chunks=(3, 8)),
    "long keys": changed("keys", data=np.zeros((4, 33), np.uint8)),
    "no checksum": changed("embeddings", fletcher32=False),
    "not chunked": changed("embeddings", fletcher32=False, chunks=None),
    "compressed": changed("embeddings", compression="gzip"),
    "compressed keys": changed("keys", compression="gzip"),
    "shuffled": changed("embeddings", shuffle=True),
    "long attribute": long_attribute,
    "no fingerprint": no_fingerprint,
    "other fingerprint": other_fingerprint,
    "number as fingerprint": number_as_fingerprint,
}
GARBAGE = {
    "nothing": b"",
    "zeros": bytes(5000),
    "noise": random.Random(0).randbytes(5000),
    "signature and noise": b"\x89HDF\r\n\x1a\n" + random.Random(1).randbytes(5000),
    "text": b"<!DOCTYPE html>" * 100,
}


def pack(maker: Maker) -> bytes:
    with h5py.File("part", "w", driver="core", backing_store=False) as file:
        maker(file)
        file.flush()
        return bytes(file.id.get_file_image())


def plant(cache: Path, data: bytes) -> Path:
    """Put a file among the parts of a store with the fingerprint that hostile parts carry."""
    store = make(cache)
    data = data.replace(FINGERPRINT.encode(), store.fingerprint.encode())
    path = store.folder / "parts" / f"part-{hashlib.sha256(data).hexdigest()}.h5"
    path.write_bytes(data)
    return path


def test_the_base_of_the_hostile_files_is_a_good_part(tmp_path: Path) -> None:
    plant(tmp_path, pack(base))
    np.testing.assert_array_equal(make(tmp_path).read(KEYS[:4]), rows(KEYS[:4]))


@pytest.mark.parametrize("kind", [*HOSTILE, *GARBAGE])
def test_a_hostile_part_is_refused(kind: str, tmp_path: Path) -> None:
    path = plant(tmp_path, GARBAGE[kind] if kind in GARBAGE else pack(HOSTILE[kind]))
    assert [Path(name) for name, _ in verify(EmbeddingCache(tmp_path)).problems] == [path]
    store = make(tmp_path)
    with pytest.warns(UserWarning, match=r"was damaged .* is now in quarantine") as warned:
        assert len(store) == 0
    assert len(warned) == 1
    assert not path.exists()
    store.append(KEYS[:4], rows(KEYS[:4]))
    np.testing.assert_array_equal(make(tmp_path).read(KEYS[:4]), rows(KEYS[:4]))


def test_noise_in_a_good_part_never_crashes(tmp_path: Path) -> None:
    """Bytes changed at random and the name made right again: refused, or served as it says."""
    good = pack_part(
        Layout(make(tmp_path).fingerprint, 8, "float16"),
        np.frombuffer(b"".join(KEYS[:4]), np.uint8).reshape(4, 32),
        rows(KEYS[:4]).astype(np.float16),
    )
    (tmp_path / "good").write_bytes(good)
    code = (
        "import hashlib, pathlib, random, resource, sys, warnings\n"
        "from hybrid.cache import EmbeddingCache\n"
        "resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30,) * 2)\n"
        "warnings.simplefilter('ignore')\n"
        "root, good = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[1], 'good').read_bytes()\n"
        "dice = random.Random(0)\n"
        "for i in range(1000):\n"
        "    data = bytearray(good)\n"
        "    for _ in range(dice.randrange(1, 6)):\n"
        "        data[dice.randrange(2400)] = dice.randrange(256)\n"
        "    if i >= 400:  # a place far beyond the file, where the system refuses to go\n"
        "        data = bytearray(good)\n"
        "        data[4 * (i - 400) : 4 * (i - 400) + 8] = (2**62).to_bytes(8, 'little')\n"
        "    (store,) = EmbeddingCache(root).stores()\n"
        "    path = store.folder / 'parts' / f'part-{hashlib.sha256(data).hexdigest()}.h5'\n"
        "    path.write_bytes(data)\n"
        "    keys = [key.tobytes() for key in store.view.index.keys]\n"
        "    assert store.read(keys).shape == (len(keys), 8)\n"
        "    path.unlink(missing_ok=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    store = make(tmp_path)
    os.mkfifo(store.folder / "parts" / f"part-{'0' * 64}.h5")  # opening it would wait for a writer
    (store.folder / "parts" / f"part-{'1' * 64}.h5").mkdir()
    (store.folder / "parts" / f"part-{'2' * 64}.h5").symlink_to("/dev/zero")
    with (store.folder / "parts" / f"part-{'3' * 64}.h5").open("wb") as file:
        file.truncate(MAX_PART_BYTES + 1)
    with pytest.warns(UserWarning, match="quarantine") as warned:
        assert len(store) == 0
    assert len(warned) == 4


DEEP = b"[" * 200_000


@pytest.mark.parametrize("data", [DEEP, b'{"format": 1e400}', b"\xff", b"null", b'"x"', b"[]"])
@pytest.mark.parametrize("name", ["FORMAT", "config.json", "CURRENT", "claims/compaction.claim"])
def test_hostile_json_is_no_crash(name: str, data: bytes, sound: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(sound, cache)
    folder = make(cache).folder
    path = cache / name if name == "FORMAT" else folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = make(cache)
        np.testing.assert_array_equal(store.read(KEYS), rows(KEYS))
        compact(store)
        collect(EmbeddingCache(cache))


def test_failures_with_any_reason_are_read_back(tmp_path: Path) -> None:
    reasons = {KEYS[0]: "a line\u2028b\u0085c\r\nd", KEYS[1]: "half a pair \ud800", KEYS[2]: ""}
    make(tmp_path).append_failures(reasons)
    assert make(tmp_path).failures() == reasons


def test_nothing_is_served_to_an_item_without_a_poster(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.append([bytes(32)], rows([bytes(32)]))
    assert store.has([None, bytes(32)]).tolist() == [False, True]
    assert np.isnan(store.read([None, bytes(32)])).any(axis=1).tolist() == [True, False]


@pytest.mark.parametrize(
    "lines",
    [
        b"not json\n",
        b'{"key": "00", "reason": "short key"}\n',
        b'{"key": 5, "reason": "no text"}\n',
        b'{"reason": "no key"}\n',
        b'["a list"]\n',
        b'{"key": "' + b"00" * 32 + b'", "reason": ["no text"]}\n',
        b"\xff\xfe\n",
        DEEP,
        b'{"key": "' + b"00" * 32 + b'", "reason": "x", "time": ' + b"9" * 400 + b"}\n",
    ],
)
def test_hostile_failures_are_refused(lines: bytes, tmp_path: Path) -> None:
    store = make(tmp_path)
    (store.folder / "failed" / f"{hashlib.sha256(lines).hexdigest()}.jsonl").write_bytes(lines)
    with pytest.warns(UserWarning, match="it is no list of failures"):
        assert store.failures() == {}
