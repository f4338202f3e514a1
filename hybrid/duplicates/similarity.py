"""Near-duplicate search: exact, by cosine, Hamming and Jaccard similarity, and connected components.

Pure: arrays and strings in, groups or pairs of positions out. All pairs are compared chunk by chunk, so
that memory stays flat; results are exact, not approximate.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from hybrid.utils.scripts import has_unspaced_script, split_words, strip_points, unify_letters

Pairs = NDArray[np.int64]
Groups = list[tuple[int, ...]]

CHUNK_CELLS = 8_000_000  # of one product: 32 MB of float32
# Directions of the projection that goes before the exact comparison: enough even where each of 2,048
# dimensions has the same variance.
PROJECTED = 256
SAMPLE = 1000  # rows that the directions are found on
POWER_ITERATIONS = 3
MAX_CANDIDATES = 0.01  # share of the pairs; where the projection leaves more, it does not pay
ROUNDING = 1e-4  # of float32 products
SHINGLE = 3  # words
CHARACTER_SHINGLE = 4  # characters of a script without spaces between words
MAX_TEXTS = 100  # a shingle that more texts share says nothing about any two of them


def group_equal(values: Iterable[Hashable | None]) -> Groups:
    """Group the positions of equal values.

    Parameters
    ----------
    values : iterable of hashable or None
        None equals nothing.

    Returns
    -------
    list of tuple of int
        Positions, ascending; groups of two or more, by their first position.

    Examples
    --------
    >>> group_equal(["a", None, "b", "a", None])
    [(0, 3)]
    """
    found: dict[Hashable, list[int]] = {}
    for i, value in enumerate(values):
        if value is not None:
            found.setdefault(value, []).append(i)
    return [tuple(group) for group in found.values() if len(group) > 1]


def connected_components(n: int, groups: Iterable[Sequence[int]]) -> NDArray[np.int64]:
    """Find the connected components of n items, where the items of a group are connected.

    Parameters
    ----------
    n : int
        Number of items.
    groups : iterable of sequence of int
        Positions, from 0 to ``n - 1``; a pair is a group, too.

    Returns
    -------
    ndarray of shape (n,), int64
        The component of each item: the smallest position in it.

    Examples
    --------
    >>> connected_components(5, [(0, 3), (3, 4)]).tolist()
    [0, 1, 2, 0, 0]
    """
    links = [(group[0], other) for group in groups for other in group[1:]]
    first, second = np.array(links, dtype=np.int64).reshape(-1, 2).T
    graph = sp.coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(n, n))
    count, member = sp.csgraph.connected_components(graph, directed=False)
    smallest = np.full(count, n, dtype=np.int64)
    np.minimum.at(smallest, member, np.arange(n))
    return smallest[member]


def near_duplicates_by_cosine(vectors: NDArray[np.float32], least: float) -> Pairs:
    """Find all pairs of vectors whose cosine similarity reaches a threshold.

    The search is exact: a random projection, refined by power iterations, only leaves out pairs whose
    similarity is bounded below the threshold (Cauchy-Schwarz).

    Parameters
    ----------
    vectors : ndarray of shape (n, D), float32
        Rows of length 1; of other rows it is the inner product that is compared. Rows of NaN are in no
        pair.
    least : float
        The threshold, from -1 to 1.

    Returns
    -------
    ndarray of shape (m, 2), int64
        Positions, the smaller first.

    Examples
    --------
    >>> vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], dtype=np.float32)
    >>> near_duplicates_by_cosine(vectors, 0.7).tolist()
    [[0, 1]]
    """
    known = np.flatnonzero(~np.isnan(vectors[:, :1]).any(axis=1))
    rows = vectors if len(known) == len(vectors) else vectors[known]
    projected = _project(rows, least)
    size, found = max(1, CHUNK_CELLS // max(len(rows), 1)), [np.empty((0, 2), dtype=np.int64)]
    for start in range(0, len(rows), size):
        close = projected[start : start + size] @ projected[start:].T >= least - ROUNDING
        i, j = np.nonzero(close)
        upper = j > i
        i, j = start + i[upper], start + j[upper]
        close = _products(rows, i, j) >= least
        found.append(np.stack([known[i[close]], known[j[close]]], axis=1))
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


def _products(
    rows: NDArray[np.float32], i: NDArray[np.int64], j: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Inner product of each pair of rows."""
    size = max(1, CHUNK_CELLS // max(4 * rows.shape[1], 1))
    parts = [
        np.einsum("ij,ij->i", rows[i[at : at + size]], rows[j[at : at + size]])
        for at in range(0, len(i), size)
    ]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)


def near_duplicates_by_hamming(codes: Sequence[bytes | None], bits: int) -> Pairs:
    """Find all pairs of binary codes within a Hamming distance.

    Equal codes are compared as one: each is paired only with the first of them.

    Parameters
    ----------
    codes : sequence of n bytes or None
        All of one length; None is in no pair.
    bits : int
        The largest Hamming distance.

    Returns
    -------
    ndarray of shape (m, 2), int64
        Positions.

    Examples
    --------
    >>> near_duplicates_by_hamming([b"p", b"q", b"w", None], 1).tolist()
    [[0, 1]]
    """
    first: dict[bytes, int] = {}
    equal = [
        (first[code], i)
        for i, code in enumerate(codes)
        if code is not None and first.setdefault(code, i) != i
    ]
    if not first:
        return np.empty((0, 2), dtype=np.int64)
    raw = np.frombuffer(b"".join(first), dtype=np.uint8).reshape(len(first), -1)
    signs = np.unpackbits(raw, axis=1).astype(np.float32) * 2 - 1
    length = signs.shape[1]
    # The product of two vectors of signs is their length minus twice the Hamming distance.
    pairs = near_duplicates_by_cosine(signs, length - 2 * bits)
    places = np.fromiter(first.values(), dtype=np.int64)
    return np.concatenate([np.array(equal, dtype=np.int64).reshape(-1, 2), places[pairs]])


def tokenize(text: str) -> list[str]:
    """Split a text into its words, in lower case and without punctuation.

    In a script without spaces between words each character is a word. Forms of one character that Unicode
    calls compatible are the same: NFC and NFD, full and half width. So are words of Hebrew and Arabic with
    and without vowel points or tatweel.

    Examples
    --------
    >>> tokenize("L'Été: a Film!"), tokenize("ＮＢＡ比赛。"), tokenize("हिन्दी")
    (['l', 'été', 'a', 'film'], ['nba', '比', '赛'], ['हिन्दी'])
    """
    return split_words(unify_letters(strip_points(unicodedata.normalize("NFKC", text).casefold())))


def count_words(tokens: Sequence[str]) -> float:
    """How many words a text has; a character of a script without spaces between words is half a word.

    Parameters
    ----------
    tokens : sequence of str
        As `tokenize` gives them.

    Examples
    --------
    >>> count_words(["nba", "比", "赛"])
    2.0
    """
    return len(tokens) - 0.5 * _count_characters(tokens)


def _count_characters(tokens: Sequence[str]) -> int:
    """How many tokens are characters of a script without spaces."""
    if "".join(tokens).isascii():
        return 0
    return sum(map(has_unspaced_script, tokens))


def near_duplicates_by_jaccard(texts: Sequence[str | None], jaccard: float) -> Pairs:
    """Find all pairs of texts whose Jaccard similarity, over shingles of three words, reaches a threshold.

    Of a text in a script without spaces between words, shingles have four characters.

    Broder, "On the resemblance and containment of documents", SEQUENCES 1997; computed exactly, as
    products of a sparse matrix, not by hashing.

    Parameters
    ----------
    texts : sequence of n str or None
        All different, as `tokenize` reads them: equal ones are for `group_equal`. None is in no pair.
    jaccard : float
        The threshold: shingles in both, as a share of those in either; above 0, at most 1. Shingles in
        more than 100 of the texts are left out.

    Returns
    -------
    ndarray of shape (m, 2), int64
        Positions, the smaller first.

    Examples
    --------
    >>> texts = ["a man finds an old map", "A man finds an old map again.", "two sisters meet"]
    >>> near_duplicates_by_jaccard(texts, 0.5).tolist()
    [[0, 1]]
    """
    shingles = _shingles(texts)
    counts = np.asarray(shingles.sum(axis=1)).ravel()
    turned = shingles.T.tocsr()
    found, size = [np.empty((0, 2), dtype=np.int64)], 2000
    for start in range(0, shingles.shape[0], size):
        both = (shingles[start : start + size] @ turned).tocoo()
        i, j = both.row.astype(np.int64) + start, both.col.astype(np.int64)
        either = counts[i] + counts[j] - both.data
        close = (j > i) & (both.data >= jaccard * either)
        found.append(np.stack([i[close], j[close]], axis=1))
    return np.concatenate(found)


def _shingles(texts: Sequence[str | None]) -> Any:
    """Which text has which shingle: sparse, shape (n, shingles), of 1."""
    known: dict[tuple[str, ...], int] = {}
    columns: list[int] = []
    ends = [0]
    for text in texts:
        words = tokenize(text or "")
        unspaced = 2 * _count_characters(words) > len(words)
        size = CHARACTER_SHINGLE if unspaced else SHINGLE
        shingles = {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}
        columns += [known.setdefault(shingle, len(known)) for shingle in shingles]
        ends.append(len(columns))
    shape = (len(texts), len(known))
    matrix = sp.csr_array((np.ones(len(columns), dtype=np.int32), columns, ends), shape=shape)
    common = np.bincount(columns, minlength=shape[1]) > MAX_TEXTS
    return matrix[:, np.flatnonzero(~common)].tocsr()
