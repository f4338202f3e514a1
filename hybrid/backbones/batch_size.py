"""Find the batch size that a GPU is fastest with."""

from __future__ import annotations

from collections.abc import Callable

from hybrid.backbones.engine import MemoryExhausted

FIRST = 16
LAST = 1024
GAIN = 1.05  # if doubling the batch is not this much faster, it only costs memory


def find_batch_size(rate: Callable[[int], float], first: int = FIRST, last: int = LAST) -> int:
    """Double the batch size until the rate no longer rises or memory is exhausted.

    Parameters
    ----------
    rate : callable
        Batch size → posters per second. Raises `hybrid.backbones.engine.MemoryExhausted` if the batch does
        not fit.
    first : int, default=16
        The smallest batch size that is tried.
    last : int, default=1024
        The largest batch size that is tried.

    Returns
    -------
    int
        The fastest; `first` even if that does not fit: the engine then halves its batches.

    Examples
    --------
    >>> find_batch_size(lambda size: min(size, 64))
    64
    """
    best, fastest, size = first, 0.0, first
    while size <= last:
        try:
            found = rate(size)
        except MemoryExhausted:
            break
        if found < fastest * GAIN:
            break
        best, fastest, size = size, found, 2 * size
    return best
