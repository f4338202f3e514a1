"""What a run saw in one item → one self-contained HTML page."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.explain.contributions import GenrePrediction, ScoreDecomposition, top_contributions
from hybrid.explain.saliency import SaliencyMap
from hybrid.explain.similar_posters import Neighbour
from hybrid.report.page import environment, part_of, write_page

LARGE, SMALL = 480, 240  # pixels of the item's poster and of its neighbours'


@dataclass(frozen=True)
class ItemCard:
    """What a run saw in one item.

    Parameters
    ----------
    run, id, title : str
    part : str
        ``train``, ``validation``, ``test``, or nothing for an item that the run has never seen.
    labels : tuple of str or None
        The true ones; None where the catalogue has no labels.
    scores : tuple of ScoreDecomposition or GenrePrediction
        The likeliest genre first; none where a network has no poster to look at.
    detailed : tuple of str
        The genres to take apart on page and terminal.
    out_of_fold : dict of str to float
        Of an item that was learnt from: the probabilities given to it by models that had not seen it.
    missing_poster : str
        Why there is none; empty if there is one.
    neighbours : tuple of Neighbour
        Among the items that were learnt from.
    notes : tuple of str
    maps : tuple of SaliencyMap
        Of the genres taken apart, where they were asked for.
    kind : str
        ``"head"``, whose scores are sums, or ``"deep"``, as in run.json.
    """

    run: str
    id: str
    title: str
    part: str
    labels: tuple[str, ...] | None
    scores: tuple[ScoreDecomposition | GenrePrediction, ...]
    detailed: tuple[str, ...]
    out_of_fold: dict[str, float]
    missing_poster: str
    neighbours: tuple[Neighbour, ...]
    notes: tuple[str, ...]
    maps: tuple[SaliencyMap, ...] = ()
    kind: str = "head"

    @property
    def given(self) -> tuple[str, ...]:
        """The labels that the model gives."""
        return tuple(score.genre for score in self.scores if score.given)


def split_sentence(card: ItemCard) -> str:
    """What the run knew of the item."""
    if card.part == "test":
        return "a test item: the run has not learnt from it"
    if card.kind == "deep":
        if card.part:
            return f"a {card.part} item: it chose epoch and thresholds, so its scores flatter"
        return "an item that the run has no prediction of: if it has learnt from it, its scores flatter"
    if not card.part:
        return "in no part of the split: the run has not learnt from it"
    return (
        f"a {card.part} item: the run has learnt from it, so its scores flatter; the out-of-fold "
        "probabilities do not"
    )


def threshold_text(score: ScoreDecomposition | GenrePrediction) -> str:
    """From which probability on the label is given."""
    if score.threshold is None:
        return "the likeliest is given"
    return f"threshold {score.threshold:.3f}" if score.threshold <= 1 else "threshold never reached"


def render_card(
    card: ItemCard, images: Mapping[str, bytes], top: int = 8, heatmaps: Sequence[bytes] = ()
) -> str:
    """The page as a string. Everything that comes from a catalogue is escaped.

    Parameters
    ----------
    card : ItemCard
    images : mapping of str to bytes
        JPEGs of the neighbours by id, and of the item under ``""``; what is not here is not shown.
    top : int
        Words and fields on each side.
    heatmaps : sequence of bytes
        A JPEG of each of the card's maps.

    Returns
    -------
    str
        HTML without scripts and without anything to load; its policy allows the one style sheet, by
        its hash, and images that are part of the page.
    """
    made = environment()
    style, style_hash = part_of(made, "card.css.j2")
    return made.get_template("card.html.j2").render(
        card=card,
        seen=split_sentence(card),
        map_sentence=map_sentence,
        style=style,
        style_hash=style_hash,
        images={name: base64.b64encode(data).decode() for name, data in images.items()},
        views=[_view(score, card, top) | _heatmaps(score, card, heatmaps) for score in card.scores],
    )


def _view(score: ScoreDecomposition | GenrePrediction, card: ItemCard, top: int) -> dict[str, Any]:
    """One genre as the page draws it."""
    return {
        "score": score,
        "true": card.labels is not None and score.genre in card.labels,
        "open": score.genre in card.detailed,
        "out_of_fold": card.out_of_fold.get(score.genre),
        "learnt": not math.isnan(score.score),
        "sum": _sum(score, top) if isinstance(score, ScoreDecomposition) else None,
    }


def _sum(score: ScoreDecomposition, top: int) -> dict[str, Any]:
    """The parts that a score is the sum of."""
    towards, away, others = top_contributions(score, top)
    blocks = [("intercept", score.intercept), *score.blocks.items()]
    return {
        "blocks": blocks,
        "widest": max((abs(value) for _, value in blocks), default=0.0) or 1.0,
        "towards": towards,
        "away": away,
        "others": others,
        "longest": max((abs(p.contribution) for p in (*towards, *away)), default=0.0) or 1.0,
    }


def _heatmaps(
    score: ScoreDecomposition | GenrePrediction, card: ItemCard, heatmaps: Sequence[bytes]
) -> dict[str, Any]:
    """The maps of one genre, each with its picture."""
    pairs = zip(card.maps, heatmaps, strict=True) if heatmaps else ()
    return {
        "maps": [
            (found, base64.b64encode(picture).decode())
            for found, picture in pairs
            if found.genre == score.genre
        ]
    }


def map_sentence(found: SaliencyMap) -> str:
    """A map in a sentence."""
    if not found.where:
        return "every part of the poster says the same"
    said = f"most for it: {found.where}; most against it: {found.against}"
    if found.occlusion is None:
        return said
    correlation = found.occlusion.correlation
    agrees = "covering a part changes nothing, or the map is flat"
    if correlation == correlation:
        agrees = f"rank correlation {correlation:.2f} with what covering each part takes away"
    where = f", most at {found.occlusion.where}" if found.occlusion.where else ""
    return f"{said}; {agrees}{where}"


def write_card(
    card: ItemCard,
    images: Mapping[str, bytes],
    path: Path,
    top: int = 8,
    heatmaps: Sequence[bytes] = (),
) -> None:
    """Write the page.

    Raises
    ------
    SettingError
        If `path` is not the name of a page.
    RunError
        If it cannot be written.
    """
    write_page(path, render_card(card, images, top, heatmaps))
