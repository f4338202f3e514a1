"""Compiled loop of `hybrid.heads.thresholds`, imported only when needed: numba is slow to load."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hybrid.utils.jit import jit

Floats = NDArray[np.float64]


@jit()
def best_f1_cuts(
    weights: Floats,
    item: NDArray[np.int64],
    real: Floats,
    ends: NDArray[np.bool_],
    positives: Floats,
) -> NDArray[np.int64]:
    """Number of the cut with the best F1, the first of equals, for each row of weights (B, n): shape (B,).

    `item`, `real` and `ends` are of the ranked scores: whose each is, what is true of it, and whether a
    cut may fall behind it. `positives` of shape (B,) are the weights of all that have the label.
    """
    found = np.zeros(len(weights), np.int64)
    for b in range(len(weights)):
        row, hits, said, best, cut = weights[b], 0.0, 0.0, -1.0, 0
        for i in range(len(item)):
            drawn = row[item[i]]
            said += drawn
            hits += drawn * real[i]
            if ends[i]:
                below = said + positives[b]
                f1 = 2 * hits / below if below > 0 else 0.0
                if f1 > best:
                    best = f1
                    found[b] = cut
                cut += 1
    return found
