"""Compiled loops: what cannot be kept for the next process costs this one nothing."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest

from hybrid.utils.jit import jit


def test_a_full_disk_does_not_stop_a_compiled_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = []

    def full(*names: Any) -> None:
        refused.append(names)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def double(x: int) -> int:
        return 2 * x

    compiled = jit()(double)
    monkeypatch.setattr(os, "replace", full)  # numba's last step of saving
    assert compiled(21) == 42
    assert refused
