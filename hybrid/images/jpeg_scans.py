"""The coded data of the scans of a JPEG, followed bit by bit (ITU-T T.81, annexes F and G).

A module of its own, because numba takes a while to load. libjpeg overlooks what is wrong in the data of a
scan: it goes on with what it can read, and fills the rest with grey. But Huffman codes tell. Where bits are
other than they were, there are soon coefficients beyond the 63rd of a block, or the data ends before the last
block, or after it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hybrid.utils.jit import jit

AHEAD = 10  # bits that are looked up at once
LONGEST = 16  # bits of a code
LEFT_OVER = 8  # bits; fewer are padding
MISSING, INVALID, OVERFULL = -1, -2, -3  # what can be wrong within the data of a scan
_LIMITS, _PLACES, _SYMBOLS = 1 << AHEAD, (1 << AHEAD) + 17, (1 << AHEAD) + 34

Table = NDArray[np.int32]
Bytes = NDArray[np.uint8]


@jit()
def code_table(counts: Bytes, symbols: Bytes) -> Table:
    """The table of a Huffman code.

    Parameters
    ----------
    counts : ndarray of shape (16,), uint8
        Codes of each length.
    symbols : ndarray of shape (256,), uint8

    Returns
    -------
    ndarray of int32
        Length and symbol for each start of `AHEAD` bits, 0 for longer codes; the largest code of each length,
        -1 for none; where its symbols start, less its first code; the symbols.
    """
    table = np.zeros(_SYMBOLS + 256, dtype=np.int32)
    code, place = 0, 0
    for length in range(1, LONGEST + 1):
        table[_PLACES + length] = place - code
        for _ in range(counts[length - 1]):
            if length <= AHEAD and code < 1 << length:
                shift = AHEAD - length
                for start in range(code << shift, (code + 1) << shift):
                    table[start] = length << 8 | symbols[place]
            code, place = code + 1, place + 1
        table[_LIMITS + length] = code - 1 if counts[length - 1] else -1
        code <<= 1
    for symbol in range(256):
        table[_SYMBOLS + symbol] = symbols[symbol]
    return table


@jit(inline="always")
def _peek(data: Bytes, at: int) -> int:
    """The 16 bits at a place."""
    byte = at >> 3
    three = np.int64(data[byte]) << 16 | np.int64(data[byte + 1]) << 8 | np.int64(data[byte + 2])
    return int((three >> (8 - (at & 7))) & 0xFFFF)


@jit(inline="always")
def _symbol(table: Table, bits: int) -> int:
    """Length and symbol of the code that some bits start with, in one number; -1 where none does."""
    found = table[bits >> (LONGEST - AHEAD)]
    if found:
        return found
    for length in range(AHEAD + 1, LONGEST + 1):
        code = bits >> (LONGEST - length)
        if code <= table[_LIMITS + length]:
            return length << 8 | table[_SYMBOLS + ((table[_PLACES + length] + code) & 255)]
    return -1


@jit()
def follow_blocks(
    data: Bytes, n_bits: int, tables: Table, blocks: NDArray[np.int32], units: int, whole: bool
) -> int:
    """Follow the blocks of a sequential scan, or of the first scan of DC coefficients.

    Parameters
    ----------
    data : ndarray of uint8
        Unstuffed, with 16 bytes after its end.
    n_bits : int
    tables : ndarray of shape (8, ...), int32
        DC, then AC.
    blocks : ndarray of shape (n, 2), int32
        DC and AC table of each block of a unit.
    units : int
    whole : bool
        With AC coefficients.

    Returns
    -------
    int
        Bits that are left over, or what is wrong.
    """
    at = 0
    for _ in range(units):
        for block in range(len(blocks)):
            if at > n_bits:
                return MISSING
            found = _symbol(tables[blocks[block, 0]], _peek(data, at))
            if found < 0 or found & 255 > 16:
                return INVALID
            at += (found >> 8) + (found & 255)
            k = 1 if whole else 64
            table = tables[4 + blocks[block, 1]]
            while k < 64:
                if at > n_bits:
                    return MISSING
                found = _symbol(table, _peek(data, at))
                if found < 0:
                    return INVALID
                run, size = found >> 4 & 15, found & 15
                at += (found >> 8) + size
                if size:
                    k += run + 1
                elif run == 15:
                    k += 16
                elif run:
                    return INVALID
                else:
                    break
                if k > 64:
                    return OVERFULL
    return n_bits - at if at <= n_bits else MISSING


@jit()
def follow_first(
    data: Bytes, n_bits: int, table: Table, masks: NDArray[np.uint64], start: int, stop: int
) -> int:
    """Follow the first scan of some AC coefficients of one component.

    Parameters
    ----------
    data, n_bits
        As for `follow_blocks`.
    table : ndarray of int32
    masks : ndarray of shape (n_blocks,), uint64
        A bit for each coefficient that is not zero; those of this scan are set.
    start, stop : int
        The coefficients.

    Returns
    -------
    int
    """
    at, end_run = 0, 0
    for block in range(len(masks)):
        if end_run:
            end_run -= 1
            continue
        k = start
        while k < stop:
            if at > n_bits:
                return MISSING
            found = _symbol(table, _peek(data, at))
            if found < 0:
                return INVALID
            at += found >> 8
            run, size = found >> 4 & 15, found & 15
            if size:
                k += run
                if k >= stop:
                    return OVERFULL
                masks[block] |= np.uint64(1) << np.uint64(k)
                at += size
                k += 1
            elif run == 15:
                k += 16
            else:
                end_run = (1 << run) - 1 + (_peek(data, at) >> (16 - run))
                at += run
                break
    if end_run:
        return OVERFULL
    return n_bits - at if at <= n_bits else MISSING


@jit()
def follow_refinement(
    data: Bytes, n_bits: int, table: Table, masks: NDArray[np.uint64], start: int, stop: int
) -> int:
    """Follow a later scan of some AC coefficients, which adds a bit to each; as `follow_first`."""
    at, end_run, one = 0, 0, np.uint64(1)
    for block in range(len(masks)):
        k, known = start, masks[block]
        while k < stop and not end_run:
            if at > n_bits:
                return MISSING
            found = _symbol(table, _peek(data, at))
            if found < 0:
                return INVALID
            at += found >> 8
            run, size = found >> 4 & 15, found & 15
            if size > 1:
                return INVALID
            if not size and run < 15:
                end_run = (1 << run) + (_peek(data, at) >> (16 - run))
                at += run
                break
            at += size
            while k < stop:
                if known >> np.uint64(k) & one:
                    at += 1
                elif run:
                    run -= 1
                else:
                    break
                k += 1
            if size:
                if k >= stop:
                    return OVERFULL
                masks[block] |= one << np.uint64(k)
            k += 1
        if end_run:
            while k < stop:
                at += int(known >> np.uint64(k) & one)
                k += 1
            end_run -= 1
    if end_run:
        return OVERFULL
    return n_bits - at if at <= n_bits else MISSING
