"""Candidates for near-duplicates by cosine, by hashing; the share that it finds is known beforehand. Pure."""

from __future__ import annotations

from math import acos, ceil, log, log1p, pi, sqrt
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hybrid.duplicates.similarity import Pairs

DIRECTIONS = 128  # of a hash function
PROBES = 3  # of its strongest directions
MANY = 2_000_000  # rows, from which on a bucket has three functions
RECALL = 0.999  # expected of pairs at the threshold; of closer ones more are found
SKETCH = 128  # bits of a sketch
DEVIATIONS = 5.0  # of the distance of two sketches: 3e-7 of the pairs at the threshold differ more
SIMULATED = 30_000  # pairs, to find out how many share a bucket
CELLS = 8_000_000  # of one product: 32 MB of float32


class Rows(Protocol):
    """Rows of D numbers that are read by position: an array, or something that reads one from disk."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, D)."""

    def __getitem__(self, positions: slice | NDArray[np.int64]) -> NDArray[np.float32]: ...


class Hashing(NamedTuple):
    """What a search hashes.

    Parameters
    ----------
    tables : int
        Each finds a pair by itself, or not.
    functions : int
        Of each table.
    bits : int
        The largest distance of two sketches.
    """

    tables: int
    functions: int
    bits: int


def plan_hashing(n: int, least: float, recall: float = RECALL) -> Hashing:
    """Choose the number of tables for a recall.

    Whether two rows share a bucket depends on their cosine alone, since the directions are random: so it can
    be simulated.

    Parameters
    ----------
    n : int
        Number of rows.
    least : float
        Cosine of the pairs that are to be found, above 0 and below 1.
    recall : float, default=0.999
        Expected share of the pairs of this cosine that are found.

    Returns
    -------
    Hashing

    Examples
    --------
    >>> plan_hashing(1_000_000, 0.9)
    Hashing(tables=7, functions=2, bits=38)
    """
    functions = 2 if n < MANY else 3
    missed = 1 - simulate_recall(least, functions)
    differ = acos(least) / pi  # of the bits of a sketch
    bits = SKETCH * differ + DEVIATIONS * sqrt(SKETCH * differ * (1 - differ))
    return Hashing(ceil(log1p(-recall) / log(missed)), functions, int(bits))


def simulate_recall(cosine: float, functions: int, seed: int = 0) -> float:
    """Simulate how many pairs of rows of a cosine one table finds.

    Examples
    --------
    >>> 0.6 < simulate_recall(0.9, 2) < 0.7
    True
    """
    from hybrid.duplicates.search_loops import strongest

    random = np.random.default_rng(seed)
    one, other = random.standard_normal((2, SIMULATED, functions, DIRECTIONS), dtype=np.float32)
    other = np.float32(cosine) * one + np.float32(sqrt(1 - cosine**2)) * other
    one_codes, other_codes = strongest(one, PROBES), strongest(other, PROBES)
    there = (one_codes[:, :, :1] == other_codes).any(axis=2).all(axis=1)
    back = (other_codes[:, :, :1] == one_codes).any(axis=2).all(axis=1)
    return float((there | back).mean())


def candidate_pairs(rows: Rows, least: float, recall: float = RECALL) -> Pairs:
    """Find pairs of rows whose cosine may reach a threshold: nearly all that do, and some others.

    Cross-polytope hashing with several probes: rows are in one bucket if the same random directions are
    closest to them. Andoni, Indyk, Laarhoven, Razenshteyn and Schmidt, "Practical and optimal LSH for
    angular distance", NeurIPS 2015. Of the pairs in a bucket those stay whose signs of 128 other random
    projections are alike.

    Parameters
    ----------
    rows : Rows
        Of shape (n, D), float32. Rows of NaN or of length 0 are in no pair.
    least : float
        The threshold, above 0 and below 1.
    recall : float, default=0.999
        Expected share of the pairs at the threshold that are found.

    Returns
    -------
    ndarray of shape (m, 2), int64
        Positions, the smaller first; each pair once.

    Examples
    --------
    >>> rows = np.random.default_rng(0).standard_normal((4, 8), dtype=np.float32)
    >>> rows[3] = rows[1]
    >>> candidate_pairs(rows, 0.9).tolist()
    [[1, 3]]
    """
    from hybrid.duplicates.search_loops import pairs_by_bucket

    n = rows.shape[0]
    hashing = plan_hashing(n, least, recall)
    places, codes, sketches = _hash_rows(rows, hashing)
    found = np.empty(0, dtype=np.int64)
    for table in range(hashing.tables):
        own = np.ascontiguousarray(codes[:, table])
        keys = np.zeros(len(own), dtype=np.int64)
        for f in range(hashing.functions):
            keys = 256 * keys + own[:, f, 0]
        order = np.argsort(keys, kind="stable").astype(np.int32)
        counts = np.bincount(keys, minlength=256**hashing.functions)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        pairs = pairs_by_bucket(own, order, starts, sketches, hashing.bits)
        found = np.union1d(found, n * places[pairs[:, 0]] + places[pairs[:, 1]])
    return np.stack([found // n, found % n], axis=1)


def _hash_rows(
    rows: Rows, hashing: Hashing
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.uint64]]:
    """Positions of the rows that have a direction, their codes in each table, and their sketches."""
    from hybrid.duplicates.search_loops import strongest

    n, columns = rows.shape[0], rows.shape[1]
    count = hashing.tables * hashing.functions * DIRECTIONS
    random = np.random.default_rng(0)
    directions = random.standard_normal((columns, count + SKETCH), dtype=np.float32)
    size = max(1, CELLS // (count + SKETCH))
    places, codes, sketches = [], [], []
    for start in range(0, n, size):
        block = rows[start : start + size]
        good = np.flatnonzero(np.isfinite(block[:, 0]) & block.any(axis=1))
        products = block[good] @ directions
        places.append(start + good)
        some = products[:, :count].reshape(len(good), -1, DIRECTIONS)
        codes.append(strongest(np.ascontiguousarray(some), PROBES))
        sketches.append(np.packbits(products[:, count:] > 0, axis=1))
    shape = (-1, hashing.tables, hashing.functions, PROBES)
    words = np.concatenate(sketches).view(np.uint64)
    return np.concatenate(places), np.concatenate(codes).reshape(shape), words
