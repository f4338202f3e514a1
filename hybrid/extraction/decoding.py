"""Decoding of posters into the buffers of batches: in threads, or as other classes do it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid.images.damage import find_damage
from hybrid.images.decode import BadPoster, Geometry, decode_for
from hybrid.images.files import held_poster, poster_key

# Key, and why the image cannot be decoded ("" if it can); None where the file vanished since it was hashed.
Decoded = tuple[bytes, str] | None


class Buffer(NamedTuple):
    """The pixels of a batch: shape (n, height, width, 3), uint8.

    Parameters
    ----------
    pixels : ndarray
    offset : int, default=0
        Where they begin in memory that processes share.
    """

    pixels: NDArray[np.uint8]
    offset: int = 0


class Place(NamedTuple):
    """Where the pixels of a poster go, and in which geometry.

    Parameters
    ----------
    geometry : Geometry
    buffer : Buffer
    row : int
        Of the poster in its batch.
    """

    geometry: Geometry
    buffer: Buffer
    row: int


class Decoders(ABC):
    """What decodes posters while its caller does something else.

    Attributes
    ----------
    ahead : int
        Posters that should be queued, so that none of the decoders waits for work.
    """

    ahead: int

    def buffer(self, shape: tuple[int, ...]) -> Buffer:
        """Make a buffer for the pixels of a batch."""
        return Buffer(np.empty(shape, dtype=np.uint8))

    def release(self, buffer: Buffer) -> None:
        """Take back a buffer that nobody reads any more."""
        return None

    @abstractmethod
    def submit(self, path: str, places: Sequence[Place]) -> Future[Decoded]:
        """Decode a file into these places; see `decode_into`."""

    @abstractmethod
    def close(self) -> None:
        """Finish what is being decoded, and drop what is queued."""


class DecodingThreads(Decoders):
    """Threads that decode.

    Parameters
    ----------
    workers : int

    Examples
    --------
    >>> threads = DecodingThreads(2)
    >>> place = Place(Geometry((32, 32)), threads.buffer((4, 32, 32, 3)), 0)
    >>> threads.submit("no-such-file.jpg", [place]).result() is None
    True
    >>> threads.close()
    """

    def __init__(self, workers: int) -> None:
        self.ahead = 2 * workers
        self._pool = ThreadPoolExecutor(workers)

    def submit(self, path: str, places: Sequence[Place]) -> Future[Decoded]:
        """See `Decoders.submit`."""
        slots = [(geometry, buffer.pixels[row]) for geometry, buffer, row in places]
        return self._pool.submit(decode_into, path, slots)

    def close(self) -> None:
        """See `Decoders.close`."""
        self._pool.shutdown(cancel_futures=True)


def decode_into(path: str, slots: Sequence[tuple[Geometry, NDArray[np.uint8]]]) -> Decoded:
    """Read, hash and decode a file into arrays, each of its geometry's size.

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
        images = decode_for(data, [geometry for geometry, _ in slots])
        if isinstance(images, BadPoster):
            return key, images.reason
        if damage := find_damage(data):
            return key, damage
    for image, (_, slot) in zip(images, slots, strict=True):
        slot[...] = image
    return key, ""
