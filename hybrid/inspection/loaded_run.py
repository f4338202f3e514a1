"""Load a run and a catalogue, and predict, explain and compare items with the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hybrid.catalogue.columns import POSTER
from hybrid.errors import SettingError
from hybrid.explain.contributions import GenrePrediction, ScoreDecomposition
from hybrid.explain.linear import decompose_scores, read_linear_head
from hybrid.explain.similar_posters import block_embeddings, top_k_cosine
from hybrid.extraction.poster_keys import different_posters
from hybrid.features import TextEmbeddingFeatures, TextFeatures
from hybrid.heads import HybridClassifier
from hybrid.inspection.loaded_base import TRAINING_PARTS as TRAINING_PARTS
from hybrid.inspection.loaded_base import LoadedRun as LoadedRun
from hybrid.inspection.loaded_base import MapOptions as MapOptions
from hybrid.inspection.loaded_network import LoadedNetwork as LoadedNetwork
from hybrid.inspection.poster_saliency import (
    PosterSaliency,
    head_saliency,
    poster_blocks,
    resolve_backbones,
)
from hybrid.runs.folder import PREDICTIONS
from hybrid.runs.predict import load_head
from hybrid.runs.predictions_file import read_predictions
from hybrid.runs.record import DEEP, RunRecord
from hybrid.runs.recorded_posters import load_like
from hybrid.types import ColumnOptions
from hybrid.utils.context import Context

WORDLESS = (
    "The run reads texts by their embeddings alone, whose dimensions are no words: each text is one "
    "contribution. A run with the block text, too, shows which words count."
)


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
        If it has neither a linear head nor a deep baseline on posters or several blocks.

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
    if deep and "poster" not in record.blocks and len(record.blocks) < 2:
        raise SettingError(
            f"{folder}: expected a run with a linear head, or a deep baseline on posters or several blocks, "
            f"found the deep baseline {record.model}. Fit one with hybrid fit-svm."
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
