"""What one encoder of a tuning learns from, and until when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Lesson:
    """What one encoder learns from.

    Parameters
    ----------
    name : str
        Of the progress bar.
    seed : int
        Of head, dropout and order; the same seed gives the same encoder on the same device.
    rows : ndarray of int
        Items to learn from.
    watched : ndarray of int, optional
        Items whose loss stops the training, where the options have patience.
    epochs : int, optional
        After which it ends, in the midst of the schedule; by default those of the options.
    """

    name: str
    seed: int
    rows: NDArray[np.int64]
    watched: NDArray[np.int64] | None = None
    epochs: int | None = None
