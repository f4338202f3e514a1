"""TensorFlow writes a page of start-up notes to stderr; show them only if the start fails."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_start() -> Iterator[None]:
    """Hold back what native code writes to stderr; print it if the block raises.

    The notes come from C++, before any logger can be set, so the file descriptor itself is diverted.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
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
