"""Explain a run: feature importance over all items, or the prediction for one item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from hybrid.catalogue import Catalogue
from hybrid.errors import RunError, SettingError, did_you_mean
from hybrid.explain.contributions import GenrePrediction, ScoreDecomposition
from hybrid.explain.importance import GenreImportance, explain_genres
from hybrid.explain.similar_posters import Neighbour
from hybrid.images.decode import BadPoster
from hybrid.images.files import first_good
from hybrid.images.thumbnails import load_thumbnail
from hybrid.inspection.loaded_run import (
    TRAINING_PARTS,
    LoadedHead,
    LoadedRun,
    MapOptions,
    require_linear,
)
from hybrid.inspection.poster_saliency import PosterSaliency
from hybrid.report.heatmap import draw_heatmaps
from hybrid.report.item_card import CARD, LARGE, SMALL, ItemCard, write_card
from hybrid.report.page import check_html_path
from hybrid.utils.progress import shows_step
from hybrid.utils.read_only import reads_only
from hybrid.utils.unknown_labels import as_no


@dataclass(frozen=True)
class RunExplanation:
    """Feature importance of a run for each genre.

    Parameters
    ----------
    run : str
    items : int
        Items in the catalogue that the run was fitted on.
    rank : {"unit", "mean"}
    genres : tuple of GenreImportance
    notes : tuple of str
        Warnings on the run and the catalogue.

    Examples
    --------
    >>> RunExplanation("svm", 100, "unit", (), ()).items
    100
    """

    run: str
    items: int
    rank: str
    genres: tuple[GenreImportance, ...]
    notes: tuple[str, ...]


@shows_step("explaining the run")
@reads_only
def explain_run(
    run: LoadedRun, genres: Sequence[str] = (), *, top: int = 8, rank: str = "unit"
) -> RunExplanation:
    """Feature importance of a run: words, fields, posters and text embeddings for and against each genre.

    Parameters
    ----------
    run : LoadedRun
        With a linear head.
    genres : sequence of str, default=()
        Empty: all.
    top : int, default=8
        Maximum number on each side.
    rank : {"unit", "mean"}, default="unit"
        See `hybrid.explain.importance.explain_genres`.

    Returns
    -------
    RunExplanation

    Raises
    ------
    RunError
        If the catalogue has none of the items that the run was fitted on.
    SettingError
        If the run is a deep baseline, or a genre is not one of the run's.

    Examples
    --------
    >>> import tempfile
    >>> import hybrid
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = hybrid.write_sample(folder, n_items=40, seed=0)
    >>> films = hybrid.load_catalogue(folder / "catalogue.csv")
    >>> split = hybrid.split_catalogue(films)
    >>> model = hybrid.make_hybrid(films, blocks=["text"], grid={}, folds=2)
    >>> _ = hybrid.fit_head(hybrid.Experiment(films, split, folder / "svm"), model, {})
    >>> run = hybrid.load_run(folder / "svm", films.path)
    >>> found = explain_run(run, ["Horror"], top=3, rank="unit")
    >>> found.genres[0].genre, len(found.genres[0].features["text"]["for"])
    ('Horror', 3)
    """
    run = require_linear(run, "feature importance")
    chosen, rows = run.select_genres(genres), run.training_rows
    if not len(rows):
        raise RunError(
            f"{run.catalogue.path}: expected items that the run was fitted on, found none. Name the "
            "catalogue that it was fitted on with --catalogue."
        )
    matrix = run.model.fusion_.transform(run.frame.iloc[rows])
    ids = run.catalogue.ids[rows].tolist()
    views = explain_genres(run.model, matrix, ids, run.genres, top=top, rank=rank)
    shown = tuple(view for view in views if view.genre in chosen)
    return RunExplanation(run.name, len(rows), rank, shown, run.notes)


@shows_step("explaining the prediction")
@reads_only
def explain_item(
    run: LoadedRun,
    name: str,
    genres: Sequence[str] = (),
    *,
    top: int = 8,
    html: Path | None = None,
    maps: MapOptions | None = None,
) -> ItemCard:
    """Explain the prediction of a run for one item.

    Parameters
    ----------
    run : LoadedRun
    name : str
        Id of the item; it need not be in the split of the run.
    genres : sequence of str, default=()
        Genres to explain. Empty: those that the item has or that are predicted, else the most likely one.
    top : int, default=8
        Maximum number of words and fields on each side, and of neighbours.
    html : Path, optional
        A page to write.
    maps : MapOptions, optional
        Also compute saliency maps of the poster; this needs the backbone.

    Returns
    -------
    ItemCard

    Raises
    ------
    SettingError
        If the catalogue has no such item (the message lists close matches), or maps are requested and the
        item has no poster.
    WeightsError
        If the backbone's weights are not where the run recorded them.

    Examples
    --------
    >>> import tempfile
    >>> import hybrid
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = hybrid.write_sample(folder, n_items=40, seed=0)
    >>> films = hybrid.load_catalogue(folder / "catalogue.csv")
    >>> split = hybrid.split_catalogue(films)
    >>> model = hybrid.make_hybrid(films, blocks=["text"], grid={}, folds=2)
    >>> _ = hybrid.fit_head(hybrid.Experiment(films, split, folder / "svm"), model, {})
    >>> run = hybrid.load_run(folder / "svm", films.path)
    >>> card = explain_item(run, films.ids[0], ["Horror"], top=3)
    >>> score = card.scores[0]
    >>> abs(score.intercept + score.blocks["text"] - score.score) < 1e-9
    True
    """
    if html is not None:
        check_html_path(html, CARD)
    chosen = run.select_genres(genres)
    row = _find(run.catalogue, name)
    scores = [score for score in run.predict_item(row) if score.genre in chosen]
    ordered = sorted(scores, key=lambda score: -score.probability)
    labels = _labels(run.catalogue, row)
    part, out_of_fold = _split_and_out_of_fold(run, name)
    poster = _thumbnail(run.catalogue, row, LARGE)
    detailed = tuple(genres) or _default_genres(ordered, labels)
    saliency = PosterSaliency((), {}) if maps is None else run.saliency_maps(row, detailed, maps)
    card = ItemCard(
        run=run.name,
        id=name,
        title=_title(run.catalogue, row),
        part=part,
        labels=labels if run.catalogue.columns.label else None,
        scores=tuple(ordered),
        detailed=detailed,
        out_of_fold=out_of_fold,
        missing_poster=poster.reason if isinstance(poster, BadPoster) else "",
        neighbours=_nearest(run, row, top, "posters"),
        nearest_texts=_nearest(run, row, top, "texts"),
        notes=run.notes,
        maps=saliency.maps,
        kind="head" if isinstance(run, LoadedHead) else "deep",
    )
    if html is not None:
        ids = [neighbour.id for neighbour in card.neighbours]
        images = {i: _thumbnail(run.catalogue, _find(run.catalogue, i), SMALL) for i in ids}
        images[""] = poster
        found = {i: image for i, image in images.items() if not isinstance(image, BadPoster)}
        write_card(card, found, html, top, draw_heatmaps(saliency.maps, saliency.pixels))
    return card


def _find(catalogue: Catalogue, name: str) -> int:
    found = np.flatnonzero(catalogue.ids == name)
    if len(found):
        return int(found[0])
    meant = did_you_mean(name, catalogue.ids.tolist())
    raise SettingError(
        f"{catalogue.path}: expected an item with the id {name!r}, found none.{meant}"
    )


def _title(catalogue: Catalogue, row: int) -> str:
    """Title of an item; empty if the catalogue has no titles."""
    return str(catalogue.folded["title"].iloc[row]) if "title" in catalogue.folded else ""


def _labels(catalogue: Catalogue, row: int) -> tuple[str, ...]:
    """True labels of an item."""
    return tuple(
        g for g, has in zip(catalogue.genres, as_no(catalogue.labels)[row], strict=True) if has
    )


def _split_and_out_of_fold(run: LoadedRun, name: str) -> tuple[str, dict[str, float]]:
    """Part of the split that an item is in, and its out-of-fold probabilities if it is a training item."""
    predictions = run.predictions
    rows = np.flatnonzero(predictions.ids == name)
    if not len(rows):
        return "", {}
    part = str(predictions.splits[rows[0]])
    # A network is fitted once, without cross-fitting: its training items have no out-of-fold predictions.
    if part not in TRAINING_PARTS or not isinstance(run, LoadedHead):
        return part, {}
    known = predictions.probabilities[rows[0]].tolist()
    return part, dict(zip(predictions.genres, known, strict=True))


def _default_genres(
    scores: Sequence[ScoreDecomposition | GenrePrediction], labels: Sequence[str]
) -> tuple[str, ...]:
    found = tuple(score.genre for score in scores if score.given or score.genre in labels)
    return found or tuple(score.genre for score in scores[:1])


def _nearest(run: LoadedRun, row: int, top: int, source: str) -> tuple[Neighbour, ...]:
    """Training items with the nearest posters or texts."""
    catalogue = run.catalogue
    return tuple(
        Neighbour(str(catalogue.ids[i]), _title(catalogue, i), _labels(catalogue, i), cosine)
        for i, cosine in run.nearest(row, top, source)
    )


def _thumbnail(catalogue: Catalogue, row: int, side: int) -> bytes | BadPoster:
    """Thumbnail of an item's first good poster, or why there is none."""
    if reason := catalogue.poster_problems.get(row):
        return BadPoster(reason)
    return first_good(catalogue.poster_files(row), partial(load_thumbnail, side=side))
