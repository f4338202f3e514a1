"""Compiled loop of `hybrid.evaluation.ranking`, imported only when needed: numba is slow to load."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hybrid.evaluation.outputs import Floats
from hybrid.utils.jit import jit


@jit()
def average_precision(
    order: NDArray[np.int64],
    real: NDArray[np.bool_],
    ends: NDArray[np.bool_],
    weights: NDArray[np.uint8],
) -> Floats:
    """Weighted average precision of one ranking, for weights of shape (n, B): shape (B,)."""
    draws = weights.shape[1]
    said = np.zeros(draws, np.int32)
    hits = np.zeros(draws, np.int32)
    before = np.zeros(draws, np.int32)
    area = np.zeros(draws, np.float64)
    found = False
    for i in range(len(order)):
        row = weights[order[i]]
        for b in range(draws):
            said[b] += row[b]
        if real[i]:
            found = True
            for b in range(draws):
                hits[b] += row[b]
        if ends[i] and found:
            found = False
            for b in range(draws):
                # Where nothing was said so far there is no step either.
                area[b] += (hits[b] - before[b]) * np.float64(hits[b]) / max(said[b], 1)
                before[b] = hits[b]
    for b in range(draws):
        area[b] = area[b] / hits[b] if hits[b] > 0 else np.nan
    return area
