"""What a disk says when it refuses, and what to do then: one wording for all that hybrid writes.

HDF5, Arrow, TensorFlow and `shutil` raise errors without a number; it is found by their text.
"""

from __future__ import annotations

import errno
import gc
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_ELSEWHERE = "or choose a folder elsewhere, and run the command again."
_RIGHTS = f"See to your rights there, {_ELSEWHERE}"
# Number of an error → what to do; numbers that are not here tell of something else than of a disk.
ADVICE = {
    errno.ENOSPC: "Free some space there, or choose a folder on another disk, and run the command again.",
    errno.EDQUOT: f"Your quota there is used up: remove what you do not need, {_ELSEWHERE}",
    errno.EROFS: f"The file system there is read-only: mount it for writing, {_ELSEWHERE}",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EIO: f"The disk, or the network in between, may be failing: check it, {_ELSEWHERE}",
    errno.EFBIG: f"A file may not become so large there: see to the limits, {_ELSEWHERE}",
}
_NUMBER = re.compile(r"errno\s*=?\s*(\d+)", re.IGNORECASE)
_FULL = "database or disk is full"  # SQLite


def refusal_number(error: BaseException) -> int | None:
    """Number of the system's error, by which a disk refused; None for other errors.

    Examples
    --------
    >>> refusal_number(OSError("file write failed: errno = 28, error message = 'No space'")) == errno.ENOSPC
    True
    >>> refusal_number(FileNotFoundError(errno.ENOENT, "No such file")) is None
    True
    """
    number = getattr(error, "errno", None)
    if number is None:
        text = str(error)
        found = _NUMBER.search(text)
        number = int(found[1]) if found else _by_words(text)
    return number if number in ADVICE else None


def _by_words(text: str) -> int | None:
    if _FULL in text:
        return errno.ENOSPC
    return next((number for number in ADVICE if os.strerror(number) in text), None)


def describe_refusal(what: object, error: BaseException) -> str:
    """Say that something cannot be written, why, and what to do.

    Parameters
    ----------
    what : object
        The file or folder; a path is enough.
    error : exception

    Examples
    --------
    >>> describe_refusal("runs/svm", OSError(errno.EACCES, "Permission denied")).partition(", ")[0]
    'cannot write runs/svm: Permission denied. See to your rights there'
    """
    number = refusal_number(error)
    if number is None:
        name = getattr(error, "filename", None)
        where = f"{name}: " if name and str(name) != str(what) else ""
        return f"cannot write {what}: {where}{getattr(error, 'strerror', None) or error}."
    return f"cannot write {what}: {refusal_text(error, number)}"


def refusal_text(error: BaseException, number: int) -> str:
    """The reason of a refusal, and what to do: without what a library puts around the words of the system.

    Examples
    --------
    >>> refusal_text(OSError(errno.EPERM, "it is a pipe; move it"), errno.EPERM).partition(". ")[0]
    'it is a pipe; move it'
    """
    own, usual = getattr(error, "strerror", None), os.strerror(number)
    return f"{own if own and usual not in own else usual}. {ADVICE[number]}"


@contextmanager
def raising_refusals(path: object) -> Iterator[None]:
    """Raise what a disk refuses when objects of a library are destroyed, where Python can only print it.

    HDF5 writes a small file when the last of its objects goes; h5py cannot raise from there, and the file
    would be cut short without an error.

    Parameters
    ----------
    path : object
        The file that is written meanwhile.

    Raises
    ------
    OSError
        With the number of the refusal, and `path` as its file name.

    Examples
    --------
    >>> class Refused:
    ...     def __del__(self):
    ...         raise RuntimeError("file write failed: errno = 28")
    >>> with raising_refusals("a.h5"):
    ...     _ = Refused()
    ...     del _
    Traceback (most recent call last):
    OSError: [Errno 28] No space left on device: 'a.h5'
    """
    numbers, usual, printing = list[int](), sys.unraisablehook, sys.excepthook

    def note(unraisable: Any) -> None:
        number = unraisable.exc_value and refusal_number(unraisable.exc_value)
        if number is None:
            usual(unraisable)
        else:
            numbers.append(number)

    def print_others(kind: Any, error: BaseException, where: Any) -> None:
        if refusal_number(error) is None:
            printing(kind, error, where)

    sys.unraisablehook, sys.excepthook = note, print_others  # Cython prints before it tells
    try:
        yield
        gc.collect()  # objects that refer to each other
    finally:
        sys.unraisablehook, sys.excepthook = usual, printing
    if numbers:
        raise OSError(numbers[0], os.strerror(numbers[0]), str(path))
