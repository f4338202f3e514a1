"""Train the last layers of an encoder and a head on the labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from hybrid.deep.dataset import run_keras
from hybrid.deep.losses import make_loss
from hybrid.deep.train import compile_inference
from hybrid.errors import TrainingError
from hybrid.text_encoders.tuned_arrays import HEAD
from hybrid.tuning.lesson import Lesson
from hybrid.tuning.options import TuneOptions
from hybrid.utils.progress import Progress
from hybrid.utils.unknown_labels import known_mean

LEAST = 1e-3  # a share of positive items from which the bias of a label starts
CLIP = 1.0  # norm of the gradient
UNDECAYED = ("bias", "gamma", "beta")  # parts of names


class EpochBatches(Protocol):
    """Batches of inputs and labels that can be shuffled."""

    def __len__(self) -> int:
        """Return the number of batches."""

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """Iterate over the batches of an epoch."""

    def shuffle(self) -> None:
        """Draw the order of the next epoch."""


class LayerwiseAdamW(keras.optimizers.Adam):
    """AdamW with a learning rate and a weight decay for each variable.

    `keras.optimizers.AdamW` has one rate. Here, as with parameter groups in other libraries, a variable
    decays with its own rate.

    Parameters
    ----------
    factors : sequence of float
        Of the learning rate: one for each trainable variable, in the order of the model.
    decays : sequence of float
        Weight decay of each.
    **settings
        See `keras.optimizers.Adam`.
    """

    def __init__(self, factors: Sequence[float], decays: Sequence[float], **settings: Any) -> None:
        super().__init__(**settings)
        self.factors, self.decays = list(factors), list(decays)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One step of one variable: first the decay, then Adam's."""
        number = self._get_variable_index(variable)
        rate = ops.cast(learning_rate * self.factors[number], variable.dtype)
        if self.decays[number]:
            self.assign_sub(variable, variable * self.decays[number] * rate)
        super().update_step(gradient, variable, rate)


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


def start_head(head: keras.layers.Dense, labels: NDArray[np.uint8], seed: int) -> None:
    """Draw the kernel of a head; its biases are the log-odds of the labels of the items to learn from."""
    share = np.clip(known_mean(labels), LEAST, 1 - LEAST)
    size = head.kernel.shape[0]
    kernel = np.random.default_rng(seed).standard_normal((size, len(share))) * 0.02
    head.set_weights([kernel.astype(np.float32), np.log(share / (1 - share)).astype(np.float32)])


def make_optimizer(
    model: keras.Model, steps: int, options: TuneOptions, depths: Sequence[int | None] | None = None
) -> LayerwiseAdamW:
    """AdamW whose learning rate rises linearly, then falls linearly to 0; lower layers learn more slowly.

    Parameters
    ----------
    model : keras.Model
    steps : int
    options : TuneOptions
    depths : sequence of int or None, optional
        Of each trainable variable: how many layers its own is below the last one; None for the head. By
        default as the names of a text encoder's layers say it.
    """
    rises = max(1, round(options.warm_up * steps))
    schedule = LinearSchedule(options.learning_rate, rises, max(steps, rises + 1))
    factors = [
        options.head_rate / options.learning_rate if depth is None else options.decay**depth
        for depth in (_depths(model) if depths is None else depths)
    ]
    decays = [
        0.0 if any(part in variable.name for part in UNDECAYED) else options.weight_decay
        for variable in model.trainable_variables
    ]
    return LayerwiseAdamW(factors, decays, learning_rate=schedule, global_clipnorm=CLIP)


def _depths(model: keras.Model) -> list[int | None]:
    """How many layers the layer of each trainable variable is below the last one; None for the head."""
    names = [variable.path.split("/")[0] for variable in model.trainable_variables]
    last = max((_number(name) for name in names if name != HEAD), default=0)
    return [None if name == HEAD else last - _number(name) for name in names]


def _number(name: str) -> int:
    """The number of a layer: 4 of "layer_4_attention"."""
    return int(name.split("_")[1])


class LinearSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises linearly in some steps, and then falls linearly to 0.

    Parameters
    ----------
    highest : float
    rises, steps : int
        Steps in which it rises; all steps.

    Examples
    --------
    >>> rate = LinearSchedule(0.1, 2, 4)
    >>> [round(float(rate(step)), 3) for step in range(4)]
    [0.05, 0.1, 0.1, 0.05]
    """

    def __init__(self, highest: float, rises: int, steps: int) -> None:
        self.highest, self.rises, self.steps = highest, rises, steps

    def __call__(self, step: Any) -> Any:
        """The rate of a step, counted from 0."""
        step = ops.cast(step, "float32")
        rising = (step + 1) / self.rises
        falling = (self.steps - step) / (self.steps - self.rises)
        return self.highest * ops.minimum(ops.minimum(rising, falling), 1.0)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"highest": self.highest, "rises": self.rises, "steps": self.steps}


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

        def count(loss: float) -> None:
            losses[:] = [loss]
            advance(1)

        how = (options, multiclass, count, depths)
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
        Changed in place.
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
    compile_inference(
        model,
        optimizer=make_optimizer(model, len(batches) * options.epochs, options, depths),
        loss=make_loss("plain", labels, multiclass=multiclass),
    )
    # What makes variables while it is traced is traced twice.
    model.optimizer.build(model.trainable_variables)
    last = epochs or options.epochs
    kept, best, weights = last, math.inf, None
    for epoch in range(1, last + 1):
        _learn(model, batches, after_batch)
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


def _learn(model: keras.Model, batches: EpochBatches, after_batch: Callable[[float], None]) -> None:
    """One step on each batch.

    Not `keras.Model.fit`: where the first two batches have one width, it refuses others, and batches of texts
    are as wide as their longest text.
    """
    for loss in _losses(model.train_on_batch, batches):
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
