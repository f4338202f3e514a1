"""The memo of poster files' keys: an unchanged file is not read again, a changed one always is."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.cache import EmbeddingCache
from hybrid.images import hashes as memo_module
from hybrid.images import memo
from hybrid.images.decode import BadPoster
from hybrid.images.files import hash_poster
from hybrid.images.hashes import hash_posters
from hybrid.images.memo import load_memo

Look = Callable[..., list[bytes | BadPoster]]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    EmbeddingCache(folder).make({"dimension": 1})
    return folder


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were read, in order."""
    read: list[str] = []

    def noted(path: str) -> bytes | BadPoster:
        read.append(path)
        return hash_poster(path)

    monkeypatch.setattr(memo_module, "hash_poster", noted)
    return read


def poster(path: Path, data: bytes, age: float = 60.0) -> str:
    """A file that was last changed some seconds ago; its ctime is now, so tests look from later on."""
    path.write_bytes(data)
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    return str(path)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute has gone by since the files were made."""
    now = memo_module.time.time_ns
    monkeypatch.setattr(memo_module.time, "time_ns", lambda: now() + 60 * 10**9)


def keys(cache: Path, *paths: str) -> list[bytes | BadPoster]:
    return list(hash_posters(cache, paths, workers=2))


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@pytest.mark.usefixtures("later")
def test_an_unchanged_file_is_not_read_again(cache: Path, tmp_path: Path, read: list[str]) -> None:
    paths = [poster(tmp_path / f"{i}.jpg", b"%d" % i) for i in range(600)]
    expected = [sha(b"%d" % i) for i in range(600)]
    assert keys(cache, *paths) == expected
    assert sorted(read) == sorted(paths)
    read.clear()
    assert keys(cache, *reversed(paths)) == expected[::-1]
    assert keys(cache, os.path.relpath(paths[5])) == expected[5:6]
    assert read == []


@pytest.mark.usefixtures("later")
def test_every_change_is_seen(cache: Path, tmp_path: Path, read: list[str]) -> None:
    path = tmp_path / "a.jpg"
    poster(path, b"first")
    status = path.stat()
    assert keys(cache, str(path)) == [sha(b"first")]

    poster(path, b"second")  # another size
    assert keys(cache, str(path)) == [sha(b"second")]
    path.write_bytes(b"third!")  # the same size, another time
    assert keys(cache, str(path)) == [sha(b"third!")]
    path.write_bytes(b"first")  # size and time of the first, as a copy with its time kept
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    path.write_bytes(b"fir5t")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert keys(cache, str(path)) == [sha(b"fir5t")]
    path.unlink()
    assert keys(cache, str(path)) == [BadPoster("file not found")]
    path.mkdir()
    assert keys(cache, str(path)) == [BadPoster("is a folder, not a file")]
    assert len(read) == 6


@pytest.mark.usefixtures("later")
def test_a_renamed_file_is_read_and_a_swapped_one_too(
    cache: Path, tmp_path: Path, read: list[str]
) -> None:
    one, two = poster(tmp_path / "1", b"one"), poster(tmp_path / "2", b"two")
    same = Path(one).stat().st_mtime_ns
    os.utime(two, ns=(same, same))
    assert keys(cache, one, two) == [sha(b"one"), sha(b"two")]
    Path(one).rename(tmp_path / "x")
    Path(two).rename(one)
    (tmp_path / "x").rename(two)
    assert keys(cache, one, two) == [sha(b"two"), sha(b"one")]


@pytest.mark.usefixtures("later")
def test_folders_that_were_swapped_within_a_tick_are_told_apart(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = os.stat

    def coarse(path: str) -> SimpleNamespace:
        """The clock of a file system that counts whole minutes."""
        found = stat(path)
        same = {"st_mtime_ns": 10**18, "st_ctime_ns": 10**18, "st_size": found.st_size}
        return SimpleNamespace(**same, st_dev=found.st_dev, st_ino=found.st_ino)

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(name.encode())
    path = str(tmp_path / "one" / "a.jpg")
    monkeypatch.setattr(memo_module, "os", SimpleNamespace(stat=coarse, path=os.path))
    assert keys(cache, path) == [sha(b"one")]
    (tmp_path / "one").rename(tmp_path / "old")
    (tmp_path / "two").rename(tmp_path / "one")
    assert keys(cache, path) == [sha(b"two")]


@pytest.mark.usefixtures("later")
def test_a_file_that_came_after_the_look_is_not_remembered(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = poster(tmp_path / "a.jpg", b"a")

    def gone(path: str) -> None:
        raise FileNotFoundError

    with monkeypatch.context() as patch:
        patch.setattr(memo_module, "os", SimpleNamespace(stat=gone, path=os.path))
        assert keys(cache, path) == [sha(b"a")]
    Path(path).unlink()
    assert keys(cache, path) == [BadPoster("file not found")]


def test_odd_paths_and_times_are_no_crash(cache: Path, tmp_path: Path) -> None:
    path = poster(tmp_path / "a.jpg", b"a")
    os.utime(path, (2**33, 2**33))  # the year 2242, as far as every file system goes
    odd = [path, "nul\0inside", "half a pair \ud800", "x" * 5000]
    found = keys(cache, *odd)
    assert found[0] == sha(b"a")
    assert all(isinstance(key, BadPoster) for key in found[1:])


def test_a_file_that_changed_just_now_is_not_remembered(
    cache: Path, tmp_path: Path, read: list[str]
) -> None:
    path = str(tmp_path / "a.jpg")
    Path(path).write_bytes(b"new")  # could be written again within the same tick of the clock
    for _ in range(2):
        assert keys(cache, path) == [sha(b"new")]
    assert read == [path, path]


@pytest.mark.usefixtures("later")
def test_without_a_cache_nothing_is_remembered(tmp_path: Path, read: list[str]) -> None:
    path = poster(tmp_path / "a.jpg", b"a")
    for _ in range(2):
        assert keys(tmp_path / "none", path, "") == [sha(b"a"), BadPoster("no poster named")]
    assert not (tmp_path / "none").exists()
    assert read.count(path) == 2


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("damage", [b"", b"x", bytes(5000)])
def test_a_damaged_memo_is_not_used(cache: Path, tmp_path: Path, damage: bytes) -> None:
    path = poster(tmp_path / "a.jpg", b"a")
    assert keys(cache, path) == [sha(b"a")]
    file = cache / "memo" / "keys"
    data = bytearray(file.read_bytes())
    data[-5] ^= 1  # in the key: without a check another poster's embedding would be served
    for damaged in (bytes(data), damage, bytes(data[:-1])):
        file.write_bytes(damaged)
        with pytest.warns(UserWarning, match=r"memo/keys .* is now in quarantine"):
            assert keys(cache, path) == [sha(b"a")]
    assert len(load_memo(file).entries) == 1


@pytest.mark.usefixtures("later")
def test_a_memo_that_cannot_be_written_is_told(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = poster(tmp_path / "a.jpg", b"a")

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(memo, "write_atomically", refuse)
    with pytest.warns(UserWarning, match="Read-only file system.*reads all posters again"):
        assert keys(cache, path) == [sha(b"a")]


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from(["write", "touch", "remove", "look"])),
        max_size=12,
    )
)
@settings(max_examples=60, deadline=None)
def test_the_memo_never_shows(steps: list[tuple[str, str]]) -> None:
    """With the memo every file has the key that it has without."""
    import tempfile

    folder = Path(tempfile.mkdtemp())
    now, ticks = memo_module.time.time_ns, 0
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(memo_module.time, "time_ns", lambda: now() + 60 * 10**9)
            EmbeddingCache(folder).make({"dimension": 1})
            paths = [str(folder / name) for name in "abcd"]
            for name, what in steps:
                path, ticks = folder / name, ticks + 1
                if what == "write":
                    path.write_bytes(b"%4d" % ticks)
                    os.utime(path, ns=(ticks * 10**9,) * 2)
                elif what == "touch" and path.exists():
                    os.utime(path, ns=(ticks * 10**9,) * 2)
                elif what == "remove":
                    path.unlink(missing_ok=True)
                assert keys(folder, *paths) == [hash_poster(path) for path in paths]
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_threads_change_no_key_and_no_order(
    cache: Path, tmp_path: Path, later: None, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """`seconds`: threads from the second block on, or never."""
    monkeypatch.setattr(memo_module, "_STAT_SECONDS", seconds)
    monkeypatch.setattr(memo_module, "_BLOCK", 3)
    paths = [poster(tmp_path / str(i), bytes([i])) for i in range(11)]
    expected = [hash_poster(path) for path in paths]
    assert keys(cache, *paths) == expected
    assert keys(cache, *paths[::-1]) == expected[::-1]


def test_few_files_are_read_where_the_memo_is_long(
    cache: Path, tmp_path: Path, later: None, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [poster(tmp_path / str(i), bytes([i])) for i in range(3)]
    expected = keys(cache, *paths)
    memo = cache / "memo" / "keys"
    remembered = memo.read_bytes()
    read.clear()
    monkeypatch.setattr(memo_module, "_POSTER", len(remembered) // 2)
    assert keys(cache, *paths) == expected
    assert read == []
    assert keys(cache, paths[1]) == expected[1:2]
    assert read == [paths[1]]
    assert memo.read_bytes() == remembered
