"""Decoding, embedding and writing of posters at the same time, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.engine import Embeddings, Engine
from hybrid.extraction.decoding import Buffer, Decoded, Decoders, Place
from hybrid.extraction.wall_clock import WallClock
from hybrid.extraction.writer import Writer
from hybrid.images.decode import Geometry


class Target(NamedTuple):
    """One backbone: geometry of its input, its engine, and the writer of its embeddings."""

    geometry: Geometry
    engine: Engine
    writer: Writer


class _Batch:
    """A batch of one target: a buffer of pixels, and the futures that decode into it."""

    def __init__(self, target: Target, buffer: Buffer) -> None:
        self.target = target
        self.buffer = buffer
        self.decoded: list[Future[Decoded]] = []

    def next_place(self) -> Place:
        """Where the next poster goes."""
        return Place(self.target.geometry, self.buffer, len(self.decoded))

    def is_full(self) -> bool:
        return len(self.decoded) == len(self.buffer.pixels)

    def wait(self) -> tuple[list[bytes], NDArray[np.uint8], dict[bytes, str]]:
        """Wait until all are decoded: keys and pixels of good images, and the failures."""
        found = [future.result() for future in self.decoded]
        good = [entry is not None and not entry[1] for entry in found]
        keys = [entry[0] for entry in found if entry is not None and not entry[1]]
        failures = dict(entry for entry in found if entry is not None and entry[1])
        posters = self.buffer.pixels[: len(found)]
        return keys, posters if all(good) else posters[good], failures


class EmbeddingPipeline:
    """Embeds posters with one or more backbones; each file is read, hashed and decoded once for all.

    Threads or processes decode the next batches while the engine computes earlier ones and the writer writes
    still earlier ones. `put` waits where the others are behind, so memory is bounded.

    Parameters
    ----------
    decoders : Decoders
        What reads and decodes.
    advance : callable
        Called with the number of images of a target that were finished.
    clock : WallClock, optional
        Charged by writer: reading and decoding are shared by the targets of a file, the rest is the target's.

    Examples
    --------
    >>> from hybrid import write_sample
    >>> from hybrid.extraction.decoding import DecodingThreads
    >>> _ = write_sample("films", n_items=60)
    >>> class MeanColour(Engine):
    ...     batch_size, depth = 8, 1
    ...     def start(self, posters):
    ...         return lambda: posters.mean(axis=(1, 2), dtype=np.float32)
    >>> class Print:
    ...     def add(self, keys, rows, failures):
    ...         print(len(keys), rows.shape, len(failures))
    >>> threads = DecodingThreads(1)
    >>> pipeline = EmbeddingPipeline(threads, advance=lambda n: None)
    >>> pipeline.put("films/posters/f0001.jpg", [Target(Geometry((32, 32)), MeanColour(), Print())])
    >>> pipeline.finish()
    1 (1, 3) 0
    >>> pipeline.close()
    >>> threads.close()
    """

    def __init__(
        self, decoders: Decoders, advance: Callable[[int], None], clock: WallClock | None = None
    ) -> None:
        self.decoders = decoders
        self.advance = advance
        self.clock = clock or WallClock()
        self._sharing: list[Writer] = []  # the writers of the file that was queued last
        self._filling: dict[Target, _Batch] = {}
        self._decoding: deque[_Batch] = deque()
        self._computing: deque[tuple[_Batch, list[bytes], Callable[[], Embeddings]]] = deque()

    def put(self, path: str, targets: Sequence[Target]) -> None:
        """Queue one poster for each of these targets."""
        self._sharing = [target.writer for target in targets]
        self.clock.share(self._sharing)  # finding the file
        for target in targets:
            if target not in self._filling:
                shape = (target.engine.batch_size, *target.geometry.size, 3)
                self._filling[target] = _Batch(target, self.decoders.buffer(shape))
        batches = [self._filling[target] for target in targets]
        future = self.decoders.submit(path, [batch.next_place() for batch in batches])
        for batch in batches:
            batch.decoded.append(future)
            if batch.is_full():
                self._decoding.append(self._filling.pop(batch.target))
        while self._decoding and self._is_far_ahead():
            self._compute()

    def finish(self) -> None:
        """Compute all that was queued."""
        self._decoding += self._filling.values()
        self._filling.clear()
        while self._decoding:
            self._compute()
        while self._computing:
            self._collect()

    def close(self) -> None:
        """Finish only the batches that the engine computes, and drop the others."""
        queued = [
            each for batch in (*self._decoding, *self._filling.values()) for each in batch.decoded
        ]
        wait([future for future in queued if not future.cancel()])
        self._filling.clear()
        self._decoding.clear()
        while self._computing:
            self._collect()

    def _is_far_ahead(self) -> bool:
        """Whether more posters are queued than keep the decoders busy while a batch is computed."""
        waiting = sum(len(batch.decoded) for batch in self._decoding)
        return waiting > max(self.decoders.ahead, len(self._decoding[0].decoded))

    def _compute(self) -> None:
        batch = self._decoding.popleft()
        keys, posters, failures = batch.wait()
        self.clock.share(self._sharing)  # a file is decoded once for all
        if failures:
            batch.target.writer.add([], np.empty((0, 0), dtype=np.float32), failures)
        self.advance(len(batch.decoded) - len(keys))
        if keys:
            self._computing.append((batch, keys, batch.target.engine.start_or_split(posters, keys)))
        else:
            self.decoders.release(batch.buffer)
        self.clock.charge(batch.target.writer)
        while len(self._computing) > batch.target.engine.depth:
            self._collect()

    def _collect(self) -> None:
        batch, keys, result = self._computing.popleft()
        embeddings = result()
        self.decoders.release(batch.buffer)
        self.clock.charge(batch.target.writer)  # before the writer may write a part of it
        batch.target.writer.add(keys, embeddings, {})
        self.advance(len(keys))
        self.clock.charge(batch.target.writer)
