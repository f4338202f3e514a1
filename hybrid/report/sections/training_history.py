"""Training history of deep baselines: loss and F1 after each epoch."""

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


def _part(run: int, history: HistoryRecord) -> TrainingData | None:
    epochs, losses = series(history.val_loss)
    plots = []
    shown = [
        ("Loss", history.loss, history.val_loss),
        ("F1 of validation items", (), history.val_f1),
    ]
    for k, (axis, train, validation) in enumerate(shown):
        known, strong = series(train), series(validation)
        if strong[0]:
            curves = [Curve(run, *known, soft=True)] if known[0] else []
            words = (
                f"{axis} after each of {len(strong[0])} epochs; the last is {strong[1][-1]:.3f}."
            )
            plots.append(
                draw(
                    [*curves, Curve(run, *strong)],
                    f"learn-{run}-{k}",
                    words,
                    axes=("Epoch", axis),
                    unit_square=False,
                )
            )
    if not plots:
        return None
    lowest = epochs[losses.index(min(losses))] if losses else None
    return TrainingData(run, max(epochs, default=0), lowest, stages(history), tuple(plots))
