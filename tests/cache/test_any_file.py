"""Any file of a cache may be damaged at any byte, or be something else: it is told, and mended."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hybrid.backbones.provenance import Provenance
from hybrid.cache import EmbeddingCache, EmbeddingStore, compact, is_worth_compacting
from hybrid.cache.config import DamagedConfigError, pack_config
from hybrid.cache.gc import collect
from hybrid.cache.sealed import mend_provenance, read_provenance
from hybrid.cache.verified_files import forget_hashes
from hybrid.cache.verify import verify
from hybrid.errors import CacheError
from hybrid.utils.read_only import read_only

PROGRAM = Path(__file__).with_name("fault_files.py")
STANDS_FOR = {"architecture": "test", "dimension": 4, "dtype": "float32"}
OTHER = {**STANDS_FOR, "architecture": "other"}
RECORDED = {"weights": "none", "kind": "random", "path": None, "seed": 0}
KEYS = [hashlib.sha256(bytes([i])).digest() for i in range(12)]
LEARNT = Provenance(unknown=("net.h5",)).to_bytes()


def rows(keys: list[bytes]) -> NDArray[np.float32]:
    return np.stack([np.frombuffer(key[:4], dtype=np.uint8) for key in keys]).astype(np.float32)


def make(cache: Path, stands_for: dict[str, Any] = STANDS_FOR) -> EmbeddingStore:
    return EmbeddingCache(cache).make(stands_for, RECORDED, LEARNT)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stores, of which one has a snapshot, parts outside it, and superseded ones."""
    folder = tmp_path_factory.mktemp("sound") / "cache"
    store = make(folder)
    for start in range(0, 9, 3):
        store.append(KEYS[start : start + 3], rows(KEYS[start : start + 3]))
    assert compact(store)
    store.append(KEYS[9:], rows(KEYS[9:]))
    store.append_failures({b"\1" * 32: "too small"})
    make(folder, OTHER).append(KEYS[:2], rows(KEYS[:2]))
    return folder


@pytest.fixture
def cache(sound: Path, tmp_path: Path) -> Path:
    forget_hashes()
    return Path(shutil.copytree(sound, tmp_path / "cache"))


def folder_of(cache: Path, stands_for: dict[str, Any] = STANDS_FOR) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = EmbeddingCache(cache).look_up(stands_for)
    assert store is not None
    return store.folder


def is_whole(cache: Path) -> None:
    """All is there, and nothing is told."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = make(cache)
        np.testing.assert_array_equal(store.read(KEYS), rows(KEYS))
        assert store.recorded == RECORDED
        assert store.failures() == {b"\1" * 32: "too small"}
        collect(EmbeddingCache(cache))
        assert verify(EmbeddingCache(cache), deep=True).problems == ()


def test_damages_of_all_kinds(
    tmp_path: Path, fault_counts: dict[str, int], tally: Callable[[str], None], loaded: Any
) -> None:
    options = {"damages": fault_counts["files"], "seed": 1}
    arguments = [f"--{name}={value}" for name, value in options.items()]
    done = loaded.run(PROGRAM.read_text(), tmp_path / "films", *arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout)
    tally(f"any file of a cache: {counts['damages']} damages: {counts['outcomes']}")
    assert counts["wrong"] == []
    assert sum(counts["outcomes"].values()) == fault_counts["files"]


def says_the_same(before: bytes, after: bytes) -> bool:
    """The same bytes, or the same JSON."""
    try:
        return before == after or json.loads(before) == json.loads(after)
    except ValueError:
        return False


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_bytes_in_any_file(
    data: st.DataObject, sound: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Nothing wrong is read, extract is not stopped, and afterwards all is as it was."""
    files = sorted(path.relative_to(sound) for path in sound.rglob("*") if path.is_file())
    file = data.draw(st.sampled_from(files))
    before = (sound / file).read_bytes()
    start = data.draw(st.integers(0, len(before)))
    end = data.draw(st.integers(start, len(before)))
    after = before[:start] + data.draw(st.binary(max_size=40)) + before[end:]
    assume(not re.fullmatch(rb'\s*{\s*"format"\s*:\s*\d+\s*}\s*', after))  # of another version
    cache = tmp_path_factory.mktemp("any") / "cache"
    shutil.copytree(sound, cache)
    (cache / file).write_bytes(after)
    forget_hashes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        problems = verify(EmbeddingCache(cache)).problems
        for stands_for, keys in ((STANDS_FOR, KEYS), (OTHER, KEYS[:2])):
            store = make(cache, stands_for)
            store.verify(keys)
            there = store.has(keys)
            found = store.read(keys)
            np.testing.assert_array_equal(found[there], rows(keys)[there])
            lost = [key for key, has in zip(keys, there, strict=True) if not has]
            if lost:
                store.append(lost, rows(lost))
            if stands_for is STANDS_FOR:
                store.append_failures({b"\1" * 32: "too small"})
            if is_worth_compacting(store):
                compact(store)
    assert problems or says_the_same(before, after), f"not noticed: {file}"
    is_whole(cache)
    shutil.rmtree(cache.parent)


THINGS: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "text": lambda path: path.write_text("<html>"),
    "no bytes": lambda path: path.write_bytes(b""),
}


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("thing", THINGS)
def test_extract_writes_a_damaged_config_again(cache: Path, thing: str) -> None:
    path = folder_of(cache) / "config.json"
    before = path.read_bytes()
    path.unlink()
    THINGS[thing](path)
    with pytest.warns(
        UserWarning, match="hybrid extract, with the same --backbone, .* writes it again"
    ):
        (other,) = EmbeddingCache(cache).stores()
    assert other.stands_for == OTHER
    with pytest.raises(DamagedConfigError, match="the embeddings are not lost"):
        EmbeddingCache(cache).find(path.parent.name)
    with read_only(), pytest.warns(UserWarning, match="expected a readable config.json"):
        np.testing.assert_array_equal(make(cache).read(KEYS), rows(KEYS))
    assert path.is_dir() is (thing == "a folder")
    with pytest.warns(UserWarning, match=r"config\.json .* It is written again"):
        make(cache)
    assert path.read_bytes() == before
    aside = sorted((path.parent / "quarantine").glob("*"))
    assert [one.name for one in aside] == ["config.json"] * (thing != "nothing")
    is_whole(cache)


def test_what_a_damaged_config_recorded_is_kept_where_it_is_sound(cache: Path) -> None:
    path = folder_of(cache) / "config.json"
    path.write_text(path.read_text().replace('"architecture": "test"', '"architecture": "tesu"'))
    with pytest.warns(UserWarning, match="It is written again"):
        store = EmbeddingCache(cache).make(STANDS_FOR, {"weights": "others"}, LEARNT)
    assert store.recorded == RECORDED
    is_whole(cache)


def test_what_another_config_recorded_is_not_taken(cache: Path) -> None:
    """The whole file of another store, whose hashes are right."""
    ours, theirs = folder_of(cache), folder_of(cache, OTHER)
    theirs.joinpath("config.json").write_bytes(pack_config(OTHER, {"weights": "theirs"}))
    shutil.copy(theirs / "config.json", ours / "config.json")
    with pytest.warns(UserWarning, match="of another store"):
        assert make(cache).recorded == RECORDED


def test_what_was_recorded_is_not_believed_where_it_was_changed(cache: Path) -> None:
    path = folder_of(cache) / "config.json"
    path.write_text(path.read_text().replace('"random"', '"ranlom"'))
    with pytest.warns(UserWarning, match="does not hash to its recorded_sha256"):
        store = EmbeddingCache(cache).find(path.parent.name)
    assert store.recorded == {}
    np.testing.assert_array_equal(store.read(KEYS), rows(KEYS))
    ((named, why),) = verify(EmbeddingCache(cache)).problems
    assert (Path(named), why[:16]) == (path, "what it recorded")
    with pytest.warns(UserWarning, match="It is written again"):
        make(cache)
    is_whole(cache)


def test_a_config_of_an_earlier_version_is_believed(cache: Path) -> None:
    path = folder_of(cache) / "config.json"
    config = json.loads(path.read_text())
    del config["recorded_sha256"]
    path.write_text(json.dumps(config))
    assert make(cache).recorded == RECORDED
    is_whole(cache)


def test_the_provenance_of_another_store_is_not_used(cache: Path) -> None:
    ours, theirs = folder_of(cache), folder_of(cache, OTHER)
    mend_provenance(theirs, Provenance(unknown=("other.h5",)).to_bytes())
    shutil.copy(theirs / "provenance.json", ours / "provenance.json")
    with pytest.warns(UserWarning, match=r"provenance\.json .*it is of the store .* is unknown"):
        assert read_provenance(ours) is None
    with pytest.warns(UserWarning, match="It is written again"):
        make(cache)
    is_whole(cache)


@pytest.mark.parametrize("name", ["parts", "failed", "gen", "claims", "quarantine", "."])
@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("thing", ["a pipe", "a link to nothing", "text"])
def test_something_in_the_place_of_a_folder(cache: Path, name: str, thing: str) -> None:
    path = folder_of(cache) / name
    shutil.rmtree(path, ignore_errors=True)
    THINGS[thing](path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [str(path)] == [
            p for p, _ in verify(EmbeddingCache(cache)).problems if p == str(path)
        ]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        there = (store := make(cache)).has(KEYS)
    assert any("was no folder; what was there is now in quarantine" in str(w.message) for w in told)
    lost = [key for key, has in zip(KEYS, there, strict=True) if not has]
    assert len(lost) == (len(KEYS) if name in ("parts", ".") else 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if lost:
            store.append(lost, rows(lost))
        store.append_failures({b"\1" * 32: "too small"})
        compact(store)
    is_whole(cache)


def test_links_to_nothing_are_damage_and_not_absence(cache: Path) -> None:
    store = folder_of(cache)
    for path in (store / "CURRENT", *(store / "failed").iterdir(), *(store / "parts").iterdir()):
        path.unlink()
        path.symlink_to("nowhere")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert (len(make(cache)), make(cache).failures()) == (0, {})
    said = " ".join(str(one.message) for one in told)
    assert said.count("it is a link to nothing") > 6
    assert len(list((store / "quarantine").iterdir())) == 6


def test_a_snapshot_that_is_damaged_is_made_again_by_extract(cache: Path) -> None:
    path = folder_of(cache) / "CURRENT"
    path.unlink()
    path.mkdir()
    with pytest.warns(UserWarning, match="the snapshot of the last compaction is damaged"):
        assert is_worth_compacting(store := make(cache))
    with pytest.warns(UserWarning, match="CURRENT .* is now in quarantine"):
        assert compact(store)
    assert not is_worth_compacting(store)
    is_whole(cache)


def test_two_files_of_one_name_fit_into_quarantine(cache: Path) -> None:
    for _ in range(2):
        (folder_of(cache) / "config.json").write_text("{}")
        with pytest.warns(UserWarning, match="is now in quarantine"):
            make(cache)
    aside = folder_of(cache) / "quarantine"
    assert sorted(p.name for p in aside.iterdir()) == ["config.json", "config.json.2"]


# Unreadable is not damaged, and not absent


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path, int], None]]:
    real = os.open

    def set_up(victim: Path, code: int) -> None:
        def opened(path: Any, *rest: Any, **named: Any) -> int:
            if isinstance(path, (str, Path)) and Path(path) == victim:
                raise OSError(code, os.strerror(code), str(path))
            return real(path, *rest, **named)

        monkeypatch.setattr(os, "open", opened)

    yield set_up
    monkeypatch.undo()


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
@pytest.mark.parametrize(
    "pattern",
    ["FORMAT", "STORE/config.json", "STORE/provenance.json", "STORE/CURRENT", "STORE/gen/0001.json",
     "STORE/gen/index-*", "STORE/failed/*"],
)  # fmt: skip
def test_what_cannot_be_read_is_not_set_aside(
    cache: Path, pattern: str, code: int, refuse: Callable[[Path, int], None]
) -> None:
    (path,) = cache.glob(pattern.replace("STORE", folder_of(cache).name))
    before = path.read_bytes()
    refuse(path, code)
    with pytest.raises(CacheError, match=os.strerror(code)) as caught:
        len(make(cache))
    assert path.name in str(caught.value)
    assert path.read_bytes() == before
    assert not list(cache.rglob("quarantine"))


def test_gc_removes_whatever_is_in_the_place_of_garbage(cache: Path) -> None:
    store = folder_of(cache)
    compact(make(cache))
    for path in (
        store / "throughput.json",
        store / "claims" / "00.claim",
        store / "quarantine" / "x",
    ):
        (path / "in it").mkdir(parents=True)
    (store / "quarantine" / "y").symlink_to("nowhere")
    old = store / "gen" / "0001.json"
    old.unlink()
    old.symlink_to("nowhere")
    os.utime(old, (0, 0), follow_symlinks=False)
    listed = collect(EmbeddingCache(cache), dry_run=True)
    collect(EmbeddingCache(cache))
    assert len(listed) >= 5
    assert not any(os.path.lexists(garbage.path) for garbage in listed)
    is_whole(cache)
