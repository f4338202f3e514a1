"""Outputs of a model on some items: labels and scores, and the check of their shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid.errors import SettingError
from hybrid.types import MAX_DRAWS
from hybrid.utils.unknown_labels import read_labels

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Outputs:
    """Labels and scores that one model gives n items and L genres.

    Parameters
    ----------
    labels : ndarray of shape (n, L)
        1 where the label is predicted.
    scores : ndarray of shape (n, L)
        Higher is more likely; NaN ranks last.

    Examples
    --------
    >>> scores = np.array([[0.9, 0.2], [0.4, 0.7]])
    >>> Outputs((scores > 0.5).astype(np.uint8), scores).labels.tolist()
    [[1, 0], [0, 1]]
    """

    labels: Labels
    scores: Floats


def check(truth: ArrayLike, models: Sequence[Outputs], draws: int = 1) -> Labels:
    """Check that truth and outputs have one shape; return the truth as 0 and 1, masked where it is unknown.

    Raises
    ------
    SettingError
        If shapes differ, there is no item, or `draws` is below 1 or above `MAX_DRAWS`.
    """
    if not 1 <= draws <= MAX_DRAWS:
        raise SettingError(f"draws: expected 1 to {MAX_DRAWS:,}, found {draws:,}.")
    matrix = read_labels(truth)
    shapes = [matrix.shape, *(m.labels.shape for m in models), *(m.scores.shape for m in models)]
    if matrix.ndim != 2 or len(set(shapes)) != 1 or not len(matrix):
        raise SettingError(
            f"expected truth, labels and scores of one shape (items, genres), found {shapes}."
        )
    return (matrix != 0).astype(np.uint8)


def twice(truth: Labels) -> Labels:
    """The truth of the same items twice, as `stack` has two models' outputs of them."""
    if isinstance(truth, np.ma.MaskedArray):
        return np.ma.concatenate([truth, truth])  # type: ignore[no-untyped-call]
    return np.concatenate([truth, truth])


def stack(first: Outputs, second: Outputs) -> Outputs:
    """Concatenate the outputs of two models along the items."""
    return Outputs(
        np.concatenate([first.labels, second.labels]), np.concatenate([first.scores, second.scores])
    )
