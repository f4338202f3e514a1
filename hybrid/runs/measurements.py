"""What a run's record says of the test items and of the fit: metrics, calibration, thresholds, cost."""

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
    truth: Labels, answers: Outputs, genres: Sequence[str], groups: NDArray[Any], seed: int
) -> tuple[dict[str, Interval], ReliabilitiesRecord]:
    """Metrics with their confidence intervals, and reliability, of the test items."""
    metrics = evaluate(truth, answers, genres, groups=groups, seed=seed).metrics
    known = ~np.isnan(answers.scores).all(axis=1)
    columns = [_reliability(truth[known, j], answers.scores[known, j]) for j in range(len(genres))]
    together = _reliability(truth[known], answers.scores[known])
    return metrics, ReliabilitiesRecord(together, tuple(columns))


def _reliability(truth: Labels, probabilities: Floats) -> ReliabilityRecord:
    return convert(ReliabilityRecord, reliability(truth, probabilities))


def describe_thresholds(
    truth: Labels, scores: Floats, decision: DecisionRule, seed: int
) -> tuple[tuple[Threshold, ...], tuple[tuple[Threshold, Threshold], ...]]:
    """Thresholds, and their 95 % bootstrap intervals; None for one that no probability reaches."""
    spread = threshold_spread(truth, scores, decision, seed=seed) if decision.calibration else []
    return (
        tuple(_or_none(threshold) for threshold in decision.thresholds.tolist()),
        tuple((_or_none(low), _or_none(high)) for low, high in spread),
    )


def describe_decision(decision: DecisionRule) -> DecisionRecord:
    """Calibration, and how thresholds were chosen, as fitted."""
    calibration = decision.calibration
    settings = {
        **asdict(decision.options),
        **decision.options.choosing,
        "calibrated_by": list(calibration.methods) if calibration else [],
    }
    return convert(DecisionRecord, settings)


def group_names(ids: NDArray[Any], groups: NDArray[Any]) -> tuple[tuple[str, ...], ...]:
    """Ids of the items that share a group; an item that is alone in its group is not named."""
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
    """Seconds to extract all embeddings at the rate that was measured last; None where none was."""
    if backbone.cache.path is None:
        return None
    rate = read_throughput(Path(backbone.cache.path) / backbone.fingerprint)
    if rate is None:
        return None
    embeddings = backbone.cache.embeddings
    return {**rate, "seconds": embeddings / rate["posters_per_second"] if embeddings else None}


def _count_backbone(backbone: BackboneRecord | TrainedBackboneRecord) -> int:
    """As the run counted it, if it trained it; else as the registry says."""
    counted = backbone.parameters if isinstance(backbone, TrainedBackboneRecord) else None
    return int(counted or get_backbone(backbone.name).parameters)


def _or_none(threshold: float) -> float | None:
    """None in the record: a threshold that no probability reaches."""
    return float(threshold) if np.isfinite(threshold) else None
