"""What is left to embed, by shards: the images of a dict, each once, in its order within a shard."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from hybrid.cache import EmbeddingCache, EmbeddingStore
from hybrid.extraction.shards import ShardQueue, claim_shards

KEYS = [hashlib.sha256(str(i).encode()).digest() for i in range(600)]
TODO = {key: f"{i}.jpg" for i, key in enumerate(KEYS)}


@pytest.fixture
def stores(tmp_path: Path) -> list[EmbeddingStore]:
    cache = EmbeddingCache(str(tmp_path / "cache"))
    return [cache.make({"dimension": 2, "name": name}) for name in "ab"]


def by_shard(keys: list[bytes]) -> list[bytes]:
    return sorted(keys, key=lambda key: key[:1])  # stable


def test_all_are_claimed_shard_by_shard(stores: list[EmbeddingStore]) -> None:
    with ShardQueue(stores[0], TODO) as queue:
        assert set(queue.pending) == {f"{key[0]:02x}" for key in KEYS}
        assert {key: p for each in queue.pending.values() for key, p in each.items()} == TODO
        found = list(claim_shards([queue], lambda n: None))
        assert found == [(TODO[key], [0]) for key in by_shard(KEYS)]
        assert not queue.pending


def test_a_share_has_one_lease_and_keeps_its_order(stores: list[EmbeddingStore]) -> None:
    with ShardQueue(stores[0], TODO, "1-2") as queue:
        assert list(queue.pending) == ["1-2"]
        assert [path for path, _ in claim_shards([queue], lambda n: None)] == list(TODO.values())
    with ShardQueue(stores[0], {}, "1-2") as queue:
        assert not queue.pending


def test_what_others_have_embedded_is_finished(stores: list[EmbeddingStore]) -> None:
    done, counted = KEYS[:100], []
    with ShardQueue(stores[0], TODO) as queue:
        stores[0].append(done, np.zeros((100, 2), np.float32))
        found = list(claim_shards([queue], counted.append))
    assert sum(counted) == 100
    assert [path for path, _ in found] == [TODO[key] for key in by_shard(KEYS[100:])]


def test_what_others_have_embedded_is_dropped(stores: list[EmbeddingStore]) -> None:
    with ShardQueue(stores[0], TODO) as queue:
        stores[0].append(KEYS[:100], np.zeros((100, 2), np.float32))
        stores[0].append_failures({KEYS[100]: "is cut short"})
        assert queue.drop_finished() == 101
        left = {key: path for each in queue.pending.values() for key, path in each.items()}
        assert left == {key: TODO[key] for key in KEYS[101:]}


def test_a_file_that_two_stores_lack_comes_once(stores: list[EmbeddingStore]) -> None:
    first, second = dict(list(TODO.items())[:40]), dict(list(TODO.items())[20:])
    with ShardQueue(stores[0], first) as one, ShardQueue(stores[1], second) as two:
        found = dict(claim_shards([one, two], lambda n: None))
    assert len(found) == 600
    for i, key in enumerate(KEYS):
        assert found[TODO[key]] == [number for number, has in enumerate((i < 40, i >= 20)) if has]
