"""Is more data worth it? The same model, learnt from ever more of the labelled items."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone

from hybrid.errors import HybridError
from hybrid.evaluation import Outputs, evaluate, paired_difference
from hybrid.heads import HybridClassifier
from hybrid.splitting.stratification import assign_parts
from hybrid.types import Interval
from hybrid.utils.progress import Progress

# What each size adds to the one before, so that each is twice the last: 1/16, 1/8, 1/4, 1/2, all.
STEPS = (1 / 16, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
PROBE = 2  # the size that is fitted once more, to tell beforehand how long all of them take
METRICS = ("f1_weighted", "map_macro")
Labels = NDArray[np.uint8]
Rows = NDArray[np.int64]
Answer = Callable[[NDArray[np.int64], NDArray[np.int64]], Outputs]


@dataclass(frozen=True)
class CurvePoint:
    """What was reached by learning from so many items: F1 and mean average precision."""

    items: int
    f1_weighted: Interval
    map_macro: Interval


@dataclass(frozen=True)
class Gain:
    """What doubling the items added, on the same items judged: paired differences."""

    before: int
    after: int
    f1_weighted: Interval
    map_macro: Interval


@dataclass(frozen=True)
class SkippedSize:
    """A size that could not be fitted, and why."""

    items: int
    reason: str


@dataclass(frozen=True)
class LearningCurve:
    """A learning curve.

    Parameters
    ----------
    points : tuple of CurvePoint
        Fewest items first.
    gain : Gain or None
        Between the last two points.
    left_out : tuple of SkippedSize
    judged : int
        Held-out items that each point is judged on.
    verdict : str
        What follows, in words.
    """

    points: tuple[CurvePoint, ...]
    gain: Gain | None
    left_out: tuple[SkippedSize, ...]
    judged: int
    verdict: str


def learning_curve(
    model: HybridClassifier,
    X: pd.DataFrame,
    y: Labels,
    groups: NDArray[np.str_] | None,
    genres: Sequence[str],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> LearningCurve:
    """Fit a model's settings to 1/16, 1/8, 1/4, 1/2 and all of the items, and judge each.

    For each fold of the model's cross-fitting, the sizes are nested subsets of the items of the other
    folds, dealt by whole groups and with every genre in its share; the items of the fold judge them.
    Parameters of the head and weights of the blocks are those that the model chose on all its items;
    blocks, coefficients, thresholds and calibration are learnt from the subset alone.

    Parameters
    ----------
    model : HybridClassifier
        Fitted on X, y and groups.
    X : DataFrame of n items
    y : ndarray of shape (n, L)
    groups : ndarray of shape (n,) or None
    genres : sequence of L str
    seed : int
        Deals the subsets and draws the bootstrap.
    progress : Progress, optional
        Is told beforehand how long it takes.

    Returns
    -------
    LearningCurve
        The intervals are over the items judged; which items happened to be learnt from is not in them.
    """
    progress, settled = progress or Progress(), freeze_settings(model)
    groups = X.index.to_numpy().astype(str) if groups is None else np.asarray(groups)
    folds = [np.flatnonzero(model.fold_ == k) for k in range(model.folds)]
    subsets = [
        _nested(X, y, groups, np.flatnonzero(model.fold_ != k), seed) for k in range(len(folds))
    ]

    def answer(rows: Rows, judged: Rows) -> Outputs:
        fitted = clone(settled).fit(X.iloc[rows], y[rows], groups=groups[rows])
        probabilities = fitted.predict_proba(X.iloc[judged])
        return Outputs(fitted.label(probabilities), probabilities)

    progress.say(_announce(answer, subsets[0], folds[0], y, genres, len(folds)))
    outputs, left_out = [], []
    total = sum(len(rows) for nested in subsets for rows in nested)
    with progress.bar("learning curve", total, "items") as advance:
        for size in range(len(STEPS)):
            chosen = [nested[size] for nested in subsets]
            items = round(float(np.mean([len(rows) for rows in chosen])))
            try:
                outputs.append((items, _gather(answer, chosen, folds, y.shape, advance)))
            except HybridError as error:
                left_out.append(SkippedSize(items, str(error)))
    return evaluate_curve(y, outputs, tuple(left_out), genres, seed)


def freeze_settings(model: HybridClassifier) -> HybridClassifier:
    """An unfitted copy with nothing left to choose: it has the parameters and weights chosen."""
    parameters = {f"estimator__{k}": v for k, v in model.chosen_.parameters.items()}
    weights = dict(model.fusion_.weights or {})
    return clone(model).set_params(
        **parameters, fusion__weights=weights, grid=None, block_weights=()
    )


def _nested(
    X: pd.DataFrame, y: Labels, groups: NDArray[np.str_], learn: Rows, seed: int
) -> list[Rows]:
    """Rows to learn from, one array a size, each within the next."""
    names = X.index.to_numpy().astype(str)
    part = assign_parts(names[learn], y[learn], groups[learn], STEPS, seed)
    return [learn[part <= size] for size in range(len(STEPS))]


def _announce(
    answer: Answer, nested: list[Rows], judged: Rows, y: Labels, genres: Sequence[str], folds: int
) -> str:
    """Fit and judge one subset to tell how long all take; both take the longer, the more items."""
    said = f"learning curve: {len(STEPS)} sizes x {folds} folds"
    start = time.perf_counter()
    try:
        found = answer(nested[PROBE], judged)
    except HybridError:  # the reason is told where this size is left out
        return said
    fitted = time.perf_counter()
    evaluate(y[judged], found, genres)
    times = sum(len(rows) for rows in nested) / len(nested[PROBE])
    # Each size is judged once, and the last two are compared by two metrics.
    judging = (time.perf_counter() - fitted) * (len(STEPS) + 2 * len(METRICS))
    return f"{said}, about {folds * (times * (fitted - start) + judging):.0f} seconds"


def _gather(
    answer: Answer,
    chosen: list[Rows],
    folds: list[Rows],
    shape: tuple[int, ...],
    advance: Callable[[int], None],
) -> Outputs:
    """What models of one size say of all items, each of those whose fold it has not seen."""
    labels, scores = np.zeros(shape, dtype=np.uint8), np.full(shape, np.nan)
    for rows, judged in zip(chosen, folds, strict=True):
        found = answer(rows, judged)
        labels[judged], scores[judged] = found.labels, found.scores
        advance(len(rows))
    return Outputs(labels, scores)


def evaluate_curve(
    truth: Labels,
    outputs: Sequence[tuple[int, Outputs]],
    left_out: tuple[SkippedSize, ...],
    genres: Sequence[str],
    seed: int = 0,
) -> LearningCurve:
    """Judge what was answered at each size.

    Parameters
    ----------
    truth : ndarray of shape (n, L)
    outputs : sequence of (int, Outputs)
        Items learnt from, and what was said; fewest items first.
    left_out : tuple of SkippedSize
    genres : sequence of L str
    seed : int
        Of the bootstrap.
    """
    points = tuple(_points(truth, outputs, genres, seed))
    gain = None
    if len(outputs) > 1:
        (before, first), (after, second) = outputs[-2:]
        added = [paired_difference(truth, second, first, name, seed=seed) for name in METRICS]
        gain = Gain(before, after, *added)
    return LearningCurve(points, gain, left_out, len(truth), conclusion(points, gain))


def _points(
    truth: Labels, outputs: Sequence[tuple[int, Outputs]], genres: Sequence[str], seed: int
) -> Iterator[CurvePoint]:
    for items, said in outputs:
        metrics = evaluate(truth, said, genres, seed=seed).metrics
        yield CurvePoint(items, *(metrics[name] for name in METRICS))


def conclusion(points: Sequence[CurvePoint], gain: Gain | None) -> str:
    """Whether more labelled items are worth it, and no more than the last doublings say.

    Parameters
    ----------
    points : sequence of CurvePoint
        Fewest items first.
    gain : Gain or None
        Between the last two.
    """
    if gain is None:
        return "Too few sizes could be fitted to say whether more labelled items are worth it."
    f1, ranking = gain.f1_weighted, gain.map_macro
    said = (
        f"Doubling the labelled items from {gain.before:,} to {gain.after:,} added {_words(f1)} to "
        f"weighted F1 and {_words(ranking)} to mAP."
    )
    if f1.low <= 0 < ranking.low:
        return f"{said} More items rank better; that the labels given get better cannot be told."
    if f1.low <= 0:
        return f"{said} That more labelled items are worth it cannot be told from this."
    said += " More labelled items are worth it"
    known = [point.f1_weighted.value for point in points[-3:]]
    if len(known) == 3 and known[2] - known[1] < known[1] - known[0]:
        return (
            f"{said}, though less each time: the doubling before added {known[1] - known[0]:.3f}. If "
            f"that goes on, the next one, to {2 * gain.after:,}, adds less than {f1.value:.3f}; beyond "
            "that the curve says nothing."
        )
    return f"{said}. The gains do not shrink yet; how far that goes on, the curve does not say."


def _words(value: Interval) -> str:
    return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"
