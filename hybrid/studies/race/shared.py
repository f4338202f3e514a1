"""What all encoders of a race have in common: samples, blocks, options, and the fits on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid.catalogue import Catalogue
from hybrid.heads import HybridClassifier
from hybrid.heads.make_hybrid import make_hybrid
from hybrid.studies.race.fits import RaceFits
from hybrid.studies.race.options import RaceOptions
from hybrid.studies.race.rounds import Scores
from hybrid.utils.context import Context


class Sample(NamedTuple):
    """Items that a round is judged on.

    Parameters
    ----------
    catalogue : Catalogue
        Of them alone.
    labels : ndarray of shape (n, L), uint8
    groups : ndarray of shape (n,)
    """

    catalogue: Catalogue
    labels: NDArray[np.uint8]
    groups: NDArray[Any]


@dataclass(frozen=True)
class Shared:
    """What all encoders of a race have in common.

    Parameters
    ----------
    samples : tuple of Sample
        Nested, the largest last.
    whole : Catalogue
    blocks : tuple of str
        That each encoder is added to.
    options : RaceOptions
    multiclass : bool
        Whether each item has exactly one label.
    context : Context
    """

    samples: tuple[Sample, ...]
    whole: Catalogue
    blocks: tuple[str, ...]
    options: RaceOptions
    multiclass: bool
    context: Context
    fits: RaceFits = field(init=False)

    def __post_init__(self) -> None:
        fits = RaceFits(self.blocks, self.options.folds, self.context.seed)
        object.__setattr__(self, "fits", fits)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Items of each sample."""
        return tuple(len(sample.labels) for sample in self.samples)

    def fit_blocks(self, sample: int) -> Scores:
        """Out-of-fold outputs of the blocks alone."""
        found = self.fits.alone(self.samples[sample], self._make(sample))
        return Scores(found.outputs, choosing=found.choosing)

    def fit_encoder(self, name: str, block: str, sample: int, **select: Any) -> Scores:
        """Out-of-fold outputs of an encoder's block, alone and with the blocks."""
        alone, joined = self.fits.encoder(
            name, block, self.samples[sample], self._make(sample), **select
        )
        if joined is None:
            return Scores(alone.outputs)
        return Scores(alone.outputs, joined.outputs, joined.choosing)

    def _make(self, sample: int) -> Any:
        catalogue = self.samples[sample].catalogue

        def make(blocks: tuple[str, ...], **select: Any) -> HybridClassifier:
            return make_hybrid(
                catalogue,
                blocks=blocks,
                metric=self.options.metric,
                folds=self.options.folds,
                multiclass=self.multiclass,
                context=self.context,
                **select,
            )

        return make
