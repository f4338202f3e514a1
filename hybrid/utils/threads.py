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
    pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T]
) -> Iterator[tuple[T, R]]:
    """Call a function on items in threads; `pool.map` would submit all of them at once.

    Parameters
    ----------
    pool : ThreadPoolExecutor
    function : callable
    items : iterable

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
    under_way: deque[tuple[T, Future[R]]] = deque()
    try:
        for item in items:
            if len(under_way) == AHEAD:
                first, future = under_way.popleft()
                yield first, future.result()
            under_way.append((item, pool.submit(function, item)))
        while under_way:
            first, future = under_way.popleft()
            yield first, future.result()
    finally:
        for _, future in under_way:
            future.cancel()
