"""Feature importance of a linear head: words, fields and embeddings for and against each genre."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from hybrid.catalogue.packed import take_table
from hybrid.errors import SettingError
from hybrid.explain.channels import Channel, describe_channels, select_channels
from hybrid.explain.linear import BlockCoefficients, is_linear, read_linear_head
from hybrid.explain.stop_words import is_telling
from hybrid.features import PosterFeatures
from hybrid.features.embeddings import EmbeddingFeatures
from hybrid.features.fusion import BlockData
from hybrid.features.fusion_matrix import FusionMatrix
from hybrid.heads import HybridClassifier

Floats = NDArray[np.float64]
Summary = dict[str, dict[str, dict[str, dict[str, float]]]]
RANKS = ("unit", "mean")
MOST = 2**14  # items that a run's record is made of where their features do not fit in memory
POSTERS = PosterFeatures.source


@dataclass(frozen=True)
class FeatureImportance:
    """Importance of one word or field for one genre.

    Parameters
    ----------
    name : str
    unit : float
        Block weight times coefficient: contribution of a value of 1.
    mean : float
        Mean contribution to the items that have the feature: `unit` times their mean absolute value.
    items : int
        Items that have the feature, that is, a value other than 0.

    Examples
    --------
    >>> FeatureImportance("ghost", unit=1.5, mean=0.3, items=20).items
    20
    """

    name: str
    unit: float
    mean: float
    items: int


@dataclass(frozen=True)
class EmbeddingContribution:
    """Contribution of one item's embedding, of its poster or its text, to a genre's score.

    Parameters
    ----------
    id : str
    contribution : float

    Examples
    --------
    >>> EmbeddingContribution("f001", 0.4).contribution
    0.4
    """

    id: str
    contribution: float


@dataclass(frozen=True)
class GenreImportance:
    """Most important words, fields and embeddings for one genre.

    Parameters
    ----------
    genre : str
    learnt : bool
        False where the genre is constant in the training set (all items have it, or none has), so that no
        feature matters.
    intercept : float
    features : dict of str to dict of str to tuple of FeatureImportance
        Block, then ``"for"`` or ``"against"``; most important first.
    posters : dict of str to dict of str to tuple of EmbeddingContribution
        Likewise for poster blocks.
    embeddings : dict of str to dict of str to tuple of EmbeddingContribution, default={}
        Likewise for blocks of other embeddings, such as those of texts.

    Examples
    --------
    >>> GenreImportance("Horror", True, -0.5, {}, {}).genre
    'Horror'
    """

    genre: str
    learnt: bool
    intercept: float
    features: dict[str, dict[str, tuple[FeatureImportance, ...]]]
    posters: dict[str, dict[str, tuple[EmbeddingContribution, ...]]]
    embeddings: dict[str, dict[str, tuple[EmbeddingContribution, ...]]] = field(
        default_factory=dict
    )


def explain_genres(
    model: HybridClassifier,
    matrix: FusionMatrix,
    ids: Sequence[str],
    genres: Sequence[str],
    *,
    top: int = 8,
    rank: str = "unit",
) -> tuple[GenreImportance, ...]:
    """Most important words, fields, posters and text embeddings for and against each genre.

    Stop words and n-grams of characters are left out, as long as a text has other terms: they count in
    each score, but tell a reader nothing.

    Parameters
    ----------
    model : HybridClassifier
        Fitted, with a linear head.
    matrix : FusionMatrix of n rows
        ``model.fusion_.transform`` of the training items.
    ids : sequence of n str
    genres : sequence of L str
    top : int, default=8
        Maximum number on each side.
    rank : {"unit", "mean"}, default="unit"
        Order of the features. ``"unit"``: by block weight times coefficient. ``"mean"``: by mean
        contribution to the items that have the feature, which favours words of few, short texts.

    Returns
    -------
    tuple of L GenreImportance

    Raises
    ------
    SettingError
        If the head is not linear, `top` is below 1, or `rank` is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from hybrid.features import TextFeatures
    >>> from hybrid.features.fusion import Fusion
    >>> from hybrid.heads import HybridClassifier, MultilabelLinearSVC
    >>> X = pd.DataFrame({"overview": ["ghost night", "joke wedding"] * 10}, index=map(str, range(20)))
    >>> fusion = Fusion([("text", TextFeatures(["overview"], max_ngram=1, max_chars=0))])
    >>> model = HybridClassifier(fusion, MultilabelLinearSVC(), folds=2)
    >>> model = model.fit(X, np.array([[1, 0], [0, 1]] * 10))
    >>> matrix = model.fusion_.transform(X)
    >>> horror, _ = explain_genres(model, matrix, X.index.tolist(), ["Horror", "Comedy"])
    >>> sorted(feature.name for feature in horror.features["text"]["for"])
    ['ghost', 'night']
    """
    _check_settings(top, rank)
    head = read_linear_head(model)
    pairs = list(zip(head.blocks, (values for _, values in matrix.blocks), strict=True))
    parts = {b.name: _embedding_contributions(b, v) for b, v in pairs if not b.named}
    pictured = {block.name for block in head.blocks if block.source == POSTERS}
    sizes = [_column_sizes(block, values) for block, values in pairs]
    telling = [_telling_columns(block) for block in head.blocks]
    views = []
    for j, genre in enumerate(genres):
        features = {
            block.name: _top_features(block, j, size, shown, top, rank)
            for block, size, shown in zip(head.blocks, sizes, telling, strict=True)
        }
        sides = {name: _top_items(found[:, j], ids, top) for name, found in parts.items()}
        posters = {name: found for name, found in sides.items() if name in pictured}
        others = {name: found for name, found in sides.items() if name not in pictured}
        learnt, intercept = not model.constant_[j], float(head.intercept[j])
        views.append(GenreImportance(genre, learnt, intercept, features, posters, others))
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
    """Number of non-zero values of each named column, and their mean absolute value."""
    sizes = abs(sparse.csc_matrix(values[:, block.first_named :], dtype=np.float64))
    sizes.eliminate_zeros()
    counts = np.diff(sizes.indptr).astype(np.int64)
    return counts, np.asarray(sizes.sum(axis=0)).ravel() / np.maximum(counts, 1)


def _telling_columns(block: BlockCoefficients) -> NDArray[np.bool_]:
    """Which named columns say something to a reader; all where none would be left."""
    names = block.columns[block.first_named :]
    if not block.text:
        return np.ones(len(names), dtype=bool)
    # The last column, the indicator of a missing text, is no term.
    found = np.array([*map(is_telling, names[:-1]), True], dtype=bool)
    return found if found[:-1].any() else np.ones(len(names), dtype=bool)


def _top_features(
    block: BlockCoefficients,
    j: int,
    sizes: tuple[NDArray[np.int64], Floats],
    shown: NDArray[np.bool_],
    top: int,
    rank: str,
) -> dict[str, tuple[FeatureImportance, ...]]:
    """Those of the shown columns with the largest and smallest importance for genre j."""
    counts, size = sizes
    names, unit = block.columns[block.first_named :], block.coef[j, block.first_named :]
    mean = unit * size
    ranked = np.where((counts > 0) & shown, mean if rank == "mean" else unit, 0.0)
    return {
        side: tuple(
            FeatureImportance(str(names[c]), float(unit[c]), float(mean[c]), int(counts[c]))
            for c in columns
        )
        for side, columns in _largest_and_smallest(ranked, top).items()
    }


def _embedding_contributions(block: BlockCoefficients, values: NDArray[Any]) -> Floats:
    """Contribution of each item's embedding to the scores, (n, L); 0 for an item without one."""
    return FusionMatrix.from_blocks([values[:, :-1]]) @ block.coef[:, :-1].T


def _top_items(
    parts: Floats, ids: Sequence[str], top: int
) -> dict[str, tuple[EmbeddingContribution, ...]]:
    """Items whose embeddings have the largest and smallest contributions."""
    return {
        side: tuple(EmbeddingContribution(str(ids[i]), float(parts[i])) for i in items)
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
    """Feature importances and top channels of a model, as run.json stores them.

    Parameters
    ----------
    model : HybridClassifier
        Fitted.
    X : DataFrame of n items
        The training items. If the rows of the fit were on disk, `MOST` of them are drawn at random.
    genres : sequence of L str

    Returns
    -------
    dict
        ``why``: genre, block, ``for`` or ``against``, name, mean contribution. ``channels``: one dict for
        each channel, None where there is no poster block. Both are None where the head is not linear.
        ``rows``: where the rows of the fit were.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from hybrid.features import TextFeatures
    >>> from hybrid.features.fusion import Fusion
    >>> from hybrid.heads import HybridClassifier, MultilabelLinearSVC
    >>> X = pd.DataFrame({"overview": ["ghost night", "joke wedding"] * 10}, index=map(str, range(20)))
    >>> fusion = Fusion([("text", TextFeatures(["overview"], max_ngram=1, max_chars=0))])
    >>> model = HybridClassifier(fusion, MultilabelLinearSVC(), folds=2)
    >>> model = model.fit(X, np.array([[1, 0], [0, 1]] * 10))
    >>> record = describe_head(model, X, ["Horror", "Comedy"])
    >>> sorted(record["why"]["Horror"]["text"]["for"]), record["channels"]
    (['ghost', 'night'], None)
    """
    if not is_linear(model):
        return {"why": None, "channels": None, "rows": model.rows_}
    if model.rows_ != "memory" and len(X) > MOST:
        chosen = np.random.default_rng(model.random_state).choice(len(X), MOST, replace=False)
        X = take_table(X, np.sort(chosen))
    data, ids = model.fusion_.read(X), X.index.tolist()  # looked up once for both
    return {
        "why": _summarise_features(model, model.fusion_.transform(data), ids, genres),
        "channels": _summarise_channels(model, data, ids, genres),
        "rows": model.rows_,
    }


def _summarise_features(
    model: HybridClassifier,
    matrix: FusionMatrix,
    ids: Sequence[str],
    genres: Sequence[str],
    top: int = 8,
) -> Summary:
    """Words and fields: genre, block, ``for`` or ``against``, name, mean contribution.

    Names are in the order of their coefficients.
    """
    views = explain_genres(model, matrix, ids, genres, top=top)
    return {
        view.genre: {
            block: {
                side: {feature.name: round(feature.mean, 4) for feature in features}
                for side, features in sides.items()
            }
            for block, sides in view.features.items()
            if block not in view.posters | view.embeddings
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
    """Most important channel of each genre as a dict like `Channel`, posters by id; None without posters."""
    effects = {b.name: b for b in read_linear_head(model).blocks if b.source == POSTERS}
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
    block: EmbeddingFeatures, embeddings: NDArray[np.float32], numbers: Sequence[int]
) -> NDArray[np.float32]:
    """Standardised embeddings, selected channels only.

    Parameters
    ----------
    block : EmbeddingFeatures
        Fitted.
    embeddings : ndarray of shape (n, D), dtype float32
    numbers : sequence of int
        Indices of the channels, in [0, D).

    Returns
    -------
    ndarray of shape (n, len(numbers)), dtype float32
        Standard deviations from the mean of the training items.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import numpy as np
    >>> fitted = SimpleNamespace(mean_=np.array([1.0, 2.0]), scale_=np.array([1.0, 0.5]))
    >>> standardised(fitted, np.array([[1.0, 3.0]]), [1]).tolist()
    [[2.0]]
    """
    chosen = list(numbers)
    return (embeddings[:, chosen] - block.mean_[chosen]) / block.scale_[chosen]


def _plain_channel(channel: Channel) -> dict[str, Any]:
    sides = {
        side: {genre: round(value, 4) for genre, value in getattr(channel, side).items()}
        for side in ("towards", "away")
    }
    posters = {poster.id: round(poster.activation, 2) for poster in channel.posters}
    return {"block": channel.block, "number": channel.number, **sides, "posters": posters}
