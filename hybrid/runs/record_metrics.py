"""Metrics, reliability, thresholds and cost of a fit, for the record of its run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.backbones import get_backbone
from hybrid.cache import read_throughput
from hybrid.evaluation import Outputs, evaluate, reliability
from hybrid.heads.decision_rule import DecisionRule, threshold_spread
from hybrid.heads.parameter_count import count_parameters
from hybrid.runs.json_dataclass import convert
from hybrid.runs.record_parts import (
    BackboneRecord,
    CostRecord,
    DecisionRecord,
    DiskRecord,
    ParametersRecord,
    ReliabilitiesRecord,
    ReliabilityRecord,
    StoreRecord,
    TrainedBackboneRecord,
)
from hybrid.types import Interval
from hybrid.utils.resources import CostRecorder

Labels = NDArray[np.uint8]
Floats = NDArray[np.float64]
Threshold = float | None


def evaluate_test_items(
    truth: Labels, outputs: Outputs, genres: Sequence[str], groups: NDArray[Any], seed: int
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

    Returns
    -------
    metrics : dict of str to Interval
    reliability : ReliabilitiesRecord
        Of the items with a prediction.
    """
    metrics = evaluate(truth, outputs, genres, groups=groups, seed=seed).metrics
    known = ~np.isnan(outputs.scores).all(axis=1)
    columns = [_reliability(truth[known, j], outputs.scores[known, j]) for j in range(len(genres))]
    together = _reliability(truth[known], outputs.scores[known])
    return metrics, ReliabilitiesRecord(together, tuple(columns))


def _reliability(truth: Labels, probabilities: Floats) -> ReliabilityRecord:
    return convert(ReliabilityRecord, reliability(truth, probabilities))


def describe_thresholds(
    truth: Labels, scores: Floats, decision: DecisionRule, seed: int
) -> tuple[tuple[Threshold, ...], tuple[tuple[Threshold, Threshold], ...]]:
    """Thresholds of a decision rule, with their bootstrap intervals.

    Parameters
    ----------
    truth : ndarray of shape (n, L), uint8
    scores : ndarray of shape (n, L), float64
        What the rule was fitted on.
    decision : DecisionRule
    seed : int

    Returns
    -------
    thresholds : tuple of float or None
        None where no probability reaches the threshold.
    spread : tuple of (float or None, float or None)
        Percentiles 2.5 and 97.5 over the draws; empty for a rule without calibration.
    """
    spread = threshold_spread(truth, scores, decision, seed=seed) if decision.calibration else []
    return (
        tuple(_or_none(threshold) for threshold in decision.thresholds.tolist()),
        tuple((_or_none(low), _or_none(high)) for low, high in spread),
    )


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


def describe_cost(
    costs: CostRecorder,
    items: int,
    head: Any,
    backbone: BackboneRecord | TrainedBackboneRecord | None,
    folder: Path,
) -> CostRecord:
    """Seconds, memory, bytes and parameters of a run; None where they are not known.

    Parameters
    ----------
    costs : CostRecorder
    items : int
        Number of items predicted in the stage ``predict``.
    head : fitted estimator or None
    backbone : BackboneRecord, TrainedBackboneRecord or None
        Of the block ``poster``.
    folder : Path
        With the files of the run.
    """
    seconds = {stage.name: stage.seconds for stage in costs.stages}
    predict = seconds.get("predict")
    store = backbone.cache if isinstance(backbone, BackboneRecord) else StoreRecord()
    return CostRecord(
        fit_seconds=seconds.get("fit"),
        predict_seconds=predict,
        items_per_second=items / predict if predict else None,
        peak_mib=max(stage.peak_mib for stage in costs.stages),
        extract=_describe_extraction(backbone) if isinstance(backbone, BackboneRecord) else None,
        disk_bytes=DiskRecord(
            model=sum(p.stat().st_size for p in folder.iterdir() if p.name.startswith("model")),
            embeddings=store.bytes,
        ),
        parameters=ParametersRecord(
            head=None if head is None else count_parameters(head),
            backbone=None if backbone is None else _count_backbone(backbone),
        ),
    )


def _describe_extraction(backbone: BackboneRecord) -> dict[str, Any] | None:
    """Estimate the seconds to extract all embeddings from the rate measured last; None without one."""
    if backbone.cache.path is None:
        return None
    rate = read_throughput(Path(backbone.cache.path) / backbone.fingerprint)
    if rate is None:
        return None
    embeddings = backbone.cache.embeddings
    return {**rate, "seconds": embeddings / rate["posters_per_second"] if embeddings else None}


def _count_backbone(backbone: BackboneRecord | TrainedBackboneRecord) -> int:
    """Parameters of a backbone: as counted where the run trained it, else those of the registry."""
    counted = backbone.parameters if isinstance(backbone, TrainedBackboneRecord) else None
    return int(counted or get_backbone(backbone.name).parameters)


def _or_none(threshold: float) -> float | None:
    """None in the record: a threshold that no probability reaches."""
    return float(threshold) if np.isfinite(threshold) else None
