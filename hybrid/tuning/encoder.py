"""One encoder of a tuning: made, trained, and turned into arrays."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from hybrid.deep.dataset import run_keras
from hybrid.deep.random_seed import random_seed
from hybrid.text_encoders.arrays import EncoderArrays
from hybrid.text_encoders.keras_network import build_upper
from hybrid.text_encoders.spec import TransformerSpec
from hybrid.text_encoders.tuned_arrays import array_names
from hybrid.tuning.batches import States
from hybrid.tuning.options import TuneOptions
from hybrid.tuning.train import add_head, train
from hybrid.utils.progress import Progress

TRIED = 4  # steps that a plan measures
WARM = 1  # steps before them


def tune_fold(
    spec: TransformerSpec,
    arrays: EncoderArrays,
    states: States,
    labels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    options: TuneOptions,
    precision: str,
    seed: int,
    multiclass: bool,
    progress: Progress,
    label: str,
) -> dict[str, NDArray[np.float32]]:
    """Train one encoder.

    Parameters
    ----------
    spec : TransformerSpec
    arrays : EncoderArrays
        Of the encoder that it starts from.
    states : States
        Of n texts.
    labels : ndarray of shape (n, L), uint8
    rows : ndarray of int
        Texts to learn from.
    options : TuneOptions
    precision : {"float32", "bfloat16"}
    seed : int
        Of head, dropout and order; the same seed gives the same arrays on the same device.
    multiclass : bool
    progress : Progress
    label : str
        Of the progress bar.

    Returns
    -------
    dict of str to ndarray
        See `hybrid.text_encoders.tuned_arrays.array_names`.
    """
    with random_seed(seed):
        model = add_head(
            build_upper(spec, arrays, options.layers, precision, options.dropout),
            labels[rows],
            seed,
        )
        steps = -(-len(rows) // options.batch_size) * options.epochs
        losses: list[float] = []

        def note() -> str:
            return f"loss {losses[-1]:.3f}" if losses else "compiling"

        with progress.bar(label, steps, "batches", note) as advance:

            def count(loss: float) -> None:
                losses[:] = [loss]
                advance(1)

            train(model, states, labels, rows, options, seed, multiclass, count)
    return take_arrays(model, spec.architecture.layers - options.layers, spec.architecture.layers)


def take_arrays(model: keras.Model, first: int, layers: int) -> dict[str, NDArray[np.float32]]:
    """The weights of the layers that learnt, and of the head, by `array_names`."""
    found = {}
    for name in array_names(first, layers):
        place, _, end = name.partition(".")
        kernel, bias = model.get_layer(place).get_weights()
        found[name] = np.asarray(kernel if end == "kernel" else bias, dtype=np.float32)
    return found


def measure_step(
    spec: TransformerSpec,
    arrays: EncoderArrays,
    lengths: NDArray[np.int64],
    labels: NDArray[np.uint8],
    options: TuneOptions,
    precision: str,
    seed: int,
) -> tuple[float, int]:
    """Seconds of one step on texts of these lengths, and the number of parameters that learn."""
    total = int(lengths.sum())
    states = States(np.zeros((total, spec.architecture.hidden), np.float16), lengths)
    size = options.batch_size
    rows = np.arange(min(len(lengths), (WARM + TRIED) * size))
    marks: list[float] = []

    def mark(_: Any) -> None:
        marks.append(time.perf_counter())

    with random_seed(seed), run_keras():
        body = build_upper(spec, arrays, options.layers, precision, options.dropout)
        model = add_head(body, labels, seed)
        parameters = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
        tried: Callable[[float], None] = mark
        repeats = max(1, -(-(WARM + TRIED) * size // len(rows)))
        train(model, states, labels, np.tile(rows, repeats), _once(options), seed, False, tried)
    steps = np.diff(marks)
    return (float(np.median(steps)) if len(steps) else 0.0), parameters


def _once(options: TuneOptions) -> TuneOptions:
    from dataclasses import replace

    return replace(options, epochs=1)
