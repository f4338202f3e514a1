"""The inference engine Keras, on any of its backends."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from hybrid.backbones.backend import backend_has_gpu, compile_forward, is_out_of_memory
from hybrid.backbones.batch_size import find_batch_size
from hybrid.backbones.engine import Embeddings, Engine, EngineChoice, MemoryExhausted, Posters
from hybrid.backbones.load import load_network
from hybrid.backbones.measurements import BATCH_SIZES, load_measurement, save_measurement
from hybrid.backbones.registry import BackboneSpec
from hybrid.backbones.weights import Weights

PROCESSOR_BATCH = 32
TRIALS = 3


class KerasEngine(Engine):
    """A backbone, compiled by Keras' backend; see `hybrid.backbones.engines.load_backbone`.

    Parameters
    ----------
    spec : BackboneSpec
    weights : Weights
    choice : EngineChoice
    batch_size : int, optional
        By default 32; on a GPU it is measured once and remembered.

    Raises
    ------
    WeightsError
        If the file does not fit the architecture.

    Examples
    --------
    >>> from hybrid.backbones import get_backbone, resolve_weights
    >>> spec = get_backbone("small")
    >>> choice = EngineChoice("keras", "float32", "processor")
    >>> engine = KerasEngine(spec, resolve_weights(spec, "random"), choice, batch_size=4)
    >>> engine(np.zeros((3, 150, 150, 3), dtype=np.uint8)).shape
    (3, 64)
    """

    def __init__(
        self,
        spec: BackboneSpec,
        weights: Weights,
        choice: EngineChoice,
        batch_size: int | None = None,
    ) -> None:
        self.choice = choice
        self.input_size = spec.input_size
        gpu = backend_has_gpu()
        # A GPU computes while the next batch is on its way to it.
        self.depth = 2 if gpu else 1
        self.batch_size = batch_size or PROCESSOR_BATCH
        network = load_network(spec, weights, choice.precision)
        self._forward, self._static_shapes = compile_forward(network)
        if gpu and batch_size is None:
            self.batch_size = self._known_batch_size(spec)

    def start(self, posters: Posters) -> Callable[[], Embeddings]:
        """See `Engine.start`."""
        n = len(posters)
        if self._static_shapes and n < self.batch_size:  # each n would cost a compilation
            filled = np.zeros((self.batch_size, *posters.shape[1:]), dtype=np.uint8)
            filled[:n] = posters
            posters = filled
        with _MemoryErrors():
            embeddings = self._forward(posters)

        def result() -> Embeddings:
            with _MemoryErrors():
                found = keras.ops.convert_to_numpy(embeddings)
            return np.asarray(found[:n], dtype=np.float32)

        return result

    def _known_batch_size(self, spec: BackboneSpec) -> int:
        key = (
            f"{self.choice.description}; {keras.backend.backend()} {keras.__version__}; {spec.key}"
        )
        known = load_measurement(BATCH_SIZES, key)
        if isinstance(known, int) and known > 0:
            return known
        found = find_batch_size(self._rate)
        save_measurement(BATCH_SIZES, key, found)
        return found

    def _rate(self, batch_size: int) -> float:
        self.batch_size = batch_size
        return self.rate(TRIALS * batch_size)


class _MemoryErrors:
    """Turns the backend's error for exhausted memory into MemoryExhausted."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and is_out_of_memory(error):
            raise MemoryExhausted(str(error)) from error
