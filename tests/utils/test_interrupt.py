"""Signals where nothing can be raised."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import hybrid.utils.interrupt
from hybrid.utils import files
from hybrid.utils.interrupt import Interrupted, Signals, signals_raise


def test_a_signal_that_comes_again_while_its_thread_starts_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a busy machine the thread that sends it again takes longer to start than it waits."""
    started: list[bool] = []

    class Slow:
        daemon = False

        def __init__(self, *_: object) -> None: ...

        def start(self) -> None:
            started.append(self.daemon)
            if len(started) < 3:
                raise Interrupted(signal.SIGTERM)

    monkeypatch.setattr(hybrid.utils.interrupt.threading, "Timer", Slow)
    signals = Signals()
    signals.number = signal.SIGTERM
    signals.deliver_again(SimpleNamespace(exc_type=Interrupted))
    assert started == [True, True, True]


def test_what_half_made_objects_say_after_a_signal_is_not_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As numba's, whose `__del__` needs what `__init__` had not set yet."""
    signals = Signals()
    broken = SimpleNamespace(
        exc_type=AttributeError,
        exc_value=AttributeError("no _as_parameter_"),
        exc_traceback=None,
        err_msg="Exception ignored in",
        object=None,
    )
    signals.number = signal.SIGHUP
    signals.deliver_again(broken)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("step", ["flock", "remove"])
def test_a_signal_while_a_lock_is_taken_or_given_back_leaves_no_file(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a second one does that comes while the first one ends the command."""
    where: Any = files.fcntl if step == "flock" else files
    real = getattr(where, step)

    def disturbed(*arguments: Any) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return real(*arguments)

    monkeypatch.setattr(where, step, disturbed)
    with (
        pytest.raises(Interrupted, match=r"^$"),
        signals_raise(),
        files.locked(tmp_path / "a.lock"),
    ):
        pass
    assert not list(tmp_path.iterdir())
