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
from hybrid.tuning.batches import States, TrainingBatches
from hybrid.tuning.options import TuneOptions
from hybrid.utils.unknown_labels import as_codes, known_mean

LEAST = 1e-3  # a share of positive items from which the bias of a label starts
CLIP = 1.0  # norm of the gradient


class EpochBatches(Protocol):
    """Batches of inputs and labels that can be shuffled."""

    def __len__(self) -> int:
        """Return the number of batches."""

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """Iterate over the batches of an epoch."""

    def shuffle(self) -> None:
        """Draw the order of the next epoch."""


class LayerwiseAdamW(keras.optimizers.AdamW):
    """AdamW with a factor of the learning rate for each variable.

    Parameters
    ----------
    factors : sequence of float
        One for each trainable variable, in the order of the model.
    **settings
        See `keras.optimizers.AdamW`.
    """

    def __init__(self, factors: Sequence[float], **settings: Any) -> None:
        super().__init__(**settings)
        self.factors = list(factors)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One step of one variable."""
        factor = self.factors[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * factor)


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
    optimizer = LayerwiseAdamW(
        factors,
        learning_rate=schedule,
        weight_decay=options.weight_decay,
        global_clipnorm=CLIP,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


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


def train(
    model: keras.Model,
    states: States,
    labels: NDArray[np.uint8],
    texts: NDArray[np.int64],
    options: TuneOptions,
    seed: int,
    multiclass: bool = False,
    after_batch: Callable[[float], None] = lambda loss: None,
) -> None:
    """Train an encoder with a head.

    Parameters
    ----------
    model : keras.Model
        As `add_head` makes it; changed in place.
    states : States
        Of n texts.
    labels : ndarray of shape (n, L), uint8
        Cells that are masked in a masked array are left out of the loss.
    texts : ndarray of int
        Those to learn from.
    options : TuneOptions
    seed : int
        Of the order of the items.
    multiclass : bool, default=False
        One label an item: softmax, not a sigmoid for each label.
    after_batch : callable
        Called with the mean loss of the epoch so far.

    Raises
    ------
    TrainingError
        If the loss is not finite.
    """
    batches = TrainingBatches(states, as_codes(labels), texts, options.batch_size, seed)
    train_on(model, batches, labels, options, multiclass, after_batch)


def train_on(
    model: keras.Model,
    batches: EpochBatches,
    labels: NDArray[np.uint8],
    options: TuneOptions,
    multiclass: bool = False,
    after_batch: Callable[[float], None] = lambda loss: None,
    depths: Sequence[int | None] | None = None,
) -> None:
    """Train an encoder with a head on batches, which are shuffled after each epoch.

    Parameters
    ----------
    model : keras.Model
        Changed in place.
    batches : EpochBatches
    labels : ndarray of shape (n, L), uint8
        Of all items, which make the loss.
    options : TuneOptions
    multiclass, after_batch
        As for `train`.
    depths : sequence of int or None, optional
        See `make_optimizer`.

    Raises
    ------
    TrainingError
        If the loss is not finite.
    """
    steps = len(batches) * options.epochs
    compile_inference(
        model,
        optimizer=make_optimizer(model, steps, options, depths),
        loss=make_loss("plain", labels, multiclass=multiclass),
    )

    # Not `fit`: on TensorFlow it takes the shapes of all batches from the first two, and widths differ.
    with run_keras():
        for _ in range(options.epochs):
            model.reset_metrics()
            for inputs, codes in batches:
                loss = float(model.train_on_batch(inputs, codes, return_dict=True)["loss"])
                if not math.isfinite(loss):
                    raise TrainingError(
                        f"expected a finite loss, found {loss}. Lower --learning-rate, or choose --precision "
                        "float32."
                    )
                after_batch(loss)
            batches.shuffle()
