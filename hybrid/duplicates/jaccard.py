"""Near-duplicate search by Jaccard similarity of the shingles of texts, block by block. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from hybrid.duplicates.similarity import Pairs, count_characters, tokenize
from hybrid.utils.spilled import let_pages_go, spill_array

SHINGLE = 3  # words
CHARACTER_SHINGLE = 4  # characters of a script without spaces between words
MAX_TEXTS = 100  # a shingle that more texts share says nothing about any two of them; below 256
AT_ONCE = 2_000_000  # shingles that are sorted at once
BLOCK = 2_000_000  # words of texts that are looked at together
ROWS = 2_000  # texts that are compared with all at once


class _Words(NamedTuple):
    """The words of all texts, as numbers: 4 bytes each.

    Parameters
    ----------
    codes : ndarray of shape (m,), uint64
        Of each different word, 64 bits that look like random ones.
    numbers : ndarray of shape (k,), int32
        Of the words, text after text.
    starts : ndarray of shape (n + 1,), int64
        Where the words of each text begin, and where those of the last end.
    sizes : ndarray of shape (n,), int8
        Words of a shingle.
    """

    codes: NDArray[np.uint64]
    numbers: NDArray[np.int32]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int8]


def near_duplicates_by_jaccard(texts: Iterable[str | None], jaccard: float) -> Pairs:
    """Find all pairs of texts whose Jaccard similarity, over shingles of three words, reaches a threshold.

    Of a text in a script without spaces between words, shingles have four characters.

    Broder, "On the resemblance and containment of documents", SEQUENCES 1997; not estimated from some of the
    shingles, but computed from all. Only pairs are compared that share one of their rarest shingles, as
    all such pairs do (prefix filtering: Chaudhuri, Ganti and Kaushik, "A primitive operator for similarity
    joins in data cleaning", ICDE 2006). Shingles are compared by 64 bits: two that differ are taken for one
    with a chance of 1 in 10^19.

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
    from hybrid.duplicates.search_loops import reach_jaccard

    words = _read_words(texts)
    sharers = _count_sharers(words)
    found = [np.empty((0, 2), dtype=np.int64)]
    for pairs in _candidates(_share(words, sharers, jaccard)):
        found.append(pairs[reach_jaccard(*words, sharers, pairs, jaccard)])
    return np.concatenate(found)


def _read_words(texts: Iterable[str | None]) -> _Words:
    known: dict[str, int] = {}
    numbers, starts, sizes = array("i"), array("q", [0]), array("b")
    for text in texts:
        tokens = tokenize(text or "")
        unspaced = 2 * count_characters(tokens) > len(tokens)
        sizes.append(CHARACTER_SHINGLE if unspaced else SHINGLE)
        numbers.extend(known.setdefault(token, len(known)) for token in tokens)
        starts.append(len(numbers))
    codes = np.random.default_rng(0).integers(0, 2**64, len(known), dtype=np.uint64)
    packed = spill_array(np.asarray(numbers))
    return _Words(codes, packed, np.asarray(starts), np.asarray(sizes))


def _blocks(words: _Words) -> Iterator[tuple[int, int]]:
    """The first text of each block, and the one after its last."""
    places = np.arange(0, len(words.numbers), BLOCK)
    firsts = np.unique(np.searchsorted(words.starts, places))
    for block in pairwise([*firsts.tolist(), len(words.sizes)]):
        yield block
        let_pages_go()


def _count_sharers(words: _Words) -> NDArray[np.uint8]:
    """How many texts have the shingle that begins at each word; shape (k,).

    It is 0 where none begins, where the text has had it before, and where too many texts have it.
    """
    sharers = np.zeros(len(words.numbers), dtype=np.uint8)
    for codes, places in _buckets(words):
        texts = (np.searchsorted(words.starts, places, side="right") - 1).astype(np.int32)
        order = np.argsort(codes, kind="stable")  # so that the texts of a shingle ascend
        codes, texts = codes[order], texts[order]
        first, again = np.ones(len(codes), dtype=bool), np.zeros(len(codes), dtype=bool)
        first[1:] = codes[1:] != codes[:-1]
        again[1:] = ~first[1:] & (texts[1:] == texts[:-1])  # in one text
        shingle = np.cumsum(first, dtype=np.int32)[~again] - np.int32(1)
        sizes = np.bincount(shingle)
        telling = np.where(sizes <= MAX_TEXTS, sizes, 0).astype(np.uint8)
        sharers[places[order[~again]]] = telling[shingle]
    return sharers


def _buckets(words: _Words) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    """Codes of the shingles, and where each begins; equal codes are in one bucket."""
    from hybrid.duplicates.search_loops import shingle_codes

    buckets = np.uint64(max(1, -(-len(words.numbers) // AT_ONCE)))
    for bucket in range(int(buckets) if len(words.numbers) else 0):
        codes, places = [], []
        for first, last in _blocks(words):
            code = shingle_codes(*words, first, last)
            wanted = np.flatnonzero((code > 0) & (code % buckets == bucket))
            codes.append(code[wanted])
            places.append(wanted + words.starts[first])
        yield np.concatenate(codes), np.concatenate(places)


def _rarest_shingles(
    words: _Words, sharers: NDArray[np.uint8], jaccard: float
) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """Codes of the rarest shingles of each text, and the text; without those that no other text has.

    Of two texts with c shingles in common, one of them is among the n - c + 1 rarest of each, of n.
    """
    from hybrid.duplicates.search_loops import shingle_codes

    codes, texts = [np.empty(0, np.uint64)], [np.empty(0, np.int32)]
    for first, last in _blocks(words):
        start, stop = words.starts[first], words.starts[last]
        text = np.repeat(np.arange(last - first), np.diff(words.starts[first : last + 1]))
        here = sharers[start:stop]
        count, alone = (np.bincount(text[which]) for which in (here > 0, here == 1))
        common = np.ceil(jaccard * count - 1e-9).astype(np.int64)  # of a pair, at least
        alone = np.pad(alone, (0, len(count) - len(alone)))
        most = count - common + 1 - alone
        wanted = np.flatnonzero(here > 1)
        text = text[wanted]
        rarity = here[wanted].astype(np.uint64) << np.uint64(56)
        code = rarity | shingle_codes(*words, first, last)[wanted] >> np.uint64(8)
        order = np.lexsort((code, text))
        code, text = code[order], text[order]
        rank = np.arange(len(text)) - np.searchsorted(text, text)
        codes.append(code[rank < most[text]])
        texts.append((text[rank < most[text]] + first).astype(np.int32))
    return np.concatenate(codes), np.concatenate(texts)


def _share(words: _Words, sharers: NDArray[np.uint8], jaccard: float) -> sp.csr_array:
    """Which text has which of the rarest shingles that several have: sparse, of 1."""
    texts, numbers = _number_shared(*_rarest_shingles(words, sharers, jaccard))
    shape = len(words.sizes), int(numbers.max(initial=-1)) + 1
    # Products of small numbers are small, and so need not be of 8 bytes each.
    small = np.bincount(texts).max(initial=0) <= np.iinfo(np.int16).max
    ones = np.ones(len(texts), np.int16 if small else np.int32)
    return sp.coo_array((ones, (texts, numbers)), shape=shape).tocsr()


def _candidates(shared: sp.csr_array) -> Iterator[Pairs]:
    """Pairs of texts that have a shingle in common, those of some texts at a time."""
    turned = shared.T.tocsr()
    for start in range(0, shared.shape[0], ROWS):
        both = (shared[start : start + ROWS] @ turned).tocoo()
        i, j = both.row.astype(np.int64) + start, both.col.astype(np.int64)
        yield np.stack([i[j > i], j[j > i]], axis=1)


def _number_shared(
    codes: NDArray[np.uint64], texts: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Texts and numbers of the codes that several texts have."""
    kept, numbers, count = [np.empty(0, np.int32)], [np.empty(0, np.int32)], 0
    buckets = np.uint64(max(1, -(-len(codes) // AT_ONCE)))
    for bucket in range(int(buckets)):
        here = codes % buckets == bucket
        _, number, sizes = np.unique(codes[here], return_inverse=True, return_counts=True)
        shared = sizes > 1
        again = shared[number]
        kept.append(texts[here][again])
        numbers.append((np.cumsum(shared) - 1 + count)[number[again]].astype(np.int32))
        count += int(shared.sum())
    return np.concatenate(kept), np.concatenate(numbers)
