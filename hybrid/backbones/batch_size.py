"""How many posters a GPU should take at once: measured by doubling."""

from __future__ import annotations

from collections.abc import Callable

from hybrid.backbones.engine import MemoryExhausted

FIRST = 16
LAST = 1024
GAIN = 1.05  # doubling must make it this much faster, else it only costs memory


def find_batch_size(rate: Callable[[int], float], first: int = FIRST, last: int = LAST) -> int:
    """Double the batch until the rate no longer rises or memory ends.

    Parameters
    ----------
    rate : callable
        Batch size → posters a second; raises MemoryExhausted where memory does not suffice.
    first, last : int
        Where to begin, and the largest that is tried.

    Returns
    -------
    int
        `first` where even that does not fit: the engine then halves it.
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
