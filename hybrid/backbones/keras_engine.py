"""Keras as the engine, on whichever backend it runs."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from hybrid.backbones.batches import find_batch_size
from hybrid.backbones.compiled import backend_has_gpu, compile_forward, is_out_of_memory
from hybrid.backbones.engines import Embeddings, Engine, EngineChoice, MemoryExhausted, Posters
from hybrid.backbones.kept import keep_batch_size, recall_batch_size
from hybrid.backbones.load import load_network
from hybrid.backbones.quiet import quiet_start
from hybrid.backbones.registry import BackboneSpec
from hybrid.backbones.weights import Weights

with quiet_start():
    import keras

PROCESSOR_BATCH = 32
TRIALS = 3


class KerasEngine(Engine):
    """A backbone, compiled by Keras' backend. See `hybrid.backbones.engines.load_backbone`."""

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
        self._forward, self._fixed = compile_forward(network)
        if gpu and batch_size is None:
            self.batch_size = self._known_batch_size(spec)

    def start(self, posters: Posters) -> Callable[[], Embeddings]:
        """See `Engine.start`."""
        n = len(posters)
        if self._fixed and n < self.batch_size:  # else each n would be compiled anew
            filled = np.zeros((self.batch_size, *posters.shape[1:]), dtype=np.uint8)
            filled[:n] = posters
            posters = filled
        with _Translated():
            embeddings = self._forward(posters)

        def result() -> Embeddings:
            with _Translated():
                found = keras.ops.convert_to_numpy(embeddings)
            return np.asarray(found[:n], dtype=np.float32)

        return result

    def _known_batch_size(self, spec: BackboneSpec) -> int:
        key = f"{self.choice.words}; {keras.backend.backend()} {keras.__version__}; {spec.key}"
        known = recall_batch_size(key)
        if known is None:
            known = find_batch_size(self._rate)
            keep_batch_size(key, known)
        return known

    def _rate(self, batch_size: int) -> float:
        """Posters a second; the first batch, which compiles, is not counted."""
        posters = np.zeros((batch_size, *self.input_size, 3), dtype=np.uint8)
        self.batch_size = batch_size
        self.start(posters)()
        start = time.perf_counter()
        for pending in [self.start(posters) for _ in range(TRIALS)]:
            pending()
        return TRIALS * batch_size / (time.perf_counter() - start)


class _Translated:
    """Turns each backend's own error for exhausted memory into MemoryExhausted."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and is_out_of_memory(error):
            raise MemoryExhausted(str(error)) from error
