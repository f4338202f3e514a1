"""Writing embeddings to a store in parts, while the next ones are computed."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hybrid.cache import PART_ROWS, EmbeddingStore, RowCosts, compact, is_worth_compacting
from hybrid.errors import CacheError
from hybrid.extraction.wall_clock import WallClock
from hybrid.remote.errors import RemoteError

PART_SECONDS = 30.0  # a killed job loses at most this much work

Rows = NDArray[np.float32]


class Writer(Protocol):
    """Receives the embeddings and the failures of a batch."""

    def add(self, keys: Sequence[bytes], rows: Rows, failures: Mapping[bytes, str]) -> None:
        """Add embeddings, and the images that cannot be decoded: key → reason."""


class PartWriter:
    """Collects embeddings and writes a part when it is large or old enough, in a thread.

    Where the disk is slower than the engine, `add` waits: no more than two parts are in memory.

    Parameters
    ----------
    store : EmbeddingStore
    clock : WallClock, optional
        Says what this writer's embeddings cost; recorded with each part. By default not known.
    device : str, default=""
        Processor or GPU that they are computed on.

    Attributes
    ----------
    embedded, failed : int
        Number of images added so far.

    Examples
    --------
    >>> import numpy as np
    >>> from hybrid.cache import EmbeddingCache
    >>> store = EmbeddingCache(".hybrid-cache").make({"dimension": 4, "dtype": "float32"}, {})
    >>> writer = PartWriter(store)
    >>> writer.add([bytes(32)], np.ones((1, 4), dtype=np.float32), {})
    >>> writer.close()
    >>> writer.embedded, len(store)
    (1, 1)
    """

    def __init__(
        self, store: EmbeddingStore, clock: WallClock | None = None, device: str = ""
    ) -> None:
        self.store = store
        self.clock, self.device = clock, device
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
        """Write what was added, and wait until it is on the disk.

        Raises
        ------
        CacheError
            If this part or the one before cannot be written.
        """
        self._start()
        self._wait()

    def close(self) -> None:
        """Flush, and end the thread."""
        try:
            self.flush()
        finally:
            self._pool.shutdown()

    def _start(self) -> None:
        self._wait()
        costs = self._costs(len(self._keys))
        part = self._keys, self._rows, self._failures, costs
        self._under_way = self._pool.submit(self._write, *part)
        self._clear()

    def _wait(self) -> None:
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.result()

    def _costs(self, rows: int) -> RowCosts | None:
        """What was spent since the part before; what only failed is charged to the next embeddings."""
        if self.clock is None or not rows:
            return None
        return RowCosts.even(self.clock.take(self), rows, self.device)

    def _write(
        self,
        keys: list[bytes],
        rows: list[Rows],
        failures: dict[bytes, str],
        costs: RowCosts | None,
    ) -> None:
        if keys:
            self.store.append(keys, np.concatenate(rows), costs)
        self.store.append_failures(failures)


def compact_afterwards(store: EmbeddingStore) -> None:
    """Compact a store that has grown, where worthwhile; a failure is a warning: the embeddings are safe.

    Examples
    --------
    >>> from hybrid.cache import EmbeddingCache
    >>> compact_afterwards(EmbeddingCache("compacted").make({"dimension": 4, "dtype": "float32"}, {}))
    """
    if not is_worth_compacting(store):
        return
    try:
        compact(store)
    except (CacheError, RemoteError) as error:
        warnings.warn(f"{error}", stacklevel=3)
