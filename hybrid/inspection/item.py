"""Wiring: run + catalogue → what the run looks at, and what it saw in one item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybrid.catalogue import Catalogue
from hybrid.errors import RunError, SettingError, did_you_mean
from hybrid.explain.contributions import GenrePrediction, ScoreDecomposition
from hybrid.explain.importance import GenreImportance, explain_genres
from hybrid.explain.similar_posters import Neighbour
from hybrid.images.decode import BadPoster, read_poster
from hybrid.images.thumbnails import make_thumbnail
from hybrid.inspection.loaded_run import (
    TRAINING_PARTS,
    LoadedHead,
    LoadedRun,
    MapOptions,
    require_linear,
)
from hybrid.inspection.poster_saliency import PosterSaliency
from hybrid.report.heatmap import draw_heatmaps
from hybrid.report.item_card import LARGE, SMALL, ItemCard, write_card


@dataclass(frozen=True)
class RunExplanation:
    """What a run looks at, genre by genre; `items` of those it learnt from are in the catalogue."""

    run: str
    items: int
    rank: str
    genres: tuple[GenreImportance, ...]
    notes: tuple[str, ...]


def explain_run(run: LoadedRun, genres: Sequence[str], *, top: int, rank: str) -> RunExplanation:
    """What the run looks at: words, fields and posters for and against each genre.

    Parameters
    ----------
    run : LoadedRun
    genres : sequence of str
        Empty: all.
    top : int
        How many on each side.
    rank : str
        See `hybrid.explain.importance.explain_genres`.

    Raises
    ------
    RunError
        If the catalogue has none of the items that the run learnt from.
    SettingError
        If it is a deep baseline.
    """
    run = require_linear(run, "what it looks at in all items")
    chosen, rows = run.select_genres(genres), run.training_rows
    if not len(rows):
        raise RunError(
            f"{run.catalogue.path}: expected items that the run learnt from, found none. Name the "
            "catalogue that it was fitted on with --catalogue."
        )
    matrix = run.model.fusion_.transform(run.frame.iloc[rows])
    ids = run.catalogue.ids[rows].tolist()
    views = explain_genres(run.model, matrix, ids, run.genres, top=top, rank=rank)
    shown = tuple(view for view in views if view.genre in chosen)
    return RunExplanation(run.name, len(rows), rank, shown, run.notes)


def explain_item(
    run: LoadedRun,
    name: str,
    genres: Sequence[str],
    *,
    top: int,
    html: Path | None = None,
    maps: MapOptions | None = None,
) -> ItemCard:
    """What the run saw in one item of the catalogue.

    Parameters
    ----------
    run : LoadedRun
    name : str
        The item's id; it need not be one that the run has seen.
    genres : sequence of str
        Those to take apart. Empty: those that the item has or is given, else the likeliest.
    top : int
        How many words, fields and neighbours.
    html : Path, optional
        A page to write.
    maps : MapOptions, optional
        Look for the parts of the poster that speak for the genres taken apart; this needs the backbone.

    Raises
    ------
    SettingError
        If the catalogue has no such item; the message lists close matches. If it has no poster to map.
    WeightsError
        If the backbone's weights are not where the run recorded them.
    """
    chosen = run.select_genres(genres)
    row = _find(run.catalogue, name)
    scores = [score for score in run.predict_item(row) if score.genre in chosen]
    ordered = sorted(scores, key=lambda score: -score.probability)
    labels = _labels(run.catalogue, row)
    part, out_of_fold = _split_and_out_of_fold(run, name)
    poster = _thumbnail(run.catalogue, row, LARGE)
    detailed = tuple(genres) or _default_genres(ordered, labels)
    seen = PosterSaliency((), {}) if maps is None else run.saliency_maps(row, detailed, maps)
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
        neighbours=_nearest_posters(run, row, top),
        notes=run.notes,
        maps=seen.maps,
        kind="head" if isinstance(run, LoadedHead) else "deep",
    )
    if html is not None:
        ids = [neighbour.id for neighbour in card.neighbours]
        images = {i: _thumbnail(run.catalogue, _find(run.catalogue, i), SMALL) for i in ids}
        images[""] = poster
        found = {i: image for i, image in images.items() if not isinstance(image, BadPoster)}
        write_card(card, found, html, top, draw_heatmaps(seen.maps, seen.pixels))
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
    """The item's title, where the catalogue has such a column."""
    return str(catalogue.table["title"].iloc[row]) if "title" in catalogue.table.columns else ""


def _labels(catalogue: Catalogue, row: int) -> tuple[str, ...]:
    """The item's true labels."""
    return tuple(g for g, has in zip(catalogue.genres, catalogue.labels[row], strict=True) if has)


def _split_and_out_of_fold(run: LoadedRun, name: str) -> tuple[str, dict[str, float]]:
    """Which part of the split the item is in, and its out-of-fold probabilities if it was learnt."""
    predictions = run.predictions
    rows = np.flatnonzero(predictions.ids == name)
    if not len(rows):
        return "", {}
    part = str(predictions.splits[rows[0]])
    # A network is fitted once, so that of what it learnt from there are none.
    if part not in TRAINING_PARTS or not isinstance(run, LoadedHead):
        return part, {}
    known = predictions.probabilities[rows[0]].tolist()
    return part, dict(zip(predictions.genres, known, strict=True))


def _default_genres(
    scores: Sequence[ScoreDecomposition | GenrePrediction], labels: Sequence[str]
) -> tuple[str, ...]:
    found = tuple(score.genre for score in scores if score.given or score.genre in labels)
    return found or tuple(score.genre for score in scores[:1])


def _nearest_posters(run: LoadedRun, row: int, top: int) -> tuple[Neighbour, ...]:
    """The learnt items whose posters look most like this one's."""
    catalogue = run.catalogue
    return tuple(
        Neighbour(str(catalogue.ids[i]), _title(catalogue, i), _labels(catalogue, i), cosine)
        for i, cosine in run.nearest_posters(row, top)
    )


def _thumbnail(catalogue: Catalogue, row: int, side: int) -> bytes | BadPoster:
    """The item's poster, small, or why there is none."""
    reason = catalogue.poster_problems.get(row)
    data = BadPoster(reason) if reason else read_poster(catalogue.poster_paths[row])
    return data if isinstance(data, BadPoster) else make_thumbnail(data, side)
