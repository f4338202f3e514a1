"""Ctrl-C: a long job stops when what is under way is done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def until_interrupted() -> Iterator[Callable[[], bool]]:
    """Catch Ctrl-C (SIGINT) inside a ``with`` block; pressed twice, `KeyboardInterrupt` is raised at once.

    Outside the main thread, where Python delivers no signals, nothing is caught.

    Yields
    ------
    callable
        Returns whether Ctrl-C was pressed.

    Examples
    --------
    >>> with until_interrupted() as interrupted:
    ...     interrupted()
    False
    """
    pressed: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def note(number: int, frame: Any) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)
