"""Wiring: run + catalogue → what the run looks at, and what it saw in one item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybrid.catalogue import Catalogue
from hybrid.errors import RunError, SettingError, did_you_mean
from hybrid.explain.importance import GenreView, explain_genres
from hybrid.explain.linear import Answer, ScoreParts
from hybrid.explain.similar_posters import Neighbour
from hybrid.images.decode import BadPoster, make_thumbnail, read_poster
from hybrid.inspection.loaded_run import LEARNT, MapOptions, Opened, OpenedHead, only_linear
from hybrid.inspection.poster_maps import Seen
from hybrid.report.heatmap import paint_maps
from hybrid.report.item_card import LARGE, SMALL, ItemCard, write_card


@dataclass(frozen=True)
class GenreTable:
    """What a run looks at, genre by genre; `items` of those it learnt from are in the catalogue."""

    run: str
    items: int
    rank: str
    genres: tuple[GenreView, ...]
    notes: tuple[str, ...]


def explain_run(opened: Opened, genres: Sequence[str], *, top: int, rank: str) -> GenreTable:
    """What the run looks at: words, fields and posters for and against each genre.

    Parameters
    ----------
    opened : Opened
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
    opened = only_linear(opened, "what it looks at in all items")
    chosen, rows = opened.choose(genres), opened.learnt
    if not len(rows):
        raise RunError(
            f"{opened.catalogue.path}: expected items that the run learnt from, found none. Name the "
            "catalogue that it was fitted on with --catalogue."
        )
    matrix = opened.model.fusion_.transform(opened.frame.iloc[rows])
    ids = opened.catalogue.ids[rows].tolist()
    views = explain_genres(opened.model, matrix, ids, opened.genres, top=top, rank=rank)
    shown = tuple(view for view in views if view.genre in chosen)
    return GenreTable(opened.name, len(rows), rank, shown, opened.notes)


def explain_one(
    opened: Opened,
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
    opened : Opened
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
    chosen = opened.choose(genres)
    row = _find(opened.catalogue, name)
    scores = [score for score in opened.answers(row) if score.genre in chosen]
    ordered = sorted(scores, key=lambda score: -score.probability)
    labels = _labels(opened.catalogue, row)
    part, out_of_fold = _seen(opened, name)
    poster = _thumbnail(opened.catalogue, row, LARGE)
    detailed = tuple(genres) or _worth_showing(ordered, labels)
    seen = Seen((), {}) if maps is None else opened.see(row, detailed, maps)
    card = ItemCard(
        run=opened.name,
        id=name,
        title=_title(opened.catalogue, row),
        part=part,
        labels=labels if opened.catalogue.columns.label else None,
        scores=tuple(ordered),
        detailed=detailed,
        out_of_fold=out_of_fold,
        missing_poster=poster.reason if isinstance(poster, BadPoster) else "",
        neighbours=_neighbours(opened, row, top),
        notes=opened.notes,
        maps=seen.maps,
        kind="head" if isinstance(opened, OpenedHead) else "deep",
    )
    if html is not None:
        ids = [neighbour.id for neighbour in card.neighbours]
        images = {i: _thumbnail(opened.catalogue, _find(opened.catalogue, i), SMALL) for i in ids}
        images[""] = poster
        found = {i: image for i, image in images.items() if not isinstance(image, BadPoster)}
        write_card(card, found, html, top, paint_maps(seen.maps, seen.pixels))
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


def _seen(opened: Opened, name: str) -> tuple[str, dict[str, float]]:
    """Which part of the split the item is in, and its out-of-fold probabilities if it was learnt."""
    predictions = opened.predictions
    rows = np.flatnonzero(predictions.ids == name)
    if not len(rows):
        return "", {}
    part = str(predictions.splits[rows[0]])
    # A network is fitted once, so that of what it learnt from there are none.
    if part not in LEARNT or not isinstance(opened, OpenedHead):
        return part, {}
    known = predictions.probabilities[rows[0]].tolist()
    return part, dict(zip(predictions.genres, known, strict=True))


def _worth_showing(scores: Sequence[ScoreParts | Answer], labels: Sequence[str]) -> tuple[str, ...]:
    found = tuple(score.genre for score in scores if score.given or score.genre in labels)
    return found or tuple(score.genre for score in scores[:1])


def _neighbours(opened: Opened, row: int, top: int) -> tuple[Neighbour, ...]:
    """The learnt items whose posters look most like this one's."""
    catalogue = opened.catalogue
    return tuple(
        Neighbour(str(catalogue.ids[i]), _title(catalogue, i), _labels(catalogue, i), cosine)
        for i, cosine in opened.alike(row, top)
    )


def _thumbnail(catalogue: Catalogue, row: int, side: int) -> bytes | BadPoster:
    """The item's poster, small, or why there is none."""
    reason = catalogue.poster_problems.get(row)
    data = BadPoster(reason) if reason else read_poster(catalogue.poster_paths[row])
    return data if isinstance(data, BadPoster) else make_thumbnail(data, side)
