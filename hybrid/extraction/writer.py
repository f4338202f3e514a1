"""Embeddings → parts of a store, written while the next are computed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hybrid.cache import PART_ROWS, EmbeddingStore

PART_SECONDS = 30.0  # a job that is killed loses at most this much of its work

Rows = NDArray[np.float32]


class Writer(Protocol):
    """What takes the outcome of a batch."""

    def add(self, keys: Sequence[bytes], rows: Rows, failures: Mapping[bytes, str]) -> None:
        """Take embeddings, and images that cannot be decoded with the reason."""


class PartWriter:
    """Collects rows and writes a part when it is large or old enough, at most one at a time.

    A disk that is slower than the engine makes `add` wait, so that no more than two parts are held.

    Parameters
    ----------
    store : EmbeddingStore

    Attributes
    ----------
    embedded, failed : int
        Images taken so far.
    """

    def __init__(self, store: EmbeddingStore) -> None:
        self.store = store
        self.embedded = self.failed = 0
        self._pool = ThreadPoolExecutor(1)
        self._under_way: Future[None] | None = None
        self._clear()

    def _clear(self) -> None:
        self._keys: list[bytes] = []
        self._rows: list[Rows] = []
        self._failures: dict[bytes, str] = {}
        self._since = time.monotonic()

    def add(self, keys: Sequence[bytes], rows: Rows, failures: Mapping[bytes, str]) -> None:
        """See `Writer.add`."""
        if keys:
            self._keys += keys
            self._rows.append(rows)
        self._failures.update(failures)
        self.embedded += len(keys)
        self.failed += len(failures)
        if len(self._keys) >= PART_ROWS or time.monotonic() - self._since > PART_SECONDS:
            self._start()

    def flush(self) -> None:
        """Write what there is, and wait until it is on the disk.

        Raises
        ------
        CacheError
            If the disk refused this part or the one before.
        """
        self._start()
        self._wait()

    def close(self) -> None:
        """`flush`, and no more."""
        try:
            self.flush()
        finally:
            self._pool.shutdown()

    def _start(self) -> None:
        self._wait()
        self._under_way = self._pool.submit(self._write, self._keys, self._rows, self._failures)
        self._clear()

    def _wait(self) -> None:
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.result()

    def _write(self, keys: list[bytes], rows: list[Rows], failures: dict[bytes, str]) -> None:
        if keys:
            self.store.append(keys, np.concatenate(rows))
        self.store.append_failures(failures)
