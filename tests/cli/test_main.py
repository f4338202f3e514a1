"""`hybrid.cli.main.main`, called from Python."""

from __future__ import annotations

import warnings

import pytest

from hybrid.cli.main import hybrid, main


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
