"""Ctrl-C and its like: SIGINT, SIGTERM and SIGHUP end a command by an exception, which cleans up."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KILLED = 128  # exit code of an interrupted process, without the number of its signal
AGAIN_SECONDS = 0.01  # after which a signal comes again that nothing could raise out of


def describe_signal(number: int) -> str:
    """What to say of a signal that ended a command.

    Examples
    --------
    >>> describe_signal(signal.SIGINT), describe_signal(signal.SIGTERM)
    ('interrupted', 'interrupted by SIGTERM')
    """
    return (
        "interrupted"
        if number == signal.SIGINT
        else f"interrupted by {signal.Signals(number).name}"
    )


class Interrupted(KeyboardInterrupt):
    """A signal asks the process to end; as an exception, like `KeyboardInterrupt` of Ctrl-C.

    Parameters
    ----------
    number : int
        Of the signal.

    Examples
    --------
    >>> Interrupted(signal.SIGTERM).number == signal.SIGTERM
    True
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Interrupts:
    """Whether a signal asked the process to end, such as Ctrl-C; made by `until_interrupted`.

    Examples
    --------
    >>> interrupted = Interrupts()
    >>> interrupted.wait(0.0)
    >>> interrupted.obey()
    >>> interrupted()
    False
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._waiting = False

    def __call__(self) -> bool:
        """Tell whether there was a signal."""
        return self.number is not None

    def obey(self) -> None:
        """Raise `Interrupted`, if there was a signal."""
        if self.number is not None:
            raise Interrupted(self.number)

    def wait(self, seconds: float) -> None:
        """Sleep, as long as there is no signal.

        Raises
        ------
        Interrupted
            At once, if there is one meanwhile or was one before.
        """
        self._waiting = True
        try:
            self.obey()
            # A handler that raises ends the sleep; one that returns would let it go on.
            time.sleep(seconds)
        finally:
            self._waiting = False

    def note(self, number: int, frame: Any) -> None:
        """Handle a signal: note it; while nothing is under way, or the second time, raise."""
        again, self.number = self.number is not None, number
        if again or self._waiting:
            raise Interrupted(number)


@contextmanager
def until_interrupted() -> Iterator[Interrupts]:
    """Catch signals that end the process inside a ``with`` block; the second raises `Interrupted` at once.

    Only those are caught for which Python has a handler: Ctrl-C, and on the command line SIGTERM and SIGHUP,
    too. Outside the main thread, where Python delivers no signals, nothing is caught.

    Yields
    ------
    Interrupts
        Called, it returns whether there was a signal. Its method ``wait`` sleeps until there is one.

    Raises
    ------
    Interrupted
        At the end of the block, if there was a signal and nothing has obeyed it: it is never swallowed.

    Examples
    --------
    >>> with until_interrupted() as interrupted:
    ...     interrupted()
    False
    """
    interrupts = Interrupts()
    with _handled_by(interrupts.note):
        yield interrupts
    interrupts.obey()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put signals off to the end of a ``with`` block that takes a moment, and must not be left half done.

    Raises
    ------
    Interrupted
        At the end of the block, if there was a signal.

    Examples
    --------
    >>> with undisturbed():
    ...     pass
    """
    put_off = Interrupts()

    def note(number: int, frame: Any) -> None:
        put_off.number = number

    with _handled_by(note):
        yield
    put_off.obey()


class Signals:
    """Signals that a process was sent while `signals_raise` was in force."""

    def __init__(self) -> None:
        self.number: int | None = None  # of the first
        self.ignored = False
        self._again: threading.Timer | None = None

    def handle(self, number: int, frame: Any) -> None:
        """Raise `Interrupted`, unless the process ends anyway."""
        if self.ignored:
            return
        if self.number is None:
            self.number = number
        raise Interrupted(number)

    def deliver_again(self, unraisable: Any) -> None:
        """Deal with an exception where nothing can be raised, as in ``__del__``: it must not be lost."""
        if self.number is None:
            sys.__unraisablehook__(unraisable)
            return
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            return  # of an object that was half made when the signal came
        while True:
            self._again = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), self.number))
            self._again.daemon = True
            # The signal may come while the thread starts: here nothing can be raised, either.
            with contextlib.suppress(KeyboardInterrupt):
                self._again.start()
                return

    def end(self) -> None:
        """Ignore signals from now on, one that is under way as well: nobody would expect it later."""
        self.ignored = True
        if self._again is not None:
            self._again.cancel()
            self._again.join()


@contextmanager
def signals_raise() -> Iterator[Signals]:
    """Let SIGINT, SIGTERM and SIGHUP raise `Interrupted` inside a ``with`` block.

    Ignored ones stay ignored, as those of ``nohup`` or of a job in the background. Outside the main thread
    nothing changes.

    Examples
    --------
    >>> with signals_raise() as signals:
    ...     signals.number
    """
    signals, hook = Signals(), sys.unraisablehook
    with _handled_by(signals.handle, also_default=True):
        sys.unraisablehook = signals.deliver_again
        try:
            yield signals
        finally:
            signals.end()
            sys.unraisablehook = hook


@contextmanager
def _handled_by(handler: Callable[[int, Any], None], also_default: bool = False) -> Iterator[None]:
    """Handle the signals of which Python has a handler already, or that end the process."""
    before = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                found = signal.getsignal(number)
                if callable(found) or (also_default and found == signal.SIG_DFL):
                    before[number] = found
                    signal.signal(number, handler)
        yield
    finally:
        for number, found in before.items():
            signal.signal(number, found)
