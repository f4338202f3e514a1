"""The inference engine of a tuned backbone: K encoders, each asked for the posters it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.engine import Embeddings, Engine, Posters
from hybrid.backbones.registry import BackboneSpec
from hybrid.backbones.tuned import pixel_numbers
from hybrid.backbones.tuned_folder import UNSEEN, find_folds, hash_numbers


class TunedEngine(Engine):
    """The K encoders of a tuned backbone, computed by another engine as one network.

    A poster that was learnt from gets the scores of the encoder of its fold, which has not seen it; every
    other poster the means of all, or those of one more encoder, where there is one.

    Parameters
    ----------
    spec : BackboneSpec
    engine : Engine
        Posters → the scores of all encoders, one after another; see
        `hybrid.backbones.tuned_network.join_encoders`.
    """

    def __init__(self, spec: BackboneSpec, engine: Engine) -> None:
        assert spec.tuned is not None, "a tuned backbone"
        self.engine, self.choice, self.input_size = engine, engine.choice, engine.input_size
        self.depth = engine.depth
        self._learnt, self._number = spec.tuned.learnt, spec.tuned.folds
        self._shape = (spec.tuned.folds + spec.tuned.refit, spec.dimension)

    @property
    def batch_size(self) -> int:
        """That of the engine below, which is halved where the memory is exhausted."""
        return self.engine.batch_size

    @batch_size.setter
    def batch_size(self, size: int) -> None:
        self.engine.batch_size = size

    def start(self, posters: Posters) -> Callable[[], Embeddings]:
        """See `Engine.start`."""
        fold = find_folds(self._learnt, pixel_numbers(posters))
        pending = self.engine.start(posters)
        return lambda: self._select(pending(), fold)

    def start_or_split(
        self, posters: Posters, keys: Sequence[bytes] = ()
    ) -> Callable[[], Embeddings]:
        """See `Engine.start_or_split`."""
        fold = find_folds(self._learnt, pixel_numbers(posters))
        if keys:
            by_file = find_folds(self._learnt, hash_numbers(keys))
            fold = np.where(fold == UNSEEN, by_file, fold)
        pending = self.engine.start_or_split(posters)
        return lambda: self._select(pending(), fold)

    def _select(self, scores: Embeddings, fold: NDArray[np.int64]) -> Embeddings:
        each = scores.reshape(len(scores), *self._shape)
        new = each[:, self._number :] if self._shape[0] > self._number else each
        means = new.mean(axis=1, dtype=np.float64).astype(np.float32)
        own = each[np.arange(len(each)), np.maximum(fold, 0)]
        return np.where((fold == UNSEEN)[:, None], means, own)
