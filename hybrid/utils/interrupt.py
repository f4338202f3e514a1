"""Ctrl-C: a long job stops when what is under way is done."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Interrupts:
    """Whether Ctrl-C was pressed; made by `until_interrupted`.

    Examples
    --------
    >>> interrupted = Interrupts()
    >>> interrupted.wait(0.0)
    >>> interrupted()
    False
    """

    def __init__(self) -> None:
        self._pressed = self._waiting = False

    def __call__(self) -> bool:
        """Tell whether Ctrl-C was pressed."""
        return self._pressed

    def wait(self, seconds: float) -> None:
        """Sleep, as long as Ctrl-C is not pressed.

        Raises
        ------
        KeyboardInterrupt
            At once, if it is pressed meanwhile or was pressed before.
        """
        self._waiting = True
        try:
            if self._pressed:
                raise KeyboardInterrupt
            # A handler that raises ends the sleep; one that returns would let it go on.
            time.sleep(seconds)
        finally:
            self._waiting = False

    def note(self, number: int, frame: Any) -> None:
        """Handle the signal: note it; while nothing is under way, or the second time, raise."""
        again, self._pressed = self._pressed, True
        if again or self._waiting:
            raise KeyboardInterrupt


@contextmanager
def until_interrupted() -> Iterator[Interrupts]:
    """Catch Ctrl-C (SIGINT) inside a ``with`` block; pressed twice, `KeyboardInterrupt` is raised at once.

    Outside the main thread, where Python delivers no signals, nothing is caught.

    Yields
    ------
    Interrupts
        Called, it returns whether Ctrl-C was pressed. Its method ``wait`` sleeps until it is pressed.

    Raises
    ------
    KeyboardInterrupt
        At the end of the block, if Ctrl-C was pressed and nothing has obeyed it: it is never swallowed.

    Examples
    --------
    >>> with until_interrupted() as interrupted:
    ...     interrupted()
    False
    """
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = signal.signal(signal.SIGINT, interrupts.note)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupts():
        raise KeyboardInterrupt
