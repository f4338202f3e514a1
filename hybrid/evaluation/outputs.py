"""What a model says of some items, and whether it can be judged by these labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid.errors import SettingError

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Outputs:
    """What one model says of n items and L genres.

    Parameters
    ----------
    labels : ndarray of shape (n, L)
        1 where the label is predicted.
    scores : ndarray of shape (n, L)
        Higher is more likely; NaN ranks last.
    """

    labels: Labels
    scores: Floats


def check(truth: ArrayLike, models: Sequence[Outputs], draws: int = 1) -> Labels:
    """The truth as 0 and 1, once it is sure that everything has its shape.

    Raises
    ------
    SettingError
        If shapes differ, there is no item, or `draws` is below 1.
    """
    if draws < 1:
        raise SettingError(f"draws: expected 1 or more, found {draws}.")
    matrix = np.asarray(truth)
    shapes = [matrix.shape, *(m.labels.shape for m in models), *(m.scores.shape for m in models)]
    if matrix.ndim != 2 or len(set(shapes)) != 1 or not len(matrix):
        raise SettingError(
            f"expected truth, labels and scores of one shape (items, genres), found {shapes}."
        )
    return (matrix != 0).astype(np.uint8)


def stack(first: Outputs, second: Outputs) -> Outputs:
    """The outputs of two models, one below the other."""
    return Outputs(
        np.concatenate([first.labels, second.labels]), np.concatenate([first.scores, second.scores])
    )
