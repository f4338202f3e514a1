"""What a disk says when it refuses, and what to do then: one wording for all that hybrid writes.

HDF5, Arrow, TensorFlow and `shutil` raise errors without a number; it is found by their text.
"""

from __future__ import annotations

import errno
import os
import re

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
