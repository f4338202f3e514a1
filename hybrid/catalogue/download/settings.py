"""Settings of a download of posters."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hybrid.images.decode import MAX_PIXELS
from hybrid.images.files import MAX_BYTES


@dataclass(frozen=True)
class FetchSettings:
    """How posters are downloaded: how many at once, how often, and what is refused.

    Parameters
    ----------
    concurrency : int, default=16
        Requests under way at the same time, from 1 to 1,024.
    rate : float, optional
        Maximum number of requests a second; by default as many as the concurrency allows.
    timeout : float, default=30
        Seconds that one attempt may take, from the connection to the last byte.
    retries : int, default=4
        Further attempts where a later one may succeed: no connection, a broken or late answer, an image
        that is cut short, HTTP 408, 425, 429, 500, 502, 503 and 504.
    backoff : float, default=0.5
        Seconds before the first retry; twice as many before each further one, with jitter. A server's
        Retry-After comes first.
    max_bytes : int, default=20 MiB
        Of a poster. The download of a longer one is stopped.
    max_pixels : int, default=89478485
        Of a poster, by its header.
    allow_private : bool, default=False
        Follow redirects to addresses of this machine and of private networks.
    retry_failed : bool, default=False
        Fetch again what failed for good in an earlier call.
    refresh : bool, default=False
        Ask the servers whether fetched posters have changed (ETag, Last-Modified).

    Examples
    --------
    >>> FetchSettings(concurrency=0).problems()
    ['--concurrency: expected from 1 to 1,024, found 0.']
    """

    concurrency: int = 16
    rate: float | None = None
    timeout: float = 30.0
    retries: int = 4
    backoff: float = 0.5
    max_bytes: int = 20 * 2**20
    max_pixels: int = MAX_PIXELS
    allow_private: bool = False
    retry_failed: bool = False
    refresh: bool = False

    def problems(self) -> list[str]:
        """One message for each value that is out of range."""
        ranges = [
            ("concurrency", 1 <= self.concurrency <= 1024, "from 1 to 1,024", self.concurrency),
            ("rate", self.rate is None or _positive(self.rate), "more than 0", self.rate),
            ("timeout", _positive(self.timeout), "more than 0 seconds", self.timeout),
            ("retries", self.retries >= 0, "0 or more", self.retries),
            ("backoff", self.backoff >= 0, "0 or more seconds", self.backoff),
            (
                "max-bytes",
                1 <= self.max_bytes <= MAX_BYTES,
                f"from 1 to {MAX_BYTES:,} bytes",
                self.max_bytes,
            ),
            (
                "max-pixels",
                1 <= self.max_pixels <= MAX_PIXELS,
                f"from 1 to {MAX_PIXELS:,} pixels",
                self.max_pixels,
            ),
        ]
        return [
            f"--{name}: expected {expected}, found {value}."
            for name, holds, expected, value in ranges
            if not holds
        ]


def _positive(value: float) -> bool:
    return math.isfinite(value) and value > 0
