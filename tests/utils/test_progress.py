"""Progress: nothing if quiet, lines now and then where there is no terminal."""

from __future__ import annotations

import pytest

import hybrid.utils.progress
from hybrid.utils.progress import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that shows what its first entry says."""
    now = [0.0]
    monkeypatch.setattr(hybrid.utils.progress.time, "monotonic", lambda: now[0])
    return now


def run(progress: Progress, clock: list[float], seconds: float) -> None:
    """A job of 100 units, one each `seconds`."""
    with progress.bar("embedding", 100, "posters") as advance:
        for _ in range(100):
            clock[0] += seconds
            advance(1)


def test_quiet_says_nothing(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    progress.say("hello")
    run(progress, clock, 1.0)
    assert capsys.readouterr() == ("", "")


def test_a_long_job_says_rate_and_time_left(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    run(Progress(quiet=False), clock, 0.5)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "embedding: 4 of 100 posters, 2.0 a second, 48 s left"
    assert len(lines) == 5


def test_a_short_job_says_nothing(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    run(Progress(quiet=False), clock, 0.01)
    assert capsys.readouterr().err == ""


def test_a_slow_start_tells_no_time_left(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress(quiet=False).bar("reading", 1000, "posters") as advance:
        clock[0] += 3
        advance(1)
        assert capsys.readouterr().err == ""
        clock[0] += 1
        advance(99)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["reading: 100 of 1000 posters, 25.0 a second, 36 s left"]


def test_a_bar_of_at_most_so_many_is_full_at_the_end(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress(quiet=False).bar_at_most("choosing", 10, "fits") as advance:
        clock[0] += 20
        advance(4)
        clock[0] += 20
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("choosing: 10 of 10 fits")
