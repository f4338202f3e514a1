"""Wiring: run folder + catalogue → what can be asked of the run about an item."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.backbones.startup import start_keras
from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.catalogue.catalogue import POSTER
from hybrid.errors import RunError, SettingError, unknown_name
from hybrid.explain.contributions import GenrePrediction, ScoreDecomposition
from hybrid.explain.linear import decompose_scores, read_linear_head
from hybrid.explain.similar_posters import poster_embeddings, top_k_cosine
from hybrid.heads import HybridClassifier
from hybrid.inspection.poster_saliency import (
    PosterSaliency,
    head_saliency,
    network_saliency,
    poster_blocks,
    resolve_backbones,
)
from hybrid.runs.folder import PREDICTIONS, read_predictions, read_record, recorded_columns
from hybrid.runs.predict import load_head
from hybrid.types import ColumnOptions, Predictions

if TYPE_CHECKING:
    from hybrid.backbones.feature_maps import FeatureMapModel
    from hybrid.deep.baseline import DeepBaseline
    from hybrid.deep.stream import Items

TRAINING_PARTS = ("train", "validation")


@dataclass(frozen=True)
class MapOptions:
    """How to show which parts of a poster speak for a genre.

    Parameters
    ----------
    weights : tuple of str
        Files of the backbone's weights, as `poster_saliency.resolve_backbones` takes them.
    occlude : bool
        Check the maps by covering the poster patch by patch.
    """

    weights: tuple[str, ...] = ()
    occlude: bool = False


@dataclass(frozen=True, eq=False)
class LoadedRun(ABC):
    """A run and a catalogue, read."""

    folder: Path
    record: dict[str, Any]
    predictions: Predictions
    catalogue: Catalogue
    frame: pd.DataFrame

    @cached_property
    def genres(self) -> tuple[str, ...]:
        """The genres that the run knows, in the order of its scores."""
        return tuple(self.record["genres"])

    @cached_property
    def training_rows(self) -> NDArray[np.int64]:
        """Positions in the catalogue of the items that the run learnt from and has predictions of."""
        ids = self.predictions.ids[np.isin(self.predictions.splits, TRAINING_PARTS)]
        return np.flatnonzero(np.isin(self.catalogue.ids, ids))

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of run and catalogue."""
        notes = []
        if (self.record.get("catalogue") or {}).get("sha256") != self.catalogue.sha256:
            notes.append(f"{self.catalogue.path} is not the file that the run was fitted on.")
        missing = int(np.isin(self.predictions.splits, TRAINING_PARTS).sum()) - len(
            self.training_rows
        )
        if missing:
            notes.append(f"{missing} items that the run learnt from are not in the catalogue.")
        return tuple(notes)

    @property
    def name(self) -> str:
        """The run's."""
        return str(self.record.get("name", ""))

    def select_genres(self, genres: Sequence[str]) -> tuple[str, ...]:
        """The genres asked for, or all.

        Raises
        ------
        SettingError
            If the run does not know one.
        """
        strange = [
            str(unknown_name("genre", g, self.genres)) for g in genres if g not in self.genres
        ]
        if strange:
            raise SettingError("--genre: " + "\n".join(strange))
        return tuple(genres) or self.genres

    def poster_path(self, row: int) -> str:
        """The file of an item's poster.

        Raises
        ------
        SettingError
            If it has none to map.
        """
        reason = self.catalogue.poster_problems.get(row)
        if reason:
            raise SettingError(f"--map: expected an item with a poster, found: {reason}.")
        return self.catalogue.poster_paths[row]

    @abstractmethod
    def predict_item(self, row: int) -> Sequence[ScoreDecomposition | GenrePrediction]:
        """What the run says of an item, genre by genre; nothing if it can say nothing."""

    @abstractmethod
    def saliency_maps(self, row: int, genres: Sequence[str], options: MapOptions) -> PosterSaliency:
        """The maps of an item's poster."""

    @abstractmethod
    def nearest_posters(self, row: int, top: int) -> list[tuple[int, float]]:
        """The learnt items whose posters look most like this one's: positions and cosines."""


@dataclass(frozen=True, eq=False)
class LoadedHead(LoadedRun):
    """A run with a linear head, whose scores are sums."""

    model: HybridClassifier

    def predict_item(self, row: int) -> Sequence[ScoreDecomposition | GenrePrediction]:
        """See `LoadedRun.predict_item`."""
        matrix = self.model.fusion_.transform(self.frame.iloc[[row]])
        return decompose_scores(self.model, matrix, self.genres)

    def saliency_maps(self, row: int, genres: Sequence[str], options: MapOptions) -> PosterSaliency:
        """See `LoadedRun.saliency_maps`."""
        path = self.poster_path(row)
        blocks = poster_blocks(self.model, self.record)
        nets = resolve_backbones(self.folder, blocks, options.weights)
        numbers = {genre: self.genres.index(genre) for genre in genres}
        learnt = {genre: j for genre, j in numbers.items() if not self.model.constant_[j]}
        item = self.frame.iloc[[row]]
        return head_saliency(blocks, nets, item, path, learnt, occlude=options.occlude)

    def nearest_posters(self, row: int, top: int) -> list[tuple[int, float]]:
        """See `LoadedRun.nearest_posters`."""
        others = self.training_rows[self.training_rows != row]
        embeddings = poster_embeddings(self.model, self.frame.iloc[[row, *others]])
        found, cosines = top_k_cosine(embeddings[0], embeddings[1:], top)
        return list(zip(others[found].tolist(), cosines.tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class LoadedNetwork(LoadedRun):
    """A run of a deep baseline that looks at posters; its scores are no sums."""

    workers: int

    @cached_property
    def model(self) -> DeepBaseline:
        """The network. Only what asks it something starts Keras."""
        start_keras()
        from hybrid.deep.saved import load_baseline

        return load_baseline(self.folder, self.workers)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """See `LoadedRun.notes`."""
        return (
            *super().notes,
            f"{self.record['model']} is a network, whose scores are no sums: what each word, field and "
            "poster adds can be told of linear heads alone, such as that of fit-svm.",
        )

    def predict_item(self, row: int) -> Sequence[ScoreDecomposition | GenrePrediction]:
        """See `LoadedRun.predict_item`."""
        item = self._item(row)
        scores = self.model.decision_function(item)
        if np.isnan(scores).all():
            return ()
        probabilities = self.model.predict_proba(item)
        given = self.model.label(probabilities)[0]
        thresholds = self.model.decision_.thresholds.tolist() or [None] * len(self.genres)
        return [
            GenrePrediction(
                genre, float(scores[0, j]), float(probabilities[0, j]), threshold, bool(given[j])
            )
            for j, (genre, threshold) in enumerate(zip(self.genres, thresholds, strict=True))
        ]

    def saliency_maps(self, row: int, genres: Sequence[str], options: MapOptions) -> PosterSaliency:
        """See `LoadedRun.saliency_maps`."""
        if options.weights:
            raise SettingError(
                f"--weights: expected none, since {self.folder} holds the network's own, found "
                f"{', '.join(options.weights)}."
            )
        path = self.poster_path(row)
        numbers = {genre: self.genres.index(genre) for genre in genres}
        return network_saliency(self.feature_map_model(row), path, numbers, occlude=options.occlude)

    def feature_map_model(self, row: int) -> FeatureMapModel:
        """The network from the item's poster to log-odds; its other inputs are those of the item."""
        start_keras()
        from hybrid.backbones.feature_maps import FeatureMapModel

        return FeatureMapModel(self.model.spec.body, self.model.from_poster(self._item(row)))

    def nearest_posters(self, row: int, top: int) -> list[tuple[int, float]]:
        """None: the network's embeddings are in no cache."""
        return []

    def _item(self, row: int) -> Items:
        from hybrid.deep.stream import Items

        frame = self.frame.iloc[[row]]
        return Items(frame.index.tolist(), frame[POSTER].tolist(), frame=frame)


def load_run(
    folder: str | Path,
    path: str | Path,
    options: ColumnOptions | None = None,
    cache: str = ".hybrid-cache",
    workers: int | None = None,
) -> LoadedRun:
    """Read a run that can be explained, and a catalogue in the roles that the run recorded.

    The model is a pickle, or holds one: open only runs that you trust.

    Raises
    ------
    RunError
        If it is not a run that hybrid made.
    SettingError
        If its scores cannot be taken apart, and it looks at no poster.
    """
    folder = Path(folder)
    record = read_record(folder)
    deep = record.get("kind") == "deep"
    if deep and "poster" not in record.get("blocks", ()):
        raise SettingError(
            f"{folder}: expected a run with a linear head, or a deep baseline that looks at posters, found "
            f"the deep baseline {record.get('model')}. Fit one with hybrid fit-svm."
        )
    columns = recorded_columns(record)
    if columns is None:
        raise RunError(
            f"{folder}: expected a run made by hybrid, found no column roles in run.json."
        )
    catalogue = load_catalogue(path, options, like=columns)
    predictions = read_predictions(folder / PREDICTIONS)
    read = (folder, record, predictions, catalogue, catalogue.frame_for(columns))
    if deep:
        return LoadedNetwork(*read, workers or 1)
    model = load_head(folder, record, cache, workers)
    read_linear_head(model)
    return LoadedHead(*read, model)


def require_linear(run: LoadedRun, asked: str) -> LoadedHead:
    """The run, if its head is linear.

    Parameters
    ----------
    run : LoadedRun
    asked : str
        What only such a run can tell, for the message.

    Raises
    ------
    SettingError
        If it is a deep baseline; says what of it can be shown.
    """
    if isinstance(run, LoadedHead):
        return run
    raise SettingError(
        f"{run.folder}: expected a run with a linear head to tell {asked}, found the deep baseline "
        f"{run.record.get('model')}. Name an item to see its probabilities, and with --map where in its "
        f"poster they come from: hybrid explain {run.folder} ID --map"
    )
