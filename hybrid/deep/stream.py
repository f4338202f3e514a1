"""Items from disk to the network, batch by batch; memory does not grow with the catalogue. No Keras here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.errors import ExtractionError
from hybrid.images.decode import BadPoster, load_poster

AHEAD = 2  # batches that are read while the network computes


@dataclass(frozen=True, eq=False)
class Items:
    """What a network may learn from, or is asked about: n items.

    Parameters
    ----------
    ids : sequence of str
    paths : sequence of str
        Poster files, ``""`` where an item has none.
    labels : ndarray of shape (n, L), optional
    embeddings : ndarray of shape (n, D), optional
        What the frozen body makes of the posters, NaN rows where there is none; computed where it is
        not given.
    frame : DataFrame of n items, optional
        What the blocks `text` and `metadata` read; see `hybrid.catalogue.catalogue.Catalogue.frame`.
    """

    ids: Sequence[str]
    paths: Sequence[str]
    labels: NDArray[np.uint8] | None = None
    embeddings: NDArray[np.float32] | None = None
    frame: pd.DataFrame | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: NDArray[Any]) -> Items:
        """Some of the items, by number or mask."""
        numbers = np.arange(len(self))[rows].tolist()
        return replace(
            self,
            ids=[self.ids[i] for i in numbers],
            paths=[self.paths[i] for i in numbers],
            labels=None if self.labels is None else self.labels[numbers],
            embeddings=None if self.embeddings is None else self.embeddings[numbers],
            frame=None if self.frame is None else self.frame.iloc[numbers],
        )


class Source(Protocol):
    """What a network reads, item by item."""

    def __len__(self) -> int:
        """Number of items."""

    def start(self, rows: NDArray[np.int64], pool: ThreadPoolExecutor) -> Callable[[], Any]:
        """Start to read some items; what comes back waits for their batch."""


class Arrays:
    """Rows of an array in memory, or mapped from a file."""

    def __init__(self, rows: NDArray[Any]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def start(self, rows: NDArray[np.int64], pool: ThreadPoolExecutor) -> Callable[[], Any]:
        """See `Source`."""
        return lambda: np.asarray(self.rows[rows], dtype=np.float32)


class Posters:
    """Posters, decoded by threads.

    Parameters
    ----------
    paths : sequence of n str
        Files that `usable` found to be good.
    size : (height, width)
    """

    def __init__(self, paths: Sequence[str], size: tuple[int, int]) -> None:
        self.paths = paths
        self.size = size

    def __len__(self) -> int:
        return len(self.paths)

    def start(self, rows: NDArray[np.int64], pool: ThreadPoolExecutor) -> Callable[[], Any]:
        """See `Source`."""
        decoded = [pool.submit(_decode, self.paths[i], self.size) for i in rows.tolist()]
        return lambda: np.stack([poster.result() for poster in decoded])


def batches(
    source: Source, order: NDArray[np.int64], batch_size: int, workers: int
) -> Iterator[tuple[NDArray[np.int64], Any]]:
    """Give rows and what the network reads of them, batch by batch, in this order.

    Parameters
    ----------
    source : Source
    order : ndarray of int
        The rows to read.
    batch_size : int
    workers : int
        Threads that read while the network computes.
    """
    parts = [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
    waiting: deque[tuple[NDArray[np.int64], Callable[[], Any]]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for rows in parts:
            waiting.append((rows, source.start(rows, pool)))
            if len(waiting) > AHEAD:
                first, ready = waiting.popleft()
                yield first, ready()
        while waiting:
            first, ready = waiting.popleft()
            yield first, ready()
    finally:
        pool.shutdown(cancel_futures=True)


def shuffled(n: int, seed: int, stage: int, epoch: int) -> NDArray[np.int64]:
    """The order of an epoch: of seed, stage and epoch alone, so that a resumed training has it, too."""
    return np.random.default_rng([seed, stage, epoch]).permutation(n)


def _decode(path: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    poster = load_poster(path, size)
    if isinstance(poster, BadPoster):
        raise ExtractionError(f"{path}: was usable when training began, now it {poster.reason}.")
    return poster


def usable(paths: Sequence[str], workers: int = 1) -> NDArray[np.bool_]:
    """Whether each poster can be decoded, shape (n,); ``""`` cannot."""
    with ThreadPoolExecutor(workers) as pool:
        good = pool.map(lambda path: not isinstance(load_poster(path, (16, 16)), BadPoster), paths)
        return np.array(list(good), dtype=bool)
