"""Feature importance of linear heads: words and fields for and against each genre."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hybrid.explain.stop_words import is_piece, is_telling
from hybrid.report.comparison import Comparison

TEXT, METADATA = "text", "metadata"  # blocks


@dataclass(frozen=True)
class Feature:
    """A word or field as it is shown, and its mean contribution.

    Parameters
    ----------
    name : str
    value : float

    Examples
    --------
    >>> Feature("ghost", 0.4).name
    'ghost'
    """

    name: str
    value: float


@dataclass(frozen=True)
class GenreFeatures:
    """What speaks for and against one genre: features by block.

    Parameters
    ----------
    genre : str
    positive, negative : tuple of tuple of Feature

    Examples
    --------
    >>> GenreFeatures("Horror", ((Feature("ghost", 0.4),),), ()).genre
    'Horror'
    """

    genre: str
    positive: tuple[tuple[Feature, ...], ...]
    negative: tuple[tuple[Feature, ...], ...]


def make(comparison: Comparison) -> dict[int, tuple[GenreFeatures, ...]] | None:
    """Feature importance of each run by its position; None where no run recorded any.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    dict of int to tuple of GenreFeatures, or None

    Examples
    --------
    >>> make(comparison)[0][0].positive[0][0]  # doctest: +SKIP
    Feature(name='ghost', value=0.4)
    """
    found = {}
    for i, run in enumerate(comparison.runs):
        importance = (run.record.head.importance if run.record.head else None) or {}
        rows = tuple(
            GenreFeatures(
                genre,
                _shown({block: sides.positive for block, sides in blocks.items()}),
                _shown({block: sides.negative for block, sides in blocks.items()}),
            )
            for genre, blocks in importance.items()
        )
        rows = tuple(row for row in rows if row.positive or row.negative)
        if rows:
            found[i] = rows
    return found or None


def _shown(blocks: Mapping[str, Mapping[str, float]]) -> tuple[tuple[Feature, ...], ...]:
    """Features of each block that has any, as they are shown."""
    found = []
    for block, values in blocks.items():
        telling = values
        if block == TEXT:  # runs of earlier versions recorded stop words, too
            words = {name: value for name, value in values.items() if is_telling(name)}
            pieces = all(is_piece(name) for name in values)
            telling = values if pieces else words
        found.append(tuple(Feature(legible(name, block), value) for name, value in telling.items()))
    return tuple(features for features in found if features)


def legible(name: str, block: str) -> str:
    """Name of a feature for readers.

    Parameters
    ----------
    name : str
        As the block names its columns.
    block : str

    Returns
    -------
    str

    Examples
    --------
    >>> [legible(name, "metadata") for name in ("year=2000-2009", "vote_count", "runtime missing")]
    ['year: 2000–2009', 'high vote count', 'no runtime']
    >>> [legible(name, "text") for name in ("lonely bridge", "'er '", "(text missing)")]
    ['lonely bridge', '“er␣”', 'no text']
    """
    if name == f"({block} missing)":
        return f"no {block}"
    if block == TEXT:
        return f"“{name[1:-1].replace(' ', '␣')}”" if is_piece(name) else name
    if block != METADATA:
        return name
    column, equals, value = name.partition("=")
    if equals:
        decade = value.replace("-", "–") if value.replace("-", "").isdigit() else value
        return f"{column.replace('_', ' ')}: {decade}"
    plain = name.replace("_", " ")
    if plain.endswith(" missing"):
        return f"no {plain.removesuffix(' missing')}"
    return f"high {plain}"
