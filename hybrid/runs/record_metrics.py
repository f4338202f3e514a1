"""Metrics, reliability and thresholds of a fit, for the record of its run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.evaluation import Outputs, evaluate, evaluate_multiclass, reliability
from hybrid.heads.decision_rule import DecisionRule, threshold_spread
from hybrid.runs.json_dataclass import convert
from hybrid.runs.record_parts import (
    DecisionRecord,
    ReliabilitiesRecord,
    ReliabilityRecord,
)
from hybrid.types import Interval
from hybrid.utils.progress import shows_step

Labels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Threshold = float | None


def evaluate_test_items(
    truth: Labels,
    outputs: Outputs,
    genres: Sequence[str],
    groups: NDArray[Any],
    seed: int,
    multiclass: bool = False,
) -> tuple[dict[str, Interval], ReliabilitiesRecord]:
    """Compute metrics with confidence intervals, and reliability diagrams, on the test items.

    Parameters
    ----------
    truth : ndarray of shape (n, L), uint8
    outputs : Outputs
        Predicted labels and probabilities, NaN for an item without a prediction.
    genres : sequence of L str
    groups : ndarray of shape (n,)
        The bootstrap draws whole groups.
    seed : int
    multiclass : bool, default=False
        Each item has one label: accuracy, top-k accuracy and log loss as well.

    Returns
    -------
    metrics : dict of str to Interval
    reliability : ReliabilitiesRecord
        Of the items with a prediction.
    """
    metrics = evaluate(truth, outputs, genres, groups=groups, seed=seed).metrics
    if multiclass:
        metrics |= evaluate_multiclass(truth, outputs, genres, groups=groups, seed=seed).metrics
    known = ~np.isnan(outputs.scores).all(axis=1)
    truth, scores, groups = truth[known], outputs.scores[known], groups[known]
    columns = [_reliability(truth[:, j], scores[:, j], groups) for j in range(len(genres))]
    together = _reliability(truth, scores, groups)
    return metrics, ReliabilitiesRecord(together, tuple(columns))


def _reliability(truth: Labels, probabilities: Floats, groups: NDArray[Any]) -> ReliabilityRecord:
    return convert(ReliabilityRecord, reliability(truth, probabilities, groups=groups))


@shows_step("bootstrap intervals of the thresholds")
def describe_thresholds(
    truth: Labels, scores: Floats, decision: DecisionRule, groups: NDArray[Any], seed: int
) -> tuple[tuple[Threshold, ...], tuple[tuple[Threshold, Threshold], ...]]:
    """Thresholds of a decision rule, with their bootstrap intervals.

    Parameters
    ----------
    truth : ndarray of shape (n, L), uint8
    scores : ndarray of shape (n, L), float64
        What the rule was fitted on.
    decision : DecisionRule
    groups : ndarray of shape (n,)
        The bootstrap draws whole groups.
    seed : int

    Returns
    -------
    thresholds : tuple of float or None
        None where no probability reaches the threshold.
    spread : tuple of (float or None, float or None)
        Percentiles 2.5 and 97.5 over the draws; empty for a rule without calibration or thresholds.
    """
    spread = []
    if decision.calibration and not decision.options.one_label:
        spread = threshold_spread(truth, scores, decision, groups=groups, seed=seed)
    return (
        recorded_thresholds(decision),
        tuple((_or_none(low), _or_none(high)) for low, high in spread),
    )


def recorded_thresholds(decision: DecisionRule) -> tuple[Threshold, ...]:
    """Thresholds of a decision rule; None where no probability reaches one."""
    return tuple(_or_none(threshold) for threshold in decision.thresholds.tolist())


def describe_decision(decision: DecisionRule) -> DecisionRecord:
    """Settings of a decision rule as fitted: calibration, objective and shrinkage of the thresholds."""
    calibration = decision.calibration
    settings = {
        **asdict(decision.options),
        **decision.options.choosing,
        "calibrated_by": list(calibration.methods) if calibration else [],
    }
    return convert(DecisionRecord, settings)


def grouped_ids(ids: NDArray[Any], groups: NDArray[Any]) -> tuple[tuple[str, ...], ...]:
    """List the groups of two or more items.

    Examples
    --------
    >>> grouped_ids(np.array(["a", "b", "c"]), np.array([1, 2, 1]))
    (('a', 'c'),)
    """
    found: dict[str, list[str]] = defaultdict(list)
    for name, group in zip(ids.tolist(), groups.tolist(), strict=True):
        found[group].append(name)
    return tuple(tuple(names) for names in found.values() if len(names) > 1)


def _or_none(threshold: float) -> float | None:
    """None in the record: a threshold that no probability reaches."""
    return float(threshold) if np.isfinite(threshold) else None
