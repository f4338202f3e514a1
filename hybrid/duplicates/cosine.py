"""Near-duplicate search by cosine: exact for few rows; of many, candidates by hashing are compared. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid.duplicates.cross_polytope import Rows, candidate_pairs
from hybrid.duplicates.similarity import Pairs
from hybrid.utils.counts import counted

FEW = 20_000  # rows, up to which all pairs are compared
CHUNK_CELLS = 8_000_000  # of one product: 32 MB of float32
# Directions of the projection that goes before the exact comparison: enough even where each of 2,048
# dimensions has the same variance.
PROJECTED = 256
SAMPLE = 1000  # rows that the directions are found on, or that a recall is measured on
POWER_ITERATIONS = 3
MAX_CANDIDATES = 0.01  # share of the pairs; where the projection leaves more, it does not pay
ROUNDING = 1e-4  # of float32 products


class Recall(NamedTuple):
    """How many of the near-duplicates of a sample of rows a search has found.

    Parameters
    ----------
    found, pairs, rows : int
        Pairs that were found, all pairs, and the rows of the sample.

    Examples
    --------
    >>> print(Recall(found=37, pairs=38, rows=1000))
    not all pairs were compared; found 37 of 38 near-duplicates of 1,000 sampled ones
    """

    found: int
    pairs: int
    rows: int

    def __str__(self) -> str:
        return (
            f"not all pairs were compared; found {self.found:,} of "
            f"{counted(self.pairs, 'near-duplicate')} of {counted(self.rows, 'sampled one')}"
        )


class Neighbours(NamedTuple):
    """Pairs of near-duplicates, and how complete they are.

    Parameters
    ----------
    pairs : ndarray of shape (m, 2), int64
        Positions, the smaller first.
    recall : Recall or None
        None where all pairs were compared.
    """

    pairs: Pairs
    recall: Recall | None

    @property
    def note(self) -> str:
        """How complete the search was; ``""`` where all pairs were compared."""
        return "" if self.recall is None else str(self.recall)


def search_by_cosine(rows: Rows, least: float) -> Neighbours:
    """Find pairs of rows whose cosine similarity reaches a threshold, and measure how many are missed.

    Up to 20,000 rows the search is exact: a random projection, refined by power iterations, only leaves out
    pairs whose similarity is bounded below the threshold (Cauchy-Schwarz). Of more rows, 99.9 % of the pairs
    at the threshold, and more of closer ones, are expected to be found; see `candidate_pairs`. What is found
    reaches the threshold either way.

    Parameters
    ----------
    rows : Rows
        Of shape (n, D), float32: an array, or what reads one. Rows of length 1; of other rows it is the inner
        product that is compared. Rows of NaN are in no pair.
    least : float
        The threshold, above 0 and below 1.

    Returns
    -------
    Neighbours
        Without a recall, where all pairs were compared.

    Examples
    --------
    >>> vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], dtype=np.float32)
    >>> found = search_by_cosine(vectors, 0.7)
    >>> found.pairs.tolist(), found.note
    ([[0, 1]], '')
    """
    if rows.shape[0] <= FEW:
        return Neighbours(_compare_all(rows[:], least), None)
    pairs = candidate_pairs(rows, least)
    pairs = pairs[_products(rows, pairs) >= least]
    return Neighbours(pairs, measure_recall(rows, pairs, least))


def measure_recall(rows: Rows, pairs: Pairs, least: float, seed: int = 0) -> Recall:
    """Compare some rows with all others, to see how many of their near-duplicates a search has found.

    Parameters
    ----------
    rows : Rows
        As for `search_by_cosine`.
    pairs : ndarray of shape (m, 2), int64
        What it found.
    least : float
        The threshold.
    seed : int, default=0
        Of the sample.

    Returns
    -------
    Recall

    Examples
    --------
    >>> rows = np.array([[1, 0], [0.8, 0.6], [0, 1]], dtype=np.float32)
    >>> measure_recall(rows, np.array([[0, 1]]), 0.5)
    Recall(found=1, pairs=2, rows=3)
    """
    n = rows.shape[0]
    random = np.random.default_rng(seed)
    sample = np.sort(random.choice(n, min(SAMPLE, n), replace=False))
    some, size = rows[sample], max(1, CHUNK_CELLS // max(len(sample), 1))
    true = []
    for start in range(0, n, size):
        which, other = np.nonzero(some @ rows[start : start + size].T >= least)
        true.append(np.stack([sample[which], start + other], axis=1))
    near = np.sort(np.concatenate(true), axis=1)
    near = near[near[:, 0] < near[:, 1]]
    wanted = np.unique(near[:, 0] * n + near[:, 1])
    found = np.isin(wanted, pairs[:, 0] * n + pairs[:, 1])
    return Recall(int(found.sum()), len(wanted), len(sample))


def _compare_all(vectors: NDArray[np.float32], least: float) -> Pairs:
    """All pairs chunk by chunk, so that memory stays flat."""
    known = np.flatnonzero(~np.isnan(vectors[:, :1]).any(axis=1))
    rows = vectors if len(known) == len(vectors) else vectors[known]
    projected = _project(rows, least)
    size, found = max(1, CHUNK_CELLS // max(len(rows), 1)), [np.empty((0, 2), dtype=np.int64)]
    for start in range(0, len(rows), size):
        close = projected[start : start + size] @ projected[start:].T >= least - ROUNDING
        i, j = np.nonzero(close)
        upper = j > i
        pairs = np.stack([start + i[upper], start + j[upper]], axis=1)
        found.append(known[pairs[_products(rows, pairs) >= least]])
    return np.concatenate(found)


def _project(rows: NDArray[np.float32], least: float) -> NDArray[np.float32]:
    """Project rows so that no product becomes smaller; the rows themselves where that would not pay.

    A row becomes its projection on a few directions, and the length of the residual: by Cauchy-Schwarz
    the residuals of two rows add no more to their product than the product of their lengths.
    """
    n, columns = rows.shape
    if columns <= 2 * PROJECTED or n <= SAMPLE:
        return rows
    random = np.random.default_rng(0)
    sample = rows[random.choice(n, SAMPLE, replace=False)]
    directions = random.standard_normal((columns, PROJECTED), dtype=np.float32)
    for _ in range(POWER_ITERATIONS):  # towards the first principal directions; any are right
        directions = np.linalg.qr(sample.T @ (sample @ directions))[0]
    parts = rows @ directions
    residual = np.einsum("ij,ij->i", rows, rows) - np.einsum("ij,ij->i", parts, parts)
    projected = np.column_stack([parts, np.sqrt(np.maximum(residual, 0))])
    candidates = projected[:SAMPLE] @ projected[-SAMPLE:].T >= least - ROUNDING
    return projected if candidates.mean() < MAX_CANDIDATES else rows


def _products(rows: Rows, pairs: Pairs) -> NDArray[np.float32]:
    """Inner product of each pair of rows."""
    size = max(1, CHUNK_CELLS // max(4 * rows.shape[1], 1))
    parts = [
        np.einsum("ij,ij->i", rows[some[:, 0]], rows[some[:, 1]])
        for some in (pairs[at : at + size] for at in range(0, len(pairs), size))
    ]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)
