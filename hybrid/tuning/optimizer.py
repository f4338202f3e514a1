"""The optimizer of a tuning: AdamW with a rate for each variable, and the learning rate of each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from hybrid.backbones.backend import adam_step
from hybrid.text_encoders.tuned_arrays import HEAD
from hybrid.tuning.options import TuneOptions

CLIP = 1.0  # norm of the gradient
UNDECAYED = ("bias", "gamma", "beta")  # parts of names


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
        rate = self.decay(variable, number, learning_rate)
        super().update_step(gradient, variable, rate)

    def decay(self, variable: Any, number: int, learning_rate: Any) -> Any:
        """Let a variable decay; its own learning rate."""
        rate = ops.cast(learning_rate * self.factors[number], variable.dtype)
        if self.decays[number]:
            self.assign_sub(variable, variable * self.decays[number] * rate)
        return rate

    def start_again(self) -> None:
        """Forget all steps."""
        for variable in self.variables:
            variable.assign(ops.zeros_like(variable))


class FusedAdamW(LayerwiseAdamW):
    """The same for TensorFlow, where one operation goes through a variable once, not a dozen do."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """See `LayerwiseAdamW.update_step`."""
        number = self._get_variable_index(variable)
        rate = self.decay(variable, number, learning_rate)
        step = ops.cast(self.iterations + 1, variable.dtype)
        adam_step(
            variable,
            self._momentums[number],
            self._velocities[number],
            gradient,
            rate,
            [
                (beta, ops.power(ops.cast(beta, step.dtype), step))
                for beta in (self.beta_1, self.beta_2)
            ],
            self.epsilon,
        )


def make_optimizer(
    model: keras.Model, options: TuneOptions, depths: Sequence[int | None] | None = None
) -> LayerwiseAdamW:
    """AdamW in which lower layers learn more slowly, and the head faster; see `make_schedule` for its rate.

    Parameters
    ----------
    model : keras.Model
    options : TuneOptions
    depths : sequence of int or None, optional
        Of each trainable variable: how many layers its own is below the last one; None for the head. By
        default as the names of a text encoder's layers say it.
    """
    factors = [
        options.head_rate / options.learning_rate if depth is None else options.decay**depth
        for depth in (_depths(model) if depths is None else depths)
    ]
    decays = [
        0.0 if any(part in variable.name for part in UNDECAYED) else options.weight_decay
        for variable in model.trainable_variables
    ]
    kind = FusedAdamW if keras.backend.backend() == "tensorflow" else LayerwiseAdamW
    return kind(factors, decays, learning_rate=options.learning_rate, global_clipnorm=CLIP)


def make_schedule(steps: int, options: TuneOptions) -> LinearSchedule:
    """The learning rate of each step: it rises linearly, then falls linearly to 0."""
    rises = max(1, round(options.warm_up * steps))
    return LinearSchedule(options.learning_rate, rises, max(steps, rises + 1))


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
