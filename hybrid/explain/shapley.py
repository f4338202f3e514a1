"""Shapley values: how the value of a whole is shared among its parts, from the values of all subsets."""

from __future__ import annotations

from math import factorial

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def shapley_values(scores: Floats) -> Floats:
    """Shapley value of each of n parts, exact (Shapley, "A value for n-person games", 1953).

    That of a part is the mean, over all orders in which the parts can be added, of what it adds to those that
    are there already. So they sum to the score of all parts less the score of none.

    Parameters
    ----------
    scores : ndarray of shape (2 ** n, ...)
        Score of each subset: part i is in subset s where bit i of s is set.

    Returns
    -------
    ndarray of shape (n, ...), float64

    Examples
    --------
    Without any part 1, with the first 3, with the second 2, with both 6:

    >>> shapley_values(np.array([1.0, 3.0, 2.0, 6.0])).tolist()
    [3.0, 2.0]
    """
    scores = np.asarray(scores, dtype=np.float64)
    subsets, n = np.arange(len(scores)), len(scores).bit_length() - 1
    sizes = (subsets[:, None] >> np.arange(n) & 1).sum(axis=1)
    weights = np.array([factorial(k) * factorial(n - 1 - k) / factorial(n) for k in range(n)])
    found = np.empty((n, *scores.shape[1:]))
    for part in range(n):
        without = subsets[subsets >> part & 1 == 0]
        gains = scores[without | 1 << part] - scores[without]
        found[part] = np.tensordot(weights[sizes[without]], gains, axes=1)
    return found
