"""A run of a deep baseline, loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones.startup import start_keras
from hybrid.catalogue.columns import POSTER
from hybrid.errors import SettingError
from hybrid.explain.contributions import GenrePrediction, ScoreDecomposition, SharedPrediction
from hybrid.explain.shapley import shapley_values
from hybrid.explain.similar_posters import block_embeddings, top_k_cosine
from hybrid.inspection.loaded_base import LoadedRun, MapOptions
from hybrid.inspection.poster_saliency import PosterSaliency, network_saliency
from hybrid.utils.context import Context

if TYPE_CHECKING:
    from hybrid.backbones.feature_maps import FeatureMapModel
    from hybrid.deep.baseline import DeepBaseline
    from hybrid.deep.fused import FusedBaseline
    from hybrid.deep.items import Items


@dataclass(frozen=True, eq=False)
class LoadedNetwork(LoadedRun):
    """A deep baseline, whose scores can be shared among its blocks alone.

    Parameters
    ----------
    folder, record, predictions, catalogue, frame
        See `LoadedRun`.
    context : Context
    """

    context: Context
    training_words: ClassVar[str] = "validation items of the run"

    @cached_property
    def model(self) -> DeepBaseline:
        """The network; Keras starts when it is first used."""
        start_keras()
        from hybrid.deep.saved import load_baseline

        return load_baseline(self.folder, self.context.workers, self.context.cache)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """See `LoadedRun.notes`."""
        how, parts = "cannot be decomposed", "words, fields and posters"
        if self._shares:
            how, parts = "are shared among its blocks (Shapley values)", "words and fields"
        return (
            *super().notes,
            f"{self.record.model} is a deep baseline, whose scores {how}. Contributions of {parts} are "
            "available for linear heads only, such as that of fit-svm.",
        )

    @property
    def _fused(self) -> FusedBaseline | None:
        """The network, if it reads blocks; Keras starts when it is first used."""
        model = self.model
        from hybrid.deep.fused import FusedBaseline

        return model if isinstance(model, FusedBaseline) else None

    @property
    def _shares(self) -> bool:
        """Whether the network reads several blocks, among which a score can be shared."""
        return len(self.record.blocks) > 1

    def predict_item(self, row: int) -> Sequence[ScoreDecomposition | GenrePrediction]:
        """See `LoadedRun.predict_item`."""
        item = self.items(np.array([row]))
        scores = self.model.decision_function(item)
        if np.isnan(scores).all():
            return ()
        probabilities = self.model.to_probabilities(scores, self.model.decision_)
        given = self.model.label(probabilities)[0]
        thresholds = self.model.decision_.thresholds.tolist() or [None] * len(self.genres)
        found = [
            GenrePrediction(
                genre, float(scores[0, j]), float(probabilities[0, j]), threshold, bool(given[j])
            )
            for j, (genre, threshold) in enumerate(zip(self.genres, thresholds, strict=True))
        ]
        return self._share(item, found) if self._shares else found

    def _share(self, item: Items, found: list[GenrePrediction]) -> Sequence[GenrePrediction]:
        """The predictions of an item, with what each of its blocks adds."""
        fused = self._fused
        if fused is None:
            return found
        names, scores = fused.score_subsets(item)
        values = shapley_values(scores)
        return [
            SharedPrediction(
                **vars(one),
                intercept=float(scores[0, j]),
                blocks=dict(zip(names, values[:, j].tolist(), strict=True)),
            )
            for j, one in enumerate(found)
        ]

    def saliency_maps(self, row: int, genres: Sequence[str], options: MapOptions) -> PosterSaliency:
        """See `LoadedRun.saliency_maps`."""
        self.refuse_weights(options.weights)
        path = self.poster_path(row)
        numbers = {genre: self.genres.index(genre) for genre in genres}
        return network_saliency(self.feature_map_model(row), path, numbers, occlude=options.occlude)

    def refuse_weights(self, weights: Sequence[str]) -> None:
        """Raise a `SettingError` if weights are named: the run holds the network's own."""
        if weights:
            raise SettingError(
                f"--weights: expected none, since {self.folder} holds the network's own, found "
                f"{', '.join(weights)}."
            )

    def feature_map_model(self, row: int) -> FeatureMapModel:
        """Network from a poster to the log-odds, its other inputs fixed to those of the item in `row`."""
        start_keras()
        from hybrid.backbones.feature_maps import FeatureMapModel

        return FeatureMapModel(
            self.model.spec.body, self.model.poster_model(self.items(np.array([row])))
        )

    def nearest(self, row: int, top: int, source: str) -> list[tuple[int, float]]:
        """See `LoadedRun.nearest`; of texts alone: embeddings of the network's own body are not cached."""
        fused = self._fused if source == "texts" else None
        if fused is None:
            return []
        others = self.training_rows[self.training_rows != row]
        embeddings = block_embeddings(fused, self.frame.iloc[[row, *others]], source)
        found, cosines = top_k_cosine(embeddings[0], embeddings[1:], top)
        return list(zip(others[found].tolist(), cosines.tolist(), strict=True))

    def items(self, rows: NDArray[np.int64]) -> Items:
        """Return items of the catalogue, by row."""
        from hybrid.deep.items import Items

        part = self.frame.iloc[rows]
        return Items(part.index.tolist(), part[POSTER].tolist(), frame=part)
