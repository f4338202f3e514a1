"""Batches of texts by their number of tokens, so that little is computed on padding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

STEP = 8  # lengths are rounded up to a multiple of it


class Batch(NamedTuple):
    """Pieces of text that are computed together, all filled up to one width."""

    pieces: NDArray[np.int64]
    width: int


def plan_batches(lengths: NDArray[np.int64], budget: int, step: int = STEP) -> Iterator[Batch]:
    """Divide texts into batches of similar length, the longest first.

    Parameters
    ----------
    lengths : ndarray of shape (n,), int
        Tokens of each text, 1 or more.
    budget : int
        Maximum number of tokens of a batch, padding included; a batch has at least one text.
    step : int, default=8
        Widths are multiples of it.

    Yields
    ------
    Batch
        Each text is in one of them.

    Examples
    --------
    >>> [(batch.pieces.tolist(), batch.width) for batch in plan_batches(np.array([3, 20, 9, 8]), 32)]
    [([1], 24), ([2, 3], 16), ([0], 8)]
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        width = int(-(-lengths[order[start]] // step) * step)
        some = order[start : start + max(1, budget // width)]
        yield Batch(some, width)
        start += len(some)
