"""The compiled loop that standardises embeddings of rows on disk; imported when one is read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.utils.jit import jit

Array = NDArray[Any]


@jit(fastmath={"contract", "reassoc", "nsz"})
def standardise(
    embeddings: Array, mean: Array, scale: Array, unit_length: bool, out: Array
) -> None:
    """Standardise and scale rows, and set the indicator column, in one look at them.

    Parameters
    ----------
    embeddings : ndarray of shape (m, D), float32
        Rows that begin with NaN are missing.
    mean, scale : ndarray of shape (D,), float32
    unit_length : bool
        Scale each row to unit length; else all by the root of D.
    out : ndarray of shape (m, D + 1), float32
        Written to; the last column is 1 where a row is missing, and the others are 0 there.
    """
    width = len(mean)
    usual = np.float32(np.sqrt(width))
    for i in range(len(embeddings)):
        row, x = out[i], embeddings[i]
        if np.isnan(x[0]):
            row[:] = 0
            row[width] = 1
            continue
        total = np.float32(0)
        for j in range(width):
            value = (x[j] - mean[j]) / scale[j]
            row[j] = value
            total += value * value
        length = usual
        if unit_length:
            length = np.sqrt(total) if total > 0 else np.float32(1)
        for j in range(width):
            row[j] /= length
        row[width] = 0
