"""Progress on stderr: a bar on a terminal, a line now and then elsewhere, nothing if quiet."""

from __future__ import annotations

import functools
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from tqdm import tqdm

DELAY = 2.0  # seconds before anything is shown
EVERY = 10.0  # seconds between two plain lines

Advance = Callable[[int], None]


def duration(seconds: float) -> str:
    """Format a duration.

    Parameters
    ----------
    seconds : float

    Returns
    -------
    str
        ``"?"`` if it is not finite.

    Examples
    --------
    >>> duration(75), duration(720), duration(11_100)
    ('75 s', '12 min', '3 h 05 min')
    """
    if not math.isfinite(seconds):
        return "?"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"


class Progress:
    """Display of the progress of a long job on stderr.

    Parameters
    ----------
    quiet : bool, default=True
        Show nothing.

    Examples
    --------
    >>> with Progress().bar("reading posters", 2, "posters") as advance:
    ...     advance(1)
    """

    def __init__(self, quiet: bool = True) -> None:
        self.quiet = quiet

    def say(self, message: str) -> None:
        """Print one line, unless quiet."""
        if not self.quiet:
            print(message, file=sys.stderr, flush=True)

    @contextmanager
    def bar(
        self, label: str, total: int, unit: str, note: Callable[[], str] | None = None
    ) -> Iterator[Advance]:
        """Show a progress bar inside a ``with`` block.

        Parameters
        ----------
        label : str
            What is being done.
        total : int
            Units in all.
        unit : str
            Name of the units, for instance ``"posters"``.
        note : callable, optional
            Returns a text that is shown as well.

        Yields
        ------
        callable
            To be called with the number of further units that are done.
        """
        if self.quiet:
            yield lambda n: None
        elif sys.stderr.isatty():
            with tqdm(
                total=total, desc=label, unit=f" {unit}", delay=DELAY, dynamic_ncols=True
            ) as bar:
                yield functools.partial(_advance_bar, bar, note)
        else:
            yield _Lines(label, total, unit, note).advance


def _advance_bar(bar: tqdm[NoReturn], note: Callable[[], str] | None, n: int) -> None:
    if note:
        bar.set_postfix_str(note(), refresh=False)
    bar.update(n)


class _Lines:
    """Plain lines with rate and time left, for logs."""

    def __init__(
        self, label: str, total: int, unit: str, note: Callable[[], str] | None = None
    ) -> None:
        self.label, self.total, self.unit, self.note = label, total, unit, note
        self.done = 0
        self.start = time.monotonic()
        self.next = self.start + DELAY

    def advance(self, n: int) -> None:
        self.done += n
        now = time.monotonic()
        # The first units may be slow because of the start; from a hundredth on the estimate is fair.
        early = self.done * 100 < self.total and now < self.start + EVERY
        if now < self.next or early:
            return
        self.next = now + EVERY
        rate = self.done / (now - self.start)
        left = (self.total - self.done) / rate if rate else float("inf")
        print(
            f"{self.label}: {self.done} of {self.total} {self.unit}, {rate:.1f} a second, "
            f"{duration(left)} left" + (f"; {self.note()}" if self.note else ""),
            file=sys.stderr,
            flush=True,
        )
