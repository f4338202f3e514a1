"""Wall time of an extraction, divided among the backbones that it works for."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence


class WallClock:
    """Divides the seconds of one thread among its customers, so that they add up to the wall time.

    Each call settles the time since the call before.

    Parameters
    ----------
    now : callable, default=time.perf_counter
        The time in seconds.

    Examples
    --------
    >>> ticks = iter([0.0, 3.0, 5.0, 9.0])
    >>> clock = WallClock(lambda: next(ticks))
    >>> clock.charge("vgg16")
    >>> clock.share(["vgg16", "inception"])
    >>> clock.skip()
    >>> clock.take("vgg16"), clock.take("inception"), clock.take("vgg16")
    (4.0, 1.0, 0.0)
    >>> clock.spent("vgg16")
    4.0
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._last = now()
        self._seconds: dict[object, float] = defaultdict(float)
        self._taken: dict[object, float] = defaultdict(float)

    def charge(self, customer: object) -> None:
        """Charge the time since the last call to one customer."""
        self.share([customer])

    def share(self, customers: Sequence[object]) -> None:
        """Share the time since the last call equally among customers."""
        last, self._last = self._last, self._now()
        for customer in customers:
            self._seconds[customer] += (self._last - last) / len(customers)

    def skip(self) -> None:
        """Charge the time since the last call to nobody."""
        self.share([])

    def add(self, customer: object, seconds: float) -> None:
        """Charge seconds that another clock has measured."""
        self._seconds[customer] += seconds

    def take(self, customer: object) -> float:
        """Take what a customer was charged since it was last taken."""
        taken = self._seconds.pop(customer, 0.0)
        self._taken[customer] += taken
        return taken

    def spent(self, customer: object) -> float:
        """All that a customer was charged, taken or not."""
        return self._taken[customer] + self._seconds[customer]
