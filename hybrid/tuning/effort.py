"""What a tuning is estimated to take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """What a tuning is estimated to take.

    Parameters
    ----------
    seconds : float
        Of the layers that do not learn, for all items.
    step : float
        Seconds of a training step.
    parameters, stored : int
        That learn, in each encoder; and that its file holds.
    state_bytes : int
        Of what the layers that do not learn compute.
    on_disk : bool
        Whether these are in a file.
    base_bytes : int
        Of the encoder that it starts from.
    """

    seconds: float
    step: float
    parameters: int
    stored: int
    state_bytes: int
    on_disk: bool
    base_bytes: int
