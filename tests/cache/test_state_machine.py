"""Two writers, a reader, kills, compaction and gc in any order: the store equals a dictionary."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from numpy.typing import NDArray

from hybrid.cache import EmbeddingCache, EmbeddingStore, compact
from hybrid.cache.gc import collect
from hybrid.cache.verify import verify

STANDS_FOR = {"architecture": "test", "dimension": 4, "dtype": "float16"}
KEYS = [hashlib.sha256(bytes([i])).digest() for i in range(24)]
some_keys = st.lists(st.sampled_from(KEYS), min_size=1, max_size=6)
writers = st.integers(0, 1)


def row(key: bytes) -> NDArray[np.float32]:
    return np.frombuffer(key[:4], dtype=np.uint8).astype(np.float32)


class Killed(BaseException):
    """Stands for `kill -9` in the middle of a call."""


class CacheMachine(RuleBasedStateMachine):
    """What may happen to a store, next to the dictionary that it should equal."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.writers = [self.open(), self.open()]
        self.reader = self.open()
        self.model: dict[bytes, NDArray[np.float32]] = {}
        self.failed: dict[bytes, str] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def open(self) -> EmbeddingStore:
        return EmbeddingCache(self.folder).make(STANDS_FOR)

    @rule(writer=writers, keys=some_keys)
    def append(self, writer: int, keys: list[bytes]) -> None:
        self.writers[writer].append(keys, np.stack([row(key) for key in keys]))
        self.model |= {key: row(key) for key in keys}

    @rule(writer=writers, keys=some_keys, name=st.sampled_from(["write", "fsync", "replace"]))
    def kill(self, writer: int, keys: list[bytes], name: str) -> None:
        """A writer dies inside an append; another process takes its place."""

        def die(*_: object) -> None:
            raise Killed

        store = self.writers[writer]
        had = store.has(keys)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, name, die)
            patch.setattr(
                "hybrid.utils.files.remove", lambda path: None
            )  # the dead clear nothing up
            try:
                store.append(keys, np.stack([row(key) for key in keys]))
            except Killed:
                assert not had.all()
        self.writers[writer] = self.open()

    @rule(writer=writers, key=st.sampled_from(KEYS), reason=st.sampled_from(["too small", "cut"]))
    def fail(self, writer: int, key: bytes, reason: str) -> None:
        self.writers[writer].append_failures({key: reason})
        self.failed.setdefault(key, reason)

    @rule(writer=writers)
    def compact(self, writer: int) -> None:
        assert compact(self.writers[writer]) == bool(self.model)

    @rule()
    def gc(self) -> None:
        listed = collect(EmbeddingCache(self.folder), dry_run=True)
        assert collect(EmbeddingCache(self.folder)) == listed

    @rule(writer=writers)
    def refresh(self, writer: int) -> None:
        self.writers[writer].refresh()

    @rule()
    def read_without_looking_again(self) -> None:
        found = self.reader.read(KEYS)
        for key, value in zip(KEYS, found, strict=True):
            assert np.isnan(value).all() or np.array_equal(value, row(key))

    @rule()
    def look_again(self) -> None:
        self.reader.refresh()
        self.check(self.reader)

    @invariant()
    def equals_a_dictionary(self) -> None:
        self.check(self.open())

    def check(self, store: EmbeddingStore) -> None:
        found = store.read(KEYS)
        assert len(store) == len(self.model)
        assert store.has(KEYS).tolist() == [key in self.model for key in KEYS]
        for key, value in zip(KEYS, found, strict=True):
            expected = self.model.get(key, np.full(4, np.nan, np.float32))
            np.testing.assert_array_equal(value, expected)
        assert store.failures().keys() == self.failed.keys() - self.model.keys()
        assert not verify(EmbeddingCache(self.folder), deep=True).problems


def test_a_store_equals_a_dictionary_whatever_happens(
    fault_counts: dict[str, int], tally: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: None
    )  # takes long, and nobody pulls the plug
    n = fault_counts["machines"]
    run_state_machine_as_test(
        CacheMachine, settings=settings(max_examples=n, stateful_step_count=15, deadline=None)
    )
    tally(f"state machine: {n} sequences of up to 15 steps equal a dictionary")  # type: ignore[operator]
