"""Start Keras without the start-up messages that TensorFlow writes to stderr."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock

_lock = Lock()


def start_keras() -> None:
    """Import Keras and its backend, and let the backend find its devices.

    Functions that need Keras call this before they import a module that uses it. Without it everything
    works as well, but TensorFlow prints a page of notes on its build and on CUDA. They come from C++ before
    a logger can be configured, and ``TF_CPP_MIN_LOG_LEVEL`` (set to 3 if it is unset) silences only some of
    them, so the first call also redirects file descriptor 2 until the backend has started. It is restored
    in any case. If the start fails, what was written is printed. Further calls do nothing.

    Examples
    --------
    >>> start_keras()
    >>> import keras
    >>> keras.ops.convert_to_numpy(keras.ops.zeros(2)).tolist()
    [0.0, 0.0]
    """
    with _lock:
        _start()


@cache
def _start() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _stderr_held_back():
        import keras

        keras.ops.zeros(1)  # the backend looks for devices at its first operation


@contextmanager
def _stderr_held_back() -> Iterator[None]:
    """Redirect file descriptor 2 to a file; print the file if the block raises."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except BaseException:
            notes.seek(0)
            os.write(saved, notes.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
