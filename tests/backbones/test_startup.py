"""Importing hybrid, and starting Keras, change nothing else in the process."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from hybrid.backbones.startup import _stderr_held_back, start_keras

IMPORT_ALL = """
import importlib, os, pkgutil, signal, socket, sys, warnings

def state():
    return (
        os.fstat(2).st_ino, sys.stderr, sys.stdout, warnings.showwarning,
        socket.getdefaulttimeout(), signal.getsignal(signal.SIGINT),
    )

before, diverted, dup2 = state(), [], os.dup2
os.dup2 = lambda *a, **k: (diverted.append(a), dup2(*a, **k))[1]
import hybrid
for module in pkgutil.walk_packages(hybrid.__path__, "hybrid."):
    if module.name != "hybrid.__main__":
        importlib.import_module(module.name)
import keras
assert not diverted
assert state() == before
assert keras.config.dtype_policy().name == keras.config.floatx() == "float32"
"""


def test_importing_changes_nothing_in_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_starting_keras_restores_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    before = os.fstat(2).st_ino
    start_keras()
    assert os.fstat(2).st_ino == before
    os.write(2, b"seen")
    assert capfd.readouterr().err == "seen"


def test_what_is_held_back_is_printed_if_the_start_fails(capfd: pytest.CaptureFixture[Any]) -> None:
    with _stderr_held_back():
        os.write(2, b"a note")
    with pytest.raises(ImportError, match="no such backend"):
        _fail_to_start()
    os.write(2, b" and after")
    assert capfd.readouterr().err == "the reason and after"


def _fail_to_start() -> None:
    with _stderr_held_back():
        os.write(2, b"the reason")
        raise ImportError("no such backend")
