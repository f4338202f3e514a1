"""Loops that numba compiles, without Python's lock; the machine code is kept for the next process.

An array is copied by a loop: to compile ``a[:n] = b`` takes five seconds, nearly all for numba's own message
about shapes that differ.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def jit(**options: Any) -> Callable[[Function], Function]:
    """Compile a function with numba at its first call; it releases the interpreter lock.

    The code is kept beside the module or in the user's cache folder. Where neither can be written (a
    container without a home, say), each process compiles anew, and a warning says what to do. Where the disk
    is full, the code is not kept.
    """

    def decorate(function: Function) -> Function:
        try:
            compiled: Function = njit(nogil=True, cache=True, **options)(function)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            warnings.warn(
                "expected a folder for compiled code, found none that can be written: each command "
                "compiles its loops anew, which takes seconds. Name one with NUMBA_CACHE_DIR.",
                stacklevel=2,
            )
            return njit(nogil=True, **options)(function)
        _save_if_there_is_room(compiled)
        return compiled

    return decorate


def _save_if_there_is_room(compiled: Any) -> None:
    """Let a full disk cost the saved code, not the fit: numba would raise in the middle of it."""
    cache = getattr(compiled, "_cache", None)
    save = getattr(cache, "save_overload", None)
    if save is None:
        return

    def try_to_save(*arguments: Any) -> None:
        with contextlib.suppress(OSError):
            save(*arguments)

    cache.save_overload = try_to_save  # type: ignore[union-attr]
