"""The interface of an inference engine: batches of posters in, embeddings out."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid.errors import ExtractionError

Posters = NDArray[np.uint8]
Embeddings = NDArray[np.float32]


class MemoryExhausted(Exception):
    """The device has not enough memory for a batch."""


@dataclass(frozen=True)
class EngineChoice:
    """What is to compute a backbone.

    Parameters
    ----------
    engine : str
        ``"keras"`` or ``"openvino"``.
    precision : str
        Of the network's products: ``"float32"``, ``"bfloat16"`` or ``"float16"``. Sums, and the pooling
        of the last feature map, are in float32.
    device : str
        The name of processor or GPU.
    """

    engine: str
    precision: str
    device: str

    @property
    def description(self) -> str:
        """In words, for a message."""
        return f"{self.engine}, {self.precision}, on {self.device}"


class Engine(ABC):
    """A backbone, loaded and compiled.

    Attributes
    ----------
    choice : EngineChoice
    input_size : (height, width)
    batch_size : int
        Posters that it takes at once; becomes smaller where memory does not suffice.
    depth : int
        Batches that should be under way at once for it to have no idle time.
    """

    choice: EngineChoice
    input_size: tuple[int, int]
    batch_size: int
    depth: int

    @abstractmethod
    def start(self, posters: Posters) -> Callable[[], Embeddings]:
        """Start computing one batch; what comes back waits for it.

        Parameters
        ----------
        posters : ndarray of shape (n, height, width, 3), uint8, RGB
            At most `batch_size`; not to be changed before the result is there.

        Raises
        ------
        MemoryExhausted
            Here, or when the result is asked for.
        """

    def begin(self, posters: Posters) -> Callable[[], Embeddings]:
        """As `start`, but where memory does not suffice the batch is computed in halves."""
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
        """Posters a second, with no work around it, measured on `n` or a few more.

        The first batch, for which things are compiled, is not counted.

        Raises
        ------
        MemoryExhausted
        """
        posters = np.zeros((self.batch_size, *self.input_size, 3), dtype=np.uint8)
        self.start(posters)()
        batches, under_way = -(-n // self.batch_size), deque[Callable[[], Embeddings]]()
        start = time.perf_counter()
        for _ in range(batches):
            under_way.append(self.start(posters))
            if len(under_way) > self.depth:
                under_way.popleft()()
        while under_way:
            under_way.popleft()()
        return batches * self.batch_size / (time.perf_counter() - start)

    def __call__(self, posters: Posters) -> Embeddings:
        """Embed any number of posters.

        Parameters
        ----------
        posters : ndarray of shape (n, height, width, 3), uint8, RGB

        Returns
        -------
        ndarray of shape (n, D), float32

        Raises
        ------
        ExtractionError
            If the device's memory does not suffice for a single poster.
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
