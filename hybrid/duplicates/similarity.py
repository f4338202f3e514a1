"""Which of n things are alike: equal values, close vectors, texts that share their words. Pure.

All answers are groups of positions, or pairs. Comparing all with all is done chunk by chunk, so that
memory stays flat.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Pairs = NDArray[np.int64]
Groups = list[tuple[int, ...]]

CHUNK_CELLS = 8_000_000  # of one product: 32 MB of float32
# Numbers that tell most vectors apart, even where each of 2,048 tells as much as any other.
SHORT = 256
SAMPLE = 1000  # rows
POWERS = 3
WORTH = 0.01  # of the pairs that are still to be looked at
ROUNDING = 1e-4
SHINGLE = 3  # words
COMMON = 100  # texts; a run of words that more of them share tells nothing


def group_equal(values: Iterable[Hashable | None]) -> Groups:
    """Groups of two and more positions with the same value; None is like nothing."""
    found: dict[Hashable, list[int]] = {}
    for i, value in enumerate(values):
        if value is not None:
            found.setdefault(value, []).append(i)
    return [tuple(group) for group in found.values() if len(group) > 1]


def connected_components(n: int, groups: Iterable[Sequence[int]]) -> NDArray[np.int64]:
    """The component of each of n things, where all of one group belong together, and so on.

    Returns
    -------
    ndarray of shape (n,), int64
        The smallest position in its component.
    """
    links = [(group[0], other) for group in groups for other in group[1:]]
    first, second = np.array(links, dtype=np.int64).reshape(-1, 2).T
    graph = sp.coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(n, n))
    count, member = sp.csgraph.connected_components(graph, directed=False)
    smallest = np.full(count, n, dtype=np.int64)
    np.minimum.at(smallest, member, np.arange(n))
    return smallest[member]


def near_duplicates_by_cosine(vectors: NDArray[np.float32], least: float) -> Pairs:
    """All pairs of rows whose product is at least `least`: of rows of length 1, the cosine.

    Parameters
    ----------
    vectors : ndarray of shape (n, D), float32
        Rows of NaN are like nothing.
    least : float

    Returns
    -------
    ndarray of shape (m, 2), int64
        Positions, the smaller first.
    """
    known = np.flatnonzero(~np.isnan(vectors[:, :1]).any(axis=1))
    rows = vectors if len(known) == len(vectors) else vectors[known]
    short = _shorten(rows, least)
    size, found = max(1, CHUNK_CELLS // max(len(rows), 1)), [np.empty((0, 2), dtype=np.int64)]
    for start in range(0, len(rows), size):
        close = short[start : start + size] @ short[start:].T >= least - ROUNDING
        i, j = np.nonzero(close)
        upper = j > i
        i, j = start + i[upper], start + j[upper]
        close = _products(rows, i, j) >= least
        found.append(np.stack([known[i[close]], known[j[close]]], axis=1))
    return np.concatenate(found)


def _shorten(rows: NDArray[np.float32], least: float) -> NDArray[np.float32]:
    """Rows of fewer numbers whose products are nowhere less, or the rows where that would not help.

    Each row is its projection on a few directions, and the length of the rest: by Cauchy and Schwarz the
    rests of two rows add no more to their product than their lengths multiplied.
    """
    n, columns = rows.shape
    if columns <= 2 * SHORT or n <= SAMPLE:
        return rows
    random = np.random.default_rng(0)
    some = rows[random.choice(n, SAMPLE, replace=False)]
    directions = random.standard_normal((columns, SHORT), dtype=np.float32)
    for _ in range(POWERS):  # towards those along which rows are longest; any would do
        directions = np.linalg.qr(some.T @ (some @ directions))[0]
    parts = rows @ directions
    rest = np.einsum("ij,ij->i", rows, rows) - np.einsum("ij,ij->i", parts, parts)
    short = np.column_stack([parts, np.sqrt(np.maximum(rest, 0))])
    close = short[:SAMPLE] @ short[-SAMPLE:].T >= least - ROUNDING
    return short if close.mean() < WORTH else rows


def _products(
    rows: NDArray[np.float32], i: NDArray[np.int64], j: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The product of each pair of rows."""
    size = max(1, CHUNK_CELLS // max(4 * rows.shape[1], 1))
    parts = [
        np.einsum("ij,ij->i", rows[i[at : at + size]], rows[j[at : at + size]])
        for at in range(0, len(i), size)
    ]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)


def near_duplicates_by_hamming(codes: Sequence[bytes | None], bits: int) -> Pairs:
    """All pairs of codes of one length that differ in at most `bits` bits; None is like nothing.

    Equal codes are compared as one: each is paired with the first of them.

    Returns
    -------
    ndarray of shape (m, 2), int64
    """
    first: dict[bytes, int] = {}
    twins = [
        (first[code], i)
        for i, code in enumerate(codes)
        if code is not None and first.setdefault(code, i) != i
    ]
    if not first:
        return np.empty((0, 2), dtype=np.int64)
    raw = np.frombuffer(b"".join(first), dtype=np.uint8).reshape(len(first), -1)
    signs = np.unpackbits(raw, axis=1).astype(np.float32) * 2 - 1
    length = signs.shape[1]
    # Of vectors of signs, the product is the length less twice the bits that differ.
    pairs = near_duplicates_by_cosine(signs, length - 2 * bits)
    places = np.fromiter(first.values(), dtype=np.int64)
    return np.concatenate([np.array(twins, dtype=np.int64).reshape(-1, 2), places[pairs]])


def tokenize(text: str) -> list[str]:
    """The words of a text, in small letters, without marks."""
    return re.findall(r"\w+", text.casefold())


def near_duplicates_by_jaccard(texts: Sequence[str | None], jaccard: float) -> Pairs:
    """All pairs of texts that share most runs of three words; None is like nothing.

    Parameters
    ----------
    texts : sequence of n str or None
        All different, as `tokenize` reads them: equal ones are for `group_equal`.
    jaccard : float
        Runs in both, as a share of those in either. Runs in more than 100 of the texts are left out.

    Returns
    -------
    ndarray of shape (m, 2), int64
    """
    runs = _shingles(texts)
    held = np.asarray(runs.sum(axis=1)).ravel()
    turned = runs.T.tocsr()
    found, size = [np.empty((0, 2), dtype=np.int64)], 2000
    for start in range(0, runs.shape[0], size):
        both = (runs[start : start + size] @ turned).tocoo()
        i, j = both.row.astype(np.int64) + start, both.col.astype(np.int64)
        either = held[i] + held[j] - both.data
        close = (j > i) & (both.data >= jaccard * either)
        found.append(np.stack([i[close], j[close]], axis=1))
    return np.concatenate(found)


def _shingles(texts: Sequence[str | None]) -> Any:
    """Which text has which run of words: sparse, shape (n, runs), of 1."""
    known: dict[tuple[str, ...], int] = {}
    columns: list[int] = []
    ends = [0]
    for text in texts:
        said = tokenize(text or "")
        runs = {tuple(said[i : i + SHINGLE]) for i in range(len(said) - SHINGLE + 1)}
        columns += [known.setdefault(run, len(known)) for run in runs]
        ends.append(len(columns))
    shape = (len(texts), len(known))
    matrix = sp.csr_array((np.ones(len(columns), dtype=np.int32), columns, ends), shape=shape)
    common = np.bincount(columns, minlength=shape[1]) > COMMON
    return matrix[:, np.flatnonzero(~common)].tocsr()
