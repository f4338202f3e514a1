"""Load a run and a catalogue, and predict, explain and compare items with the run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.backbones.startup import start_keras
from hybrid.catalogue import Catalogue
from hybrid.catalogue.columns import POSTER
from hybrid.errors import SettingError, unknown_name
from hybrid.explain.contributions import GenrePrediction, ScoreDecomposition
from hybrid.explain.linear import decompose_scores, read_linear_head
from hybrid.explain.similar_posters import block_embeddings, top_k_cosine
from hybrid.extraction.poster_keys import different_posters
from hybrid.features import TextEmbeddingFeatures, TextFeatures
from hybrid.heads import HybridClassifier
from hybrid.inspection.poster_input import first_readable
from hybrid.inspection.poster_saliency import (
    PosterSaliency,
    head_saliency,
    network_saliency,
    poster_blocks,
    resolve_backbones,
)
from hybrid.runs.folder import PREDICTIONS, read_predictions
from hybrid.runs.predict import load_head
from hybrid.runs.record import DEEP, RunRecord
from hybrid.runs.recorded_posters import load_like
from hybrid.types import ColumnOptions, Predictions
from hybrid.utils.context import Context

if TYPE_CHECKING:
    from hybrid.backbones.feature_maps import FeatureMapModel
    from hybrid.deep.baseline import DeepBaseline
    from hybrid.deep.items import Items

TRAINING_PARTS = ("train", "validation")
WORDLESS = (
    "The run reads texts by their embeddings alone, whose dimensions are no words: each text is one "
    "contribution. A run with the block text, too, shows which words count."
)


@dataclass(frozen=True)
class MapOptions:
    """Options of saliency maps.

    Parameters
    ----------
    weights : tuple of str, default=()
        Files of the backbone's weights, as `poster_saliency.resolve_backbones` takes them. Empty: those
        that the run recorded.
    occlude : bool, default=False
        Whether to check the maps by occlusion, patch by patch.

    Examples
    --------
    >>> MapOptions(occlude=True)
    MapOptions(weights=(), occlude=True)
    """

    weights: tuple[str, ...] = ()
    occlude: bool = False


@dataclass(frozen=True, eq=False)
class LoadedRun(ABC):
    """A run and a catalogue, loaded.

    Parameters
    ----------
    folder : Path
        The run folder.
    record : RunRecord
    predictions : Predictions
    catalogue : Catalogue
    frame : DataFrame of n items
        The catalogue's columns in the roles that the run recorded.

    Examples
    --------
    See `load_run`.
    """

    folder: Path
    record: RunRecord
    predictions: Predictions
    catalogue: Catalogue
    frame: pd.DataFrame

    training_words: ClassVar[str] = "items that the run was fitted on"  # what `training_rows` are

    @cached_property
    def genres(self) -> tuple[str, ...]:
        """Genres of the run, in the order of its scores."""
        return self.record.genres

    @cached_property
    def training_rows(self) -> NDArray[np.int64]:
        """Rows that the run was fitted on and has predictions of: of a deep baseline, validation alone."""
        ids = self.predictions.ids[np.isin(self.predictions.splits, TRAINING_PARTS)]
        return np.flatnonzero(np.isin(self.catalogue.ids, ids))

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Warnings on the run and the catalogue."""
        notes = []
        if self.record.catalogue.sha256 != self.catalogue.sha256:
            notes.append(f"{self.catalogue.path} is not the file that the run was fitted on.")
        missing = int(np.isin(self.predictions.splits, TRAINING_PARTS).sum()) - len(
            self.training_rows
        )
        if missing:
            notes.append(f"{missing} {self.training_words} are not in the catalogue.")
        return tuple(notes)

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.record.name or ""

    def select_genres(self, genres: Sequence[str]) -> tuple[str, ...]:
        """Check requested genres; all genres of the run if none is requested.

        Parameters
        ----------
        genres : sequence of str

        Returns
        -------
        tuple of str

        Raises
        ------
        SettingError
            If a genre is not one of the run's. The message lists close matches.
        """
        unknown = [
            str(unknown_name("genre", g, self.genres)) for g in genres if g not in self.genres
        ]
        if unknown:
            raise SettingError("--genre: " + "\n".join(unknown))
        return tuple(genres) or self.genres

    def poster_path(self, row: int) -> str:
        """Path of the poster of the item in a row; of several the first that can be decoded.

        Raises
        ------
        SettingError
            If the item has no poster.
        """
        reason = self.catalogue.poster_problems.get(row)
        if reason:
            raise SettingError(f"--map: expected an item with a poster, found: {reason}.")
        return first_readable(self.catalogue, row)

    @abstractmethod
    def predict_item(self, row: int) -> Sequence[ScoreDecomposition | GenrePrediction]:
        """Predict the genres of an item; empty if the item lacks what the run needs."""

    @abstractmethod
    def saliency_maps(self, row: int, genres: Sequence[str], options: MapOptions) -> PosterSaliency:
        """Compute saliency maps of an item's poster."""

    @abstractmethod
    def nearest(self, row: int, top: int, source: str) -> list[tuple[int, float]]:
        """Rows and cosine similarities of the training items whose posters or texts are nearest."""


@dataclass(frozen=True, eq=False)
class LoadedHead(LoadedRun):
    """A run with a linear head, whose scores can be decomposed.

    Parameters
    ----------
    folder, record, predictions, catalogue, frame
        See `LoadedRun`.
    model : HybridClassifier

    Examples
    --------
    See `load_run`.
    """

    model: HybridClassifier

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """See `LoadedRun.notes`."""
        kinds = {type(block) for _, block in self.model.fusion_.fitted_}
        wordless = TextEmbeddingFeatures in kinds and TextFeatures not in kinds
        return (*super().notes, WORDLESS) if wordless else super().notes

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
        fitted = {genre: j for genre, j in numbers.items() if not self.model.constant_[j]}
        item = self.frame.iloc[[row]].assign(**{POSTER: path})  # of this poster alone
        return head_saliency(blocks, nets, item, path, fitted, occlude=options.occlude)

    def nearest(self, row: int, top: int, source: str) -> list[tuple[int, float]]:
        """See `LoadedRun.nearest`."""
        others = self.training_rows[self.training_rows != row]
        embeddings = block_embeddings(self.model, self.frame.iloc[[row, *others]], source)
        found, cosines = top_k_cosine(embeddings[0], embeddings[1:], top)
        return list(zip(others[found].tolist(), cosines.tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class LoadedNetwork(LoadedRun):
    """A deep baseline on posters, whose scores cannot be decomposed.

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

        return load_baseline(self.folder, self.context.workers)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """See `LoadedRun.notes`."""
        return (
            *super().notes,
            f"{self.record.model} is a deep baseline, whose scores cannot be decomposed. Contributions of "
            "words, fields and posters are available for linear heads only, such as that of fit-svm.",
        )

    def predict_item(self, row: int) -> Sequence[ScoreDecomposition | GenrePrediction]:
        """See `LoadedRun.predict_item`."""
        item = self.items(np.array([row]))
        scores = self.model.decision_function(item)
        if np.isnan(scores).all():
            return ()
        probabilities = self.model.to_probabilities(scores, self.model.decision_)
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
        """Always empty: the embeddings of a deep baseline are not cached."""
        return []

    def items(self, rows: NDArray[np.int64]) -> Items:
        """Return items of the catalogue, by row."""
        from hybrid.deep.items import Items

        part = self.frame.iloc[rows]
        return Items(part.index.tolist(), part[POSTER].tolist(), frame=part)


def load_run(
    folder: str | Path,
    path: str | Path | None = None,
    options: ColumnOptions | None = None,
    context: Context | None = None,
) -> LoadedRun:
    """Load a run for explanation, and a catalogue in the column roles that the run recorded.

    Parameters
    ----------
    folder : str or Path
        The run folder.
    path : str or Path, optional
        The catalogue; by default the one that the run was fitted on.
    options : ColumnOptions, optional
        Overrides the roles that the run recorded.
    context : Context, optional
        Cache of the embeddings, and workers.

    Returns
    -------
    LoadedHead or LoadedNetwork

    Raises
    ------
    RunError
        If the folder is not a run made by hybrid, or the catalogue that it was fitted on cannot be found.
    SettingError
        If it has neither a linear head nor a deep baseline on posters.

    Examples
    --------
    >>> import tempfile
    >>> import hybrid
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = hybrid.write_sample(folder, n_items=40, seed=0)
    >>> films = hybrid.load_catalogue(folder / "catalogue.csv")
    >>> model = hybrid.make_hybrid(films, blocks=["text"], grid={}, folds=2)
    >>> made = hybrid.Experiment(films, hybrid.split_catalogue(films), folder / "svm")
    >>> _ = hybrid.fit_head(made, model, {})
    >>> run = hybrid.load_run(folder / "svm", films.path)
    >>> run.genres[0], run.predict_item(0)[0].genre
    ('Action', 'Action')
    """
    folder = Path(folder)
    record = RunRecord.read(folder)
    deep = record.kind == DEEP
    if deep and "poster" not in record.blocks:
        raise SettingError(
            f"{folder}: expected a run with a linear head, or a deep baseline on posters, found "
            f"the deep baseline {record.model}. Fit one with hybrid fit-svm."
        )
    columns = record.require_model(folder)
    catalogue = load_like(folder, record, path, options)
    known = read_predictions(folder / PREDICTIONS)
    read = (folder, record, known, catalogue, catalogue.frame_for(columns))
    if deep:
        cells, _ = different_posters(catalogue, context=context)
        return LoadedNetwork(*read[:4], read[4].assign(**{POSTER: cells}), context or Context())
    model = load_head(folder, record, context)
    read_linear_head(model)
    return LoadedHead(*read, model)


def require_linear(run: LoadedRun, asked: str) -> LoadedHead:
    """Check that a run has a linear head.

    Parameters
    ----------
    run : LoadedRun
    asked : str
        What needs one, for the message.

    Raises
    ------
    SettingError
        If the run is a deep baseline.

    Examples
    --------
    >>> require_linear(run, "feature importance").model  # doctest: +SKIP
    HybridClassifier(...)
    """
    if isinstance(run, LoadedHead):
        return run
    raise SettingError(
        f"{run.folder}: expected a run with a linear head for {asked}, found the deep baseline "
        f"{run.record.model}. Name an item for its probabilities, and add --map for saliency "
        f"maps of its poster: hybrid explain {run.folder} ID --map. What its channels look for: "
        f"hybrid explain {run.folder} --features"
    )
