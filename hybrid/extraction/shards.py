"""Shards of the images to embed, claimed by leases, so that several processes can work on one store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from hybrid.cache import EmbeddingStore, Leases
from hybrid.extraction.wall_clock import WallClock
from hybrid.utils.interrupt import Interrupts
from hybrid.utils.progress import Advance, Progress
from hybrid.utils.sources import Sources


class ShardQueue:
    """The images that a store still lacks, in up to 256 shards by the first byte of their keys.

    Parameters
    ----------
    store : EmbeddingStore
    todo : mapping of bytes to str
        Key → path, or text.
    only : str, default=""
        Name of the one lease for all of them, where they are the share of one of several processes that each
        have their own.

    Attributes
    ----------
    pending : dict of str to Sources
        Shard → its images, those of shards that this process has not claimed yet.

    Examples
    --------
    >>> import tempfile
    >>> from hybrid.cache import EmbeddingCache
    >>> from hybrid.extraction.shards import ShardQueue
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = EmbeddingCache(folder).make({"dimension": 4, "dtype": "float32"}, {})
    ...     with ShardQueue(store, {bytes(32): "a.jpg"}) as queue:
    ...         list(queue.pending), len(queue.claim("00")[0]), list(queue.pending)
    (['00'], 1, [])
    """

    def __init__(self, store: EmbeddingStore, todo: Mapping[bytes, str], only: str = "") -> None:
        self.store = store
        self._leases = Leases(store.folder)
        self._all = Sources.of(todo)
        self.pending = {only: self._all} if only and todo else _by_first_byte(self._all)

    def __enter__(self) -> ShardQueue:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def release(self) -> None:
        """Give up the leases of all claimed shards."""
        self._leases.release()

    def renew(self) -> None:
        """Renew the leases, so that no other process takes them for abandoned."""
        self._leases.renew()

    def claim(self, shard: str) -> tuple[Sources, int]:
        """Claim a shard, unless another process holds its lease.

        Returns
        -------
        images : Sources
            Key → path of its images that have no embedding yet; empty where the shard was not claimed.
        finished : int
            Number of its images that other processes embedded meanwhile.
        """
        if shard not in self.pending or not self._leases.acquire(shard):
            return self._all.take(np.arange(0)), 0
        self.store.refresh()  # another process may have embedded it since we looked
        images = self.pending.pop(shard)
        done = self.store.has(images.packed)
        return images.take(~done), int(done.sum())

    def drop_finished(self) -> int:
        """Remove pending images that other processes finished; return their number."""
        if not self.pending:
            return 0
        self.store.refresh()
        dropped = 0
        for shard, images in list(self.pending.items()):
            done = self.store.knows(images.packed)
            dropped += int(done.sum())
            self.pending[shard] = images.take(~done)
            if not self.pending[shard]:
                del self.pending[shard]
        return dropped


def _by_first_byte(images: Sources) -> dict[str, Sources]:
    first = images.packed.array[:, 0]
    order = np.argsort(first, kind="stable")
    starts = np.searchsorted(first[order], np.arange(257))
    shards = ((byte, order[start:end]) for byte, (start, end) in enumerate(pairwise(starts)))
    return {f"{byte:02x}": images.take(rows) for byte, rows in shards if len(rows)}


def claim_shards(queues: Sequence[ShardQueue], advance: Advance) -> Iterator[tuple[str, list[int]]]:
    """Claim shard by shard, for several stores at once, and yield the files to embed.

    Parameters
    ----------
    queues : sequence of ShardQueue
        One for each store.
    advance : callable
        Called with the number of images that other processes turn out to have embedded.

    Yields
    ------
    path : str
    numbers : list of int
        Positions in `queues` of the stores that lack the embedding of this file.
    """
    for shard in sorted({shard for queue in queues for shard in queue.pending}):
        claimed = [queue.claim(shard) for queue in queues]
        advance(sum(finished for _, finished in claimed))
        if len(queues) == 1:
            yield from ((path, [0]) for path in claimed[0][0].values())
            continue
        wanted: dict[bytes, list[int]] = {}
        for number, (images, _) in enumerate(claimed):
            for key in images:
                wanted.setdefault(key, []).append(number)
        for key, numbers in wanted.items():
            yield claimed[numbers[0]][0][key], numbers


def rounds(
    queues: Sequence[ShardQueue],
    things: str,
    advance: Advance,
    clock: WallClock,
    interrupted: Interrupts,
    progress: Progress,
    seconds: float,
) -> Iterator[None]:
    """Yield while anything is pending; after each round wait for what other processes are embedding.

    Parameters
    ----------
    queues : sequence of ShardQueue
        The caller claims from them in each round, and writes what it computes.
    things : str
        What is embedded, in the plural, for the message.
    advance : callable
        Called with the number of what other processes embedded.
    clock : WallClock
        The time of waiting is charged to nobody.
    interrupted : Interrupts
    progress : Progress
    seconds : float
        Between two looks at what others have embedded.
    """
    waiting = False
    while any(queue.pending for queue in queues):
        yield
        for queue in queues:
            queue.release()  # else two processes could wait for each other
            advance(queue.drop_finished())
        if any(queue.pending for queue in queues):
            if not waiting:
                progress.say(f"waiting for another process that embeds the last {things}")
            waiting = True
            interrupted.wait(seconds)
            clock.skip()
