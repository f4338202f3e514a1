"""Looking after a cache: ls, explain, verify, compact, gc, export."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from hybrid.backbones.devices import processor_name
from hybrid.backbones.engine import EngineChoice
from hybrid.cache import EmbeddingCache, EmbeddingStore, RowCosts, compact, is_worth_compacting
from hybrid.cache.gc import collect
from hybrid.cache.parts import Layout, write_part
from hybrid.cache.verify import verify
from hybrid.catalogue import load_catalogue
from hybrid.cli.main import hybrid
from hybrid.errors import CacheError, ExtractionError, RunError, SettingError
from hybrid.extraction.cache_report import explain_cache, export_embeddings
from hybrid.extraction.extract import extract_embeddings
from hybrid.extraction.lookup import find_store, hash_catalogue
from hybrid.extraction.plan import ExtractSettings
from hybrid.types import EmbeddingOptions, EmbeddingSelector
from hybrid.utils.context import Context
from hybrid.utils.progress import duration

pytestmark = pytest.mark.filterwarnings("ignore:random weights")
NET = "mobilenet-075"
STANDS_FOR = {"architecture": "test", "dimension": 4, "dtype": "float16"}


@pytest.fixture(scope="module", autouse=True)
def _shallow(shallow_mobilenet: None) -> None:
    """What is embedded here, in whatever order, is embedded by the shallow network."""


def key(i: int) -> bytes:
    return hashlib.sha256(i.to_bytes(4, "big")).digest()


def rows(*numbers: int) -> NDArray[np.float32]:
    return np.array([[i, -i, i / 2, 1] for i in numbers], dtype=np.float32)


def append(store: EmbeddingStore, *numbers: int) -> None:
    store.append([key(i) for i in numbers], rows(*numbers))


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path / "cache")


@pytest.fixture
def store(cache: EmbeddingCache) -> EmbeddingStore:
    return cache.make(STANDS_FOR)


def parts(store: EmbeddingStore) -> set[str]:
    return {path.name for path in (store.folder / "parts").iterdir()}


# dtype


def test_float16_is_rounded_to_nearest_and_read_as_float32(store: EmbeddingStore) -> None:
    values = np.array([[1 / 3, 65504, -1e-7, 2049]], dtype=np.float32)
    store.append([key(1)], values)
    read = store.read([key(1)])
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, [[0.333251953125, 65504, -1.1920928955078125e-07, 2048]])
    (path,) = (store.folder / "parts").iterdir()
    with h5py.File(path) as file:
        assert file["embeddings"].dtype == np.float16
        assert file["embeddings"].fletcher32


def test_what_float16_cannot_hold_is_refused(store: EmbeddingStore) -> None:
    with pytest.raises(CacheError, match=r"within 65504.*found 2 values beyond.*--dtype float32"):
        store.append([key(1)], np.array([[1, 7e4, 0, -1e30]], dtype=np.float32))
    assert parts(store) == set()


def test_many_rows_are_several_parts(store: EmbeddingStore) -> None:
    numbers = range(10_000)
    append(store, *numbers)
    assert len(parts(store)) == 3
    shuffled = np.random.default_rng(0).permutation(10_000)
    expected = rows(*numbers).astype(np.float16).astype(np.float32)[shuffled]
    opened = EmbeddingStore(store.folder)
    for one in (store, opened):
        np.testing.assert_array_equal(one.read([key(i) for i in shuffled.tolist()]), expected)


def test_a_row_twice_in_one_append_is_written_once(store: EmbeddingStore) -> None:
    append(store, 1, 2, 1)
    append(store, 2, 3)
    with_duplicates = verify(EmbeddingCache(store.folder.parent), deep=True)
    assert (with_duplicates.embeddings, with_duplicates.duplicates) == (3, 0)


# Compaction and gc


def test_small_parts_become_one(store: EmbeddingStore) -> None:
    for i in range(9):
        append(store, 2 * i, 2 * i + 1)
    before = parts(store)
    digest = store.digest()
    assert is_worth_compacting(store)
    assert compact(store)
    (new,) = parts(store) - before
    assert before < parts(store)  # the old ones stay until gc
    assert not is_worth_compacting(store)
    everything = [key(i) for i in range(18)]
    for opened in (store, EmbeddingStore(store.folder)):
        np.testing.assert_array_equal(opened.read(everything), rows(*range(18)))
        assert opened.digest() == digest
        assert len(opened) == 18

    listed = collect(EmbeddingCache(store.folder.parent), dry_run=True)
    assert {Path(g.path).name for g in listed} == before
    assert parts(store) == before | {new}
    assert collect(EmbeddingCache(store.folder.parent)) == listed
    assert parts(store) == {new}
    assert collect(EmbeddingCache(store.folder.parent)) == []
    np.testing.assert_array_equal(EmbeddingStore(store.folder).read(everything), rows(*range(18)))


def test_a_snapshot_opens_without_reading_a_part(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(store, 1, 2)
    compact(store)
    append(store, 3)
    opened: list[Path] = []
    from hybrid.cache import contents

    open_part = contents.open_part
    monkeypatch.setattr(
        contents,
        "open_part",
        lambda path, layout: (opened.append(path), open_part(path, layout))[1],
    )
    found = EmbeddingStore(store.folder)
    assert found.has([key(1), key(2), key(3), key(4)]).tolist() == [True, True, True, False]
    assert len(opened) == 1  # the part that came after
    found.read([key(1)])
    assert len(opened) == 2


def test_large_parts_are_not_written_again(store: EmbeddingStore) -> None:
    append(store, *range(3000))
    append(store, *range(3000, 3010))
    append(store, *range(3010, 3020))
    before = parts(store)
    compact(store)
    assert len(parts(store) - before) == 1
    compact(store)
    assert len(parts(store) - before) == 1
    assert store.has([key(i) for i in range(3020)]).all()
    numbers = [int(p.stem) for p in (store.folder / "gen").glob("*.json")]
    assert sorted(numbers) == [1, 2]
    garbage = collect(EmbeddingCache(store.folder.parent))
    assert sorted(g.reason for g in garbage) == [
        "its rows are in a larger part",
        "its rows are in a larger part",
        "snapshot before the current one",
    ]


def test_of_two_compactions_at_once_one_wins(
    store: EmbeddingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hybrid.cache import compaction

    append(store, 1)
    append(store, 2)
    other, write = EmbeddingStore(store.folder), compaction.write_generation

    def after_the_other(*arguments: Any) -> None:
        monkeypatch.setattr(compaction, "write_generation", write)
        for claim in (store.folder / "claims").glob("*.claim"):
            claim.unlink()  # a lease is advice; this one was lost
        assert compact(other)
        write(*arguments)

    monkeypatch.setattr(compaction, "write_generation", after_the_other)
    monkeypatch.setattr(compaction, "next_number", lambda folder: 1)
    assert not compact(store)
    assert verify(EmbeddingCache(store.folder.parent), deep=True).problems == ()
    for opened in (store, EmbeddingStore(store.folder)):
        np.testing.assert_array_equal(opened.read([key(1), key(2)]), rows(1, 2))


def test_an_empty_store_is_not_compacted(store: EmbeddingStore) -> None:
    assert not compact(store)
    assert not (store.folder / "CURRENT").exists()


def test_gc_keeps_the_old_parts_if_the_new_one_is_damaged(store: EmbeddingStore) -> None:
    append(store, 1)
    append(store, 2)
    before = parts(store)
    compact(store)
    (new,) = parts(store) - before
    path = store.folder / "parts" / new
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(UserWarning, match="quarantine"):
        collect(EmbeddingCache(store.folder.parent))
    assert before <= parts(store)


def test_while_another_process_compacts_nothing_old_is_removed(store: EmbeddingStore) -> None:
    from hybrid.cache import Leases

    append(store, 1)
    append(store, 2)
    compact(store)
    with Leases(store.folder) as other:
        assert other.acquire("compaction")
        assert not compact(store)
        assert collect(EmbeddingCache(store.folder.parent)) == []
    assert len(collect(EmbeddingCache(store.folder.parent))) == 2


@pytest.mark.parametrize(
    ("name", "age", "gone"),
    [
        (f".tmp-{socket.gethostname()}-999999999-abc", 0, True),
        (f".tmp-{socket.gethostname()}-{os.getpid()}-abc", 10**6, False),
        (".tmp-some-other-host-1-abc", 3600, False),
        (".tmp-some-other-host-1-abc", 10**6, True),
    ],
    ids=["dead-here", "alive-here", "new-elsewhere", "old-elsewhere"],
)
def test_gc_removes_what_the_dead_left(
    store: EmbeddingStore, name: str, age: float, gone: bool
) -> None:
    append(store, 1)
    left = store.folder / "parts" / name
    left.write_bytes(b"half a part")
    os.utime(left, (left.stat().st_mtime - age,) * 2)
    (store.folder / "quarantine").mkdir()
    (store.folder / "quarantine" / "part-x.h5").write_bytes(b"damaged")
    garbage = collect(EmbeddingCache(store.folder.parent))
    assert left.exists() is not gone
    assert sum(g.bytes for g in garbage) == 7 + 11 * gone
    assert len(EmbeddingStore(store.folder)) == 1


# verify


def test_verify_counts_and_finds_nothing_wrong(
    cache: EmbeddingCache, store: EmbeddingStore
) -> None:
    other = EmbeddingStore(store.folder)
    assert len(other) == 0
    append(store, 1, 2)
    append(other, 2, 3)
    store.append_failures({key(9): "too small"})
    cache.make({**STANDS_FOR, "architecture": "other"})
    for deep in (False, True):
        found = verify(cache, deep)
        assert found.problems == ()
        assert (found.stores, found.parts, found.embeddings) == (2, 2, 3)
        assert (found.failures, found.duplicates, found.quarantined) == (1, 1, 0)


def test_verify_changes_nothing(cache: EmbeddingCache, store: EmbeddingStore) -> None:
    append(store, 1)
    (part,) = (store.folder / "parts").iterdir()
    part.write_bytes(b"damaged")
    before = sorted(cache.folder.rglob("*"))
    assert [(Path(p), why) for p, why in verify(cache).problems] == [(part, "its hash is wrong")]
    assert sorted(cache.folder.rglob("*")) == before


def test_only_deep_reads_values(cache: EmbeddingCache, store: EmbeddingStore) -> None:
    layout = Layout(store.fingerprint, 4, "float16")
    folder = store.folder / "parts"
    keys = np.frombuffer(key(1) + key(2), np.uint8).reshape(2, 32)
    bad = write_part(folder, layout, keys[:1], np.array([[1, np.nan, 0, 0]], np.float16))
    write_part(folder, layout, keys[1:], rows(2).astype(np.float16))
    second = write_part(folder, layout, keys[1:], rows(2).astype(np.float16) * np.float16(1.1))
    assert verify(cache).problems == ()
    found = {
        (Path(path).name, why.partition(" row")[0])
        for path, why in verify(cache, deep=True).problems
    }
    assert (bad, "1") in found
    assert len(found) == 2
    (other,) = found - {(bad, "1")}
    assert other[0] == second or other[1] == ""


def test_verify_lists_what_does_not_belong(cache: EmbeddingCache, store: EmbeddingStore) -> None:
    append(store, 1)
    compact(store)
    (store.folder / "parts" / "notes.txt").write_text("mine")
    (store.folder / "failed" / "x.jsonl").write_text("{}")
    (part,) = (store.folder / "parts").glob("part-*")
    part.unlink()
    found = {Path(path).name: why for path, why in verify(cache).problems}
    assert found["notes.txt"] == "it is no part of the cache"
    assert found["x.jsonl"] == "its hash is wrong"
    assert "1 of its parts is gone" in found["CURRENT"]
    (store.folder / "config.json").write_text("{}")
    ((path, why),) = verify(cache).problems
    assert Path(path).name == "config.json"
    assert "expected a readable config.json" in why


# explain and export


@pytest.fixture(scope="module")
def extracted_once(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of 90 films, embedded with random weights of seed 0; one poster is bad, one missing."""
    folder = tmp_path_factory.mktemp("extracted")
    shutil.copytree(films.parent, folder, dirs_exist_ok=True)
    (folder / "posters" / "3.png").write_bytes(b"no image")
    (folder / "posters" / "4.png").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("HYBRID_CACHE", raising=False)
        extract_embeddings(load_catalogue("catalogue.csv"), NET, weights="random")
    return folder


@pytest.fixture
def extracted(extracted_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of one's own of that project, and the current directory in it."""
    shutil.copytree(extracted_once, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYBRID_CACHE", raising=False)
    return tmp_path


def explain(**options: Any) -> Any:
    return explain_cache(load_catalogue("catalogue.csv"), NET, **{"weights": "random", **options})


def test_explain_counts(extracted: Path) -> None:
    said = explain()
    assert (said.items, said.unreadable, said.images) == (90, 1, 89)
    assert (said.hits, said.failures, said.misses, said.others) == (88, 1, 0, ())
    (extracted / "posters" / "5.png").write_bytes(
        (extracted / "posters" / "6.png").read_bytes()[:-1]
    )
    said = explain()
    assert (said.hits, said.failures, said.misses) == (87, 1, 1)


@pytest.mark.parametrize(("precision", "tried"), [("bfloat16", False), ("float32", True)])
def test_explain_says_what_only_a_trial_can_tell(
    precision: str, tried: bool, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = EngineChoice("keras", precision, "a processor")
    monkeypatch.setattr("hybrid.extraction.cache_report.choose_for", lambda *a: choice)
    said = explain()
    assert (said.precision, said.tried) == (precision, tried)
    shown = CliRunner().invoke(
        hybrid, ["cache", "explain", "--backbone", NET, "--weights", "random"]
    )
    hint = "will check bfloat16 on some posters, and use float32 if the embeddings differ"
    assert (hint in shown.output) is not tried


@pytest.mark.parametrize(
    ("options", "differs"),
    [
        (
            {"options": EmbeddingOptions(dtype="float32", pooling="max", fit="crop")},
            {
                "dtype": ("float32", "float16"),
                "pooling": ("max", "avg"),
                "image_rules.fit": ("crop", "squash"),
            },
        ),
        ({"context": Context(seed=1)}, {"weights": ("seed 1", "seed 0")}),
        ({"weights": "imagenet"}, {"weights": ("unknown: not on this machine", "seed 0")}),
    ],
)
def test_explain_names_the_setting_that_differs(
    extracted: Path,
    options: dict[str, Any],
    differs: dict[str, tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(extracted))
    said = explain(**options)
    assert (said.hits, said.failures, said.misses) == (0, 0, 89)
    (other,) = said.others
    assert other.images == 88
    assert other.differs.keys() == differs.keys()
    for name, (wanted, there) in differs.items():
        assert str(other.differs[name][0]).endswith(wanted)
        assert str(other.differs[name][1]).endswith(there)


def read_npz(path: Path) -> tuple[list[str], NDArray[Any]]:
    with np.load(path, allow_pickle=False) as file:
        assert set(file.files) == {"ids", "embeddings", "seconds", "device"}
        return file["ids"].tolist(), file["embeddings"]


def read_h5(path: Path) -> tuple[list[str], NDArray[Any]]:
    with h5py.File(path) as file:
        return file["ids"].asstr()[:].tolist(), file["embeddings"][:]


def read_parquet(path: Path) -> tuple[list[str], NDArray[Any]]:
    table = pd.read_parquet(path)
    return table["id"].tolist(), np.stack(table["embedding"].to_list())


def read_csv(path: Path) -> tuple[list[str], NDArray[Any]]:
    table = pd.read_csv(path, index_col="id")
    numbers = table.drop(columns=["seconds", "device"])
    assert numbers.columns.tolist() == [str(i) for i in range(768)]
    return table.index.tolist(), numbers.to_numpy(np.float32)


def read_costs(path: Path) -> tuple[list[float], set[str]]:
    """Seconds of each row, and the devices."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return file["seconds"].tolist(), set(file["device"].tolist())
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return file["seconds"][:].tolist(), set(file["device"].asstr()[:].tolist())
    table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    return table["seconds"].tolist(), set(table["device"])


@pytest.mark.parametrize(
    ("name", "read"),
    [("e.npz", read_npz), ("e.h5", read_h5), ("e.parquet", read_parquet), ("e.csv", read_csv)],
)
def test_export_is_read_by_other_tools(
    name: str, read: Callable[[Path], Any], extracted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hybrid.extraction.embeddings_frame.BLOCK", 20)  # several blocks
    catalogue = load_catalogue("catalogue.csv")
    (extracted / name).write_bytes(b"older")
    summary = export_embeddings(catalogue, extracted / name, select=EmbeddingSelector(backbone=NET))
    assert (summary.items, summary.missing, summary.dimension) == (88, 2, 768)
    ids, embeddings = read(extracted / name)
    assert ids == [f"f{i:03}" for i in range(90) if i not in (3, 4)]
    store = find_store(catalogue, select=EmbeddingSelector(backbone=NET))
    path = extracted / "posters" / "7.png"
    expected = store.read([hashlib.sha256(path.read_bytes()).digest()])[0]
    assert embeddings.dtype == np.float32
    np.testing.assert_array_equal(embeddings[ids.index("f007")], expected)
    seconds, devices = read_costs(extracted / name)
    keys = [key for key in hash_catalogue(catalogue) if isinstance(key, bytes)]
    assert len(seconds) == 88
    assert min(seconds) > 0
    assert sum(seconds) == pytest.approx(store.cost(keys).seconds, rel=1e-4)
    assert devices == {processor_name()}
    assert not list(extracted.glob(".tmp-*"))


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        ("e.txt", SettingError, r"ends in \.npz, \.parquet, \.csv, \.h5, \.hdf5, found e\.txt"),
        ("no/e.npz", RunError, "a folder that exists"),
    ],
)
def test_export_elsewhere_is_refused_first(
    out: str, error: type[Exception], message: str, project: Path
) -> None:
    with pytest.raises(error, match=message):
        export_embeddings(load_catalogue("catalogue.csv"), out)


def test_export_without_embeddings(project: Path) -> None:
    with pytest.raises(ExtractionError, match="hybrid cache ls lists"):
        export_embeddings(load_catalogue("catalogue.csv"), "e.npz")


def test_an_export_that_fails_leaves_what_was_there(
    extracted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (extracted / "e.npz").write_bytes(b"older")

    def refuse(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hybrid.cache.export.sync", refuse)
    with pytest.raises(CacheError, match=r"cannot write e\.npz: No space left"):
        export_embeddings(load_catalogue("catalogue.csv"), "e.npz")
    assert (extracted / "e.npz").read_bytes() == b"older"
    assert not list(extracted.glob(".tmp-*"))


# The commands


def test_the_commands_exit_as_they_find(extracted: Path, hybrid_here: Callable[..., Any]) -> None:
    def run(*arguments: str) -> Any:
        done = hybrid_here("cache", *arguments, "--json", cwd=extracted)
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout)

    code, (listed,) = run("ls")
    assert code == 0
    assert (listed["embeddings"], listed["failures"], listed["dimension"]) == (88, 1, 768)
    assert (listed["cost_unknown"], listed["devices"]) == (0, [processor_name()])
    assert listed["seconds"] > 0
    code, explained = run("explain", "--backbone", NET, "--weights", "random")
    assert (code, explained["hits"]) == (0, 88)
    code, exported = run("export", "--backbone", NET, "--out", "e.npz")
    assert (code, exported["items"]) == (0, 88)
    code, compacted = run("compact")
    assert (code, compacted) == (0, {"compacted": [listed["fingerprint"]]})
    assert run("verify", "--deep")[0] == 0
    assert run("gc", "--dry-run") == (0, [])
    (part,) = (extracted / ".hybrid-cache").rglob("part-*.h5")
    part.write_bytes(part.read_bytes()[:-1])
    code, found = run("verify")
    assert code == 1
    assert [Path(extracted, path) for path, _ in found["problems"]] == [part]


def test_ls_says_what_a_store_cost_and_what_is_unknown(tmp_path: Path) -> None:
    store = EmbeddingCache(tmp_path / "cache").make({"architecture": "vgg16", "dimension": 4})
    listed = ["cache", "ls", "--cache", str(tmp_path / "cache")]

    def said() -> str:
        done = CliRunner().invoke(hybrid, listed)
        assert done.exit_code == 0
        return done.output.strip().rpartition("B, ")[2]

    assert said() == "no cost"
    append(store, 1, 2)
    assert said() == "cost unknown"
    store.append([key(3)], rows(3), RowCosts.even(90.0, 1, "a processor"))
    assert said() == f"{duration(90)} on a processor, cost of 2 unknown"


def test_extract_computes_again_what_was_damaged(extracted: Path) -> None:
    (part,) = (extracted / ".hybrid-cache").rglob("part-*.h5")
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.warns(UserWarning, match="quarantine"):
        summary = extract_embeddings(load_catalogue("catalogue.csv"), NET, weights="random")
    assert (summary.hits, summary.computed) == (0, 88)


def test_failed_images_are_tried_again_when_asked(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hybrid.extraction.decoding
    from hybrid.images.decode import BadPoster

    decode = hybrid.extraction.decoding.decode_for
    monkeypatch.setattr(
        hybrid.extraction.decoding, "decode_for", lambda *_: BadPoster("an old decoder")
    )
    catalogue = load_catalogue("catalogue.csv")
    assert len(extract_embeddings(catalogue, NET, weights="random").bad) == 90
    monkeypatch.setattr(hybrid.extraction.decoding, "decode_for", decode)
    (project / "posters" / "3.png").write_bytes(b"no image")
    again = extract_embeddings(catalogue, NET, weights="random")
    assert (again.computed, len(again.bad)) == (0, 90)
    retried = extract_embeddings(
        catalogue, NET, weights="random", settings=ExtractSettings(retry_failed=True)
    )
    assert (retried.computed, [bad.id for bad in retried.bad]) == (89, ["f003"])
    assert "an old decoder" not in retried.bad[0].reason
    after = extract_embeddings(catalogue, NET, weights="random")
    assert (after.hits, after.computed, len(after.bad)) == (89, 0, 1)


def test_float32_beside_float16_must_be_chosen_from(extracted: Path) -> None:
    catalogue = load_catalogue("catalogue.csv")
    summary = extract_embeddings(
        catalogue, NET, weights="random", options=EmbeddingOptions(dtype="float32")
    )
    assert summary.computed == 88
    with pytest.raises(
        SettingError, match=r"(?s)found 2:.*--weights or --dtype, or with --embeddings"
    ):
        find_store(catalogue, select=EmbeddingSelector(backbone=NET))
    half, single = (
        find_store(catalogue, select=EmbeddingSelector(dtype=dtype))
        for dtype in ("float16", "float32")
    )
    keys = [key.tobytes() for key in single.view.index.keys]
    exact, rounded = single.read(keys), half.read(keys)
    assert (exact != rounded).any()
    np.testing.assert_array_equal(rounded, exact.astype(np.float16).astype(np.float32))


def test_a_cache_made_by_an_older_version_is_listed(tmp_path: Path) -> None:
    golden = Path(__file__).parents[1] / "golden"
    shutil.copytree(golden / "cache-format-1", tmp_path / "cache")
    found = verify(EmbeddingCache(tmp_path / "cache"), deep=True)
    assert found.problems == ()
    assert found.embeddings == 2
