"""Start and end of the process of `hybrid`: streams, and signals while nothing else is loaded yet."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import Any, NoReturn

from hybrid.utils.interrupt import KILLED, SIGNALS, describe_signal

_status: list[int] = []  # the exit code, once the command is done


def start() -> NoReturn:
    """Run the command line as a process; see `hybrid.cli.main.main`.

    A signal ends it with one line and exit code 128 plus its number, also while libraries are loaded.
    """
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _leave)
    _open_streams()
    from hybrid.cli.main import main

    try:
        main()
    except SystemExit as left:
        _status.append(left.code if isinstance(left.code, int) else 0)
    _end(_status[0])


def _end(status: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (
            OSError
        ):  # the pipe is closed, or the disk full: Python would try it again, and complain
            status = status or 1
            _turn_to_nowhere(stream.fileno())
    if status > KILLED:
        os._exit(status)  # whatever threads do now: an interrupted process waits for none
    sys.exit(status)


def _leave(number: int, frame: Any) -> NoReturn:
    """Handle a signal before the command has begun, or after it is done."""
    if _status:
        os._exit(_status[0])
    with contextlib.suppress(OSError):
        os.write(2, f"{describe_signal(number)}\n".encode())
    os._exit(KILLED + number)


def _open_streams() -> None:
    """Open the streams that are closed to nowhere: a file of ours must not take the place of one."""
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            _turn_to_nowhere(number)
            mode = "w" if number else "r"
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _turn_to_nowhere(number: int) -> None:
    descriptor = os.open(os.devnull, os.O_RDWR)
    if descriptor == number:
        os.set_inheritable(number, True)
    else:
        os.dup2(descriptor, number)
        os.close(descriptor)
