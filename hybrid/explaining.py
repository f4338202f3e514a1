"""Wiring: run + catalogue → what the run looks at, and what it saw in one item."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.errors import RunError, SettingError, unknown_name
from hybrid.explain import ScoreParts, explain_item, read_head
from hybrid.heads import HybridClassifier
from hybrid.images import BadPoster, make_thumbnail, read_poster
from hybrid.neighbours import Neighbour, embed_posters, nearest
from hybrid.predict import load_head
from hybrid.records import ColumnOptions, Predictions
from hybrid.report.card import LARGE, SMALL, ItemCard, write_card
from hybrid.report.heat import paint_maps
from hybrid.runs import PREDICTIONS, read_predictions, read_record, recorded_columns
from hybrid.seeing import Seen, find_nets, poster_blocks, see_poster
from hybrid.why import GenreView, explain_genres

LEARNT = ("train", "validation")


@dataclass(frozen=True)
class GenreTable:
    """What a run looks at, genre by genre; `items` of those it learnt from are in the catalogue."""

    run: str
    items: int
    rank: str
    genres: tuple[GenreView, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class MapOptions:
    """How to show which parts of a poster speak for a genre.

    Parameters
    ----------
    weights : tuple of str
        Files of the backbone's weights, as `hybrid.seeing.find_nets` takes them.
    occlude : bool
        Check the maps by covering the poster patch by patch.
    """

    weights: tuple[str, ...] = ()
    occlude: bool = False


@dataclass(frozen=True, eq=False)
class Opened:
    """A run and a catalogue, read."""

    folder: Path
    record: dict[str, Any]
    model: HybridClassifier
    predictions: Predictions
    catalogue: Catalogue
    frame: pd.DataFrame

    @cached_property
    def genres(self) -> tuple[str, ...]:
        """The genres that the run knows, in the order of its scores."""
        return tuple(self.record["genres"])

    @cached_property
    def learnt(self) -> NDArray[np.int64]:
        """Positions in the catalogue of the items that the run learnt from."""
        ids = self.predictions.ids[np.isin(self.predictions.splits, LEARNT)]
        return np.flatnonzero(np.isin(self.catalogue.ids, ids))

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of run and catalogue."""
        notes = []
        if (self.record.get("catalogue") or {}).get("sha256") != self.catalogue.sha256:
            notes.append(f"{self.catalogue.path} is not the file that the run was fitted on.")
        missing = int(np.isin(self.predictions.splits, LEARNT).sum()) - len(self.learnt)
        if missing:
            notes.append(f"{missing} items that the run learnt from are not in the catalogue.")
        return tuple(notes)

    def choose(self, genres: Sequence[str]) -> tuple[str, ...]:
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


def open_run(
    folder: str | Path,
    path: str | Path,
    options: ColumnOptions | None = None,
    cache: str = ".hybrid-cache",
    workers: int | None = None,
) -> Opened:
    """Read a run that can be explained, and a catalogue in the roles that the run recorded.

    The model is a pickle: open only runs that you trust.

    Raises
    ------
    RunError
        If it is not a run that hybrid made.
    SettingError
        If its scores cannot be taken apart.
    """
    folder = Path(folder)
    record = read_record(folder)
    if record.get("kind") == "deep":
        raise SettingError(
            f"{folder}: expected a run with a linear head, whose score is a sum over words and "
            f"fields, found the deep baseline {record.get('model')}. Fit one with hybrid fit-svm."
        )
    columns = recorded_columns(record)
    if columns is None:
        raise RunError(
            f"{folder}: expected a run made by hybrid, found no column roles in run.json."
        )
    catalogue = load_catalogue(path, options, like=columns)
    model = load_head(folder, record, cache, workers)
    read_head(model)
    predictions = read_predictions(folder / PREDICTIONS)
    return Opened(folder, record, model, predictions, catalogue, catalogue.frame_for(columns))


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
        See `hybrid.why.explain_genres`.

    Raises
    ------
    RunError
        If the catalogue has none of the items that the run learnt from.
    """
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
    return GenreTable(_name(opened), len(rows), rank, shown, opened.notes)


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
    scores = explain_item(
        opened.model, opened.model.fusion_.transform(opened.frame.iloc[[row]]), opened.genres
    )
    ordered = sorted((s for s in scores if s.genre in chosen), key=lambda s: -s.probability)
    labels = _labels(opened.catalogue, row)
    part, out_of_fold = _seen(opened, name)
    poster = _thumbnail(opened.catalogue, row, LARGE)
    detailed = tuple(genres) or _worth_showing(ordered, labels)
    seen = Seen((), {}) if maps is None else _map(opened, row, detailed, maps)
    card = ItemCard(
        run=_name(opened),
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
    )
    if html is not None:
        ids = [neighbour.id for neighbour in card.neighbours]
        images = {i: _thumbnail(opened.catalogue, _find(opened.catalogue, i), SMALL) for i in ids}
        images[""] = poster
        found = {i: image for i, image in images.items() if not isinstance(image, BadPoster)}
        write_card(card, found, html, top, paint_maps(seen.maps, seen.pixels))
    return card


def _map(opened: Opened, row: int, genres: Sequence[str], options: MapOptions) -> Seen:
    """The maps of an item's poster."""
    reason = opened.catalogue.poster_problems.get(row)
    if reason:
        raise SettingError(f"--map: expected an item with a poster, found: {reason}.")
    blocks = poster_blocks(opened.model, opened.record)
    nets = find_nets(opened.folder, blocks, options.weights)
    item, path = opened.frame.iloc[[row]], opened.catalogue.poster_paths[row]
    constant = opened.model.constant_
    numbers = {g: opened.genres.index(g) for g in genres}
    learnt = {genre: j for genre, j in numbers.items() if not constant[j]}
    return see_poster(blocks, nets, item, path, learnt, occlude=options.occlude)


def _find(catalogue: Catalogue, name: str) -> int:
    found = np.flatnonzero(catalogue.ids == name)
    if len(found):
        return int(found[0])
    close = difflib.get_close_matches(name, catalogue.ids.tolist(), n=3, cutoff=0.5)
    meant = f" Did you mean {' or '.join(close)}?" if close else ""
    raise SettingError(
        f"{catalogue.path}: expected an item with the id {name!r}, found none.{meant}"
    )


def _name(opened: Opened) -> str:
    return str(opened.record.get("name", ""))


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
    if part not in LEARNT:
        return part, {}
    known = predictions.probabilities[rows[0]].tolist()
    return part, dict(zip(predictions.genres, known, strict=True))


def _worth_showing(scores: Sequence[ScoreParts], labels: Sequence[str]) -> tuple[str, ...]:
    found = tuple(score.genre for score in scores if score.given or score.genre in labels)
    return found or tuple(score.genre for score in scores[:1])


def _neighbours(opened: Opened, row: int, top: int) -> tuple[Neighbour, ...]:
    """The learnt items whose posters look most like this one's."""
    catalogue, others = opened.catalogue, opened.learnt[opened.learnt != row]
    embeddings = embed_posters(opened.model, opened.frame.iloc[[row, *others]])
    found, cosines = nearest(embeddings[0], embeddings[1:], top)
    return tuple(
        Neighbour(str(catalogue.ids[i]), _title(catalogue, i), _labels(catalogue, i), float(cosine))
        for i, cosine in zip(others[found].tolist(), cosines, strict=True)
    )


def _thumbnail(catalogue: Catalogue, row: int, side: int) -> bytes | BadPoster:
    """The item's poster, small, or why there is none."""
    reason = catalogue.poster_problems.get(row)
    data = BadPoster(reason) if reason else read_poster(catalogue.poster_paths[row])
    return data if isinstance(data, BadPoster) else make_thumbnail(data, side)
