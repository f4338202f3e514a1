"""Decoding, embedding and writing of posters at the same time, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.engine import Embeddings, Engine
from hybrid.extraction.wall_clock import WallClock
from hybrid.extraction.writer import Writer
from hybrid.images.damage import find_damage
from hybrid.images.decode import BadPoster, Geometry, decode_for
from hybrid.images.files import held_poster, poster_key

# Key, and why the image cannot be decoded ("" if it can); None where the file vanished since it was hashed.
Decoded = tuple[bytes, str] | None


class Target(NamedTuple):
    """One backbone: geometry of its input, its engine, and the writer of its embeddings."""

    geometry: Geometry
    engine: Engine
    writer: Writer


class _Batch:
    """A batch of one target: a buffer of pixels, and the futures that decode into it."""

    def __init__(self, target: Target) -> None:
        self.target = target
        shape = (target.engine.batch_size, *target.geometry.size, 3)
        self.posters: NDArray[np.uint8] = np.empty(shape, dtype=np.uint8)
        self.decoded: list[Future[Decoded]] = []

    def next_slot(self) -> NDArray[np.uint8]:
        """The slice of the buffer for the next poster."""
        return self.posters[len(self.decoded)]

    def is_full(self) -> bool:
        return len(self.decoded) == len(self.posters)

    def wait(self) -> tuple[list[bytes], NDArray[np.uint8], dict[bytes, str]]:
        """Wait until all are decoded: keys and pixels of good images, and the failures."""
        found = [future.result() for future in self.decoded]
        good = [entry is not None and not entry[1] for entry in found]
        keys = [entry[0] for entry in found if entry is not None and not entry[1]]
        failures = dict(entry for entry in found if entry is not None and entry[1])
        posters = self.posters[: len(found)]
        return keys, posters if all(good) else posters[good], failures


class EmbeddingPipeline:
    """Embeds posters with one or more backbones; each file is read, hashed and decoded once for all.

    Threads decode the next batches while the engine computes earlier ones and the writer writes still
    earlier ones. `put` waits where the others are behind, so memory is bounded.

    Parameters
    ----------
    workers : int
        Number of threads that read and decode.
    advance : callable
        Called with the number of images of a target that were finished.
    clock : WallClock, optional
        Charged by writer: reading and decoding are shared by the targets of a file, the rest is the target's.

    Examples
    --------
    >>> from hybrid import write_sample
    >>> _ = write_sample("films", n_items=60)
    >>> class MeanColour(Engine):
    ...     batch_size, depth = 8, 1
    ...     def start(self, posters):
    ...         return lambda: posters.mean(axis=(1, 2), dtype=np.float32)
    >>> class Print:
    ...     def add(self, keys, rows, failures):
    ...         print(len(keys), rows.shape, len(failures))
    >>> pipeline = EmbeddingPipeline(workers=1, advance=lambda n: None)
    >>> pipeline.put("films/posters/f0001.jpg", [Target(Geometry((32, 32)), MeanColour(), Print())])
    >>> pipeline.finish()
    1 (1, 3) 0
    >>> pipeline.close()
    """

    def __init__(
        self, workers: int, advance: Callable[[int], None], clock: WallClock | None = None
    ) -> None:
        self.workers = workers
        self.advance = advance
        self.clock = clock or WallClock()
        self._sharing: list[Writer] = []  # the writers of the file that was queued last
        self._pool = ThreadPoolExecutor(workers)
        self._filling: dict[Target, _Batch] = {}
        self._decoding: deque[_Batch] = deque()
        self._computing: deque[tuple[_Batch, list[bytes], Callable[[], Embeddings]]] = deque()

    def put(self, path: str, targets: Sequence[Target]) -> None:
        """Queue one poster for each of these targets."""
        self._sharing = [target.writer for target in targets]
        self.clock.share(self._sharing)  # finding the file
        for target in targets:
            if target not in self._filling:
                self._filling[target] = _Batch(target)
        batches = [self._filling[target] for target in targets]
        places = [(batch.target.geometry, batch.next_slot()) for batch in batches]
        future = self._pool.submit(decode_into, path, places)
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
        self._pool.shutdown(cancel_futures=True)
        self._filling.clear()
        self._decoding.clear()
        while self._computing:
            self._collect()

    def _is_far_ahead(self) -> bool:
        """Whether more posters are queued than keep the threads busy while a batch is computed."""
        waiting = sum(len(batch.decoded) for batch in self._decoding)
        return waiting > max(2 * self.workers, len(self._decoding[0].decoded))

    def _compute(self) -> None:
        batch = self._decoding.popleft()
        keys, posters, failures = batch.wait()
        self.clock.share(self._sharing)  # a file is decoded once for all
        if failures:
            batch.target.writer.add([], np.empty((0, 0), dtype=np.float32), failures)
        self.advance(len(batch.decoded) - len(keys))
        if keys:
            self._computing.append((batch, keys, batch.target.engine.start_or_split(posters, keys)))
        self.clock.charge(batch.target.writer)
        while len(self._computing) > batch.target.engine.depth:
            self._collect()

    def _collect(self) -> None:
        batch, keys, result = self._computing.popleft()
        embeddings = result()
        self.clock.charge(batch.target.writer)  # before the writer may write a part of it
        batch.target.writer.add(keys, embeddings, {})
        self.advance(len(keys))
        self.clock.charge(batch.target.writer)


def decode_into(path: str, places: Sequence[tuple[Geometry, NDArray[np.uint8]]]) -> Decoded:
    """Read, hash and decode a file into the buffers of its targets.

    Examples
    --------
    >>> slot = np.zeros((32, 32, 3), dtype=np.uint8)
    >>> decode_into("no-such-file.jpg", [(Geometry((32, 32)), slot)]) is None
    True
    """
    with held_poster(path) as data:
        if isinstance(data, BadPoster):
            return None
        # Hashed again, since the file may have changed since the catalogue was hashed.
        key = poster_key(data)
        images = decode_for(data, [geometry for geometry, _ in places])
        if isinstance(images, BadPoster):
            return key, images.reason
        if damage := find_damage(data):
            return key, damage
    for image, (_, slot) in zip(images, places, strict=True):
        slot[...] = image
    return key, ""
