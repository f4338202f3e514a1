"""Ablation of the blocks: fits on every subset, missing blocks at test time, Shapley values."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from hybrid.evaluation import Outputs, compare_with_reference, evaluate
from hybrid.features.fusion_matrix import FusionMatrix, drop_block
from hybrid.heads import HybridClassifier
from hybrid.studies.fits import Fit, Fits
from hybrid.types import Interval
from hybrid.utils.counts import counted

RATES = (0.0, 0.25, 0.5, 1.0)
METRICS = ("f1_weighted", "f1_macro", "f1_micro", "map_macro")
COMPARED = METRICS[0]

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]
# Outputs, blocks, the missing block, the share of the items that lack it, seconds.
Tried = tuple[Outputs, tuple[str, ...], str | None, float, float]


@dataclass(frozen=True)
class Variant:
    """The model on some blocks, or with a block missing for a share of the test items.

    Parameters
    ----------
    blocks : tuple of str
        Blocks that it was fitted on.
    missing : str or None
        The block that was removed at test time.
    rate : float
        Share of the test items that it was removed from.
    metrics : dict of str to Interval
    difference : Interval
        Weighted F1 minus that of the full model with all blocks; the intervals of all variants hold at
        once with a probability of 95 %, see `hybrid.evaluation.compare_with_reference`.
    seconds : float
        Time to fit and predict.
    """

    blocks: tuple[str, ...]
    missing: str | None
    rate: float
    metrics: dict[str, Interval]
    difference: Interval
    seconds: float


@dataclass(frozen=True)
class Ablation:
    """Result of an ablation.

    Parameters
    ----------
    subsets : tuple of Variant
        Fits on the subsets of blocks, the full model last.
    missing : tuple of Variant
        The full model with each block missing.
    """

    subsets: tuple[Variant, ...]
    missing: tuple[Variant, ...]


def block_subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Non-empty subsets of the blocks, smallest first.

    Examples
    --------
    >>> block_subsets(["poster", "text"])
    [('poster',), ('text',), ('poster', 'text')]
    """
    return [c for size in range(1, len(names) + 1) for c in combinations(names, size)]


def ablate_blocks(
    model: HybridClassifier,
    learn: tuple[pd.DataFrame, Labels, ArrayLike],
    test: tuple[pd.DataFrame, Labels, ArrayLike],
    *,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
    fit_seconds: float = math.nan,
    fits: Fits | None = None,
) -> Ablation:
    """Ablation study: fit every subset of the blocks, and remove blocks from the test items.

    Parameters
    ----------
    model : HybridClassifier
        Fitted on `learn`.
    learn, test : (DataFrame, ndarray of shape (n, L), array-like of shape (n,))
        Items, their labels, and their groups.
    seed : int, default=0
        Chooses the items that lose a block (those of a lower rate are among those of a higher one), and
        the draws of the intervals.
    say : callable, optional
        Called once with a line of text: the number of fits, and an upper bound of the time.
    fit_seconds : float, default=nan
        Time that the full model took to fit.
    fits : Fits, optional
        Shows and remembers the fit of each subset.

    Returns
    -------
    Ablation

    Examples
    --------
    >>> from hybrid.features import MetadataFeatures, TextFeatures
    >>> from hybrid.features.fusion import Fusion
    >>> from hybrid.heads import MultilabelLinearSVC
    >>> films = pd.DataFrame({"overview": ["a ghost in a house", "a sheriff rides west"] * 8})
    >>> films["country"], labels = ["gb", "us"] * 8, np.array([[1, 0], [0, 1]] * 8)
    >>> text = TextFeatures(["overview"], max_chars=0)
    >>> fusion = Fusion([("text", text), ("metadata", MetadataFeatures(categorical=["country"]))])
    >>> model = HybridClassifier(fusion, MultilabelLinearSVC(random_state=0), folds=2)
    >>> _ = model.fit(films, labels)
    >>> groups = np.arange(16)
    >>> found = ablate_blocks(model, (films, labels, groups), (films, labels, groups))
    >>> [variant.blocks for variant in found.subsets]
    [('text',), ('metadata',), ('text', 'metadata')]
    """
    frame, truth, groups = test
    names = model.fusion.names
    matrix = model.fusion_.transform(frame)
    start = time.perf_counter()
    full = _predict(model, matrix)
    full_seconds, fits = time.perf_counter() - start, fits or Fits()
    parts = block_subsets(names)[:-1]
    most = "" if math.isnan(fit_seconds) else f", at most about {len(parts) * fit_seconds:.0f} s,"
    say(
        f"ablation: {counted(len(parts), 'more fit')}{most} and "
        f"{counted(len(names) * (len(RATES) - 1), 'prediction')} with a block missing"
    )

    tried: list[Tried] = []
    for blocks, fit in zip(parts, subset_fits(model, learn, frame), strict=True):
        found = fits.get(fit)
        tried.append((found.outputs, blocks, None, 0.0, found.seconds))
    tried.append((full, names, None, 0.0, full_seconds))
    order = np.random.default_rng(seed).permutation(len(frame))
    for name in names:
        for rate in RATES:
            start = time.perf_counter()
            rows = order[: round(rate * len(frame))]
            outputs = _predict(model, drop_block(matrix, name, rows))
            seconds = time.perf_counter() - start
            tried.append((outputs, names, name, rate, seconds))
    variants = _evaluate(tried, full, truth, groups, seed)
    return Ablation(variants[: len(parts) + 1], variants[len(parts) + 1 :])


def subset_fits(
    model: HybridClassifier, learn: tuple[pd.DataFrame, Labels, ArrayLike], frame: pd.DataFrame
) -> list[Fit]:
    """The fits of an ablation: one for each subset of the blocks but all, as `block_subsets` orders them.

    Parameters
    ----------
    model : HybridClassifier
    learn : (DataFrame, ndarray of shape (n, L), array-like of shape (n,))
        Items that are learnt from, their labels, and their groups.
    frame : DataFrame
        Items that are predicted.
    """

    def fit_subset(blocks: tuple[str, ...]) -> Outputs:
        smaller = restrict(model, blocks).fit(learn[0], learn[1], groups=learn[2])
        return _predict(smaller, smaller.fusion_.transform(frame))

    return [
        Fit(f"subset-{number}", " + ".join(blocks), partial(fit_subset, blocks))
        for number, blocks in enumerate(block_subsets(model.fusion.names)[:-1])
    ]


def _evaluate(
    tried: Sequence[Tried], full: Outputs, truth: Labels, groups: ArrayLike, seed: int
) -> tuple[Variant, ...]:
    """Metrics of each variant, and its difference to the full model."""
    genres = [str(j) for j in range(truth.shape[1])]
    differences = compare_with_reference(
        truth, [each[0] for each in tried], full, COMPARED, groups=groups, seed=seed
    )
    found = []
    for (outputs, blocks, missing, rate, seconds), difference in zip(
        tried, differences, strict=True
    ):
        every = evaluate(truth, outputs, genres, groups=groups, seed=seed).metrics
        metrics = {name: every[name] for name in METRICS}
        found.append(Variant(blocks, missing, rate, metrics, difference, seconds))
    return tuple(found)


def restrict(model: HybridClassifier, blocks: Sequence[str]) -> HybridClassifier:
    """An unfitted copy of a model on some of its blocks.

    Examples
    --------
    >>> from hybrid.features import MetadataFeatures, TextFeatures
    >>> from hybrid.features.fusion import Fusion
    >>> from hybrid.heads import MultilabelLinearSVC
    >>> fusion = Fusion([("text", TextFeatures()), ("metadata", MetadataFeatures(["year"]))])
    >>> restrict(HybridClassifier(fusion, MultilabelLinearSVC()), ["metadata"]).fusion.names
    ('metadata',)
    """
    smaller = clone(model)
    weights = {k: v for k, v in (model.fusion.weights or {}).items() if k in blocks}
    left = [(name, block) for name, block in smaller.fusion.blocks if name in blocks]
    smaller.fusion.set_params(blocks=left, weights=weights or None)
    return smaller


def shapley_values(model: HybridClassifier, frame: pd.DataFrame) -> tuple[Floats, Floats]:
    """Shapley values of the blocks: how much each raised each probability of each item.

    Shapley, "A Value for n-Person Games", 1953: the mean, over all orders in which the blocks are added, of
    what each adds to the probability. Exact, with one prediction for each subset.

    Parameters
    ----------
    model : HybridClassifier
        Fitted.
    frame : DataFrame of n items

    Returns
    -------
    base : ndarray of shape (n, L)
        Probabilities with all blocks missing.
    shares : ndarray of shape (n, L, B)
        In the order of the model's blocks; ``base + shares.sum(axis=2)`` are the probabilities.

    Examples
    --------
    >>> from hybrid.features import MetadataFeatures, TextFeatures
    >>> from hybrid.features.fusion import Fusion
    >>> from hybrid.heads import MultilabelLinearSVC
    >>> films = pd.DataFrame({"overview": ["a ghost in a house", "a sheriff rides west"] * 8})
    >>> films["country"], labels = ["gb", "us"] * 8, np.array([[1, 0], [0, 1]] * 8)
    >>> text = TextFeatures(["overview"], max_chars=0)
    >>> fusion = Fusion([("text", text), ("metadata", MetadataFeatures(categorical=["country"]))])
    >>> model = HybridClassifier(fusion, MultilabelLinearSVC(random_state=0), folds=2)
    >>> _ = model.fit(films, labels)
    >>> base, shares = shapley_values(model, films)
    >>> bool(np.allclose(base + shares.sum(axis=2), model.predict_proba(films)))
    True
    """
    names = model.fusion.names
    matrix = model.fusion_.transform(frame)
    rows = np.arange(len(frame))
    known: dict[frozenset[str], Floats] = {}
    for present in [(), *block_subsets(names)]:
        left = matrix
        for name in set(names) - set(present):
            left = drop_block(left, name, rows)
        known[frozenset(present)] = model.decision_.probabilities(model.score_matrix(left))
    base = known[frozenset()]
    shares = np.zeros((*base.shape, len(names)))
    for b, name in enumerate(names):
        others = [n for n in names if n != name]
        for present in [(), *block_subsets(others)]:
            weight = math.factorial(len(present)) * math.factorial(len(others) - len(present))
            gain = known[frozenset((*present, name))] - known[frozenset(present)]
            shares[:, :, b] += gain * weight / math.factorial(len(names))
    return base, shares


def contribution_table(
    model: HybridClassifier, frame: pd.DataFrame, genres: Sequence[str]
) -> pd.DataFrame:
    """Shapley values of the predicted labels as a table: id, genre, base, each block, probability.

    Examples
    --------
    >>> from hybrid.features import MetadataFeatures, TextFeatures
    >>> from hybrid.features.fusion import Fusion
    >>> from hybrid.heads import MultilabelLinearSVC
    >>> films = pd.DataFrame({"overview": ["a ghost in a house", "a sheriff rides west"] * 8})
    >>> films["country"], labels = ["gb", "us"] * 8, np.array([[1, 0], [0, 1]] * 8)
    >>> text = TextFeatures(["overview"], max_chars=0)
    >>> fusion = Fusion([("text", text), ("metadata", MetadataFeatures(categorical=["country"]))])
    >>> model = HybridClassifier(fusion, MultilabelLinearSVC(random_state=0), folds=2)
    >>> _ = model.fit(films, labels)
    >>> table = contribution_table(model, films, ["Horror", "Western"])
    >>> table.columns.tolist()
    ['id', 'genre', 'base', 'text', 'metadata', 'probability']
    """
    base, shares = shapley_values(model, frame)
    probabilities = base + shares.sum(axis=2)
    item, genre = np.nonzero(model.label(probabilities))
    return pd.DataFrame(
        {
            "id": np.asarray(frame.index)[item],
            "genre": np.array(genres, dtype=object)[genre],
            "base": base[item, genre],
            **{name: shares[item, genre, b] for b, name in enumerate(model.fusion.names)},
            "probability": probabilities[item, genre],
        }
    )


def mean_contributions(table: pd.DataFrame) -> dict[str, float | None]:
    """Mean Shapley value of each block over the predicted labels; None without any.

    Examples
    --------
    >>> row = {"id": "a", "genre": "Drama", "base": 0.2, "text": 0.5, "probability": 0.7}
    >>> mean_contributions(pd.DataFrame([row]))
    {'text': 0.5}
    """
    blocks = table.columns[3:-1]
    return {str(name): float(table[name].mean()) if len(table) else None for name in blocks}


def _predict(model: HybridClassifier, matrix: FusionMatrix) -> Outputs:
    probabilities = model.decision_.probabilities(model.score_matrix(matrix))
    return Outputs(model.label(probabilities), probabilities)
