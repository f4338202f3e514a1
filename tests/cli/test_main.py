"""`hybrid.cli.main.main`, called from Python."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from hybrid.cli.main import hybrid, main
from hybrid.errors import HybridError


def failing(error: Exception) -> Callable[..., int]:
    def command(*_: object, **__: object) -> int:
        raise error

    return command


UNFORESEEN = [
    (
        KeyError("year"),
        "error: expected nothing like this, found KeyError: 'year'. It is a fault of",
    ),
    (RecursionError("too deep"), "found RecursionError: too deep. It is a fault"),
    (MemoryError(), "error: expected enough memory, found too little."),
    (
        OSError(28, "No space left on device", "runs/a"),
        "error: runs/a: No space left on device. Free some space there, or",
    ),
    (HybridError("half \ud800 of a pair"), "error: half \\ud800 of a pair\n"),
]


@pytest.mark.parametrize(("error", "said"), UNFORESEEN)
def test_an_unforeseen_error_is_a_message(
    error: Exception,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(hybrid, "main", failing(error))
    for words in (["check"], ["--debug", "check"], ["check", "--debug"]):
        with pytest.raises(SystemExit) as left:
            main(words)
        assert left.value.code == 1
        found = capsys.readouterr().err
        assert said in found
        assert ("Traceback (most recent call last)" in found) == ("--debug" in words)


def test_debug_behind_two_dashes_is_an_argument(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["check", "--", "--debug"])
    assert left.value.code == 2
    assert "unexpected extra argument (--debug)" in capsys.readouterr().err


def test_the_caller_finds_the_warnings_as_they_were(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = warnings.showwarning, list(warnings.filters)

    def command(*_: object, **__: object) -> int:
        warnings.simplefilter("default")
        warnings.warn("the disk is nearly full", stacklevel=2)
        return 0

    monkeypatch.setattr(hybrid, "main", command)
    with pytest.raises(SystemExit) as left:
        main([])
    assert left.value.code == 0
    assert "warning: the disk is nearly full\n" in capsys.readouterr().err
    assert (warnings.showwarning, list(warnings.filters)) == before


@pytest.mark.parametrize("name", ["\udcff", "a\0b", "", "base64"])
def test_an_encoding_that_is_none(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.csv").write_text("id,title\n1,a\n")
    with pytest.raises(SystemExit) as left:
        main(["check", "--catalogue", str(tmp_path / "c.csv"), "--encoding", name])
    assert left.value.code
    assert "--encoding: expected the name of a text encoding" in capsys.readouterr().err
