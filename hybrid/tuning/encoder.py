"""One encoder of a tuning: made, trained, and turned into arrays."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hybrid.deep.dataset import run_keras
from hybrid.deep.random_seed import random_seed
from hybrid.text_encoders.arrays import EncoderArrays
from hybrid.text_encoders.batches import plan_batches
from hybrid.text_encoders.keras_network import build_lower, build_network, build_upper
from hybrid.text_encoders.spec import TransformerSpec
from hybrid.text_encoders.tokens import Tokens
from hybrid.text_encoders.tuned_arrays import array_names
from hybrid.tuning.batches import STEP, States, TextBatches, TrainingBatches
from hybrid.tuning.lesson import Lesson
from hybrid.tuning.low_rank import ProductDense, affine_weights, choose_dense, freeze_rest
from hybrid.tuning.options import TuneOptions
from hybrid.tuning.precision import split_precision
from hybrid.tuning.train import add_head, teach, train
from hybrid.utils.progress import Progress
from hybrid.utils.unknown_labels import as_codes

TRIED = 4  # steps that a plan measures
WARM = 1  # steps before them
TRIED_TOKENS = 512  # of a batch of the trial, where Keras keeps what every layer computes


def build_body(
    spec: TransformerSpec, arrays: EncoderArrays, options: TuneOptions, precision: str
) -> keras.Model:
    """The layers that learn: states → embeddings; see `hybrid.text_encoders.keras_network.build_upper`."""
    whole, products = split_precision(precision)
    dense = choose_dense(options, products)
    body = build_upper(spec, arrays, options.layers, whole, options.dropout, dense)
    freeze_rest(body)
    return body


def build_rest(
    spec: TransformerSpec, arrays: EncoderArrays, options: TuneOptions, precision: str
) -> keras.Model:
    """The layers that do not learn: tokens → states; see `hybrid.text_encoders.keras_network.build_lower`."""
    whole, products = split_precision(precision)
    dense = partial(ProductDense, products=products)
    return build_lower(spec, arrays, spec.architecture.layers - options.layers, whole, dense)


def try_precision(
    spec: TransformerSpec, arrays: EncoderArrays, tokens: Tokens, precision: str
) -> NDArray[np.float32]:
    """Embeddings of some texts by the encoder that is to be tuned, in a precision: (n, D)."""
    whole, products = split_precision(precision)
    network = build_network(spec, arrays, whole, partial(ProductDense, products=products))
    found = np.empty((len(tokens.lengths), spec.architecture.hidden), dtype=np.float32)
    for batch in plan_batches(tokens.lengths, TRIED_TOKENS, STEP):
        rows = tokens.rows(batch.pieces, batch.width)
        lengths = tokens.lengths[batch.pieces].astype(np.int32)
        found[batch.pieces] = ops.convert_to_numpy(network([rows, lengths]))
    return found


class Learner:
    """The layers of an encoder that learn, with a head: compiled once for all folds.

    Parameters
    ----------
    spec : TransformerSpec
    arrays : EncoderArrays
        Of the encoder that it starts from.
    options : TuneOptions
    precision : {"float32", "bfloat16"}
    """

    def __init__(
        self, spec: TransformerSpec, arrays: EncoderArrays, options: TuneOptions, precision: str
    ) -> None:
        self.how = (spec, arrays, options, precision)
        self.options = options
        last = spec.architecture.layers
        self.layers = (last - options.layers, last)
        self.model: keras.Model | None = None

    def start(self, labels: NDArray[np.uint8], seed: int) -> keras.Model:
        """The network as it starts: see `add_head`."""
        made = add_head(build_body(*self.how), labels, seed)
        if self.model is None:
            self.model = made
        # The seeds of dropout are variables, too, which are drawn while a network is made.
        for variable, anew in zip(self.model.variables, made.variables, strict=True):
            variable.assign(anew.value)
        return self.model


def tune_fold(
    learner: Learner,
    states: States,
    labels: NDArray[np.uint8],
    lesson: Lesson,
    multiclass: bool,
    progress: Progress,
) -> tuple[dict[str, NDArray[np.float32]], int]:
    """Train one encoder.

    Parameters
    ----------
    learner : Learner
    states : States
        Of n texts.
    labels : ndarray of shape (n, L), uint8
        Cells that are masked in a masked array are left out of the loss.
    lesson : Lesson
    multiclass : bool
        One label an item: softmax, not a sigmoid for each label.
    progress : Progress

    Returns
    -------
    dict of str to ndarray, int
        See `hybrid.text_encoders.tuned_arrays.array_names`; and the epoch that they are of, from 1.
    """
    codes, seed, options = as_codes(labels), lesson.seed, learner.options
    size, watched = options.batch_size, lesson.watched
    with random_seed(seed):
        model = learner.start(labels[lesson.rows], seed)
        batches = TrainingBatches(states, codes, lesson.rows, size, seed)
        judge = None if watched is None else TextBatches(states, codes, watched, size)
        kept = teach(model, batches, labels, lesson, options, multiclass, progress, judge)
    return take_arrays(model, *learner.layers), kept


def take_arrays(model: keras.Model, first: int, layers: int) -> dict[str, NDArray[np.float32]]:
    """The weights of the layers that learnt, and of the head, by `array_names`."""
    found = {}
    for name in array_names(first, layers):
        place, _, end = name.partition(".")
        kernel, bias = affine_weights(model.get_layer(place))
        found[name] = kernel if end == "kernel" else bias
    return found


def measure_step(
    spec: TransformerSpec,
    arrays: EncoderArrays,
    lengths: NDArray[np.int64],
    labels: NDArray[np.uint8],
    options: TuneOptions,
    precision: str,
    seed: int,
) -> tuple[float, int, int]:
    """Measure the training on texts of these lengths.

    Returns
    -------
    step : float
        Seconds of one step.
    parameters, stored : int
        That learn; that the file of an encoder holds.
    """
    total = int(lengths.sum())
    states = States(np.zeros((total, spec.architecture.hidden), np.float16), lengths)
    size = options.batch_size
    rows = np.arange(min(len(lengths), (WARM + TRIED) * size))
    marks: list[float] = []

    def mark(_: Any) -> None:
        marks.append(time.perf_counter())

    with random_seed(seed), run_keras():
        model = add_head(build_body(spec, arrays, options, precision), labels, seed)
        parameters = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
        rows = np.tile(rows, max(1, -(-(WARM + TRIED) * size // len(rows))))
        batches = TrainingBatches(states, as_codes(labels), rows, size, seed)
        train(model, batches, labels, replace(options, epochs=1), after_batch=mark)
    steps = np.diff(marks)
    layers = spec.architecture.layers
    stored = sum(each.size for each in take_arrays(model, layers - options.layers, layers).values())
    return (float(np.median(steps)) if len(steps) else 0.0), parameters, stored
