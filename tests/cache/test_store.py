"""The HDF5 store of embeddings: nothing acknowledged is lost, nothing damaged is used."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hybrid.cache import EmbeddingCache, EmbeddingStore, fingerprint_of
from hybrid.errors import CacheError

STANDS_FOR = {"architecture": "test", "dimension": 3}


def key(name: object) -> bytes:
    return hashlib.sha256(str(name).encode()).digest()


def rows(*values: float) -> NDArray[np.float32]:
    """One embedding for each value."""
    return np.array([[value, value + 0.25, -value] for value in values], dtype=np.float32)


def parts(store: EmbeddingStore) -> list[Path]:
    return sorted((store.folder / "parts").iterdir())


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    """An empty store of three numbers a row."""
    return EmbeddingCache(tmp_path / "cache").make(STANDS_FOR, {"weights": "none"})


@pytest.fixture
def reopen(tmp_path: Path) -> Callable[[], EmbeddingStore]:
    """Open the same store anew, as another process would."""
    return lambda: EmbeddingCache(tmp_path / "cache").find(fingerprint_of(STANDS_FOR))


# Rows


def test_rows_are_read_back(store: EmbeddingStore, reopen: Callable[[], EmbeddingStore]) -> None:
    store.append([key(1), key(2)], rows(1, 2))
    store.append([key(3)], rows(3))
    for opened in (store, reopen()):
        read = opened.read([key(3), None, key(1), key("unknown"), key(3)])
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read[[0, 2, 4]], rows(3, 1, 3))
        assert np.isnan(read[[1, 3]]).all()
        assert len(opened) == 3
        assert key(2) in opened
        assert key("unknown") not in opened
        assert opened.recorded == {"weights": "none"}
        assert opened.bytes_on_disk() == sum(path.stat().st_size for path in parts(store))
    assert store.read([]).shape == (0, 3)


@given(
    st.lists(
        st.one_of(
            st.lists(st.integers(0, 12), min_size=1, max_size=5),  # keys to append
            st.just("reopen"),
        ),
        max_size=8,
    )
)
@settings(max_examples=40, deadline=None)
def test_a_store_is_a_dictionary(steps: list[list[int] | str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = EmbeddingCache(folder).make(STANDS_FOR)
        known: dict[int, float] = {}
        for step in steps:
            if step == "reopen":
                store = EmbeddingCache(folder).make(STANDS_FOR)
            else:
                store.append([key(i) for i in step], rows(*step))
                known |= {i: float(i) for i in step}
            read = store.read([key(i) for i in range(13)])
            for i in range(13):
                expected = rows(known[i])[0] if i in known else np.full(3, np.nan)
                np.testing.assert_array_equal(read[i], expected)
            assert len(store) == len(known)


def test_of_two_rows_of_a_key_the_part_whose_name_sorts_first_wins(
    store: EmbeddingStore, reopen: Callable[[], EmbeddingStore]
) -> None:
    writers = [reopen() for _ in range(6)]
    assert {len(writer) for writer in writers} == {0}  # each has looked, before any has written
    value_of = {}
    for value, writer in enumerate(writers):
        before = set(parts(store))
        writer.append([key("same")], rows(value))
        (new,) = set(parts(store)) - before
        value_of[new] = value
    np.testing.assert_array_equal(reopen().read([key("same")]), rows(value_of[min(value_of)]))


def test_failures_are_read_back(
    store: EmbeddingStore, reopen: Callable[[], EmbeddingStore]
) -> None:
    store.append_failures({key(1): "too small: 8 × 8 pixels", key(2): 'a "quote"\nand a line'})
    store.append_failures({})
    store.append_failures({key(3): "is a web page"})
    expected = {
        key(1): "too small: 8 × 8 pixels",
        key(2): 'a "quote"\nand a line',
        key(3): "is a web page",
    }
    assert store.failures() == reopen().failures() == expected
    assert len(list((store.folder / "failed").iterdir())) == 2


@pytest.mark.parametrize(
    ("keys", "embeddings", "message"),
    [
        ([key(1)], np.zeros((1, 2), np.float32), r"shape \(1, 3\), found \(1, 2\)"),
        ([key(1)], np.zeros((2, 3), np.float32), r"shape \(1, 3\), found \(2, 3\)"),
        ([key(1)], np.zeros(3, np.float32), r"shape \(1, 3\), found \(3,\)"),
        ([key(1), b"short"], np.zeros((2, 3), np.float32), "2 keys of 32 bytes"),
        ([key(1)], np.array([[0, np.nan, np.inf]]), "expected finite embeddings, found 2"),
        ([key(1)], np.array([[0, 1e300, 0]]), "found 1 value beyond; nothing was written"),
    ],
)
def test_wrong_rows_are_refused_and_nothing_is_written(
    store: EmbeddingStore, keys: list[bytes], embeddings: NDArray[np.float64], message: str
) -> None:
    with pytest.raises(CacheError, match=message):
        store.append(keys, embeddings)
    assert parts(store) == []
    assert len(store) == 0


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_is_no_number_is_refused_in_every_precision(
    store: EmbeddingStore, value: float, dtype: type
) -> None:
    with pytest.raises(CacheError, match="expected finite embeddings, found 1 value that is not"):
        store.append([key(1), key(2)], np.array([[0, 1, -2], [65504, value, 3]], dtype))
    store.append([key(1)], np.array([[-65504, 65504, -0.0]], dtype))
    np.testing.assert_array_equal(store.read([key(1)]), [[-65504, 65504, 0]])


def test_an_append_of_nothing_writes_nothing(store: EmbeddingStore) -> None:
    store.append([], np.zeros((0, 3), np.float32))
    assert parts(store) == []


# What stands on the disk


def test_the_files_are_those_of_the_specification(store: EmbeddingStore) -> None:
    store.append([key(1), key(2)], rows(1, 2))
    (path,) = parts(store)
    assert path.name == f"part-{hashlib.sha256(path.read_bytes()).hexdigest()}.h5"
    with h5py.File(path) as file:
        assert dict(file.attrs) == {"format": 1, "fingerprint": store.fingerprint.encode()}
        assert file["keys"].dtype == np.uint8
        assert file["keys"][:].tobytes() == key(1) + key(2)
        assert file["embeddings"].dtype == np.float32
        assert file["embeddings"].fletcher32
        np.testing.assert_array_equal(file["embeddings"][:], rows(1, 2))
    cache = store.folder.parent
    seal = hashlib.sha256(b'{"format":1}').hexdigest()
    assert json.loads((cache / "FORMAT").read_text()) == {"format": 1, "sha256": seal}
    config = json.loads((store.folder / "config.json").read_text())
    named = b'{"fingerprint":"%b","recorded":{"weights":"none"}}' % store.fingerprint.encode()
    assert config == {
        "stands_for": STANDS_FOR,
        "recorded": {"weights": "none"},
        "recorded_sha256": hashlib.sha256(named).hexdigest(),
    }


def test_the_fingerprint_is_stored() -> None:
    stands_for = {"weights": "é", "dimension": 3, "nested": {"b": 1, "a": [True, None]}}
    turned = {"nested": {"a": [True, None], "b": 1}, "dimension": 3, "weights": "é"}
    text = '{"dimension":3,"nested":{"a":[true,null],"b":1},"weights":"é"}'
    golden = "30e02563d3ece91177de045637fcc1301f7cb640390e293f26e45eea81e87eb6"
    assert hashlib.sha256(text.encode()).hexdigest() == golden
    assert fingerprint_of(stands_for) == fingerprint_of(turned) == golden
    assert fingerprint_of({**stands_for, "dimension": 4}) != golden


def test_a_cache_of_format_1_is_read(tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parents[1] / "golden" / "cache-format-1", tmp_path / "cache")
    (store,) = EmbeddingCache(tmp_path / "cache").stores()
    assert store.fingerprint == "85f83e20ffdd07d891de0029e42ad2fae043847960875a3df0e79265c4594f69"
    assert store.stands_for == {"architecture": "golden", "weights": "é", "dimension": 3}
    assert store.recorded == {"weights": "by hand"}
    assert store.failures() == {key("bad"): "too small: 8 × 8"}
    np.testing.assert_array_equal(
        store.read([key("second"), key("first"), key("bad")]),
        np.array([[1 / 3, 65504, -0.0], [0.5, -1.25, 3e-5], [np.nan] * 3], dtype=np.float32),
    )


def test_a_compacted_cache_of_format_1_is_read(tmp_path: Path) -> None:
    golden = Path(__file__).parents[1] / "golden" / "cache-format-1-compacted"
    shutil.copytree(golden, tmp_path / "cache")
    (store,) = EmbeddingCache(tmp_path / "cache").stores()
    assert store.fingerprint == "6feceaa0155680d8c3ad0956a1bf2615b7806b6e2780a96feb0105a14459b5a8"
    assert store.dtype == "float16"
    assert store.failures() == {key("bad"): "too small: 8 × 8"}
    expected = [[0.5, -1.25, 3e-5], [1 / 3, 65504, -0.0], [1, 2, 3], [np.nan] * 3]
    np.testing.assert_array_equal(
        store.read([key("first"), key("second"), key("third"), key("bad")]),
        np.array(expected, dtype=np.float16).astype(np.float32),
    )
    assert len(parts(store)) == 4  # two of them superseded
    assert len(store.view.parts - store.view.in_snapshot) == 1


def test_stores_of_one_cache_are_found_by_fingerprint(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "new" / "cache")
    assert cache.stores() == []
    made = {cache.make({"dimension": d}).fingerprint: d for d in (1, 2, 3)}
    assert [s.fingerprint for s in cache.stores()] == sorted(made)
    assert {s.fingerprint: s.dimension for s in cache.stores()} == made
    with pytest.raises(CacheError, match=r"under fingerprint abcdefabcdef…, found none\."):
        cache.find("abcdef" * 10)


def test_the_digest_tells_contents_apart(
    store: EmbeddingStore, reopen: Callable[[], EmbeddingStore]
) -> None:
    digests = [store.digest()]
    for value in (1, 2):
        store.append([key(value)], rows(value))
        digests.append(store.digest())
    assert len(set(digests)) == 3
    assert reopen().digest() == digests[-1]


def test_temporary_files_are_ignored(
    store: EmbeddingStore, reopen: Callable[[], EmbeddingStore]
) -> None:
    store.append([key(1)], rows(1))
    (path,) = parts(store)
    (path.parent / ".tmp-host-1-abc").write_bytes(path.read_bytes()[:100])
    (store.folder / "failed" / ".tmp-host-1-def").write_text('{"key":')
    opened = reopen()
    assert len(opened) == 1
    assert opened.failures() == {}
    assert opened.digest() == store.digest()


# Damage


def flip(data: bytes) -> bytes:
    return data[:-20] + bytes([data[-20] ^ 1]) + data[-19:]


@pytest.mark.parametrize(
    "damage",
    [flip, lambda data: data[:-1], lambda data: b"", lambda data: data + b"\0"],
    ids=["flipped bit", "truncated", "empty", "longer"],
)
def test_a_damaged_part_is_put_in_quarantine(
    store: EmbeddingStore,
    reopen: Callable[[], EmbeddingStore],
    damage: Callable[[bytes], bytes],
) -> None:
    store.append([key(1)], rows(1))
    damaged = parts(store)[0]
    store.append([key(2)], rows(2))
    damaged.write_bytes(damage(damaged.read_bytes()))
    opened = reopen()
    with pytest.warns(
        UserWarning,
        match=f"{damaged.name} in the cache was damaged .its hash is wrong. and is now in quarantine",
    ):
        read = opened.read([key(1), key(2)])
    assert np.isnan(read[0]).all()
    np.testing.assert_array_equal(read[1:], rows(2))
    assert [path.name for path in (store.folder / "quarantine").iterdir()] == [damaged.name]
    assert damaged not in parts(store)

    opened.append([key(1)], rows(1))  # computed again
    np.testing.assert_array_equal(reopen().read([key(1), key(2)]), rows(1, 2))


def test_parts_with_each_others_names_are_put_in_quarantine(
    store: EmbeddingStore, reopen: Callable[[], EmbeddingStore]
) -> None:
    store.append([key(1)], rows(1))
    store.append([key(2)], rows(2))
    one, two = parts(store)
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    with pytest.warns(UserWarning, match="was damaged") as warned:
        assert len(reopen()) == 0
    assert len(warned) == 2


def test_a_part_of_another_store_is_not_used(
    store: EmbeddingStore, reopen: Callable[[], EmbeddingStore]
) -> None:
    other = EmbeddingCache(store.folder.parent).make({**STANDS_FOR, "architecture": "other"})
    other.append([key(1)], rows(1))
    shutil.copy(parts(other)[0], store.folder / "parts")
    with pytest.warns(UserWarning, match="quarantine"):
        assert key(1) not in reopen()


def test_a_damaged_failure_file_is_no_harm(
    store: EmbeddingStore, reopen: Callable[[], EmbeddingStore]
) -> None:
    store.append_failures({key(1): "too small"})
    (path,) = (store.folder / "failed").iterdir()
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.warns(UserWarning, match="damaged"):
        assert reopen().failures() == {}


def sealed(content: str) -> str:
    return content[:-1] + f',"sha256":"{hashlib.sha256(content.encode()).hexdigest()}"}}\n'


@pytest.mark.parametrize("marker", ['{"format": 2}', '{"format":3}', sealed('{"format":2}')])
def test_newer_formats_are_refused(tmp_path: Path, marker: str) -> None:
    (tmp_path / "FORMAT").write_text(marker)
    with pytest.raises(
        CacheError, match=r"a cache of format 1 or older, found [23]\. Update hybrid"
    ):
        EmbeddingCache(tmp_path)


@pytest.mark.parametrize(
    "marker",
    [
        *('{"format": "one"}', '{"format": 0}', "{}", "1", "", "null", '{"format": true}'),
        sealed('{"format":1}').replace("1", "3", 1),  # a flipped bit is not a newer format
        '{"format":3,"more":1}',
    ],
)
def test_a_damaged_marker_stops_nothing(tmp_path: Path, marker: str) -> None:
    store = EmbeddingCache(tmp_path).make(STANDS_FOR)
    store.append([key(1)], rows(1))
    (tmp_path / "FORMAT").write_text(marker)
    with pytest.warns(UserWarning, match=r"FORMAT was damaged .* hybrid extract writes it again"):
        (store,) = EmbeddingCache(tmp_path).stores()
    np.testing.assert_array_equal(store.read([key(1)]), rows(1))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        EmbeddingCache(tmp_path).make(STANDS_FOR)
    assert any("FORMAT in the cache was damaged" in str(one.message) for one in told)
    assert json.loads((tmp_path / "FORMAT").read_text())["format"] == 1
    assert (tmp_path / "quarantine" / "FORMAT").read_text() == marker
    (store,) = EmbeddingCache(tmp_path).stores()
    assert len(store) == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"stands_for": {**STANDS_FOR, "architecture": "else"}}, "changed by hand. hybrid extract"),
        ({"stands_for": {**STANDS_FOR, "dimension": 4}}, "changed by hand. hybrid extract"),
        ({"stands_for": {"architecture": "test"}}, "expected a readable config.json"),
        ({"stands_for": [3]}, "expected a readable config.json"),
        ({"recorded": None}, None),
    ],
)
def test_a_config_that_was_changed_by_hand_is_refused(
    store: EmbeddingStore,
    reopen: Callable[[], EmbeddingStore],
    changed: dict[str, object],
    message: str | None,
) -> None:
    path = store.folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    if message is None:  # `recorded` is not part of the fingerprint
        with pytest.warns(UserWarning, match="what it recorded is no object"):
            assert reopen().recorded == {}
    else:
        with pytest.raises(CacheError, match=message):
            reopen()


def test_a_file_where_the_cache_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheError, match="Not a directory"):
        EmbeddingCache(tmp_path / "file")


# A disk that refuses, and a process that is killed


@contextmanager
def failing(owner: object, name: str, code: int) -> Iterator[None]:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, refuse)
        yield


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """The kernel refuses to write more than `limit` bytes to a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (lambda: failing(os, "fsync", errno.ENOSPC), "No space left on device"),
        (lambda: failing(os, "replace", errno.EROFS), "Read-only file system"),
        (lambda: failing(os, "open", errno.EDQUOT), "quota exceeded"),
        (lambda: file_size_limit(100), "File too large"),
    ],
    ids=["sync", "rename", "open", "write"],
)
def test_a_disk_that_refuses_leaves_no_trace_and_what_was_there(
    store: EmbeddingStore, reopen: Callable[[], EmbeddingStore], refusal: Callable, words: str
) -> None:
    store.append([key(1), key(2)], rows(1, 2))
    before = sorted(path for path in store.folder.rglob("*"))
    message = f"(?s)cannot write to the cache .*{words}.* 2 embeddings are safe there"
    with pytest.raises(CacheError, match=message), refusal():
        store.append([key(3)], rows(3))
    with pytest.raises(CacheError, match=message), refusal():
        store.append_failures({key(i): "a reason" for i in range(9)})
    assert sorted(path for path in store.folder.rglob("*")) == before
    for opened in (store, reopen()):
        assert key(3) not in opened
        assert opened.failures() == {}
        np.testing.assert_array_equal(opened.read([key(1), key(2)]), rows(1, 2))
    store.append([key(3)], rows(3))  # once there is room
    np.testing.assert_array_equal(reopen().read([key(3)]), rows(3))


def test_a_cache_that_cannot_be_made(tmp_path: Path) -> None:
    with (
        pytest.raises(CacheError, match=r"cannot write the cache .*No space left"),
        failing(os, "fsync", errno.ENOSPC),
    ):
        EmbeddingCache(tmp_path / "cache").make(STANDS_FOR)


def test_a_part_is_synced_before_it_has_its_name_and_its_folder_after(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, bool]] = []
    sync, replace = os.fsync, os.replace

    def note_sync(descriptor: int) -> None:
        done.append(("sync", stat.S_ISDIR(os.fstat(descriptor).st_mode)))
        sync(descriptor)

    def note_replace(path: Path, target: Path) -> None:
        assert path.name.startswith(".tmp-")
        done.append(("rename", path.is_dir()))
        replace(path, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_replace)
    store.append([key(1)], rows(1))
    assert done == [("sync", False), ("rename", False), ("sync", True)]


APPENDER = """
import sys
import hashlib
import numpy as np
from hybrid.cache import EmbeddingCache

store = EmbeddingCache(sys.argv[1]).make({"dimension": 64})
for part in range(10**6):
    names = [f"{sys.argv[2]}-{part}-{i}" for i in range(500)]
    rows = np.arange(500 * 64, dtype=np.float32).reshape(500, 64) + part
    store.append([hashlib.sha256(name.encode()).digest() for name in names], rows)
    print(part, flush=True)
"""


def test_no_acknowledged_row_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    acknowledged = {}
    for life, lines in enumerate([1, 4, 9, 17]):
        arguments = [sys.executable, "-c", APPENDER, str(tmp_path), str(life)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            seen = [process.stdout.readline() for _ in range(lines)]
            process.kill()
            seen += process.stdout.readlines()
        assert process.returncode == -9
        acknowledged[life] = len([line for line in seen if line.endswith("\n")])
        assert acknowledged[life] >= lines

    (store,) = EmbeddingCache(tmp_path).stores()  # a warning of damage would be an error
    for life, n_parts in acknowledged.items():
        for part in range(n_parts):
            read = store.read([key(f"{life}-{part}-{i}") for i in range(500)])
            expected = np.arange(500 * 64, dtype=np.float32).reshape(500, 64) + part
            np.testing.assert_array_equal(read, expected)


KILLED_AT = """
import os
import signal
import sys
from pathlib import Path
import numpy as np
from hybrid.cache import EmbeddingCache

die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
store = EmbeddingCache(sys.argv[1]).make({"dimension": 3})
store.append([b"a" * 32], np.ones((1, 3), np.float32))
replace = os.replace
if sys.argv[2] == "before the sync":
    os.fsync = die
elif sys.argv[2] == "before the rename":
    os.replace = die
else:
    os.replace = lambda *names: (replace(*names), die())
store.append([b"b" * 32], np.full((1, 3), 2, np.float32))
"""


@pytest.mark.parametrize("moment", ["before the sync", "before the rename", "after the rename"])
def test_a_process_killed_at_any_step_leaves_whole_parts(tmp_path: Path, moment: str) -> None:
    arguments = [sys.executable, "-c", KILLED_AT, str(tmp_path), moment]
    assert subprocess.run(arguments, check=False).returncode == -9
    (store,) = EmbeddingCache(tmp_path).stores()
    read = store.read([b"a" * 32, b"b" * 32])  # a warning of damage would be an error
    assert read[0].tolist() == [1, 1, 1]
    second = [2, 2, 2] if moment == "after the rename" else [np.nan] * 3
    np.testing.assert_array_equal(read[1], second)
