"""What a run and a catalogue that are loaded have in common, whatever the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue import Catalogue
from hybrid.errors import SettingError, unknown_name
from hybrid.explain.contributions import GenrePrediction, ScoreDecomposition
from hybrid.inspection.poster_input import first_readable
from hybrid.inspection.poster_saliency import PosterSaliency
from hybrid.runs.record import RunRecord
from hybrid.types import Predictions

TRAINING_PARTS = ("train", "validation")


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
