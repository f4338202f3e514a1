"""The interface of an inference engine for texts: batches of tokens in, embeddings out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.engine import Embeddings, EngineChoice
from hybrid.text_encoders.batches import plan_batches
from hybrid.text_encoders.tokens import Tokens

TOKENS = 2048  # of a batch, padding included


class TextEngine(ABC):
    """A text encoder, loaded and compiled: from tokens to embeddings. Subclasses implement `start`.

    Attributes
    ----------
    choice : EngineChoice
    dimension : int
        Length D of an embedding.
    budget : int
        Maximum number of tokens of a batch, padding included.
    depth : int
        Number of batches that should be in flight so that the device is never idle.
    """

    choice: EngineChoice
    dimension: int
    budget: int = TOKENS
    depth: int = 1

    @abstractmethod
    def start(self, ids: NDArray[np.int32], lengths: NDArray[np.int32]) -> Callable[[], Embeddings]:
        """Start to compute a batch without waiting for it.

        Parameters
        ----------
        ids : ndarray of shape (n, width), int32
            Tokens, filled up at the end.
        lengths : ndarray of shape (n,), int32
            Tokens of each row that count, 1 or more.

        Returns
        -------
        callable
            Waits, and returns the embeddings (n, D), float32.
        """

    def embed(self, tokens: Tokens) -> Embeddings:
        """Embed all pieces of some texts.

        Parameters
        ----------
        tokens : Tokens
            Of p pieces.

        Returns
        -------
        ndarray of shape (p, D), float32
        """
        found = np.empty((len(tokens.lengths), self.dimension), dtype=np.float32)
        under_way: deque[tuple[NDArray[np.int64], Callable[[], Embeddings]]] = deque()

        def collect() -> None:
            pieces, result = under_way.popleft()
            found[pieces] = result()

        for batch in plan_batches(tokens.lengths, self.budget):
            lengths = tokens.lengths[batch.pieces].astype(np.int32)
            rows = tokens.rows(batch.pieces, batch.width)
            under_way.append((batch.pieces, self.start(rows, lengths)))
            if len(under_way) > self.depth:
                collect()
        while under_way:
            collect()
        return found
