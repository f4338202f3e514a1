"""What each block is worth: fits on every subset, blocks taken away at test time, what each adds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from hybrid.evaluation import Outputs, evaluate, paired_difference
from hybrid.features.fusion_matrix import FusionMatrix, drop_block
from hybrid.heads import HybridClassifier
from hybrid.types import Interval

RATES = (0.0, 0.25, 0.5, 1.0)
METRICS = ("f1_weighted", "f1_macro", "f1_micro", "map_macro")
COMPARED = METRICS[0]

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Variant:
    """The model on some blocks, or with a block missing for a share of the test items.

    Parameters
    ----------
    blocks : tuple of str
        That it was fitted on.
    missing : str or None
        The block that was taken away at test time.
    rate : float
        From how large a share of the test items.
    metrics : dict of str to Interval
    difference : Interval
        Weighted F1 minus that of the full model with all blocks, on the same bootstrap draws.
    seconds : float
        To fit and predict.
    """

    blocks: tuple[str, ...]
    missing: str | None
    rate: float
    metrics: dict[str, Interval]
    difference: Interval
    seconds: float


@dataclass(frozen=True)
class Ablation:
    """Fits on the subsets of blocks, the full one last; and the full one with each block missing."""

    subsets: tuple[Variant, ...]
    missing: tuple[Variant, ...]


def block_subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    """All subsets but the empty one, smallest first."""
    return [c for size in range(1, len(names) + 1) for c in combinations(names, size)]


def ablate_blocks(
    model: HybridClassifier,
    learn: tuple[pd.DataFrame, Labels, ArrayLike],
    test: tuple[pd.DataFrame, Labels, ArrayLike],
    *,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
    fit_seconds: float = math.nan,
) -> Ablation:
    """Fit each subset of blocks anew, and take blocks from the test items of the full model.

    Parameters
    ----------
    model : HybridClassifier
        Fitted on `learn`.
    learn, test : (DataFrame, ndarray of shape (n, L), array-like of shape (n,))
        Items, their labels, and their groups.
    seed : int
        Chooses the items that lose a block (those of a lower rate are among those of a higher one), and
        the bootstrap draws.
    say : callable
        Is told, before it starts, how long it will take at most.
    fit_seconds : float
        What the full model took.
    """
    frame, truth, groups = test
    names = model.fusion.names
    matrix = model.fusion_.transform(frame)
    full = _answer(model, matrix)
    parts = block_subsets(names)[:-1]
    say(
        f"ablation: {len(parts)} more fits, at most about {len(parts) * fit_seconds:.0f} s, and "
        f"{len(names) * (len(RATES) - 1)} predictions with a block missing"
    )

    def judge(
        outputs: Outputs, blocks: tuple[str, ...], missing: str | None, rate: float, start: float
    ) -> Variant:
        seconds = time.perf_counter() - start
        genres = [str(j) for j in range(truth.shape[1])]
        found = evaluate(truth, outputs, genres, groups=groups, seed=seed).metrics
        difference = paired_difference(truth, outputs, full, COMPARED, groups=groups, seed=seed)
        metrics = {name: found[name] for name in METRICS}
        return Variant(blocks, missing, rate, metrics, difference, seconds)

    subsets = []
    for blocks in parts:
        start = time.perf_counter()
        smaller = restrict(model, blocks).fit(learn[0], learn[1], groups=learn[2])
        outputs = _answer(smaller, smaller.fusion_.transform(frame))
        subsets.append(judge(outputs, blocks, None, 0.0, start))
    start = time.perf_counter()
    subsets.append(judge(full, names, None, 0.0, start))
    order = np.random.default_rng(seed).permutation(len(frame))
    missing = []
    for name in names:
        for rate in RATES:
            start = time.perf_counter()
            rows = order[: round(rate * len(frame))]
            outputs = _answer(model, drop_block(matrix, name, rows))
            missing.append(judge(outputs, names, name, rate, start))
    return Ablation(tuple(subsets), tuple(missing))


def restrict(model: HybridClassifier, blocks: Sequence[str]) -> HybridClassifier:
    """The same model, not fitted, on some of its blocks."""
    smaller = clone(model)
    weights = {k: v for k, v in (model.fusion.weights or {}).items() if k in blocks}
    kept = [(name, block) for name, block in smaller.fusion.blocks if name in blocks]
    smaller.fusion.set_params(blocks=kept, weights=weights or None)
    return smaller


def contributions(model: HybridClassifier, frame: pd.DataFrame) -> tuple[Floats, Floats]:
    """How much each block raised each probability of each item.

    Shapley's value, "A Value for n-Person Games", 1953: the mean, over all orders in which the blocks of an
    item may become known, of what each adds to the probability. Exact, with one prediction a subset.

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
    """One row for each label that is given: id, genre, base, what each block adds, probability."""
    base, shares = contributions(model, frame)
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
    """What each block adds to the probability of a label that is given, on average; None without any."""
    blocks = table.columns[3:-1]
    return {str(name): float(table[name].mean()) if len(table) else None for name in blocks}


def _answer(model: HybridClassifier, matrix: FusionMatrix) -> Outputs:
    probabilities = model.decision_.probabilities(model.score_matrix(matrix))
    return Outputs(model.label(probabilities), probabilities)
