"""Near-duplicate search by Jaccard similarity of the shingles of texts, block by block. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from hybrid.duplicates.similarity import Pairs, count_characters, tokenize

SHINGLE = 3  # words
CHARACTER_SHINGLE = 4  # characters of a script without spaces between words
MAX_TEXTS = 100  # a shingle that more texts share says nothing about any two of them
AT_ONCE = 4_000_000  # shingles that are sorted at once
BLOCK = 2_000_000  # words whose shingles are numbered at once
ROWS = 2_000  # texts that are compared with all at once
FACTOR = np.uint64(0x9E3779B97F4A7C15)


class _Words(NamedTuple):
    """The words of all texts, as numbers: 4 bytes each.

    Parameters
    ----------
    codes : ndarray of shape (m,), uint64
        Of each different word, 64 bits that look like random ones.
    numbers : ndarray of shape (k,), int32
        Of the words, text after text.
    lengths : ndarray of shape (n,), int64
        Words of each text.
    sizes : ndarray of shape (n,), int8
        Words of a shingle.
    """

    codes: NDArray[np.uint64]
    numbers: NDArray[np.int32]
    lengths: NDArray[np.int64]
    sizes: NDArray[np.int8]


def near_duplicates_by_jaccard(texts: Iterable[str | None], jaccard: float) -> Pairs:
    """Find all pairs of texts whose Jaccard similarity, over shingles of three words, reaches a threshold.

    Of a text in a script without spaces between words, shingles have four characters.

    Broder, "On the resemblance and containment of documents", SEQUENCES 1997; not estimated from some of the
    shingles, but computed from all, as products of a sparse matrix. Shingles are compared by 64 bits: two
    that differ are taken for one with a chance of 1 in 10^19.

    Parameters
    ----------
    texts : iterable of n str or None
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
    shared, counts = _shared_shingles(_read_words(texts))
    turned = shared.T.tocsr()
    found = [np.empty((0, 2), dtype=np.int64)]
    for start in range(0, shared.shape[0], ROWS):
        both = (shared[start : start + ROWS] @ turned).tocoo()
        i, j = both.row.astype(np.int64) + start, both.col.astype(np.int64)
        either = counts[i] + counts[j] - both.data
        close = (j > i) & (both.data >= jaccard * either)
        found.append(np.stack([i[close], j[close]], axis=1))
    return np.concatenate(found)


def _read_words(texts: Iterable[str | None]) -> _Words:
    known: dict[str, int] = {}
    numbers, lengths, sizes = array("i"), array("q"), array("b")
    for text in texts:
        tokens = tokenize(text or "")
        unspaced = 2 * count_characters(tokens) > len(tokens)
        sizes.append(CHARACTER_SHINGLE if unspaced else SHINGLE)
        lengths.append(len(tokens))
        numbers.extend(known.setdefault(token, len(known)) for token in tokens)
    codes = np.random.default_rng(0).integers(0, 2**64, len(known), dtype=np.uint64)
    return _Words(codes, np.asarray(numbers), np.asarray(lengths), np.asarray(sizes))


def _shared_shingles(words: _Words) -> tuple[Any, NDArray[np.int64]]:
    """Which text has which shingle that another one has, too: sparse, of 1; and how many each text has."""
    n, columns = len(words.lengths), 0
    counts = np.zeros(n, dtype=np.int64)
    rows, numbers = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    for length in (SHINGLE, CHARACTER_SHINGLE):
        for codes, texts in _buckets(words, length):
            row, number = _find_shared(codes, texts, counts)
            rows.append(row)
            numbers.append(number + np.int32(columns))
            columns += int(number.max(initial=-1)) + 1
    i, j = np.concatenate(rows), np.concatenate(numbers)
    # Products of small numbers are small, and so need not be of 8 bytes each.
    dtype = np.int16 if counts.max(initial=0) <= np.iinfo(np.int16).max else np.int32
    return sp.coo_array((np.ones(len(i), dtype), (i, j)), shape=(n, columns)).tocsr(), counts


def _buckets(words: _Words, length: int) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int32]]]:
    """Codes of the shingles of this length, and the text of each; equal codes are in one bucket."""
    ends = np.cumsum(words.lengths)
    count = int(words.lengths[words.sizes == length].sum())
    buckets = np.uint64(max(1, -(-count // AT_ONCE)))
    for bucket in range(int(buckets) if count else 0):
        codes, texts = [], []
        for start in range(0, len(words.numbers), BLOCK):
            code = _codes(words, start, length)
            wanted = np.flatnonzero(code % buckets == bucket)
            text = np.searchsorted(ends, wanted + start, side="right")
            whole = (words.sizes[text] == length) & (wanted + start + length <= ends[text])
            codes.append(code[wanted[whole]])
            texts.append(text[whole].astype(np.int32))
        yield np.concatenate(codes), np.concatenate(texts)


def _codes(words: _Words, start: int, length: int) -> NDArray[np.uint64]:
    """Codes of the shingles that begin at the words of a block, whichever texts these are of."""
    numbers = words.numbers[start : start + BLOCK + length - 1]
    each = words.codes[numbers]
    n = max(0, len(each) - length + 1)
    code = each[:n].copy()
    for step in range(1, length):
        code = code * FACTOR + each[step : step + n]  # the order of the words counts
        code ^= code >> np.uint64(29)
    return code


def _find_shared(
    codes: NDArray[np.uint64], texts: NDArray[np.int32], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Texts and numbers of the shingles that some texts share; `counts` grows by those of each text."""
    order = np.argsort(codes, kind="stable")  # so that the texts of a shingle ascend
    codes, texts = codes[order], texts[order]
    first, again = np.ones(len(codes), dtype=bool), np.zeros(len(codes), dtype=bool)
    first[1:] = codes[1:] != codes[:-1]
    again[1:] = ~first[1:] & (texts[1:] == texts[:-1])  # in one text
    shingle, texts = np.cumsum(first)[~again] - 1, texts[~again]
    sizes = np.bincount(shingle)
    telling = sizes <= MAX_TEXTS
    counts += np.bincount(texts[telling[shingle]], minlength=len(counts))
    shared = telling & (sizes > 1)
    number = np.cumsum(shared, dtype=np.int32) - np.int32(1)
    kept = shared[shingle]
    return texts[kept], number[shingle[kept]]
