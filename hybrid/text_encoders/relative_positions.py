"""The bias of the attention by relative position, as MPNet and T5 have it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FARTHEST = 128  # positions from which on all are in the last bucket


def relative_bias(table: NDArray[np.float32], positions: int) -> NDArray[np.float32]:
    """The bias of each pair of positions.

    Half of the buckets are for keys before the query, half for those after it; in each half the first half
    are single distances, the others grow logarithmically up to a distance of 128 (Raffel et al. 2020,
    "Exploring the limits of transfer learning with a unified text-to-text transformer", section 2.1).

    Parameters
    ----------
    table : ndarray of shape (buckets, heads), float32
    positions : int

    Returns
    -------
    ndarray of shape (heads, positions, positions), float32
        Head, query, key.

    Examples
    --------
    >>> bias = relative_bias(np.arange(32, dtype=np.float32)[:, None], 200)
    >>> bias[0, 0, :4].tolist(), bias[0, :3, 0].tolist(), float(bias[0, 0, 199])
    ([0.0, 17.0, 18.0, 19.0], [0.0, 1.0, 2.0], 31.0)
    """
    buckets = len(table) // 2
    exact = buckets // 2
    distance = np.arange(positions)[None, :] - np.arange(positions)[:, None]
    far = np.maximum(np.abs(distance), 1)
    growth = np.log(far.astype(np.float32) / exact) / np.log(FARTHEST / exact) * (buckets - exact)
    large = np.minimum(exact + growth.astype(np.int64), buckets - 1)
    bucket = np.where(np.abs(distance) < exact, np.abs(distance), large)
    bucket += np.where(distance > 0, buckets, 0)
    return np.ascontiguousarray(table[bucket].transpose(2, 0, 1))
