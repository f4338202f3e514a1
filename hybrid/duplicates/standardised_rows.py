"""Rows of which each dimension is standardised as they are read, so that not all are in memory. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hybrid.duplicates.cross_polytope import Rows

BLOCK = 4096  # rows that are read at once


class StandardisedRows:
    """Rows with each dimension standardised, and then scaled to unit length.

    Parameters
    ----------
    rows : Rows
        Of shape (n, D), float32; not changed. Rows of NaN, and rows that are the mean, are rows of NaN.
    min_spread : float, default=0.0
        Share of the greatest standard deviation of a dimension; a dimension whose own is not greater counts
        for nothing.

    Examples
    --------
    >>> rows = StandardisedRows(np.array([[1, 5], [3, 5], [np.nan, 5]], dtype=np.float32))
    >>> rows[:].tolist()
    [[-1.0, 0.0], [1.0, 0.0], [nan, nan]]
    """

    def __init__(self, rows: Rows, min_spread: float = 0.0) -> None:
        self.rows, self.shape = rows, tuple(rows.shape)
        mean, spread = _moments(rows)
        varies = spread > min_spread * spread.max(initial=0)
        self.mean = mean.astype(np.float32)
        self.scale = np.where(varies, 1 / np.where(varies, spread, 1), 0).astype(np.float32)

    def __getitem__(self, positions: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        found = (self.rows[positions] - self.mean) * self.scale
        lengths = np.sqrt(np.einsum("ij,ij->i", found, found))[:, None]
        found /= np.where(lengths > 0, lengths, np.float32(np.nan))
        return found


def _moments(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each dimension, over the rows that are not NaN.

    Chan, Golub and LeVeque, "Algorithms for computing the sample variance", The American Statistician 1983.
    """
    n, columns = rows.shape[0], rows.shape[1]
    count, mean, squares = 0, np.zeros(columns), np.zeros(columns)
    for start in range(0, n, BLOCK):
        block = rows[start : start + BLOCK]
        block = block[~np.isnan(block[:, 0])].astype(np.float64)
        if not len(block):
            continue
        own, total = block.mean(axis=0), count + len(block)
        squares += ((block - own) ** 2).sum(axis=0) + (own - mean) ** 2 * count * len(block) / total
        mean += (own - mean) * len(block) / total
        count = total
    return mean, np.sqrt(squares / max(count, 1))
