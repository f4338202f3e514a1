"""Progress on stderr: a bar on a terminal, a line now and then elsewhere, nothing if quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

DELAY = 2.0  # seconds before anything is shown
EVERY = 10.0  # seconds between two plain lines

Advance = Callable[[int], None]


class Progress:
    """Shows how far a long job is.

    Parameters
    ----------
    quiet : bool
        Show nothing.
    """

    def __init__(self, quiet: bool = True) -> None:
        self.quiet = quiet

    def say(self, message: str) -> None:
        """One line, unless quiet."""
        if not self.quiet:
            print(message, file=sys.stderr, flush=True)

    @contextmanager
    def bar(self, label: str, total: int, unit: str) -> Iterator[Advance]:
        """Give a function that is told how many more units are done."""
        if self.quiet:
            yield lambda n: None
        elif sys.stderr.isatty():
            with tqdm(
                total=total, desc=label, unit=f" {unit}", delay=DELAY, dynamic_ncols=True
            ) as bar:
                yield lambda n: (bar.update(n), None)[1]
        else:
            yield _Lines(label, total, unit).advance


class _Lines:
    """Plain lines with rate and time left, for logs."""

    def __init__(self, label: str, total: int, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0
        self.start = time.monotonic()
        self.next = self.start + DELAY

    def advance(self, n: int) -> None:
        self.done += n
        now = time.monotonic()
        if now < self.next:
            return
        self.next = now + EVERY
        rate = self.done / (now - self.start)
        left = (self.total - self.done) / rate if rate else float("inf")
        print(
            f"{self.label}: {self.done} of {self.total} {self.unit}, {rate:.1f} a second, "
            f"{left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )
