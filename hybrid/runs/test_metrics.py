"""Predictions and truth → what a run's record says of them: metrics, calibration, thresholds, cost."""

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
from hybrid.utils.resources import CostRecorder

Labels = NDArray[np.uint8]
Floats = NDArray[np.float64]


def judge(
    truth: Labels, answers: Outputs, genres: Sequence[str], groups: NDArray[Any], seed: int
) -> dict[str, Any]:
    """Metrics with their intervals, and reliability, of the test items."""
    found = evaluate(truth, answers, genres, groups=groups, seed=seed)
    known = ~np.isnan(answers.scores).all(axis=1)
    return {
        "metrics": {name: asdict(interval) for name, interval in found.metrics.items()},
        "reliability": {
            "all": _reliability(truth[known], answers.scores[known]),
            "genres": [
                _reliability(truth[known, j], answers.scores[known, j]) for j in range(len(genres))
            ],
        },
    }


def _reliability(truth: Labels, probabilities: Floats) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and np.isnan(value) else value
        for name, value in asdict(reliability(truth, probabilities)).items()
    }


def describe_decision(
    truth: Labels, scores: Floats, decision: DecisionRule, seed: int
) -> dict[str, Any]:
    """Thresholds with their spread over bootstrap draws, calibration, and the limits on labels."""
    calibration = decision.calibration
    spread = threshold_spread(truth, scores, decision, seed=seed) if calibration else []
    return {
        "thresholds": [_or_none(t) for t in decision.thresholds.tolist()],
        "threshold_spread": [[_or_none(low), _or_none(high)] for low, high in spread],
        "decision": {
            **asdict(decision.options),
            **decision.options.choosing,
            "calibrated_by": list(calibration.methods) if calibration else [],
        },
    }


def group_names(ids: NDArray[Any], groups: NDArray[Any]) -> list[list[str]]:
    """Ids of the items that share a group; an item that is alone in its group is not named."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, group in zip(ids.tolist(), groups.tolist(), strict=True):
        found[group].append(name)
    return [names for names in found.values() if len(names) > 1]


def describe_cost(
    costs: CostRecorder, items: int, head: Any, backbone: dict[str, Any] | None, folder: Path
) -> dict[str, Any]:
    """What the run costs, as far as it is known; None where it is not.

    Parameters
    ----------
    costs : CostRecorder
    items : int
        That were predicted in the stage ``predict``.
    head : fitted model, or None
    backbone : dict or None
        As in the record.
    folder : Path
        With the run's files.
    """
    seconds = {stage.name: stage.seconds for stage in costs.stages}
    cache = (backbone or {}).get("cache") or {}
    rate = None
    if backbone and "path" in cache:
        rate = read_throughput(Path(cache["path"]) / backbone["fingerprint"])
    embeddings = cache.get("embeddings")
    extract = rate and {
        **rate,
        "seconds": embeddings / rate["posters_per_second"] if embeddings else None,
    }
    predict = seconds.get("predict")
    return {
        "fit_seconds": seconds.get("fit"),
        "predict_seconds": predict,
        "items_per_second": items / predict if predict else None,
        "peak_mib": max(stage.peak_mib for stage in costs.stages),
        "extract": extract,
        "disk_bytes": {
            "model": sum(p.stat().st_size for p in folder.iterdir() if p.name.startswith("model")),
            "embeddings": cache.get("bytes"),
        },
        "parameters": {
            "head": None if head is None else count_parameters(head),
            "backbone": _count_backbone(backbone) if backbone else None,
        },
    }


def _count_backbone(backbone: dict[str, Any]) -> int:
    """As the run counted it, if it trained it; else as the registry says."""
    counted = backbone.get("parameters")
    return int(counted or get_backbone(backbone["name"]).parameters)


def _or_none(threshold: float) -> float | None:
    """None in the record: a threshold that no probability reaches."""
    return float(threshold) if np.isfinite(threshold) else None
