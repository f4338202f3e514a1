"""Loops of the near-duplicate search that numba compiles: Hamming distances, pairs within buckets, shingles.

Apart from it, and imported only when something is searched, because numba takes a while to load.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.utils.jit import jit

Words = NDArray[np.uint64]
Positions = NDArray[np.int64]
Parents = NDArray[np.int32]

_ONE, _TWO, _FOUR = np.uint64(1), np.uint64(2), np.uint64(4)
_BITS = np.uint64(0x5555555555555555)
_PAIRS = np.uint64(0x3333333333333333)
_NIBBLES = np.uint64(0x0F0F0F0F0F0F0F0F)
_BYTES = np.uint64(0x0101010101010101)
_TOP = np.uint64(56)
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


@jit(inline="always")
def _count_ones(x: Any) -> Any:
    x = x - ((x >> _ONE) & _BITS)
    x = (x & _PAIRS) + ((x >> _TWO) & _PAIRS)
    x = (x + (x >> _FOUR)) & _NIBBLES
    return np.int64((x * _BYTES) >> _TOP)


@jit(inline="always")
def _distance(words: Words, i: Any, j: Any) -> Any:
    found = np.int64(0)
    for w in range(words.shape[1]):
        found += _count_ones(words[i, w] ^ words[j, w])
    return found


@jit(inline="always")
def _append(found: Positions, count: int, i: Any, j: Any) -> Positions:
    if count == len(found):
        longer = np.empty((2 * count, 2), dtype=np.int64)
        for at in range(count):
            longer[at, 0] = found[at, 0]
            longer[at, 1] = found[at, 1]
        found = longer
    found[count, 0] = i
    found[count, 1] = j
    return found


@jit()
def _root(parents: Parents, i: Any) -> Any:
    while parents[i] != i:
        parents[i] = parents[parents[i]]
        i = parents[i]
    return i


@jit()
def all_pairs_within(words: Words, bits: int, parents: Parents) -> Positions:
    """Pairs of codes within a Hamming distance that join two components, by comparing all of them.

    Parameters
    ----------
    words : ndarray of shape (n, W), uint64
    bits : int
    parents : ndarray of shape (n,), int32
        Of each code in the tree of its component, whose root is its own; changed. At first each is its own.

    Returns
    -------
    ndarray of shape (m, 2), int64
        Positions, the smaller first.
    """
    found, count = np.empty((1024, 2), dtype=np.int64), 0
    for i in range(len(words)):
        near, root = False, np.int64(_root(parents, i))
        for j in range(i + 1, len(words)):
            if (near and parents[j] == root) or _distance(words, i, j) > bits:
                continue
            near, other = True, np.int64(_root(parents, j))
            if other != root:
                found = _append(found, count, i, j)
                count += 1
                smaller = min(root, other)
                parents[max(root, other)] = smaller
                root = smaller
    return found[:count]


@jit()
def chunk_keys(words: Words, first: int, width: int) -> NDArray[np.int64]:
    """The bits of each code from `first`, as a number; `width` is 1 to 62.

    Parameters
    ----------
    words : ndarray of shape (n, W), uint64
    first, width : int

    Returns
    -------
    ndarray of shape (n,), int64
    """
    keys = np.empty(len(words), dtype=np.int64)
    word, offset = first // 64, np.uint64(first % 64)
    mask = (_ONE << np.uint64(width)) - _ONE
    for i in range(len(words)):
        key = words[i, word] >> offset
        if first % 64 + width > 64:
            key |= words[i, word + 1] << (np.uint64(64) - offset)
        keys[i] = np.int64(key & mask)
    return keys


@jit()
def pairs_by_chunk(
    words: Words,
    bits: int,
    keys: NDArray[np.int64],
    masks: NDArray[np.int64],
    order: NDArray[np.int32],
    starts: NDArray[np.int32],
    parents: Parents,
) -> Positions:
    """Pairs within a Hamming distance that are near in a chunk, and join two components.

    Parameters
    ----------
    words : ndarray of shape (n, W), uint64
    bits : int
    keys : ndarray of shape (n,), int64
        Of the chunk, see `chunk_keys`.
    masks : ndarray of int64
        All numbers with as many ones as the radius of the chunk at most.
    order, starts : ndarray of int32
        Positions by key, ascending; where each key starts in them.
    parents : ndarray of shape (n,), int32
        As for `all_pairs_within`; changed.

    Returns
    -------
    ndarray of shape (m, 2), int64
        Positions, the smaller first.
    """
    found, count = np.empty((1024, 2), dtype=np.int64), 0
    for i in range(len(words)):
        near, root = False, np.int64(_root(parents, i))
        for mask in masks:
            key = keys[i] ^ mask
            for place in range(starts[key + 1] - 1, starts[key] - 1, -1):
                j = np.int64(order[place])
                if j <= i:
                    break
                if (near and parents[j] == root) or _distance(words, i, j) > bits:
                    continue
                near, other = True, np.int64(_root(parents, j))
                if other != root:
                    found = _append(found, count, i, j)
                    count += 1
                    smaller = min(root, other)
                    parents[max(root, other)] = smaller
                    root = smaller
    return found[:count]


@jit()
def strongest(products: NDArray[np.float32], probes: int) -> NDArray[np.uint8]:
    """The strongest of 128 directions in each group of products, each with its sign, the strongest first.

    Parameters
    ----------
    products : ndarray of shape (n, functions, 128), float32
    probes : int
        How many of each group.

    Returns
    -------
    ndarray of shape (n, functions, probes), uint8
        Twice the direction, and 1 where its product is negative.
    """
    n, functions, directions = products.shape
    codes = np.empty((n, functions, probes), dtype=np.uint8)
    lengths = np.empty(probes, dtype=np.float32)
    for i in range(n):
        for f in range(functions):
            for probe in range(probes):
                lengths[probe] = -1.0
            for d in range(directions):
                product = products[i, f, d]
                length = abs(product)
                if length <= lengths[probes - 1]:
                    continue
                place = probes - 1
                while place > 0 and length > lengths[place - 1]:
                    lengths[place] = lengths[place - 1]
                    codes[i, f, place] = codes[i, f, place - 1]
                    place -= 1
                lengths[place] = length
                codes[i, f, place] = 2 * d + (product < 0)
    return codes


@jit()
def pairs_by_bucket(
    codes: NDArray[np.uint8],
    order: NDArray[np.int32],
    starts: NDArray[np.int32],
    sketches: Words,
    bits: int,
) -> Positions:
    """Pairs of which one is in a bucket that the other is near to, and whose sketches are near.

    Parameters
    ----------
    codes : ndarray of shape (n, functions, probes), uint8
        See `strongest`: a bucket has those whose first codes are the same.
    order, starts : ndarray of int32
        Positions by bucket; where each bucket starts in them.
    sketches : ndarray of shape (n, W), uint64
    bits : int
        The largest Hamming distance of two sketches.

    Returns
    -------
    ndarray of shape (m, 2), int64
        Positions, the smaller first; a pair can be there twice.
    """
    n, functions, probes = codes.shape
    found, count = np.empty((1024, 2), dtype=np.int64), 0
    for i in range(n):
        for combination in range(probes**functions):
            bucket, rest = np.int64(0), combination
            for f in range(functions):
                bucket = 256 * bucket + np.int64(codes[i, f, rest % probes])
                rest //= probes
            for place in range(starts[bucket], starts[bucket + 1]):
                j = np.int64(order[place])
                if j != i and _distance(sketches, i, j) <= bits:
                    found = _append(found, count, min(i, j), max(i, j))
                    count += 1
    return found[:count]


@jit()
def shingle_codes(
    codes: Words,
    numbers: NDArray[np.int32],
    starts: Positions,
    sizes: NDArray[np.int8],
    first: int,
    last: int,
) -> Words:
    """Codes of the shingles that begin at the words of some texts; 0 where none does.

    Parameters
    ----------
    codes, numbers, starts, sizes : ndarray
        The words of all texts, as `hybrid.duplicates.jaccard` numbers them.
    first, last : int
        The first text, and the one after the last.

    Returns
    -------
    ndarray of uint64
    """
    found = np.zeros(starts[last] - starts[first], dtype=np.uint64)
    for text in range(first, last):
        for place in range(starts[text], starts[text + 1] - sizes[text] + 1):
            code = codes[numbers[place]]
            for step in range(1, sizes[text]):
                # The order of the words counts.
                code = code * _FACTOR + codes[numbers[place + step]]
                code ^= code >> _SHIFT
            found[place - starts[first]] = code
    return found


@jit()
def _telling_codes(
    codes: Words,
    numbers: NDArray[np.int32],
    starts: Positions,
    sizes: NDArray[np.int8],
    sharers: NDArray[np.uint8],
    text: int,
) -> Words:
    """Codes of the different shingles of a text, ascending, without those that too many texts have."""
    found = shingle_codes(codes, numbers, starts, sizes, text, text + 1)
    count = 0
    for place in range(len(found)):
        if sharers[starts[text] + place] > 0:
            found[count] = found[place]
            count += 1
    return np.sort(found[:count])


@jit()
def reach_jaccard(
    codes: Words,
    numbers: NDArray[np.int32],
    starts: Positions,
    sizes: NDArray[np.int8],
    sharers: NDArray[np.uint8],
    pairs: Positions,
    jaccard: float,
) -> NDArray[np.bool_]:
    """Whether the shingles of pairs of texts reach a Jaccard similarity.

    Parameters
    ----------
    codes, numbers, starts, sizes : ndarray
        See `shingle_codes`.
    sharers : ndarray of shape (k,), uint8
        Of each word, how many texts have the shingle that begins there; 0 where it does not count.
    pairs : ndarray of shape (m, 2), int64
        Those of one text together.
    jaccard : float

    Returns
    -------
    ndarray of shape (m,), bool
    """
    reach, last = np.zeros(len(pairs), dtype=np.bool_), -1
    one = np.empty(0, dtype=np.uint64)
    for pair in range(len(pairs)):
        if pairs[pair, 0] != last:
            last = pairs[pair, 0]
            one = _telling_codes(codes, numbers, starts, sizes, sharers, last)
        other = _telling_codes(codes, numbers, starts, sizes, sharers, pairs[pair, 1])
        i = j = both = 0
        while i < len(one) and j < len(other):
            if one[i] == other[j]:
                i, j, both = i + 1, j + 1, both + 1
            elif one[i] < other[j]:
                i += 1
            else:
                j += 1
        reach[pair] = both >= jaccard * (len(one) + len(other) - both)
    return reach
