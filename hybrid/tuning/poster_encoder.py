"""One encoder of the tuning of a backbone: made, trained on posters, and turned into arrays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from hybrid.backbones import BackboneSpec, Weights
from hybrid.backbones.load import dtype_policy
from hybrid.backbones.networks import build_application
from hybrid.backbones.tuned_network import HEAD as HEAD_ARRAYS
from hybrid.backbones.tuned_network import Arrays, take_arrays
from hybrid.backbones.unfreezing import (
    count_blocks,
    group_layers,
    unfrozen_blocks,
    unfrozen_layers,
)
from hybrid.deep.dataset import Batches, read_ahead, run_keras
from hybrid.deep.frozen import cache_activations
from hybrid.deep.items import Arrays as ArraySource
from hybrid.deep.items import Posters, Source
from hybrid.deep.network import Network, count_elements
from hybrid.deep.random_seed import random_seed
from hybrid.deep.registry import ALL, HEAD, NetworkSpec, Stage
from hybrid.deep.train import compile_inference
from hybrid.tuning.lesson import Lesson
from hybrid.tuning.options import TuneOptions
from hybrid.tuning.train import start_head, teach, train
from hybrid.tuning.unit_scale import UnitScale
from hybrid.utils.progress import Progress

TRIED_POSTERS = 32  # that a plan computes the lower layers of
TRIED, WARM = 4, 1  # steps that a plan measures, and steps before them
SCALED = 512  # posters whose embeddings tell the scale …
EMBEDDED = 32  # … so many at once


class TunedNetwork:
    """A backbone with a head that learn together; the lower layers stay as they are.

    Parameters
    ----------
    spec : BackboneSpec
    weights : Weights
        To start from.
    n_labels : int
    options : TuneOptions
        With the number of blocks that learn.
    precision : {"float32", "bfloat16"}
    seed : int
        Of the dropout.

    Attributes
    ----------
    lower : keras.Model or None
        Posters, uint8 → what the layers that do not learn compute; None where all learn.
    learner : keras.Model
        From there, or from the posters, to log-odds.
    """

    def __init__(
        self,
        spec: BackboneSpec,
        weights: Weights,
        n_labels: int,
        options: TuneOptions,
        precision: str,
        seed: int,
    ) -> None:
        self.spec, self.precision = spec, precision
        self.stage = Stage("tune", trained_blocks(spec, options.layers), "adamw", 0.0)
        network = NetworkSpec(spec.name, spec, (), options.dropout, (self.stage,))
        with random_seed(seed), dtype_policy(precision):
            self.network = Network(network, n_labels)
            self.network.load_weights(weights)
            self.network.freeze(self.stage)
            self.head = self.network.head.layers[-1]
            self.scale, self.network.head = add_scale(self.network.head)
            self.lower = self.network.lower(self.stage)
            whole = self.lower is None
            self.learner = self.network.whole() if whole else self.network.upper(self.stage)

    @property
    def depths(self) -> list[int | None]:
        """How many blocks that of each variable that learns is below the last one; None for the head."""
        application, trains = self.network.application, self.stage.trains
        learns = unfrozen_layers(self.spec, application, trains)
        blocks = unfrozen_blocks(self.spec, application, trains)
        below = {
            id(variable): len(blocks) - 1 - blocks.index(name)
            for name, grouped in group_layers(application).items()
            if name in blocks
            for layer in grouped
            if layer in learns
            for variable in layer.trainable_variables
        }
        return [below.get(id(variable)) for variable in self.learner.trainable_variables]

    def arrays(self) -> Arrays:
        """What it has learnt; see `hybrid.backbones.tuned_network.take_arrays`."""
        application = self.network.application
        learns = unfrozen_layers(self.spec, application, self.stage.trains)
        arrays = take_arrays(application, learns, self.head)
        kernel = HEAD_ARRAYS[0]
        return {**arrays, kernel: self.scale.fold(arrays[kernel])}

    def start(
        self, source: Source, rows: NDArray[np.int64], labels: NDArray[np.uint8], seed: int
    ) -> None:
        """Let the head start: embeddings have unit scale, and each label its share.

        Parameters
        ----------
        source : Source
            See `make_source`.
        rows : ndarray of int
            Posters to learn from, of the source.
        labels : ndarray of shape (len(rows), L), uint8
            Of these.
        seed : int
            Of the posters that the scale is of.
        """
        start_head(self.head, labels, seed, deviation=0.0)
        drawn = np.random.default_rng(seed).permutation(rows)[:SCALED]
        embedder = self._embedder()
        with run_keras():
            found = [
                np.asarray(embedder.predict_on_batch(source.read(some)))
                for some in np.array_split(np.sort(drawn), -(-len(drawn) // EMBEDDED))
            ]
        self.scale.adapt(np.concatenate(found))

    def _embedder(self) -> keras.Model:
        """The learner without scale and head."""
        read = self.learner.inputs[0]
        x = inputs = keras.Input(read.shape[1:], dtype=read.dtype)
        for layer in self.learner.layers[1:]:
            if layer is self.scale or layer is self.network.head:
                break
            x = layer(x)
        embedder = keras.Model(inputs, x)
        compile_inference(embedder)
        return embedder


def add_scale(head: keras.Model) -> tuple[UnitScale, keras.Model]:
    """Bring what a head reads to unit scale."""
    layer, embeddings = UnitScale(), keras.Input(head.input_shape[1:])
    return layer, keras.Model(embeddings, head(layer(embeddings)))


def trained_blocks(spec: BackboneSpec, number: int) -> str:
    """The last blocks of a backbone that learn, as `hybrid.backbones.unfreezing.unfrozen_layers` has them."""
    if number == 0:
        return HEAD
    return ALL if number >= count_blocks(build_application(spec)) else str(number)


class FoldBatches:
    """Batches of the items of some folds, read ahead; `shuffle` before each further epoch.

    Parameters
    ----------
    source : Source
        Of all items.
    labels : ndarray of shape (n, L), uint8
    rows : ndarray of int
        Those to learn from.
    size : int
        Items of a batch.
    workers : int
        Threads that read.
    seed : int
    """

    def __init__(
        self,
        source: Source,
        labels: NDArray[np.uint8],
        rows: NDArray[np.int64],
        size: int,
        workers: int,
        seed: int,
    ) -> None:
        part = Rows(source, rows)
        self.batches = Batches(part, size, labels=labels[rows], workers=workers, seed=(seed,))
        self.epoch = -1
        self.shuffle()

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return read_ahead(self.batches)

    def shuffle(self) -> None:
        """Draw the order of the next epoch."""
        self.epoch += 1
        self.batches.shuffle(self.epoch)


class Rows:
    """Some of the items of a source."""

    def __init__(self, source: Source, rows: NDArray[np.int64]) -> None:
        self.source, self.rows = source, rows

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, rows: NDArray[np.int64]) -> Any:
        """See `hybrid.deep.items.Source.read`."""
        return self.source.read(self.rows[rows])


def make_source(
    network: TunedNetwork, paths: list[str], file: Path, workers: int, progress: Progress
) -> Source:
    """What the learner reads: what the lower layers compute, in a file that is kept; or the posters."""
    posters = Posters(paths, network.spec.input_size)
    if network.lower is None:
        return posters
    compile_inference(network.lower)
    return ArraySource(
        cache_activations(
            *(file, network.lower, posters, network.network.spec.batch_size, workers, progress),
            option="--encoders",
            remedy="or name another folder",
        )
    )


def tune_poster_fold(
    network: TunedNetwork,
    source: Source,
    labels: NDArray[np.uint8],
    lesson: Lesson,
    options: TuneOptions,
    multiclass: bool,
    workers: int,
    progress: Progress,
) -> tuple[Arrays, int]:
    """Train one encoder.

    Parameters
    ----------
    network : TunedNetwork
        As it starts; changed in place.
    source : Source
        Of n posters; see `make_source`.
    labels : ndarray of shape (n, L), uint8
    lesson : Lesson
        Whose items are posters.
    options : TuneOptions
    multiclass : bool
    workers : int
        Threads that read.
    progress : Progress

    Returns
    -------
    dict of str to ndarray, int
        See `hybrid.backbones.tuned_network.take_arrays`; and the epoch that they are of, from 1.
    """
    size, watched = options.batch_size, lesson.watched
    with random_seed(lesson.seed):
        network.start(source, lesson.rows, labels[lesson.rows], lesson.seed)
        batches = FoldBatches(source, labels, lesson.rows, size, workers, lesson.seed)
        judge = None if watched is None else FoldBatches(source, labels, watched, size, workers, 0)
        kept = teach(
            *(network.learner, batches, labels, lesson, options, multiclass, progress),
            *(judge, network.depths),
        )
    return network.arrays(), kept


def measure_posters(
    network: TunedNetwork,
    paths: list[str],
    labels: NDArray[np.uint8],
    options: TuneOptions,
    seed: int,
    workers: int,
) -> tuple[float, float, int, int]:
    """Estimate the training from some posters and some steps.

    Returns
    -------
    lower, step : float
        Seconds of the lower layers for one poster; of a training step.
    parameters : int
        That learn.
    state_bytes : int
        Of what the lower layers compute for one poster.
    """
    tried = np.resize(np.arange(len(paths)), max(TRIED_POSTERS, options.batch_size))
    some = Posters([paths[i] for i in tried.tolist()], network.spec.input_size)
    lower, size = 0.0, 0
    source: Source = some
    if network.lower is not None:
        compile_inference(network.lower)
        with run_keras():
            network.lower.predict_on_batch(some.read(np.arange(2)))  # compiles
            start = time.perf_counter()
            states = network.lower.predict_on_batch(some.read(np.arange(TRIED_POSTERS)))
        lower = (time.perf_counter() - start) / TRIED_POSTERS
        states = np.asarray(states, dtype=np.float16)
        size, source = (
            states[0].nbytes,
            ArraySource(np.resize(states, (len(tried), *states.shape[1:]))),
        )
    rows = np.resize(np.arange(len(tried)), (WARM + TRIED) * options.batch_size)
    marks: list[float] = []
    with random_seed(seed):
        start_head(network.head, labels, seed, deviation=0.0)
        batches = FoldBatches(source, labels[tried], rows, options.batch_size, workers, seed)
        train(
            network.learner,
            batches,
            labels,
            replace(options, epochs=1),
            after_batch=lambda _: marks.append(time.perf_counter()),
            depths=network.depths,
        )
    parameters = count_elements(network.learner.trainable_variables)
    return lower, float(np.median(np.diff(marks))), parameters, size
