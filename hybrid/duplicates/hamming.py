"""Near-duplicate search by Hamming distance: exact, without comparing all pairs of many codes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
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


def near_duplicates_by_hamming(codes: Sequence[bytes | None], bits: int) -> Pairs:
    """Find all pairs of binary codes within a Hamming distance.

    Multi-index hashing: codes within the distance are near in one of some chunks at least, which are looked
    up in a table. Norouzi, Punjani and Fleet, "Fast exact search in Hamming space with multi-index hashing",
    IEEE TPAMI 2014. Few codes are compared with each other. The result is exact either way. Equal codes are
    compared as one: each is paired only with the first of them.

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
    places = np.fromiter(first.values(), dtype=np.int64)
    pairs = places[_different_codes(list(first), bits)]
    return np.concatenate([np.array(equal, dtype=np.int64).reshape(-1, 2), pairs])


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


def _different_codes(codes: Sequence[bytes], bits: int) -> Pairs:
    """Pairs of codes that all differ."""
    from hybrid.duplicates.search_loops import all_pairs_within, chunk_keys, pairs_by_chunk

    length = len(codes[0])
    padded = b"".join(code.ljust(-(-length // 8) * 8, b"\0") for code in codes)
    words = np.frombuffer(padded, dtype="<u8").astype(np.uint64).reshape(len(codes), -1)
    chunks = plan_chunks(len(codes), 8 * length, bits)
    if not chunks:
        return all_pairs_within(words, bits)
    keys = np.stack([chunk_keys(words, chunk.first, chunk.width) for chunk in chunks])
    radii = np.array([chunk.radius for chunk in chunks], dtype=np.int64)
    found = []
    for c, chunk in enumerate(chunks):
        order = np.argsort(keys[c], kind="stable").astype(np.int32)
        counts = np.bincount(keys[c], minlength=2**chunk.width)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        some = (keys[: c + 1], radii[: c + 1], chunk.masks(), order, starts)
        found.append(pairs_by_chunk(words, bits, *some))
    return np.concatenate(found)
