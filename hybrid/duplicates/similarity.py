"""Equal values, connected components, and near-duplicate texts by Jaccard similarity: all exact. Pure."""

from __future__ import annotations

import unicodedata
from array import array
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from hybrid.utils.scripts import has_unspaced_script, split_words, strip_points, unify_letters

Pairs = NDArray[np.int64]
Groups = list[tuple[int, ...]]

SHINGLE = 3  # words
CHARACTER_SHINGLE = 4  # characters of a script without spaces between words
MAX_TEXTS = 100  # a shingle that more texts share says nothing about any two of them
LARGEST = 2**63 - 1
AT_ONCE = 4_000_000  # shingles that are looked up


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


def connected_components(n: int, groups: Iterable[Sequence[int]] | Pairs) -> NDArray[np.int64]:
    """Find the connected components of n items, where the items of a group are connected.

    Parameters
    ----------
    n : int
        Number of items.
    groups : iterable of sequence of int, or ndarray of shape (m, 2)
        Positions, from 0 to ``n - 1``; an array has pairs.

    Returns
    -------
    ndarray of shape (n,), int64
        The component of each item: the smallest position in it.

    Examples
    --------
    >>> connected_components(5, [(0, 3), (3, 4)]).tolist()
    [0, 1, 2, 0, 0]
    """
    if not isinstance(groups, np.ndarray):
        links = [(group[0], other) for group in groups for other in group[1:]]
        groups = np.array(links, dtype=np.int64).reshape(-1, 2)
    first, second = groups.T
    graph = sp.coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(n, n))
    count, member = sp.csgraph.connected_components(graph, directed=False)
    smallest = np.full(count, n, dtype=np.int64)
    np.minimum.at(smallest, member, np.arange(n))
    return smallest[member]


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
    shared, counts = _shingles(texts)
    turned = shared.T.tocsr()
    found, size = [np.empty((0, 2), dtype=np.int64)], 2000
    for start in range(0, shared.shape[0], size):
        both = (shared[start : start + size] @ turned).tocoo()
        i, j = both.row.astype(np.int64) + start, both.col.astype(np.int64)
        either = counts[i] + counts[j] - both.data
        close = (j > i) & (both.data >= jaccard * either)
        found.append(np.stack([i[close], j[close]], axis=1))
    return np.concatenate(found)


def _shingles(texts: Sequence[str | None]) -> tuple[Any, NDArray[np.int64]]:
    """Which text has which shingle that another one has, too: sparse, of 1; and how many each text has."""
    known: dict[str, int] = {}
    words, lengths, sizes = array("i"), array("q"), array("b")
    for text in texts:
        tokens = tokenize(text or "")
        unspaced = 2 * _count_characters(tokens) > len(tokens)
        sizes.append(CHARACTER_SHINGLE if unspaced else SHINGLE)
        lengths.append(len(tokens))
        words.extend(known.setdefault(token, len(known)) for token in tokens)
    parts, counts = [], np.zeros(len(texts), dtype=np.int64)
    each, size = np.asarray(lengths), np.asarray(sizes)
    for length in (SHINGLE, CHARACTER_SHINGLE):
        numbers, owner = _number_shingles(
            np.asarray(words), each, size == length, length, len(known)
        )
        part, alone = _repeated(numbers, owner, len(texts))
        parts.append(part)
        counts += alone
    matrix = sp.hstack(parts, format="csr")
    common = np.bincount(matrix.indices, minlength=matrix.shape[1]) > MAX_TEXTS
    matrix = matrix[:, np.flatnonzero(~common)].tocsr()
    return matrix, counts + np.diff(matrix.indptr)


def _number_shingles(
    words: NDArray[np.int32],
    lengths: NDArray[np.int64],
    wanted: NDArray[np.bool_],
    length: int,
    n_words: int,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """A number for each shingle of the wanted texts, and its text; `words` has those of all texts.

    Equal shingles, and no others, have equal numbers.
    """
    has = wanted & (lengths >= length)
    if not has.any():
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int32)
    number, bound = words.astype(np.int64), n_words
    for step in range(1, length):
        if bound > LARGEST // n_words:
            number = np.unique(number, return_inverse=True)[1]
            bound = int(number.max()) + 1
        number *= n_words
        number[:-step] += words[step:]
        bound *= n_words
    there = np.repeat(has, lengths)
    ends = np.cumsum(lengths)[has]
    for step in range(1, length):
        there[ends - step] = False
    owner = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    return number[there], owner[there]


def _repeated(
    numbers: NDArray[np.int64], owner: NDArray[np.int32], n: int
) -> tuple[Any, NDArray[np.int64]]:
    """Which of n texts has which of the shingles that come again; and how many others each has."""
    ordered = np.sort(numbers)
    again = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    del ordered
    values = np.append(again, -1)
    rows, columns, alone = [], [], np.zeros(n, dtype=np.int64)
    for start in range(0, len(numbers), AT_ONCE):
        some, texts = numbers[start : start + AT_ONCE], owner[start : start + AT_ONCE]
        place = np.searchsorted(again, some)
        found = values[place] == some
        rows.append(texts[found])
        columns.append(place[found].astype(np.int32))
        alone += np.bincount(texts[~found], minlength=n)
    i, j = (np.concatenate(each) if each else np.empty(0, np.int32) for each in (rows, columns))
    matrix = sp.coo_array((np.ones(len(i), dtype=np.int32), (i, j)), shape=(n, len(again))).tocsr()
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix, alone
