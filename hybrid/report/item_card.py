"""Item card: the prediction of a run for one item and its explanation, as a self-contained HTML page."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.explain.channels import STOPPED_BY
from hybrid.explain.contributions import (
    GenrePrediction,
    ScoreDecomposition,
    SharedPrediction,
    top_contributions,
)
from hybrid.explain.saliency import SaliencyMap
from hybrid.explain.similar_posters import Neighbour
from hybrid.report.page import make_environment, render_asset, write_page

LARGE, SMALL = 480, 240  # longer side in pixels: the item's poster, and those of its neighbours

CARD = "explanation of an item"


@dataclass(frozen=True)
class ItemCard:
    """Prediction of a run for one item, with its explanation.

    Parameters
    ----------
    run, id, title : str
    part : {"train", "validation", "test", ""}
        Part of the split; empty for an item that is not in the split.
    labels : tuple of str or None
        True labels; None where the catalogue has no labels.
    scores : tuple of ScoreDecomposition or GenrePrediction
        Most likely genre first; empty where a network lacks the poster that it needs.
    detailed : tuple of str
        Genres to explain.
    out_of_fold : dict of str to float
        Out-of-fold probabilities of a training item; empty for other items.
    missing_poster : str
        Why there is no poster; empty if there is one.
    neighbours : tuple of Neighbour
        Training items with the nearest posters.
    notes : tuple of str
        Warnings on the run and the catalogue.
    maps : tuple of SaliencyMap, default=()
        Of the genres to explain, if requested.
    kind : {"head", "deep"}, default="head"
        Kind of run. Only the scores of a head can be decomposed.
    nearest_texts : tuple of Neighbour, default=()
        Training items with the nearest text embeddings.

    Examples
    --------
    >>> card = ItemCard("svm", "f1", "Night", "test", ("Horror",), (), (), {}, "", (), ())
    >>> card.given
    ()
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
    nearest_texts: tuple[Neighbour, ...] = ()

    @property
    def given(self) -> tuple[str, ...]:
        """Predicted labels."""
        return tuple(score.genre for score in self.scores if score.given)


def compared_words(card: ItemCard) -> str:
    """Which items the neighbours are of, in words.

    Examples
    --------
    >>> compared_words(ItemCard("svm", "f1", "Night", "test", None, (), (), {}, "", (), ()))
    'the items that the run was fitted on'
    """
    return f"the {STOPPED_BY}" if card.kind == "deep" else "the items that the run was fitted on"


def split_sentence(card: ItemCard) -> str:
    """Part of the split that the item is in, and whether its scores are optimistic.

    Parameters
    ----------
    card : ItemCard

    Returns
    -------
    str

    Examples
    --------
    >>> split_sentence(ItemCard("svm", "f1", "Night", "test", None, (), (), {}, "", (), ()))
    'test item: not used to fit the run'
    """
    if card.part == "test":
        return "test item: not used to fit the run"
    if card.kind == "deep":
        if card.part:
            return f"{card.part} item: used to choose the epoch and thresholds, so its scores are optimistic"
        return (
            "no prediction recorded for this item: if it is a train item, its scores are optimistic"
        )
    if not card.part:
        return "not in the split: not used to fit the run"
    return (
        f"{card.part} item: used to fit the run, so its scores are optimistic; the out-of-fold "
        "probabilities are not"
    )


def threshold_text(score: ScoreDecomposition | GenrePrediction) -> str:
    """Smallest probability at which the label is predicted, in words.

    Parameters
    ----------
    score : ScoreDecomposition or GenrePrediction

    Returns
    -------
    str

    Examples
    --------
    >>> threshold_text(GenrePrediction("Horror", 0.5, 0.62, 0.5, True))
    'threshold 0.500'
    """
    if score.threshold is None:
        return "the most likely label is predicted"
    return f"threshold {score.threshold:.3f}" if score.threshold <= 1 else "threshold never reached"


def render_card(
    card: ItemCard, images: Mapping[str, bytes], top: int = 8, heatmaps: Sequence[bytes] = ()
) -> str:
    """Render an item card as HTML. Text from the catalogue is escaped.

    Parameters
    ----------
    card : ItemCard
    images : mapping of str to bytes
        JPEGs of the neighbours by id, and of the item under ``""``. Missing ones are not shown.
    top : int, default=8
        Maximum number of words and fields on each side.
    heatmaps : sequence of bytes, default=()
        A JPEG for each of the card's maps.

    Returns
    -------
    str
        HTML without scripts and external resources. Its content security policy allows the style sheet, by
        its hash, and embedded images.

    Examples
    --------
    >>> card = ItemCard("svm", "f1", "<Night>", "test", None, (), (), {}, "no file", (), ())
    >>> "<h1>&lt;Night&gt;</h1>" in render_card(card, {})
    True
    """
    made = make_environment()
    style, style_hash = render_asset(made, "card.css.j2")
    return made.get_template("item_card.html.j2").render(
        card=card,
        split=split_sentence(card),
        map_sentence=map_sentence,
        compared=compared_words(card),
        style=style,
        style_hash=style_hash,
        images={name: base64.b64encode(data).decode() for name, data in images.items()},
        views=[_view(score, card, top) | _heatmaps(score, card, heatmaps) for score in card.scores],
    )


def _view(score: ScoreDecomposition | GenrePrediction, card: ItemCard, top: int) -> dict[str, Any]:
    """Template variables of one genre."""
    return {
        "score": score,
        "true": card.labels is not None and score.genre in card.labels,
        "open": score.genre in card.detailed,
        "out_of_fold": card.out_of_fold.get(score.genre),
        "fitted": not math.isnan(score.score),
        "sum": _sum(score) if isinstance(score, (ScoreDecomposition, SharedPrediction)) else None,
        "parts": _parts(score, top) if isinstance(score, ScoreDecomposition) else None,
    }


def first_summand(score: ScoreDecomposition | SharedPrediction) -> str:
    """What a score is before the blocks are added, in words.

    Examples
    --------
    >>> first_summand(SharedPrediction("Horror", 0.5, 0.62, 0.5, True, -1.0, {"text": 1.5}))
    'without any block'
    """
    return "intercept" if isinstance(score, ScoreDecomposition) else "without any block"


def _sum(score: ScoreDecomposition | SharedPrediction) -> dict[str, Any]:
    """Template variables of the blocks that a score is the sum of."""
    blocks = [(first_summand(score), score.intercept), *score.blocks.items()]
    return {
        "blocks": blocks,
        "widest": max((abs(value) for _, value in blocks), default=0.0) or 1.0,
        "needed": score.needed if isinstance(score, ScoreDecomposition) else math.nan,
    }


def _parts(score: ScoreDecomposition, top: int) -> dict[str, Any]:
    """Template variables of the words and fields that a score is the sum of."""
    towards, away, others = top_contributions(score, top)
    return {
        "towards": towards,
        "away": away,
        "others": others,
        "longest": max((abs(p.contribution) for p in (*towards, *away)), default=0.0) or 1.0,
    }


def _heatmaps(
    score: ScoreDecomposition | GenrePrediction, card: ItemCard, heatmaps: Sequence[bytes]
) -> dict[str, Any]:
    """Saliency maps of one genre, each with its image."""
    pairs = zip(card.maps, heatmaps, strict=True) if heatmaps else ()
    return {
        "maps": [
            (found, base64.b64encode(picture).decode())
            for found, picture in pairs
            if found.genre == score.genre
        ]
    }


def map_sentence(found: SaliencyMap) -> str:
    """Location of the extremes of a saliency map, and its agreement with occlusion, in words.

    Parameters
    ----------
    found : SaliencyMap

    Returns
    -------
    str

    Examples
    --------
    >>> cells = ((0.3, -0.1),)
    >>> map_sentence(SaliencyMap("Horror", "poster", "exact", cells, 0.2, 0.0, "upper left", "centre"))
    'highest: upper left; lowest: centre'
    """
    if not found.where:
        return "the map is constant"
    text = f"highest: {found.where}; lowest: {found.against}"
    if found.occlusion is None:
        return text
    correlation = found.occlusion.correlation
    agreement = "no rank correlation with occlusion, since the map or the drops are constant"
    if correlation == correlation:
        agreement = (
            f"rank correlation {correlation:.2f} with the drops of the score under occlusion"
        )
    where = f", largest drop: {found.occlusion.where}" if found.occlusion.where else ""
    return f"{text}; {agreement}{where}"


def write_card(
    card: ItemCard,
    images: Mapping[str, bytes],
    path: Path,
    top: int = 8,
    heatmaps: Sequence[bytes] = (),
) -> None:
    """Write an item card.

    Parameters
    ----------
    card, images, top, heatmaps
        See `render_card`.
    path : Path
        Ends in ``.html`` or ``.htm``.

    Raises
    ------
    SettingError
        If `path` does not end in ``.html`` or ``.htm``.
    RunError
        If the file cannot be written.

    Examples
    --------
    >>> write_card(card, {}, Path("card.html"))  # doctest: +SKIP
    """
    write_page(path, render_card(card, images, top, heatmaps), CARD)
