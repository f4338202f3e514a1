"""Work in threads, not further ahead than memory should hold."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

AHEAD = 64  # items that are under way

T = TypeVar("T")
R = TypeVar("R")


def map_ahead(
    pool: ThreadPoolExecutor | None,
    function: Callable[[T], R],
    items: Iterable[T],
    most: int = AHEAD,
) -> Iterator[tuple[T, R]]:
    """Call a function on items in threads; `pool.map` would submit all of them at once.

    Parameters
    ----------
    pool : ThreadPoolExecutor or None
        None: each item when it is asked for, in this thread.
    function : callable
    items : iterable
    most : int, default=64
        Items that are under way.

    Yields
    ------
    item, result
        In order.

    Examples
    --------
    >>> with ThreadPoolExecutor(2) as pool:
    ...     print(list(map_ahead(pool, abs, [-1, 2])))
    [(-1, 1), (2, 2)]
    """
    if pool is None:
        yield from ((item, function(item)) for item in items)
        return
    under_way: deque[tuple[T, Future[R]]] = deque()
    try:
        for item in items:
            if len(under_way) == most:
                yield _finish(under_way)
            under_way.append((item, pool.submit(function, item)))
        while under_way:
            yield _finish(under_way)
    finally:
        for _, future in under_way:
            future.cancel()


def _finish(under_way: deque[tuple[T, Future[R]]]) -> tuple[T, R]:
    """The first item and its result, of which nothing here keeps hold."""
    item, future = under_way.popleft()
    return item, future.result()
