"""When the next request may be sent: at most so many a second, and not to a server that asks to wait."""

from __future__ import annotations

import asyncio
import random

MAX_WAIT = 300.0  # seconds; who asks for more is asked again another day


class Pacer:
    """Delays requests to keep to a rate, and to what servers ask for.

    Parameters
    ----------
    rate : float, optional
        Maximum number of requests a second, in all.

    Examples
    --------
    >>> pacer = Pacer(rate=None)
    >>> pacer.hold("a.org", 60.0, now=0.0)
    >>> pacer.delay("a.org", now=10.0), pacer.delay("b.org", now=10.0)
    (50.0, 0.0)
    >>> pacer = Pacer(rate=2.0)
    >>> [pacer.delay("b.org", now=0.0) for _ in range(3)]
    [0.0, 0.5, 1.0]
    """

    def __init__(self, rate: float | None) -> None:
        self._step = 1 / rate if rate else 0.0
        self._next = 0.0
        self._until: dict[str, float] = {}

    def hold(self, host: str, seconds: float, now: float) -> None:
        """Send nothing to a host for so many seconds."""
        self._until[host] = max(self._until.get(host, 0.0), now + seconds)

    def delay(self, host: str, now: float) -> float:
        """Seconds until the next request to a host may be sent; its place in the rate is taken."""
        at = max(now, self._until.get(host, 0.0), self._next)
        if self._step:
            self._next = at + self._step
        return at - now

    async def wait(self, host: str) -> None:
        """Sleep until a request to a host may be sent."""
        now = asyncio.get_running_loop().time()
        while held := max(0.0, self._until.get(host, 0.0) - now):
            await asyncio.sleep(held)
            now = asyncio.get_running_loop().time()
        if delay := self.delay(host, now):
            await asyncio.sleep(delay)


def backoff(attempt: int, first: float) -> float:
    """Seconds before the retry after so many attempts: doubled each time, with jitter, at most 60.

    Parameters
    ----------
    attempt : int
        From 1.
    first : float

    Examples
    --------
    >>> 0.25 <= backoff(1, 0.5) <= 0.5, backoff(3, 0.0)
    (True, 0.0)
    """
    return min(60.0, first * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)
