"""Compiled loops of `hybrid.features.tfidf.vocabulary`.

Apart from it, and imported only when a text is read, because numba takes a while to load.
Each writes only into the arrays named last.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.utils.jit import jit

Array = NDArray[Any]

# Bits of a character's class. SINGLE: alone, it can be a word. UNSPACED: of a script without spaces.
WORD, SPACE, MARK, SINGLE, UNSPACED = (np.uint8(1 << bit) for bit in range(5))
# 2^64 divided by the golden ratio: Knuth, The Art of Computer Programming, 6.4.
_MIX = np.uint64(0x9E3779B97F4A7C15)
_HALF, _ONE, _TOP = np.uint64(32), np.uint64(1), np.uint64(58)
# Which bit a power of two is: Leiserson, Prokop and Randall, Using de Bruijn sequences to index a 1, 1998.
_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)
_BIT = np.empty(64, dtype=np.int64)
_BIT[(_ONE << np.arange(64, dtype=np.uint64)) * _DE_BRUIJN >> _TOP] = np.arange(64)


@jit()
def _hash(symbols: Array, start: int, end: int) -> Any:
    mixed = np.uint64(end - start)
    for i in range(start, end):
        mixed = (mixed ^ np.uint64(symbols[i])) * _MIX
        mixed ^= mixed >> _HALF
    return mixed


@jit()
def place(pool: Array, bounds: Array, size: int, slots: Array) -> None:
    """Put the sequences into an empty table."""
    mask = np.uint64(len(slots) - 1)
    for known in range(size):
        slot = _hash(pool, bounds[known], bounds[known + 1]) & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = known


@jit()
def number(
    symbols: Array,
    starts: Array,
    ends: Array,
    done: int,
    size: int,
    learn: bool,
    slots: Array,
    pool: Array,
    bounds: Array,
    numbers: Array,
) -> tuple[int, int]:
    """Look up the slices of `symbols` from `done` on, while there is room for new ones.

    How many are done then, and how many sequences there are. At most half of the slots are taken.
    """
    mask = np.uint64(len(slots) - 1)
    for i in range(done, len(starts)):
        start, length = starts[i], ends[i] - starts[i]
        slot = _hash(symbols, start, ends[i]) & mask
        numbers[i] = -1
        while slots[slot] >= 0:
            known = slots[slot]
            first = bounds[known]
            if bounds[known + 1] - first == length:
                k = 0
                while k < length and pool[first + k] == symbols[start + k]:
                    k += 1
                if k == length:
                    numbers[i] = known
                    break
            slot = (slot + np.uint64(1)) & mask
        if learn and numbers[i] < 0:
            first = bounds[size]
            full = first + length > len(pool) or size + 2 > len(bounds)
            if full or 2 * (size + 1) > len(slots):
                return i, size
            for k in range(length):
                pool[first + k] = symbols[start + k]
            bounds[size + 1] = first + length
            slots[slot] = size
            numbers[i] = size
            size += 1
    return len(starts), size


@jit()
def split(
    characters: Array,
    bounds: Array,
    classes: Array,
    kind: Any,
    starts: Array,
    ends: Array,
    by_text: Array,
) -> int:
    """Cut texts into words; how many there are."""
    found = 0
    shortest = 2 if kind == WORD else 1
    inside = WORD if kind == WORD else np.uint8(0)
    for text in range(len(bounds) - 1):
        at, end = bounds[text], bounds[text + 1]
        while at < end:
            start = at
            while at < end and classes[characters[at]] & kind == inside:
                at += 1
            if at - start >= shortest or (at > start and classes[characters[start]] & SINGLE):
                starts[found], ends[found] = start, at
                found += 1
            at += 1
        by_text[text + 1] = found
    return found


@jit()
def slice_words(
    bounds: Array,
    cuts: Array,
    unspaced: Array,
    shortest: int,
    longest: int,
    starts: Array,
    ends: Array,
    by_word: Array,
) -> int:
    """Cut words, with the spaces around them, into n-grams; how many there are.

    A character begins at each of `cuts`; `bounds` counts characters. Words of scripts without spaces are cut
    into single ones, without the spaces around them.
    """
    found = 0
    for word in range(len(bounds) - 1):
        first, length = bounds[word], bounds[word + 1] - bounds[word]
        least, most = shortest, longest
        if unspaced[word]:
            first, length, least, most = first + 1, length - 2, 1, 1
        for size in range(least, min(most, max(length, least)) + 1):
            for start in range(first, first + max(length - size, 0) + 1):
                starts[found], ends[found] = cuts[start], cuts[start + min(size, length)]
                found += 1
        by_word[word + 1] = found
    return found


@jit()
def count_texts(
    bounds: Array,
    order: Array,
    lists: Array,
    list_bounds: Array,
    before: int,
    last: Array,
    texts: Array,
    totals: Array,
) -> None:
    """Count the texts that have each term, and how often it occurs.

    Texts are numbered from 1, after those `before`; `last` is the last one that has each term, or 0.
    """
    for text in range(len(bounds) - 1):
        number_of_text = before + text + 1
        for i in range(bounds[text], bounds[text + 1]):
            for k in range(list_bounds[order[i]], list_bounds[order[i] + 1]):
                term = lists[k]
                if term >= 0:
                    totals[term] += 1
                    if last[term] != number_of_text:
                        last[term] = number_of_text
                        texts[term] += 1


@jit()
def weigh(
    bounds: Array,
    order: Array,
    lists: Array,
    list_bounds: Array,
    heights: Array,
    idf: Array,
    edges: Array,
    columns: Array,
    weights: Array,
    rows: Array,
) -> int:
    """Weigh the terms of each text, in order, those of each kind of length 1; how many pairs there are.

    `bounds` has a row for each kind of terms; a kind's columns begin at an edge. A count's height is what it
    weighs before `idf`. `rows` is 0.
    """
    counts = np.zeros(len(idf), dtype=np.int32)
    seen = np.zeros(len(idf) // 64 + 1, dtype=np.uint64)  # a bit a term: cheaper than sorting
    some = np.zeros(len(seen) // 64 + 1, dtype=np.uint64)  # a bit for 64 of these
    at = 0
    for text in range(bounds.shape[1] - 1):
        for kind in range(len(bounds)):
            for i in range(bounds[kind, text], bounds[kind, text + 1]):
                for k in range(list_bounds[order[i]], list_bounds[order[i] + 1]):
                    term = lists[k]
                    if term >= 0:
                        counts[term] += 1
                        seen[term >> 6] |= _ONE << np.uint64(term & 63)
                        some[term >> 12] |= _ONE << np.uint64((term >> 6) & 63)
            edge, first, square = edges[kind], at, 0.0
            for group in range((edges[kind + 1] - edge + 4095) // 4096):
                words = some[group]
                some[group] = 0
                while words != 0:
                    word = 64 * group + _BIT[(words & (~words + _ONE)) * _DE_BRUIJN >> _TOP]
                    words &= words - _ONE
                    bits = seen[word]
                    seen[word] = 0
                    while bits != 0:
                        term = 64 * word + _BIT[(bits & (~bits + _ONE)) * _DE_BRUIJN >> _TOP]
                        weight = heights[counts[term]] * idf[edge + term]
                        columns[at], weights[at] = edge + term, weight
                        square += weight * weight
                        counts[term] = 0
                        at += 1
                        bits &= bits - _ONE
            length = np.sqrt(square)
            for i in range(first, at):
                weights[i] /= length
        rows[text + 1] = at
    return at
