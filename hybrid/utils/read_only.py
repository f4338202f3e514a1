"""Read-only mode: commands that only read leave the cache as it is, and those that plan download nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_depth = 0
_plans = 0


def is_read_only() -> bool:
    """Tell whether the process is in a ``with read_only():`` block."""
    return _depth > 0


@contextmanager
def read_only(active: bool = True) -> Iterator[None]:
    """Write nothing to a cache inside a ``with`` block.

    No store is made, no damaged file is moved to quarantine (it is still not used, with a warning), no
    lease is taken, and no hash of a poster is remembered. Results are the same.

    The mode is the process's: it holds in all of its threads.

    Parameters
    ----------
    active : bool, default=True
        False changes nothing.

    Examples
    --------
    >>> with read_only():
    ...     is_read_only()
    True
    >>> is_read_only()
    False
    """
    global _depth
    _depth += active
    try:
        yield
    finally:
        _depth -= active


def reads_only(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate a function so that nothing it calls writes to a cache.

    Examples
    --------
    >>> @reads_only
    ... def look() -> bool:
    ...     return is_read_only()
    >>> look()
    True
    """

    @wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with read_only():
            return function(*args, **kwargs)

    return call


def may_download() -> bool:
    """Tell whether weights and encoders that are not on this machine may be downloaded: not for a plan."""
    return not _plans


@contextmanager
def planning() -> Iterator[None]:
    """Write nothing to a cache inside a ``with`` block, and download nothing.

    Examples
    --------
    >>> with planning():
    ...     is_read_only(), may_download()
    (True, False)
    >>> may_download()
    True
    """
    global _plans
    _plans += 1
    try:
        with read_only():
            yield
    finally:
        _plans -= 1


def plans_only(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate a function so that nothing it calls writes to a cache, or downloads.

    Examples
    --------
    >>> @plans_only
    ... def look() -> bool:
    ...     return may_download()
    >>> look()
    False
    """

    @wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with planning():
            return function(*args, **kwargs)

    return call
