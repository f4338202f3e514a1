"""The inference engine Keras for text encoders, on any of its backends."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.backend import compile_text_forward
from hybrid.backbones.engine import Embeddings, EngineChoice
from hybrid.text_encoders.arrays import EncoderArrays, read_arrays
from hybrid.text_encoders.engine import TOKENS, TextEngine
from hybrid.text_encoders.keras_network import build_network
from hybrid.text_encoders.spec import TransformerSpec

GPU_TOKENS = 16 * TOKENS


class KerasTextEngine(TextEngine):
    """A text encoder, compiled by Keras' backend; see `hybrid.text_encoders.encoder.load_text_engine`.

    Parameters
    ----------
    spec : TransformerSpec
    choice : EngineChoice
    arrays : EncoderArrays, optional
        Its weights; by default those of its folder.

    Raises
    ------
    WeightsError
        If the weights do not fit the architecture.
    """

    def __init__(
        self, spec: TransformerSpec, choice: EngineChoice, arrays: EncoderArrays | None = None
    ) -> None:
        self.choice, self.dimension = choice, spec.dimension
        network = build_network(spec, arrays or read_arrays(spec), choice.precision)
        self._forward, self._static_shapes = compile_text_forward(network)
        self._longest = spec.max_length
        if self._static_shapes:
            self.budget, self.depth = GPU_TOKENS, 2

    def start(self, ids: NDArray[np.int32], lengths: NDArray[np.int32]) -> Callable[[], Embeddings]:
        """See `TextEngine.start`."""
        n = len(ids)
        if self._static_shapes:  # each new shape would cost a compilation
            ids, lengths = self._filled(ids, lengths)
        embeddings = self._forward(ids, lengths)
        return lambda: np.asarray(keras.ops.convert_to_numpy(embeddings)[:n], dtype=np.float32)

    def _filled(
        self, ids: NDArray[np.int32], lengths: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Fill a batch up to one of a few shapes: a power of two of tokens, and as many rows as fit."""
        width = 16
        while width < ids.shape[1]:
            width *= 2
        rows = max(1, self.budget // width)
        # Rounded up, a batch may have more rows than its budget allows of the wider ones.
        rows = rows if len(ids) <= rows else 2 * rows
        filled = np.zeros((rows, min(width, max(self._longest, ids.shape[1]))), dtype=np.int32)
        filled[: len(ids), : ids.shape[1]] = ids
        counts = np.ones(rows, dtype=np.int32)
        counts[: len(lengths)] = lengths
        return filled, counts
