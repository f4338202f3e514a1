"""The interface of an inference engine: batches of posters in, embeddings out."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid.errors import ExtractionError

Posters = NDArray[np.uint8]
Embeddings = NDArray[np.float32]


class MemoryExhausted(Exception):
    """The device has too little memory for a batch.

    Examples
    --------
    >>> raise MemoryExhausted("OOM when allocating tensor")
    Traceback (most recent call last):
    ...
    hybrid.backbones.engine.MemoryExhausted: OOM when allocating tensor
    """


@dataclass(frozen=True)
class EngineChoice:
    """An inference engine, its precision and its device.

    Parameters
    ----------
    engine : {"keras", "openvino"}
    precision : {"float32", "bfloat16", "float16"}
        Of matrix products and convolutions. Sums, and the pooling of the last feature map, are in float32.
    device : str
        Name of the processor or GPU.

    Examples
    --------
    >>> EngineChoice("keras", "bfloat16", "NVIDIA L4").description
    'keras, bfloat16, on NVIDIA L4'
    """

    engine: str
    precision: str
    device: str

    @property
    def description(self) -> str:
        """Engine, precision and device, for a message."""
        return f"{self.engine}, {self.precision}, on {self.device}"


class Engine(ABC):
    """A backbone, loaded and compiled: a callable from posters to embeddings.

    Subclasses implement `start`.

    Attributes
    ----------
    choice : EngineChoice
    input_size : tuple of (int, int)
        Height and width.
    batch_size : int
        Posters in a batch; it is halved when the memory of the device is exhausted.
    depth : int
        Number of batches that should be in flight so that the device is never idle.

    Examples
    --------
    >>> class FirstPixel(Engine):
    ...     input_size, batch_size, depth = (4, 4), 2, 1
    ...     def start(self, posters):
    ...         return lambda: posters[:, 0, 0].astype(np.float32)
    >>> FirstPixel()(np.ones((3, 4, 4, 3), dtype=np.uint8)).shape
    (3, 3)
    """

    choice: EngineChoice
    input_size: tuple[int, int]
    batch_size: int
    depth: int

    @abstractmethod
    def start(self, posters: Posters) -> Callable[[], Embeddings]:
        """Start to compute a batch without waiting for it.

        Parameters
        ----------
        posters : ndarray of shape (n, height, width, 3), dtype uint8, RGB
            At most `batch_size`. They must not change before the result is there.

        Returns
        -------
        callable
            Waits, and returns the embeddings (n, D), dtype float32.

        Raises
        ------
        MemoryExhausted
            Here, or by the callable.
        """

    def start_or_split(
        self, posters: Posters, keys: Sequence[bytes] = ()
    ) -> Callable[[], Embeddings]:
        """As `start`, but if the memory is exhausted, the batch is computed in halves.

        Content keys of the posters' files can be given: a tuned backbone knows by them what it has learnt
        from, also where another decoder makes other pixels of the files.
        """
        try:
            pending = self.start(posters)
        except MemoryExhausted:
            return lambda: self(posters)

        def result() -> Embeddings:
            try:
                return pending()
            except MemoryExhausted:
                return self(posters)

        return result

    def rate(self, n: int) -> float:
        """Measure the throughput on blank posters, in posters per second.

        The first batch, which compiles the network, is not counted.

        Parameters
        ----------
        n : int
            Posters to compute; rounded up to whole batches.

        Raises
        ------
        MemoryExhausted
            If the device has too little memory for a batch.
        """
        posters = np.zeros((self.batch_size, *self.input_size, 3), dtype=np.uint8)
        self.start(posters)()
        batches, in_flight = -(-n // self.batch_size), deque[Callable[[], Embeddings]]()
        start = time.perf_counter()
        for _ in range(batches):
            in_flight.append(self.start(posters))
            if len(in_flight) > self.depth:
                in_flight.popleft()()
        while in_flight:
            in_flight.popleft()()
        return batches * self.batch_size / (time.perf_counter() - start)

    def __call__(self, posters: Posters) -> Embeddings:
        """Compute the embeddings of any number of posters.

        Parameters
        ----------
        posters : ndarray of shape (n, height, width, 3), dtype uint8, RGB

        Returns
        -------
        ndarray of shape (n, D), dtype float32

        Raises
        ------
        ExtractionError
            If the device has too little memory for a single poster.
        """
        done, at = [], 0
        while at < len(posters):
            part = posters[at : at + self.batch_size]
            try:
                done.append(self.start(part)())
                at += len(part)
            except MemoryExhausted as error:
                if len(part) == 1:
                    raise ExtractionError(
                        f"{self.choice.device}: expected memory for one poster, found too little "
                        f"({str(error).partition(chr(10))[0]}). Choose a smaller backbone or "
                        "--input-size, or free the device."
                    ) from error
                self.batch_size = len(part) // 2
        return np.concatenate(done)
