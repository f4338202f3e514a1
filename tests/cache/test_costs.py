"""What embeddings cost: kept with each row, through compaction and export, unknown in older parts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hybrid.cache import EmbeddingCache, EmbeddingCost, EmbeddingStore, RowCosts, compact
from hybrid.cache.costs import gather_costs
from hybrid.cache.gc import collect
from hybrid.cache.parts import Layout, write_part

GOLDEN = Path(__file__).parents[1] / "golden"
GPU, CPU = "NVIDIA L4", "a processor"


def key(number: int) -> bytes:
    return bytes([number]) * 32


def add(store: EmbeddingStore, numbers: range, seconds: float | None, device: str = CPU) -> None:
    """A part of rows that took so many seconds together."""
    keys = [key(number) for number in numbers]
    costs = None if seconds is None else RowCosts.even(seconds, len(keys), device)
    store.append(keys, np.ones((len(keys), 2)), costs)


@pytest.fixture
def store(tmp_path: Path) -> EmbeddingStore:
    """6 rows for 3 s on a processor, 4 for 1 s on a GPU, 2 that nobody measured."""
    store = EmbeddingCache(tmp_path / "cache").make({"architecture": "test", "dimension": 2})
    add(store, range(6), 3.0)
    add(store, range(6, 10), 1.0, GPU)
    add(store, range(10, 12), None)
    return store


def reopened(store: EmbeddingStore) -> EmbeddingStore:
    return EmbeddingCache(store.folder.parent).find(store.fingerprint)


def test_costs_are_summed_over_the_keys_that_are_asked_for(store: EmbeddingStore) -> None:
    for opened in (store, reopened(store)):
        one = opened.cost([key(0), key(1), key(1), key(99)])
        assert one == EmbeddingCost(embeddings=2, seconds=1.0, unknown=0, devices=(CPU,))
        # 2 of 6 for 3 s, 4 of 4 for 1 s.
        both = opened.cost([key(n) for n in (0, 1, 6, 7, 8, 9)])
        assert both == EmbeddingCost(embeddings=6, seconds=2.0, unknown=0, devices=(GPU, CPU))
        some = opened.cost([key(n) for n in (5, 10, 11)])
        assert some == EmbeddingCost(embeddings=3, seconds=0.5, unknown=2, devices=(CPU,))
        assert opened.cost([]) == EmbeddingCost(embeddings=0, seconds=0.0, unknown=0, devices=())


def test_two_catalogues_in_one_store_pay_for_their_own(store: EmbeddingStore) -> None:
    mine, theirs = [key(n) for n in range(6)], [key(n) for n in range(6, 10)]
    assert store.cost(mine).seconds == 3.0
    assert store.cost(theirs).seconds == 1.0


def test_compaction_and_gc_keep_what_each_row_cost(store: EmbeddingStore) -> None:
    keys = [key(n) for n in range(12)]
    before = store.row_costs(keys)
    assert compact(store)
    assert len(store.view.parts) == 1
    collect(EmbeddingCache(store.folder.parent))
    for opened in (store, reopened(store)):
        after = opened.row_costs(keys)
        np.testing.assert_array_equal(after.seconds, before.seconds)
        assert opened.cost(keys) == EmbeddingCost(12, 4.0, 2, (GPU, CPU))
        assert opened.cost(keys[6:10]).devices == (GPU,)


def test_a_part_holds_costs_as_the_specification_says(store: EmbeddingStore) -> None:
    found: dict[str, Any] = {}
    for path in (store.folder / "parts").glob("part-*.h5"):
        with h5py.File(path, "r") as file:
            if "seconds" in file:
                (name,) = json.loads(file.attrs["devices"])
                assert file["device"][:].tolist() == [0] * len(file["keys"])
                assert file["device"].dtype == np.uint8
                assert file["seconds"].dtype == np.dtype("<f4")
                found[name] = file["seconds"][:].tolist()
            else:
                assert set(file) == {"keys", "embeddings"}
    assert found == {CPU: [0.5] * 6, GPU: [0.25] * 4}


def test_rates_of_earlier_versions_are_garbage(store: EmbeddingStore) -> None:
    (store.folder / "throughput.json").write_text('{"posters_per_second": 1e9}')
    (found,) = collect(EmbeddingCache(store.folder.parent))
    assert found.path.endswith("throughput.json")
    assert not (store.folder / "throughput.json").exists()


@pytest.mark.parametrize("name", ["cache-format-1", "cache-format-1-compacted"])
def test_parts_of_earlier_versions_have_unknown_costs(name: str, tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / name, tmp_path / "cache")
    (store,) = EmbeddingCache(tmp_path / "cache").stores()
    keys = [row.tobytes() for row in store.view.index.keys]
    found = store.cost(keys)
    assert found.embeddings == found.unknown == len(keys) > 0
    assert found.devices == ()


def test_rows_of_which_another_writer_was_faster_keep_its_cost(store: EmbeddingStore) -> None:
    add(store, range(7), 700.0)  # key 6 as well as all of the first part
    assert store.cost([key(n) for n in range(6)]).seconds == 3.0


def rewrite(store: EmbeddingStore, change: Callable[[Any], None]) -> EmbeddingStore:
    """The store with only its first part, changed, under a name that is right."""
    keys = np.frombuffer(b"".join(key(n) for n in range(6)), np.uint8).reshape(6, 32)
    parts = store.folder / "parts"
    shutil.rmtree(parts)
    parts.mkdir()
    layout = Layout(store.fingerprint, 2, store.dtype)
    costs = RowCosts.even(3.0, 6, CPU)
    name = write_part(parts, layout, keys, np.ones((6, 2), store.dtype), costs)
    with h5py.File(parts / name, "r+") as file:
        change(file)
    import hashlib

    digest = hashlib.sha256((parts / name).read_bytes()).hexdigest()
    (parts / name).rename(parts / f"part-{digest}.h5")
    return reopened(store)


def _nothing(file: Any) -> None:
    """Leave the part as it is."""


def _of_another_shape(file: Any) -> None:
    del file["seconds"]
    file["seconds"] = np.ones(5, np.float32)


def _of_another_type(file: Any) -> None:
    del file["seconds"]
    file["seconds"] = np.ones(6, np.int64)


def _a_link(file: Any) -> None:
    del file["seconds"]
    file["seconds"] = h5py.ExternalLink("elsewhere.h5", "/seconds")


def _no_devices(file: Any) -> None:
    del file.attrs["devices"]


def _devices_that_are_no_list(file: Any) -> None:
    file.attrs["devices"] = np.bytes_(json.dumps({"a": 1}))


def _no_device(file: Any) -> None:
    del file["device"]


def _a_device_without_a_name(file: Any) -> None:
    file["device"][:] = 7


def _negative(file: Any) -> None:
    file["seconds"][:] = -1


def _endless(file: Any) -> None:
    file["seconds"][:] = np.inf


@pytest.mark.parametrize(
    "change",
    [
        _of_another_shape,
        _of_another_type,
        _a_link,
        _no_devices,
        _devices_that_are_no_list,
        _no_device,
        _a_device_without_a_name,
        _negative,
        _endless,
    ],
)
def test_costs_that_make_no_sense_are_unknown_and_the_rows_are_read(
    change: Callable[[Any], None], store: EmbeddingStore
) -> None:
    keys = [key(n) for n in range(6)]
    assert rewrite(store, _nothing).cost(keys).seconds == 3.0
    changed = rewrite(store, change)
    assert changed.cost(keys) == EmbeddingCost(6, 0.0, 6, ())
    assert np.isfinite(changed.read(keys)).all()


def test_more_devices_than_can_be_numbered_are_unknown() -> None:
    each = [(np.array([n]), RowCosts.even(1.0, 1, f"device {n}")) for n in range(300)]
    gathered = gather_costs(300, each)
    assert int(np.isfinite(gathered.seconds).sum()) == len(gathered.devices) == 256
    assert gathered.devices[gathered.device[255]] == "device 255"
