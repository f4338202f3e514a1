"""Out-of-fold outputs of encoders on a sample, without what a race needs no model for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid.evaluation import Outputs
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads import HybridClassifier
from hybrid.heads.cross_fitting import Fold, FusionFolds, assign_folds

Make = Callable[
    ..., HybridClassifier
]  # blocks, and what selects embeddings → an unfitted classifier


class Fitted(NamedTuple):
    """Out-of-fold outputs, and the seconds of them that choosing the weights of the blocks took."""

    outputs: Outputs
    choosing: float


class JoinedFolds:
    """Folds of several fusions side by side, each with its weights.

    Parameters
    ----------
    parts : sequence of FusionFolds
        With the same folds.
    weights : dict of str to float
        Block → weight; 1 of those that are not named.
    """

    def __init__(self, parts: tuple[FusionFolds, ...], weights: dict[str, float]) -> None:
        self.parts, self.weights = parts, weights

    def __iter__(self) -> Iterator[Fold]:
        for folds in zip(*self.parts, strict=True):
            yield Fold(
                folds[0].held_out,
                self._join([fold.train for fold in folds]),
                self._join([fold.test for fold in folds]),
                folds[0].groups,
            )

    def _join(self, several: list[FusionMatrix]) -> FusionMatrix:
        blocks = tuple(block for matrix in several for block in matrix.blocks)
        weights = tuple(weight for matrix in several for weight in matrix.weights)
        return FusionMatrix(blocks, weights).with_weights(self.weights)


@dataclass(eq=False)
class RaceFits:
    """Cross-fitted SVMs of a race.

    What all encoders share, the features of TF-IDF and metadata in each fold, is computed once a sample. The
    weights of the blocks are chosen on the first sample, and kept; C is chosen on each. Nothing is fitted on
    all items, as no model is kept.

    Parameters
    ----------
    blocks : tuple of str
        That each encoder is added to.
    folds : int
    seed : int
        Assigns the folds.
    """

    blocks: tuple[str, ...]
    folds: int
    seed: int
    _weights: dict[tuple[str, ...], dict[str, float]] = field(default_factory=dict, init=False)
    _sample: Any = field(default=None, init=False)
    _fold: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64), init=False)
    _shared: FusionFolds | None = field(default=None, init=False)

    def alone(self, sample: Any, make: Make) -> Fitted:
        """Of the blocks without an encoder."""
        model = make(self.blocks)
        return self._fit(("",), model, sample, (self._shared_folds(sample, make),))

    def encoder(
        self, name: str, block: str, sample: Any, make: Make, **select: Any
    ) -> tuple[Fitted, Fitted | None]:
        """Of an encoder without the blocks, and with them if there are any.

        Parameters
        ----------
        name, block : str
            Of the encoder, and of the block that its embeddings make.
        sample : Sample
        make : callable
            Blocks, and what selects embeddings → HybridClassifier.
        **select
            What selects the embeddings.
        """
        shared = self._shared_folds(sample, make) if self.blocks else None
        model = make((block,), **select)
        own = self._folds(model, sample)
        alone = self._fit((name,), model, sample, (own,))
        if shared is None:
            return alone, None
        joined = make((block, *self.blocks), **select)
        return alone, self._fit((name, "joined"), joined, sample, (own, shared))

    def _shared_folds(self, sample: Any, make: Make) -> FusionFolds:
        self._take(sample)
        if self._shared is None:
            self._shared = self._folds(make(self.blocks), sample)
        return self._shared

    def _take(self, sample: Any) -> None:
        """Forget what was computed for another sample."""
        if self._sample is not sample:
            self._sample, self._shared = sample, None
            ids = sample.catalogue.frame.index
            self._fold = assign_folds(sample.labels, self.folds, sample.groups, self.seed, ids=ids)

    def _folds(self, model: HybridClassifier, sample: Any) -> FusionFolds:
        self._take(sample)
        data = model.fusion.read(sample.catalogue.frame)
        return FusionFolds(model.fusion, data, self._fold, sample.groups)

    def _fit(
        self,
        key: tuple[str, ...],
        model: HybridClassifier,
        sample: Any,
        parts: tuple[FusionFolds, ...],
    ) -> Fitted:
        known = self._weights.get(key)
        if known is not None:
            model = model.set_params(block_weights=())
        found = model.cross_fit(JoinedFolds(parts, known or {}), self._fold, sample.labels)
        if known is None:
            self._weights[key] = found.chosen_.weights
        tried = [each for each in found.search_results_ if each.choice.weights]
        seconds = sum(each.seconds for each in tried)
        return Fitted(Outputs(found.oof_labels_, found.oof_probabilities_), seconds)
