"""A trained deep baseline ↔ the files of a run; the architecture comes from our own record."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import joblib
import keras

from hybrid.backbones import Weights
from hybrid.backbones.weights import RUN_WEIGHTS
from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.fused import FusedBaseline, make_baseline
from hybrid.deep.options import DeepOptions
from hybrid.errors import RunError
from hybrid.heads.decision_rule import DecisionRule

# A body that no stage changed is no trained backbone, so it is not kept under that name.
FROZEN_WEIGHTS = "model.frozen.weights.h5"
HEAD_WEIGHTS = "model.head.weights.h5"
SCORING = "model.scoring.json"
BLOCKS = "model.blocks.joblib"


def save_baseline(model: DeepBaseline, folder: Path) -> None:
    """Write the weights of body and head, and what turns scores into labels."""
    if model.spec.backbone is not None:
        model.network_.application.save_weights(str(folder / body_file(model)))
    if isinstance(model, FusedBaseline):
        joblib.dump(model.fusion_, folder / BLOCKS, compress=3)
    _bare(model.network_.head).save_weights(str(folder / HEAD_WEIGHTS))
    scoring = {
        "network": model.spec.name,
        "options": asdict(model.options),
        "labels": model.n_labels,
        **model.decision_.as_plain(),
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
        model = make_baseline(scoring["network"], options, workers=workers)
        model.decision_ = DecisionRule.from_plain(scoring)
        if isinstance(model, FusedBaseline):
            model.fusion_ = joblib.load(folder / BLOCKS)
        model._build(scoring["labels"])
        if model.spec.backbone is not None:
            model.network_.application.load_weights(str(folder / body_file(model)))
        _bare(model.network_.head).load_weights(str(folder / HEAD_WEIGHTS))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder}: expected a saved deep baseline, found: {error}.") from error
    return model


def _bare(network: keras.Model) -> keras.Model:
    """The same layers without an optimiser, which Keras would write and read with the weights."""
    return keras.Model(network.input, network.output)


def describe_baseline(model: DeepBaseline, weights: Weights | None) -> dict[str, Any]:
    """For the record: the network, how it was trained, where its weights came from and are now."""
    spec = model.spec
    return {
        "kind": "deep",
        "blocks": list(spec.blocks),
        "model": spec.name,
        "history": model.history_,
        "backbone": _describe_body(model, weights) if spec.backbone else None,
        "network": {
            "head_units": list(spec.head_units),
            "dropout": spec.dropout,
            "batch_size": spec.batch_size,
            "parameters": model.network_.count_params(),
            "stages": [asdict(stage) for stage in spec.stages],
        },
    }


def _describe_body(model: DeepBaseline, weights: Weights | None) -> dict[str, Any]:
    start = None
    if weights is not None:
        start = {"kind": weights.kind, "path": weights.path and str(weights.path)}
    kind = "trained" if model.spec.trains_body or start is None else start["kind"]
    return {
        "name": model.spec.body.name,
        "input_size": list(model.spec.body.input_size),
        "parameters": model.network_.application.count_params(),
        "weights": {"kind": kind, "path": body_file(model), "from": start},
    }


def body_file(model: DeepBaseline) -> str:
    """Name of the file with the body's weights."""
    return RUN_WEIGHTS if model.spec.trains_body else FROZEN_WEIGHTS
