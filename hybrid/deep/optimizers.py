"""Optimizers and learning rate schedules of a stage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras

from hybrid.deep.options import SCHEDULES, DeepOptions
from hybrid.deep.registry import Stage
from hybrid.errors import unknown_name

OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "nadam": keras.optimizers.Nadam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}
PLATEAU_FACTOR = 0.2
PLATEAU_PATIENCE = 3


def make_optimizer(
    stage: Stage, options: DeepOptions, pieces: int = 1
) -> keras.optimizers.Optimizer:
    """Make the optimizer of a stage.

    Weight decay is decoupled from the gradient (Loshchilov and Hutter, "Decoupled Weight Decay
    Regularization", 2019, arXiv:1711.05101).

    Parameters
    ----------
    stage : Stage
    options : DeepOptions
        For weight decay and gradient accumulation.
    pieces : int, default=1
        Number of pieces that each batch is computed in.

    Examples
    --------
    >>> optimizer = make_optimizer(Stage("top", "head", "adam", 1e-3), DeepOptions(accumulate=2))
    >>> optimizer.gradient_accumulation_steps
    2
    """
    accumulate = options.accumulate * pieces
    settings = {"momentum": stage.momentum} if stage.optimizer == "sgd" else {}
    return OPTIMIZERS[stage.optimizer](
        learning_rate=stage.learning_rate,
        weight_decay=options.weight_decay or None,
        gradient_accumulation_steps=accumulate if accumulate > 1 else None,
        **settings,
    )


def make_schedule(
    stage: Stage, options: DeepOptions, losses: Sequence[float] = ()
) -> list[keras.callbacks.Callback]:
    """Make the callbacks that change the learning rate between epochs.

    ``"constant"`` needs none. ``"cosine"`` sets rate * (1 + cos(pi * epoch / epochs)) / 2, with epochs
    counted from 0 (Loshchilov and Hutter, "SGDR", 2017, arXiv:1608.03983, one period). ``"plateau"``
    multiplies the rate by 0.2 each time that 3 epochs in a row have not lowered the validation loss.

    Parameters
    ----------
    stage : Stage
    options : DeepOptions
    losses : sequence of float, default=()
        Validation losses of the stage's earlier epochs, if its training is resumed.

    Examples
    --------
    >>> (cosine,) = make_schedule(Stage("top", "head", "sgd", 0.2), DeepOptions(schedule="cosine", epochs=4))
    >>> [round(cosine.schedule(epoch, None), 3) for epoch in range(4)]
    [0.2, 0.171, 0.1, 0.029]
    """
    rate, epochs = stage.learning_rate, options.epochs
    if options.schedule == "constant":
        return []
    if options.schedule == "cosine":
        return [
            keras.callbacks.LearningRateScheduler(
                lambda epoch, _: rate * (1.0 + math.cos(math.pi * epoch / epochs)) / 2.0
            )
        ]
    if options.schedule == "plateau":
        return [ReduceLROnPlateau(rate, losses)]
    raise unknown_name("schedule", options.schedule, SCHEDULES)


class ReduceLROnPlateau(keras.callbacks.ReduceLROnPlateau):
    """`keras.callbacks.ReduceLROnPlateau` that can be resumed: it first replays the earlier epochs.

    Parameters
    ----------
    rate : float
        Learning rate of the first epoch.
    losses : sequence of float, default=()
        Validation losses of the earlier epochs.
    """

    def __init__(self, rate: float, losses: Sequence[float] = ()) -> None:
        super().__init__(
            "val_mean_loss", PLATEAU_FACTOR, PLATEAU_PATIENCE, mode="min", min_delta=0.0
        )
        self.rate, self.losses = rate, list(losses)

    def on_train_begin(self, logs: Any = None) -> None:
        """Replay the earlier epochs."""
        super().on_train_begin(logs)
        self.model.optimizer.learning_rate = self.rate
        for epoch, loss in enumerate(self.losses):
            self.on_epoch_end(epoch, {"val_mean_loss": loss})
