"""Saving and loading of deep baselines; the architecture comes from the network's record."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path

import keras

from hybrid.backbones.weightfile import read_layers
from hybrid.backbones.weights import RUN_WEIGHTS
from hybrid.deep.baseline import DeepBaseline
from hybrid.deep.fused import FusedBaseline, make_baseline
from hybrid.deep.options import DeepOptions, parse_units
from hybrid.errors import RunError
from hybrid.features.fusion import Fusion
from hybrid.heads.decision_rule import DecisionRule
from hybrid.heads.make_hybrid import use_context
from hybrid.model_file import load_model, save_model
from hybrid.model_file.earlier import require_files
from hybrid.model_file.manifest import check_model_files
from hybrid.utils.context import Context
from hybrid.utils.progress import shows_step
from hybrid.utils.reading import RUN_RECORD, WEIGHTS, UnusableFileError, checked, read_json

# A body that no stage changed is no trained backbone, so it is not kept under that name.
FROZEN_WEIGHTS = "model.frozen.weights.h5"
HEAD_WEIGHTS = "model.head.weights.h5"
SCORING = "model.scoring.json"
BLOCKS = "model.blocks.json"
SHOWN = 200  # characters of an error


def save_baseline(model: DeepBaseline, folder: Path) -> None:
    """Save the weights of body and head, and the decision rule.

    Parameters
    ----------
    model : DeepBaseline
        Fitted.
    folder : Path
        That exists.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from hybrid.heads.decision_rule import DecisionOptions
    >>> model = DeepBaseline("small", DeepOptions(input_size=(32, 32)))
    >>> model._build(n_labels=3)
    >>> model.decision_ = DecisionRule(None, np.full(3, 0.5), DecisionOptions())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_baseline(model, Path(folder))
    ...     load_baseline(Path(folder)).n_labels
    3
    """
    if model.spec.backbone is not None:
        _save_weights(model.network_.application, folder / body_file(model))
    if isinstance(model, FusedBaseline):
        save_model(model.fusion_, folder / BLOCKS)
    _save_weights(_without_optimizer(model.network_.head), folder / HEAD_WEIGHTS)
    scoring = {
        "network": model.spec.name,
        "options": asdict(model.options),
        "labels": model.n_labels,
        **model.decision_.as_plain(),
    }
    (folder / SCORING).write_text(json.dumps(scoring, indent=2, allow_nan=False) + "\n")


class _WeightsInMemory(io.BytesIO):
    """A file in memory; Keras asks for what its name ends in."""

    def __str__(self) -> str:
        return "memory.weights.h5"


def _save_weights(network: keras.Model, path: Path) -> None:
    # HDF5 writes the end of a file when its last object goes, where h5py cannot raise what the disk refuses.
    content = _WeightsInMemory()
    network.save_weights(content)
    path.write_bytes(content.getbuffer())


@shows_step("loading the network")
def load_baseline(folder: Path, workers: int = 1, cache: str | None = None) -> DeepBaseline:
    """Load a deep baseline.

    Parameters
    ----------
    folder : Path
        With the files of `save_baseline`.
    workers : int, default=1
        Threads that decode posters.
    cache : str, optional
        Where embeddings are looked up that its own body does not make. By default where they were.

    Raises
    ------
    RunError
        If a file is missing or does not fit.
    """
    check_model_files(folder)
    try:
        scoring = read_json(folder / SCORING, RUN_RECORD)
        options = DeepOptions.from_record(scoring["options"])
        model = make_baseline(scoring["network"], options, workers=workers)
        model.decision_ = DecisionRule.from_plain(scoring)
        if isinstance(model, FusedBaseline):
            require_files(folder, BLOCKS)
            model.fusion_ = load_model(folder / BLOCKS, Fusion)
            if cache is not None:
                use_context(model.fusion_, Context(cache=cache, workers=workers))
        _check_sizes(folder, scoring["labels"], options)
        model._build(scoring["labels"])
        if model.spec.backbone is not None:
            model.network_.application.load_weights(
                str(checked(_harmless(folder / body_file(model)), WEIGHTS))
            )
        _without_optimizer(model.network_.head).load_weights(
            str(checked(_harmless(folder / HEAD_WEIGHTS), WEIGHTS))
        )
    except (RunError, UnusableFileError):
        raise
    except (
        Exception
    ) as error:  # Keras, TensorFlow and HDF5 raise any error over files that do not fit
        found = str(error).partition("\n")[0][:SHOWN].rstrip(".")
        raise RunError(
            f"{folder}: expected a saved deep baseline, found: {found}. The run is damaged, or was changed: "
            "take it from a copy, or fit it again."
        ) from error
    return model


def _harmless(path: Path) -> Path:
    """A file of weights without links to other files, and without anything but numbers."""
    read_layers(path)
    return path


def _check_sizes(folder: Path, labels: int, options: DeepOptions) -> None:
    """Check that the head has the sizes of its weights, before the memory for it is taken."""
    layers = read_layers(folder / HEAD_WEIGHTS)
    sizes = {size for layer in layers for shape in layer.shapes for size in shape}
    units = parse_units(options.head_units or "")
    for name, claimed in [("labels", (labels,)), ("head_units", units)]:
        if wrong := [size for size in claimed if size not in sizes]:
            raise RunError(
                f"{folder / SCORING}: expected {name} as {HEAD_WEIGHTS} has them, found "
                f"{str(wrong[0])[:SHOWN]}. Take the run from a copy, or fit it again."
            )


def _without_optimizer(network: keras.Model) -> keras.Model:
    """The same layers without an optimiser, which Keras would write and read with the weights."""
    return keras.Model(network.input, network.output)


def body_file(model: DeepBaseline) -> str:
    """Return the name of the file with the body's weights.

    Examples
    --------
    >>> body_file(DeepBaseline("mobilenet-075", DeepOptions(unfreeze="0")))
    'model.frozen.weights.h5'
    """
    return RUN_WEIGHTS if model.spec.trains_body else FROZEN_WEIGHTS
