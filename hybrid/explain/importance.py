"""What a linear head looks at: words, fields and posters for and against each genre."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from hybrid.errors import SettingError
from hybrid.explain.channels import Channel, describe_channels, select_channels
from hybrid.explain.linear import BlockCoefficients, is_linear, read_linear_head
from hybrid.features import PosterFeatures
from hybrid.features.fusion import BlockData, FusionMatrix
from hybrid.heads import HybridClassifier

Floats = NDArray[np.float64]
Summary = dict[str, dict[str, dict[str, dict[str, float]]]]
RANKS = ("unit", "mean")


@dataclass(frozen=True)
class FeatureImportance:
    """A word or field and a genre.

    Parameters
    ----------
    name : str
    unit : float
        What a value of 1 adds to the score: block weight times coefficient.
    mean : float
        What it adds on average to the items that have it: `unit` times their mean value. Of a
        standardised number, whose values lie on both sides of 0, times their mean distance from 0.
    items : int
        How many have it: a value other than 0.
    """

    name: str
    unit: float
    mean: float
    items: int


@dataclass(frozen=True)
class PosterContribution:
    """An item whose poster speaks for or against a genre, and how much it adds to the score."""

    id: str
    contribution: float


@dataclass(frozen=True)
class GenreImportance:
    """What speaks for and against one genre: block → ``for`` or ``against`` → strongest first.

    `learnt` is False where all items that were learnt from have the genre, or none has: nothing speaks
    for or against it then.
    """

    genre: str
    learnt: bool
    intercept: float
    features: dict[str, dict[str, tuple[FeatureImportance, ...]]]
    posters: dict[str, dict[str, tuple[PosterContribution, ...]]]


def explain_genres(
    model: HybridClassifier,
    matrix: FusionMatrix,
    ids: Sequence[str],
    genres: Sequence[str],
    *,
    top: int = 8,
    rank: str = "unit",
) -> tuple[GenreImportance, ...]:
    """What speaks for and against each genre.

    Parameters
    ----------
    model : HybridClassifier
        Fitted, with a linear head.
    matrix : FusionMatrix of n rows
        ``model.fusion_.transform`` of the items that were learnt from.
    ids : sequence of n str
        Of these items.
    genres : sequence of L str
    top : int
        How many on each side.
    rank : str
        ``"unit"``: by what a value of 1 adds, that is, by block weight times coefficient. ``"mean"``:
        by what a word or field adds to the items that have it, which favours words of few, short texts.

    Raises
    ------
    SettingError
        If the head is not linear or a setting is wrong.
    """
    _check_settings(top, rank)
    head = read_linear_head(model)
    pairs = list(zip(head.blocks, (values for _, values in matrix.blocks), strict=True))
    poster_parts = {
        block.name: _poster_contributions(block, v) for block, v in pairs if not block.named
    }
    sizes = [_column_sizes(block, values) for block, values in pairs]
    views = []
    for j, genre in enumerate(genres):
        features = {
            block.name: _top_features(block, j, size, top, rank)
            for block, size in zip(head.blocks, sizes, strict=True)
        }
        posters = {
            name: _top_posters(parts[:, j], ids, top) for name, parts in poster_parts.items()
        }
        learnt = not model.constant_[j]
        views.append(GenreImportance(genre, learnt, float(head.intercept[j]), features, posters))
    return tuple(views)


def _check_settings(top: int, rank: str) -> None:
    problems = []
    if top < 1:
        problems.append(f"top: expected 1 or more, found {top}.")
    if rank not in RANKS:
        problems.append(f"rank: expected {' or '.join(RANKS)}, found {rank!r}.")
    if problems:
        raise SettingError("explain: " + "\n".join(problems))


def _column_sizes(block: BlockCoefficients, values: Any) -> tuple[NDArray[np.int64], Floats]:
    """For each column with a name, how many values are not 0, and their mean size."""
    sizes = abs(sparse.csc_matrix(values[:, block.first_named :], dtype=np.float64))
    sizes.eliminate_zeros()
    counts = np.diff(sizes.indptr).astype(np.int64)
    return counts, np.asarray(sizes.sum(axis=0)).ravel() / np.maximum(counts, 1)


def _top_features(
    block: BlockCoefficients, j: int, sizes: tuple[NDArray[np.int64], Floats], top: int, rank: str
) -> dict[str, tuple[FeatureImportance, ...]]:
    """The columns with a name that speak most for and against genre j."""
    counts, size = sizes
    names, unit = block.columns[block.first_named :], block.coef[j, block.first_named :]
    mean = unit * size
    ranked = mean if rank == "mean" else np.where(counts > 0, unit, 0.0)
    return {
        side: tuple(
            FeatureImportance(str(names[c]), float(unit[c]), float(mean[c]), int(counts[c]))
            for c in columns
        )
        for side, columns in _largest_and_smallest(ranked, top).items()
    }


def _poster_contributions(block: BlockCoefficients, values: NDArray[Any]) -> Floats:
    """What each item's embedding adds to the scores, (n, L); 0 for an item without one."""
    return FusionMatrix.from_blocks([values[:, :-1]]) @ block.coef[:, :-1].T


def _top_posters(
    parts: Floats, ids: Sequence[str], top: int
) -> dict[str, tuple[PosterContribution, ...]]:
    """The items whose posters add most, and those whose posters take most away."""
    return {
        side: tuple(PosterContribution(str(ids[i]), float(parts[i])) for i in items)
        for side, items in _largest_and_smallest(parts, top).items()
    }


def _largest_and_smallest(values: Floats, top: int) -> dict[str, NDArray[np.int64]]:
    """Positions of the largest values above 0, and of the smallest below."""
    order = np.argsort(-values, kind="stable")
    above, below = order[:top], order[::-1][:top]
    return {"for": above[values[above] > 0], "against": below[values[below] < 0]}


def describe_head(
    model: HybridClassifier, X: pd.DataFrame, genres: Sequence[str]
) -> dict[str, Any]:
    """What a run's record says of what the model looks at, from the items that were learnt from.

    Returns
    -------
    dict
        ``why``: see `_summarise_features`; ``channels``: see `_summarise_channels`. Both are None where the
        head is not linear.
    """
    if not is_linear(model):
        return {"why": None, "channels": None}
    data, ids = model.fusion_.read(X), X.index.tolist()  # looked up once for both
    return {
        "why": _summarise_features(model, model.fusion_.transform(data), ids, genres),
        "channels": _summarise_channels(model, data, ids, genres),
    }


def _summarise_features(
    model: HybridClassifier,
    matrix: FusionMatrix,
    ids: Sequence[str],
    genres: Sequence[str],
    top: int = 8,
) -> Summary:
    """Words and fields: genre → block → ``for``, ``against`` → name → what it adds.

    Names are ordered by coefficient; what one adds is an average over the items that have it.
    """
    views = explain_genres(model, matrix, ids, genres, top=top)
    return {
        view.genre: {
            block: {
                side: {feature.name: round(feature.mean, 4) for feature in features}
                for side, features in sides.items()
            }
            for block, sides in view.features.items()
            if block not in view.posters
        }
        for view in views
        if view.learnt
    }


def _summarise_channels(
    model: HybridClassifier,
    data: BlockData,
    ids: Sequence[str],
    genres: Sequence[str],
    top: int = 4,
) -> list[dict[str, Any]] | None:
    """The channels of the backbones that count most, as `Channel` has them, posters by id.

    None where there is no block of posters.
    """
    effects = {block.name: block for block in read_linear_head(model).blocks if not block.named}
    items = [(str(name), "") for name in ids]
    found: list[Channel] = []
    for name, block in model.fusion_.fitted_:
        if name in effects:
            coef = effects[name].coef[:, : effects[name].first_named]
            numbers = select_channels(coef, each=1)
            activations = standardised(block, data[name], numbers)
            found += describe_channels(name, coef, activations, numbers, items, genres, top)
    return [_plain_channel(channel) for channel in found] or None


def standardised(
    block: PosterFeatures, embeddings: NDArray[np.float32], numbers: Sequence[int]
) -> NDArray[np.float32]:
    """Some channels of embeddings, in standard deviations from the mean of those learnt from."""
    chosen = list(numbers)
    return (embeddings[:, chosen] - block.mean_[chosen]) / block.scale_[chosen]


def _plain_channel(channel: Channel) -> dict[str, Any]:
    sides = {
        side: {genre: round(value, 4) for genre, value in getattr(channel, side).items()}
        for side in ("towards", "away")
    }
    posters = {poster.id: round(poster.activation, 2) for poster in channel.posters}
    return {"block": channel.block, "number": channel.number, **sides, "posters": posters}
