"""How many posters or texts a block has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TypeVar

BLOCK = 4096  # posters or texts, at most
LEAST_BLOCK = 64  # or all
BLOCKS_A_WORKER = 4  # at least, so that workers that are slower get fewer

T = TypeVar("T")


def divide(items: Sequence[T], workers: int) -> Iterator[list[T]]:
    """Divide items: up to 4,096 in a block, fewer where each worker would have few blocks.

    Parameters
    ----------
    items : sequence
    workers : int

    Yields
    ------
    list
        In their order.

    Examples
    --------
    >>> [len(block) for block in divide(range(1000), workers=2)]
    [125, 125, 125, 125, 125, 125, 125, 125]
    """
    fair = -(-len(items) // (BLOCKS_A_WORKER * max(1, workers)))
    size, coming = min(BLOCK, max(LEAST_BLOCK, fair)), iter(items)
    return iter(lambda: list(islice(coming, size)), [])
