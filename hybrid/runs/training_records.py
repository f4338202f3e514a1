"""The parts of a run's record that only a deep baseline has: history, network, results of its stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hybrid.runs.json_dataclass import OPTIONAL
from hybrid.types import Interval


@dataclass(frozen=True)
class HistoryRecord:
    """Training history: one value an epoch; None where it is not a finite number.

    Parameters
    ----------
    stage : tuple of str
    loss, val_loss : tuple of float or None
        Of the train items while they are learnt from, and of the validation items.
    f1, val_f1 : tuple of float or None
        Weighted F1; with several labels an item, at a threshold of 0.5.
    best_f1, val_best_f1 : tuple of float or None, or None
        The same at the best threshold of each label; None with one label an item, or where not recorded.
    accuracy, val_accuracy : tuple of float or None, or None
        Of a multi-class task; else None.
    learning_rate, seconds : tuple of float or None
    """

    stage: tuple[str, ...] = ()
    loss: tuple[float | None, ...] = ()
    val_loss: tuple[float | None, ...] = ()
    f1: tuple[float | None, ...] = ()
    val_f1: tuple[float | None, ...] = ()
    best_f1: tuple[float | None, ...] | None = field(default=None, metadata=OPTIONAL)
    val_best_f1: tuple[float | None, ...] | None = field(default=None, metadata=OPTIONAL)
    accuracy: tuple[float | None, ...] | None = field(default=None, metadata=OPTIONAL)
    val_accuracy: tuple[float | None, ...] | None = field(default=None, metadata=OPTIONAL)
    learning_rate: tuple[float | None, ...] = ()
    seconds: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class TrainingStageRecord:
    """One stage of a training: the layers that it trains, and its optimiser."""

    name: str
    trains: str
    optimizer: str
    learning_rate: float
    momentum: float
    augment: bool


@dataclass(frozen=True)
class NetworkRecord:
    """A network: dense layers before the labels, dropout, batch size, parameters, stages."""

    head_units: tuple[int, ...]
    dropout: float
    batch_size: int
    parameters: int
    stages: tuple[TrainingStageRecord, ...]


@dataclass(frozen=True)
class StageResultRecord:
    """The network as it was at the end of a stage before the last, on the test items.

    Parameters
    ----------
    stage : str
    thresholds : tuple of float or None
        Of the stage's own answers for the validation items; empty with one label an item.
    metrics : mapping of str to Interval
        On the test items.
    metric : str
        Of the gain.
    gain : Interval
        What the stages after it added to the metric: paired difference on the test items, with groups drawn
        whole.
    """

    stage: str
    thresholds: tuple[float | None, ...]
    metrics: Mapping[str, Interval]
    metric: str
    gain: Interval


@dataclass(frozen=True)
class TrainingRecord:
    """What only the record of a deep baseline holds."""

    history: HistoryRecord = field(default_factory=HistoryRecord)
    network: NetworkRecord | None = None
    stage_results: tuple[StageResultRecord, ...] = ()
