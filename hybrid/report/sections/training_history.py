"""Training history of deep baselines: loss, and F1 or accuracy, after each epoch, of train and validation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from hybrid.report.comparison import Comparison
from hybrid.report.plots import Curve, draw
from hybrid.runs.training_records import HistoryRecord


@dataclass(frozen=True)
class StageSpan:
    """One stage of a training.

    Parameters
    ----------
    name : str
    first, last : int
        Epochs, from 1.
    rates : (float, float) or None
        First and last learning rate.

    Examples
    --------
    >>> StageSpan("head", 1, 3, None).last
    3
    """

    name: str
    first: int
    last: int
    rates: tuple[float, float] | None


@dataclass(frozen=True)
class TrainingData:
    """Training history of one run.

    Parameters
    ----------
    run : int
        Position in the comparison.
    epochs : int
    lowest : int or None
        Epoch with the lowest validation loss.
    stages : tuple of StageSpan
    plots : tuple of Markup
    note : str, default=""
        What the quality on the second chart is.

    Examples
    --------
    >>> TrainingData(0, 3, 2, (), ()).lowest
    2
    """

    run: int
    epochs: int
    lowest: int | None
    stages: tuple[StageSpan, ...]
    plots: tuple[Markup, ...]
    note: str = ""


@dataclass(frozen=True)
class Quality:
    """What a training is followed by, besides the loss.

    Parameters
    ----------
    axis : str
    train, validation : sequence of float or None
        One value an epoch, from 0 to 1.
    note : str

    Examples
    --------
    >>> Quality("Accuracy", (0.5,), (0.4,), "").axis
    'Accuracy'
    """

    axis: str
    train: Sequence[float | None]
    validation: Sequence[float | None]
    note: str


BEST = (
    "F1 at the best thresholds: each genre at the threshold that is best for it on these very items, so it "
    "is optimistic. At a fixed threshold of 0.5 it would be 0 until some genre reaches a probability of 0.5."
)
FIXED = "F1 at a threshold of 0.5, at which a rare genre may have 0 for many epochs."


def make(comparison: Comparison) -> tuple[TrainingData, ...] | None:
    """Training history of each run that recorded it; None where no run did.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    tuple of TrainingData, or None

    Examples
    --------
    >>> make(comparison)[0].epochs  # doctest: +SKIP
    15
    """
    parts = [
        _part(i, run.record.training.history)
        for i, run in enumerate(comparison.runs)
        if run.record.training
    ]
    return tuple(part for part in parts if part) or None


def series(values: Sequence[float | None]) -> tuple[list[int], list[float]]:
    """Epochs, from 1, with finite values, and these values.

    Parameters
    ----------
    values : sequence of float or None

    Returns
    -------
    epochs : list of int
    values : list of float

    Examples
    --------
    >>> series([3.0, None, 1.0])
    ([1, 3], [3.0, 1.0])
    """
    points = [
        (epoch, float(value))
        for epoch, value in enumerate(values, start=1)
        if value is not None and math.isfinite(value)
    ]
    return [x for x, _ in points], [y for _, y in points]


def stages(history: HistoryRecord) -> tuple[StageSpan, ...]:
    """Stages of a training in their order; empty where they were not recorded.

    Parameters
    ----------
    history : HistoryRecord

    Returns
    -------
    tuple of StageSpan

    Examples
    --------
    >>> from hybrid.runs.training_records import HistoryRecord
    >>> stages(HistoryRecord(stage=("head", "head"), learning_rate=(0.1, 0.01)))
    (StageSpan(name='head', first=1, last=2, rates=(0.1, 0.01)),)
    """
    rates = dict(zip(*series(history.learning_rate), strict=True))
    spans, end = [], 0
    for name, epochs in itertools.groupby(history.stage):
        first, end = end + 1, end + len(list(epochs))
        known = (rates[first], rates[end]) if {first, end} <= rates.keys() else None
        spans.append(StageSpan(name, first, end, known))
    return tuple(spans)


def quality(history: HistoryRecord) -> Quality:
    """Choose what to show: accuracy, else F1 at the best thresholds, else F1 at 0.5, as far as recorded.

    Parameters
    ----------
    history : HistoryRecord

    Examples
    --------
    >>> from hybrid.runs.training_records import HistoryRecord
    >>> quality(HistoryRecord(f1=(0.1,), val_f1=(0.2,))).axis
    'Weighted F1 at 0.5'
    """
    if history.val_accuracy:
        return Quality("Accuracy", history.accuracy or (), history.val_accuracy, "")
    if history.val_best_f1:
        return Quality("Weighted F1", history.best_f1 or (), history.val_best_f1, BEST)
    return Quality("Weighted F1 at 0.5", history.f1, history.val_f1, FIXED)


def whole_axis(values: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """Choose the step of the ticks and the limits of an axis from 0, or below, to above all values.

    Parameters
    ----------
    values : sequence of float
        One or more, finite.

    Returns
    -------
    step : float
        1, 2 or 5 times a power of 10.
    limits : (float, float)
        Multiples of it, for 2 to 5 ticks above 0.

    Examples
    --------
    >>> whole_axis([3.2, 28.4])
    (10.0, (0.0, 30.0))
    """
    low, high = min(0.0, *values), max(0.0, *values)
    span = (high - low) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 5))
    step = next(power * k for k in (1, 2, 5, 10) if power * k * 5 >= span * (1 - 1e-9))
    return step, (step * math.floor(low / step + 1e-9), step * math.ceil(high / step - 1e-9))


def _part(run: int, history: HistoryRecord) -> TrainingData | None:
    epochs, losses = series(history.val_loss)
    spans = stages(history)
    found = quality(history)
    plots = []
    shown = [
        ("Loss", history.loss, history.val_loss, None),
        (found.axis, found.train, found.validation, (0.0, 1.0)),
    ]
    for k, (axis, train, validation, limits) in enumerate(shown):
        curves = [
            Curve(run, *points, soft=soft)
            for points, soft in ((series(train), True), (series(validation), False))
            if points[0]
        ]
        if curves:
            step, whole = whole_axis([y for curve in curves for y in curve.y])
            plots.append(
                draw(
                    curves,
                    f"learn-{run}-{k}",
                    _words(axis, curves),
                    axes=("Epoch", axis),
                    unit_square=False,
                    y_step=0.2 if limits else step,
                    y_limits=limits or whole,
                    boundaries=[span.first - 0.5 for span in spans[1:]],
                )
            )
    if not plots:
        return None
    lowest = epochs[losses.index(min(losses))] if losses else None
    count = max(len(history.loss), len(history.val_loss))
    return TrainingData(run, count, lowest, spans, tuple(plots), found.note)


def _words(axis: str, curves: Sequence[Curve]) -> str:
    last = " and ".join(
        f"{curve.y[-1]:.3f} on the {'train' if curve.soft else 'validation'} items"
        for curve in curves
    )
    return f"{axis} after each epoch; after the last it is {last}."
