"""Optimisers, and how the learning rate changes from epoch to epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence

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
FACTOR = 0.2  # what a plateau multiplies the learning rate with
WAIT = 3  # epochs without a lower validation loss that make a plateau


def make_optimizer(
    stage: Stage, options: DeepOptions, pieces: int = 1
) -> keras.optimizers.Optimizer:
    """The optimiser of a stage, for batches that are computed in so many pieces.

    Weight decay is decoupled from the gradient (Loshchilov and Hutter, "Decoupled Weight Decay
    Regularization", 2019, arXiv:1711.05101).
    """
    accumulate = options.accumulate * pieces
    settings = {"momentum": stage.momentum} if stage.optimizer == "sgd" else {}
    return OPTIMIZERS[stage.optimizer](
        learning_rate=stage.learning_rate,
        weight_decay=options.weight_decay or None,
        gradient_accumulation_steps=accumulate if accumulate > 1 else None,
        **settings,
    )


def learning_rate(schedule: str, first: float, epochs: int, losses: Sequence[float]) -> float:
    """The learning rate of the next epoch.

    Parameters
    ----------
    schedule : str
        ``"constant"``. ``"cosine"``: first x (1 + cos(pi e / epochs)) / 2 in epoch e, counted from 0
        (Loshchilov and Hutter, "SGDR", 2017, arXiv:1608.03983, one period). ``"plateau"``: times 0.2
        each time that 3 epochs in a row have not lowered the validation loss.
    first : float
        Of the first epoch.
    epochs : int
        At most.
    losses : sequence of float
        Validation losses of the stage's epochs so far.
    """
    if schedule == "constant":
        return first
    if schedule == "cosine":
        return first * (1.0 + math.cos(math.pi * len(losses) / epochs)) / 2.0
    if schedule == "plateau":
        return first * FACTOR ** _plateaus(losses)
    raise unknown_name("schedule", schedule, SCHEDULES)


def _plateaus(losses: Sequence[float]) -> int:
    best, waited, found = math.inf, 0, 0
    for loss in losses:
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited == WAIT:
            found, waited = found + 1, 0
    return found
