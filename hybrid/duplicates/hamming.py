"""Near-duplicate search by Hamming distance: exact, without comparing all pairs of many codes. Pure."""

from __future__ import annotations

from itertools import accumulate, combinations
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybrid.duplicates.similarity import Pairs

MAX_WIDTH = 24  # bits of a chunk: its table has 2 ** 24 places, 64 MB
PROBE = 4.0  # cost of looking up a key, in comparisons of two codes


class Chunk(NamedTuple):
    """Bits of a code, and the largest distance at which two codes are near in them.

    Parameters
    ----------
    first, width : int
        The bits from `first`.
    radius : int
    """

    first: int
    width: int
    radius: int

    @property
    def probes(self) -> int:
        """How many keys are near to one."""
        return sum(comb(self.width, ones) for ones in range(self.radius + 1))

    def masks(self) -> NDArray[np.int64]:
        """All numbers with as many ones as the radius at most."""
        sets = (s for n in range(self.radius + 1) for s in combinations(range(self.width), n))
        return np.array([sum(1 << bit for bit in ones) for ones in sets], dtype=np.int64)


def near_duplicates_by_hamming(codes: NDArray[np.uint8], bits: int) -> Pairs:
    """Find pairs of binary codes within a Hamming distance, which connect all codes that any pairs connect.

    Multi-index hashing: codes within the distance are near in one of some chunks at least, which are looked
    up in a table. Norouzi, Punjani and Fleet, "Fast exact search in Hamming space with multi-index hashing",
    IEEE TPAMI 2014. Few codes are compared with each other. The connected components are exact either way.
    Equal codes are compared as one, and pairs of codes that are connected already are left out: a
    placeholder that was saved in 100,000 ways would have five billion pairs.

    Parameters
    ----------
    codes : ndarray of shape (n, w), uint8
        Of w bytes each.
    bits : int
        The largest Hamming distance.

    Returns
    -------
    ndarray of shape (m, 2), int64
        Positions; fewer than n pairs, a spanning forest.

    Examples
    --------
    >>> near_duplicates_by_hamming(np.array([[0b01], [0b00], [0b11], [0b11]], dtype=np.uint8), 1).tolist()
    [[2, 3], [0, 1], [0, 2]]
    """
    if not len(codes):
        return np.empty((0, 2), dtype=np.int64)
    whole = np.ascontiguousarray(codes).view(f"V{codes.shape[1]}").ravel()
    _, first, number = np.unique(whole, return_index=True, return_inverse=True)
    equal = np.flatnonzero(first[number] != np.arange(len(codes)))
    places = np.sort(first)
    pairs = places[_different_codes(codes[places], bits)]
    return np.concatenate([np.stack([first[number[equal]], equal], axis=1), pairs])


def plan_chunks(n: int, length: int, bits: int) -> list[Chunk]:
    """Choose the chunks of a search by what it would cost; none where all pairs cost less.

    Codes that differ in `bits` places differ by no more than its radius in one of m chunks, if the radii add
    up to ``bits - m + 1``.

    Parameters
    ----------
    n : int
        Number of codes.
    length : int
        Bits of a code.
    bits : int
        The largest Hamming distance.

    Returns
    -------
    list of Chunk

    Examples
    --------
    >>> plan_chunks(100, 128, 18)
    []
    >>> [(chunk.width, chunk.radius) for chunk in plan_chunks(1_000_000, 128, 18)]
    [(19, 2), (19, 2), (18, 2), (18, 2), (18, 2), (18, 1), (18, 1)]
    """
    best, least = list[Chunk](), n / 2
    for m in range(1, min(bits + 1, length) + 1):
        widths = [min(width, MAX_WIDTH) for width in _share_out(length, m)]
        firsts = accumulate(widths[:-1], initial=0)
        parts = zip(firsts, widths, _share_out(bits - m + 1, m), strict=True)
        chunks = [Chunk(first, width, min(width, radius)) for first, width, radius in parts]
        cost = sum(chunk.probes * (PROBE + n / 2 / 2**chunk.width) for chunk in chunks)
        if cost < least:
            best, least = chunks, cost
    return best


def _share_out(total: int, m: int) -> list[int]:
    """Share a number out as evenly as can be, the larger shares first."""
    return [total // m + (i < total % m) for i in range(m)]


def _different_codes(codes: NDArray[np.uint8], bits: int) -> Pairs:
    """Pairs of codes that all differ."""
    from hybrid.duplicates.search_loops import all_pairs_within, chunk_keys, pairs_by_chunk

    length = codes.shape[1]
    padded = np.zeros((len(codes), -(-length // 8) * 8), dtype=np.uint8)
    padded[:, :length] = codes
    words = padded.view("<u8").astype(np.uint64)
    parents = np.arange(len(codes), dtype=np.int32)
    chunks = plan_chunks(len(codes), 8 * length, bits)
    if not chunks:
        return all_pairs_within(words, bits, parents)
    found = []
    for chunk in chunks:
        keys = chunk_keys(words, chunk.first, chunk.width)
        order = np.argsort(keys, kind="stable").astype(np.int32)
        counts = np.bincount(keys, minlength=2**chunk.width)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        found.append(pairs_by_chunk(words, bits, keys, chunk.masks(), order, starts, parents))
    return np.concatenate(found)
