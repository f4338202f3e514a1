"""Learning curve: the same settings, fitted to a growing number of labelled items."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from hybrid.catalogue.packed import take_table
from hybrid.errors import HybridError
from hybrid.evaluation import Outputs, evaluate, paired_difference
from hybrid.heads import HybridClassifier
from hybrid.splitting.stratification import assign_parts
from hybrid.studies.fits import Fit, Fits, unfitted_copy
from hybrid.types import Interval
from hybrid.utils.progress import Progress

# Share that each size adds to the one before: 1/16, 1/8, 1/4, 1/2, all.
STEPS = (1 / 16, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
PROBE = 2  # the size that is fitted once more, to estimate the time of all of them
METRICS = ("f1_weighted", "map_macro")
Labels = NDArray[np.uint8]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class CurvePoint:
    """One point of a learning curve: weighted F1 and mAP of models fitted to so many items."""

    items: int
    f1_weighted: Interval
    map_macro: Interval


@dataclass(frozen=True)
class Gain:
    """Gain by doubling the items: paired differences on the same held-out items."""

    before: int
    after: int
    f1_weighted: Interval
    map_macro: Interval


@dataclass(frozen=True)
class SkippedSize:
    """A size that could not be fitted, and the error."""

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
        Number of held-out items that each point is evaluated on.
    verdict : str
        Conclusion, in words.
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
    fits: Fits | None = None,
) -> LearningCurve:
    """Learning curve of a model's settings on 1/16, 1/8, 1/4, 1/2 and all of the items.

    For each fold of the model's cross-fitting, the sizes are nested subsets of the items of the other
    folds, stratified by genre, with whole groups; they are evaluated on the items of the fold.
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
    seed : int, default=0
        Of the subsets and of the bootstrap.
    progress : Progress, optional
        Shows the expected time, and a bar.
    fits : Fits, optional
        Remembers each fit.

    Returns
    -------
    LearningCurve
        The intervals are over the held-out items; the choice of the training items is not in them.

    Examples
    --------
    >>> from hybrid.features import MetadataFeatures, TextFeatures
    >>> from hybrid.features.fusion import Fusion
    >>> from hybrid.heads import MultilabelLinearSVC
    >>> films = pd.DataFrame({"overview": ["a ghost in a house", "a sheriff rides west"] * 64})
    >>> films["country"], labels = ["gb", "us"] * 64, np.array([[1, 0], [0, 1]] * 64)
    >>> text = TextFeatures(["overview"], max_chars=0)
    >>> fusion = Fusion([("text", text), ("metadata", MetadataFeatures(categorical=["country"]))])
    >>> model = HybridClassifier(fusion, MultilabelLinearSVC(random_state=0), folds=2)
    >>> _ = model.fit(films, labels)
    >>> curve = learning_curve(model, films, labels, None, ["Horror", "Western"])
    >>> [point.items for point in curve.points]  # with 4, a genre is too rare to be learnt
    [8, 16, 32, 64]
    """
    progress, fits = progress or Progress(), fits or Fits()
    names = _group_names(X, groups)
    sizes = curve_fits(model, X, y, groups, seed)
    if not fits.known:
        progress.say(_estimate_time(sizes, y, names, genres))
    outputs, left_out = [], []
    total = sum(len(each.rows) for size in sizes for each in size)
    with progress.bar("learning curve", total, "items") as advance:
        for size in sizes:
            items = round(float(np.mean([len(each.rows) for each in size])))
            try:
                outputs.append((items, _gather(fits, size, y.shape, advance)))
            except HybridError as error:
                left_out.append(SkippedSize(items, str(error)))
    return evaluate_curve(y, outputs, tuple(left_out), genres, groups=names, seed=seed)


class CurveFit(NamedTuple):
    """A fit of a learning curve.

    Parameters
    ----------
    fit : Fit
    rows, held_out : ndarray of int
        Items that are learnt from, and those that are predicted.
    """

    fit: Fit
    rows: Rows
    held_out: Rows


def curve_fits(
    model: HybridClassifier,
    X: pd.DataFrame,
    y: Labels,
    groups: NDArray[np.str_] | None,
    seed: int,
) -> list[list[CurveFit]]:
    """The fits of a learning curve: for each size, one for each fold.

    Parameters
    ----------
    model, X, y, groups, seed
        As for `learning_curve`.
    """
    frozen, names = freeze_settings(model), _group_names(X, groups)
    folds = [np.flatnonzero(model.fold_ == k) for k in range(model.folds)]
    subsets = [
        _nested(X, y, names, np.flatnonzero(model.fold_ != k), seed) for k in range(len(folds))
    ]

    def predict(rows: Rows, held_out: Rows) -> Outputs:
        fitted = clone(frozen).fit(take_table(X, rows), y[rows], groups=names[rows])
        probabilities = fitted.predict_proba(take_table(X, held_out))
        return Outputs(fitted.label(probabilities), probabilities)

    def fit(size: int, fold: int) -> CurveFit:
        rows, held_out = subsets[fold][size], folds[fold]
        key = f"size-{size}-fold-{fold}"
        return CurveFit(Fit(key, "", partial(predict, rows, held_out)), rows, held_out)

    return [[fit(size, fold) for fold in range(len(folds))] for size in range(len(STEPS))]


def _group_names(X: pd.DataFrame, groups: NDArray[np.str_] | None) -> NDArray[np.str_]:
    return X.index.to_numpy().astype(str) if groups is None else np.asarray(groups)


def freeze_settings(model: HybridClassifier) -> HybridClassifier:
    """An unfitted copy of a fitted model with its chosen settings, and nothing to search.

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
    >>> frozen = freeze_settings(model)
    >>> frozen.grid, frozen.block_weights
    (None, ())
    """
    parameters = {f"estimator__{k}": v for k, v in model.chosen_.parameters.items()}
    weights = dict(model.fusion_.weights or {})
    return unfitted_copy(model).set_params(
        **parameters, fusion__weights=weights, grid=None, block_weights=()
    )


def _nested(
    X: pd.DataFrame, y: Labels, groups: NDArray[np.str_], learn: Rows, seed: int
) -> list[Rows]:
    """Training rows, one array a size, each a subset of the next."""
    names = X.index.to_numpy().astype(str)
    part = assign_parts(names[learn], y[learn], groups[learn], STEPS, seed)
    return [learn[part <= size] for size in range(len(STEPS))]


def _estimate_time(
    sizes: Sequence[Sequence[CurveFit]],
    y: Labels,
    groups: NDArray[np.str_],
    genres: Sequence[str],
) -> str:
    """Fit and evaluate one subset to estimate the time of all; both grow with the number of items."""
    probe, folds = sizes[PROBE][0], len(sizes[0])
    said = f"learning curve: {len(STEPS)} sizes x {folds} folds"
    start = time.perf_counter()
    try:
        found = probe.fit.compute()
    except HybridError:  # the reason is recorded where this size is skipped
        return said
    fitted = time.perf_counter()
    evaluate(y[probe.held_out], found, genres, groups=groups[probe.held_out])
    times = sum(len(size[0].rows) for size in sizes) / len(probe.rows)
    # Each size is evaluated once, and the last two are compared by two metrics.
    evaluating = (time.perf_counter() - fitted) * (len(STEPS) + 2 * len(METRICS))
    return f"{said}, about {folds * (times * (fitted - start) + evaluating):.0f} seconds"


def _gather(
    fits: Fits, size: Sequence[CurveFit], shape: tuple[int, ...], advance: Callable[[int], None]
) -> Outputs:
    """Out-of-fold outputs of the models of one size."""
    labels, scores = np.zeros(shape, dtype=np.uint8), np.full(shape, np.nan)
    for each in size:
        found = fits.get(each.fit).outputs
        labels[each.held_out], scores[each.held_out] = found.labels, found.scores
        advance(len(each.rows))
    return Outputs(labels, scores)


def evaluate_curve(
    truth: Labels,
    outputs: Sequence[tuple[int, Outputs]],
    left_out: tuple[SkippedSize, ...],
    genres: Sequence[str],
    *,
    groups: ArrayLike | None = None,
    seed: int = 0,
) -> LearningCurve:
    """Evaluate the outputs at each size.

    Parameters
    ----------
    truth : ndarray of shape (n, L)
    outputs : sequence of (int, Outputs)
        Number of training items, and out-of-fold outputs; fewest items first.
    left_out : tuple of SkippedSize
    genres : sequence of L str
    groups : array-like of shape (n,), optional
        The bootstrap draws items of one group together.
    seed : int, default=0
        Of the bootstrap.
    """
    bootstrap: Any = {"groups": groups, "seed": seed}
    points = tuple(_points(truth, outputs, genres, bootstrap))
    gain = None
    if len(outputs) > 1:
        (before, first), (after, second) = outputs[-2:]
        added = [paired_difference(truth, second, first, name, **bootstrap) for name in METRICS]
        gain = Gain(before, after, *added)
    return LearningCurve(points, gain, left_out, len(truth), conclusion(points, gain))


def _points(
    truth: Labels,
    outputs: Sequence[tuple[int, Outputs]],
    genres: Sequence[str],
    bootstrap: dict[str, Any],
) -> Iterator[CurvePoint]:
    for items, said in outputs:
        metrics = evaluate(truth, said, genres, **bootstrap).metrics
        yield CurvePoint(items, *(metrics[name] for name in METRICS))


def conclusion(points: Sequence[CurvePoint], gain: Gain | None) -> str:
    """Conclusion of a learning curve: whether more labelled items are worth it.

    Parameters
    ----------
    points : sequence of CurvePoint
        Fewest items first.
    gain : Gain or None
        Between the last two.

    Examples
    --------
    >>> conclusion([], None)
    'Too few sizes could be fitted to say whether more labelled items are worth it.'
    """
    if gain is None:
        return "Too few sizes could be fitted to say whether more labelled items are worth it."
    f1, ranking = gain.f1_weighted, gain.map_macro
    said = (
        f"Doubling the labelled items from {gain.before:,} to {gain.after:,} added {_words(f1)} to "
        f"weighted F1 and {_words(ranking)} to mAP."
    )
    if f1.low <= 0 < ranking.low:
        return f"{said} More items improve the ranking; the gain in weighted F1 is not significant."
    if f1.low <= 0:
        return f"{said} The gain in weighted F1 is not significant."
    said += " More labelled items are worth it"
    known = [point.f1_weighted.value for point in points[-3:]]
    if len(known) == 3 and known[2] - known[1] < known[1] - known[0]:
        return (
            f"{said}, with diminishing returns: the doubling before added {known[1] - known[0]:.3f}. If "
            f"that continues, the next doubling, to {2 * gain.after:,}, adds less than {f1.value:.3f}; "
            "the curve does not extend further."
        )
    return f"{said}. The gains do not diminish yet; the curve does not show where they will."


def _words(value: Interval) -> str:
    return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"
