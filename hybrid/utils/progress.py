"""Progress on stderr: a bar on a terminal, a line now and then elsewhere, nothing if quiet."""

from __future__ import annotations

import functools
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NoReturn, ParamSpec, TypeVar

from tqdm import tqdm

from hybrid.utils.visible import visible

DELAY = 2.0  # seconds before anything is shown
EVERY = 10.0  # seconds between two plain lines

Advance = Callable[[int], None]
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


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

    Whatever runs inside a bar or a step shows a sign of life after 2 seconds, and again every 10, whether or
    not it advances; of nested ones the innermost.

    Parameters
    ----------
    quiet : bool, default=True
        Show nothing.

    Examples
    --------
    >>> with Progress().bar("reading posters", 2, "posters") as advance:
    ...     advance(1)
    >>> with Progress().step("comparing the runs"):
    ...     pass
    """

    def __init__(self, quiet: bool = True) -> None:
        self.quiet = quiet
        self._open: list[object] = []  # the bars and steps that are under way, the innermost last

    def say(self, message: str) -> None:
        """Print one line, unless quiet."""
        if not self.quiet:
            print(visible(message), file=sys.stderr, flush=True)

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
            with (
                tqdm(
                    total=total, desc=label, unit=f" {unit}", delay=DELAY, dynamic_ncols=True
                ) as bar,
                self._beating(bar.refresh, each=1.0),
            ):
                yield functools.partial(_advance_bar, bar, note)
        else:
            lines = _Lines(label, total, unit, note)
            with self._beating(lines.beat):
                yield lines.advance

    @contextmanager
    def bar_at_most(self, label: str, most: int, unit: str) -> Iterator[Advance]:
        """As `bar`, of at most so many units: it is full at the end, however many there were."""
        done = 0
        with self.bar(label, most, unit) as advance:

            def count(n: int) -> None:
                nonlocal done
                done += n
                advance(n)

            yield count
            advance(most - done)

    @contextmanager
    def step(self, label: str) -> Iterator[None]:
        """Show that something is under way inside a ``with`` block, whose units cannot be counted.

        Parameters
        ----------
        label : str
            What is being done.
        """
        if self.quiet:
            yield
        elif sys.stderr.isatty():
            shown = "{desc} ({elapsed})"
            with (
                tqdm(desc=label, bar_format=shown, delay=DELAY, leave=False) as bar,
                self._beating(bar.refresh, each=1.0),
            ):
                yield
        else:
            start = time.monotonic()

            def beat() -> None:
                self.say(f"{label}: {duration(time.monotonic() - start)} so far")

            with self._beating(beat):
                yield

    @contextmanager
    def _beating(self, beat: Callable[[], object], each: float | None = None) -> Iterator[None]:
        """Call `beat` after `DELAY` seconds, and then every so many, while nothing is nested in it."""
        every = EVERY if each is None else each
        me, done = object(), threading.Event()

        def run() -> None:
            pause = DELAY
            while not done.wait(pause):
                if self._open[-1:] == [me]:
                    beat()
                pause = every

        thread = threading.Thread(target=run, daemon=True)
        self._open.append(me)
        thread.start()
        try:
            yield
        finally:
            self._open.remove(me)
            done.set()
            thread.join()


_current: ContextVar[Progress | None] = ContextVar("progress", default=None)


@contextmanager
def show_progress(progress: Progress) -> Iterator[None]:
    """Let `current_progress` return this display inside a ``with`` block.

    Examples
    --------
    >>> shown = Progress()
    >>> with show_progress(shown):
    ...     current_progress() is shown
    True
    """
    token = _current.set(progress)
    try:
        yield
    finally:
        _current.reset(token)


def current_progress() -> Progress:
    """The display of the job that is under way; a quiet one where none was set, and in other threads.

    For what lies below the functions that take a `hybrid.utils.context.Context`, which sets it.
    """
    return _current.get() or Progress()


def shows_step(
    label: str,
) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Decorate a function that can take more than two seconds: it shows what is under way.

    Parameters
    ----------
    label : str
        What is being done.

    Examples
    --------
    >>> @shows_step("adding")
    ... def add(a: int, b: int) -> int:
    ...     return a + b
    >>> add(1, 2)
    3
    """

    def decorate(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        @functools.wraps(function)
        def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            with current_progress().step(label):
                return function(*args, **kwargs)

        return call

    return decorate


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

    def beat(self) -> None:
        """Show that it goes on, where nothing was shown for a while."""
        if time.monotonic() >= self.next:
            self._show(f"{self.done} of {self.total} {self.unit}")

    def advance(self, n: int) -> None:
        self.done += n
        now = time.monotonic()
        # The first units may be slow because of the start; from a hundredth on the estimate is fair.
        early = self.done * 100 < self.total and now < self.start + EVERY
        if now < self.next or early:
            return
        rate = self.done / (now - self.start)
        left = (self.total - self.done) / rate if rate else float("inf")
        self._show(
            f"{self.done} of {self.total} {self.unit}, {rate:.1f} a second, {duration(left)} left"
        )

    def _show(self, text: str) -> None:
        self.next = time.monotonic() + EVERY
        note = f"; {self.note()}" if self.note else ""
        print(f"{self.label}: {text}{note}", file=sys.stderr, flush=True)
