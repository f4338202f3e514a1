"""A trained deep baseline ↔ the files of a run; the architecture comes from our own record."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hybrid.backbones import Weights
from hybrid.backbones.weights import RUN_WEIGHTS
from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.options import DeepOptions
from hybrid.errors import RunError
from hybrid.heads.calibration import Calibration

# A body that no stage changed is no trained backbone, so it is not kept under that name.
FROZEN_WEIGHTS = "model.frozen.weights.h5"
HEAD_WEIGHTS = "model.head.weights.h5"
SCORING = "model.scoring.json"


def save_baseline(model: DeepBaseline, folder: Path) -> None:
    """Write the weights of body and head, and what turns scores into labels."""
    model.network_.application.save_weights(str(folder / body_file(model)))
    model.network_.head.save_weights(str(folder / HEAD_WEIGHTS))
    calibration = model.calibration_ and {
        k: [_finite(x) for x in v] for k, v in vars(model.calibration_).items()
    }
    scoring = {
        "network": model.spec.name,
        "options": asdict(model.options),
        "labels": model.n_labels,
        "thresholds": [_finite(v) for v in model.thresholds_],
        "calibration": calibration,
    }
    (folder / SCORING).write_text(json.dumps(scoring, indent=2, allow_nan=False) + "\n")


def load_baseline(folder: Path, workers: int = 1) -> DeepBaseline:
    """Read what `save_baseline` wrote.

    Raises
    ------
    RunError
        If a file is missing or does not fit.
    """
    try:
        scoring = json.loads((folder / SCORING).read_text())
        options = DeepOptions.from_record(scoring["options"])
        model = DeepBaseline(scoring["network"], options, workers=workers)
        model.thresholds_ = np.array([float(v) for v in scoring["thresholds"]])
        parts = scoring["calibration"] and {
            k: np.array([float(x) for x in v]) for k, v in scoring["calibration"].items()
        }
        model.calibration_ = parts and Calibration(**parts)
        model._build(scoring["labels"])
        model.network_.application.load_weights(str(folder / body_file(model)))
        model.network_.head.load_weights(str(folder / HEAD_WEIGHTS))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder}: expected a saved deep baseline, found: {error}.") from error
    return model


def describe_baseline(model: DeepBaseline, weights: Weights | None) -> dict[str, Any]:
    """For the record: the network, how it was trained, where its weights came from and are now."""
    spec, network = model.spec, model.network_
    start = weights and {"kind": weights.kind, "path": weights.path and str(weights.path)}
    kind = "trained" if spec.trains_body or start is None else start["kind"]
    thresholds = [float(t) if np.isfinite(t) else None for t in model.thresholds_]
    return {
        "kind": "deep",
        "blocks": ["poster"],
        "model": spec.name,
        "thresholds": thresholds,
        "history": model.history_,
        "backbone": {
            "name": spec.body.name,
            "weights": {"kind": kind, "path": body_file(model), "from": start},
        },
        "network": {
            "head_units": list(spec.head_units),
            "dropout": spec.dropout,
            "batch_size": spec.batch_size,
            "input_size": list(spec.body.input_size),
            "parameters": network.body.count_params() + network.head.count_params(),
            "stages": [asdict(stage) for stage in spec.stages],
        },
    }


def body_file(model: DeepBaseline) -> str:
    """Name of the file with the body's weights."""
    return RUN_WEIGHTS if model.spec.trains_body else FROZEN_WEIGHTS


def _finite(value: float) -> float | str:
    """JSON has no infinity: a threshold that is never reached is written as a word."""
    return float(value) if np.isfinite(value) else str(float(value))
