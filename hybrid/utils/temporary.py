"""Temporary files: where they are, and what is said where the disk refuses them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from hybrid.errors import TemporaryFileError
from hybrid.utils.refusals import describe_refusal


def describe_temporary_refusal(error: OSError) -> str:
    """Say that no temporary file can be written, why, and what to do.

    Examples
    --------
    >>> describe_temporary_refusal(OSError(28, "No space left on device")).partition(" in ")[0]
    'cannot write a temporary file'
    """
    where = f"a temporary file in {tempfile.tempdir or 'any temporary folder'}"
    return describe_refusal(where, error)


@contextmanager
def writing_temporary_file() -> Iterator[None]:
    """What the system refuses inside is told of temporary files.

    Raises
    ------
    TemporaryFileError

    Examples
    --------
    >>> with writing_temporary_file():
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    ...
    hybrid.errors.TemporaryFileError: cannot write a temporary file in ...: No space left on device. Free ...
    """
    try:
        yield
    except OSError as error:
        raise TemporaryFileError(
            f"{describe_temporary_refusal(error)} TMPDIR names another folder."
        ) from error
