"""Train the last layers of an encoder and a head on the labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from hybrid.deep.dataset import run_keras
from hybrid.deep.losses import make_loss
from hybrid.deep.train import compile_inference
from hybrid.errors import TrainingError
from hybrid.text_encoders.tuned_arrays import HEAD
from hybrid.tuning.lesson import Lesson
from hybrid.tuning.optimizer import LayerwiseAdamW, make_optimizer, make_schedule
from hybrid.tuning.options import TuneOptions
from hybrid.utils.progress import Progress
from hybrid.utils.unknown_labels import known_mean

LEAST = 1e-3  # a share of positive items from which the bias of a label starts


class EpochBatches(Protocol):
    """Batches of inputs and labels that can be shuffled."""

    def __len__(self) -> int:
        """Return the number of batches."""

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """Iterate over the batches of an epoch."""

    def shuffle(self) -> None:
        """Draw the order of the next epoch."""


def add_head(body: keras.Model, labels: NDArray[np.uint8], seed: int) -> keras.Model:
    """Add a head to the last layers of an encoder.

    Parameters
    ----------
    body : keras.Model
        → embeddings (n, D).
    labels : ndarray of shape (n, L), uint8
        Of the items to learn from: the biases start at the log-odds of the labels.
    seed : int
        Of the kernel.

    Returns
    -------
    keras.Model
        → log-odds (n, L), float32.
    """
    head = keras.layers.Dense(labels.shape[1], dtype="float32", name=HEAD)
    found = keras.Model(body.inputs, head(body.output), name="tuned_encoder")
    start_head(head, labels, seed)
    return found


def start_head(
    head: keras.layers.Dense, labels: NDArray[np.uint8], seed: int, deviation: float = 0.02
) -> None:
    """Draw the kernel of a head; its biases are the log-odds of the labels of the items to learn from."""
    share = np.clip(known_mean(labels), LEAST, 1 - LEAST)
    size = head.kernel.shape[0]
    kernel = np.random.default_rng(seed).standard_normal((size, len(share))) * deviation
    head.set_weights([kernel.astype(np.float32), np.log(share / (1 - share)).astype(np.float32)])


def teach(
    model: keras.Model,
    batches: EpochBatches,
    labels: NDArray[np.uint8],
    lesson: Lesson,
    options: TuneOptions,
    multiclass: bool,
    progress: Progress,
    judge: EpochBatches | None = None,
    depths: Sequence[int | None] | None = None,
) -> int:
    """Train an encoder with a head, and show how far it is; parameters as of `train`.

    Parameters
    ----------
    lesson : Lesson
        Whose items the batches have.
    progress : Progress

    Returns
    -------
    int
        The epoch whose weights the model has, from 1.
    """
    losses: list[float] = []

    def note() -> str:
        return f"loss {losses[-1]:.3f}" if losses else "compiling"

    def tell(epoch: int, loss: float) -> None:
        progress.say(f"{lesson.name}: epoch {epoch}, loss {loss:.3f} of the items that stop it")

    steps = len(batches) * (lesson.epochs or options.epochs)
    with progress.bar(lesson.name, steps, "batches", note) as advance:

        def follow(loss: float) -> None:
            losses[:] = [loss]
            advance(1)

        how = (options, multiclass, follow, depths)
        return train(model, batches, labels, *how, judge, lesson.epochs, tell)


def train(
    model: keras.Model,
    batches: EpochBatches,
    labels: NDArray[np.uint8],
    options: TuneOptions,
    multiclass: bool = False,
    after_batch: Callable[[float], None] = lambda loss: None,
    depths: Sequence[int | None] | None = None,
    judge: EpochBatches | None = None,
    epochs: int | None = None,
    after_epoch: Callable[[int, float], None] = lambda epoch, loss: None,
) -> int:
    """Train an encoder with a head on batches, which are shuffled after each epoch.

    Parameters
    ----------
    model : keras.Model
        Changed in place. One that this function has trained, and that has other weights now, is not compiled
        anew: labels and options are as before.
    batches : EpochBatches
    labels : ndarray of shape (n, L), uint8
        Of all items, which make the loss. Cells that are masked in a masked array are left out of it.
    options : TuneOptions
    multiclass : bool, default=False
        One label an item: softmax, not a sigmoid for each label.
    after_batch : callable
        Called with the mean loss of the epoch so far.
    depths : sequence of int or None, optional
        See `make_optimizer`.
    judge : EpochBatches, optional
        Batches of the items whose loss stops the training.
    epochs : int, optional
        See `Lesson`.
    after_epoch : callable
        Called with each epoch, from 1, and the loss of `judge`.

    Returns
    -------
    int
        The epoch whose weights the model has, from 1: with `judge` that of its lowest loss.

    Raises
    ------
    TrainingError
        If the loss is not finite.
    """
    _prepare(model, labels, options, multiclass, depths)
    rates = map(make_schedule(len(batches) * options.epochs, options), count())
    last = epochs or options.epochs
    kept, best, weights = last, math.inf, None
    for epoch in range(1, last + 1):
        _learn(model, batches, rates, after_batch)
        batches.shuffle()
        if judge is None:
            continue
        loss = _mean_loss(model, judge)
        after_epoch(epoch, loss)
        if loss < best:
            kept, best, weights = epoch, loss, model.get_weights()
        elif epoch - kept >= options.patience:
            break
    if weights is not None:
        model.set_weights(weights)
    return kept


def _prepare(
    model: keras.Model,
    labels: NDArray[np.uint8],
    options: TuneOptions,
    multiclass: bool,
    depths: Sequence[int | None] | None,
) -> None:
    """Compile a model, or begin again with one that is: what its steps are compiled to is kept."""
    optimizer = getattr(model, "optimizer", None)
    if isinstance(optimizer, LayerwiseAdamW):
        optimizer.start_again()
        return
    optimizer = make_optimizer(model, options, depths)
    optimizer.build(model.trainable_variables)  # else TensorFlow traces the first step twice
    compile_inference(
        model,
        optimizer=optimizer,
        loss=make_loss("plain", labels, multiclass=multiclass),
    )


def _learn(
    model: keras.Model,
    batches: EpochBatches,
    rates: Iterator[Any],
    after_batch: Callable[[float], None],
) -> None:
    """One step on each batch.

    Not `keras.Model.fit`: where the first two batches have one width, it refuses others, and batches of texts
    are as wide as their longest text.
    """

    def step(*batch: Any, **how: Any) -> Any:
        model.optimizer.learning_rate = next(rates)
        return model.train_on_batch(*batch, **how)

    for loss in _losses(step, batches):
        after_batch(loss)


def _mean_loss(model: keras.Model, batches: EpochBatches) -> float:
    """Mean loss of the items, without dropout."""
    *_, last = _losses(model.test_on_batch, batches)
    return last


def _losses(run: Callable[..., Any], batches: EpochBatches) -> Iterator[float]:
    """The mean loss of the items so far, after each batch."""
    total, items = 0.0, 0
    with run_keras():
        for batch in batches:
            size = len(batch[1])
            total += size * _finite(float(run(*batch, return_dict=True)["loss"]))
            items += size
            yield total / items


def _finite(loss: float) -> float:
    if not math.isfinite(loss):
        raise TrainingError(
            f"expected a finite loss, found {loss}. Lower --learning-rate, or choose --precision float32."
        )
    return loss
