"""The examples in the docstrings are run, and each public name has one."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import hybrid

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def modules() -> list[str]:
    """All modules of the package, as installed."""
    found = pkgutil.walk_packages(hybrid.__path__, "hybrid.")
    return sorted(m.name for m in found if m.name != "hybrid.__main__")


@pytest.mark.parametrize("name", modules())
def test_examples_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYBRID_CACHE", raising=False)
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert failed == 0


def test_each_public_name_has_an_example() -> None:
    public = [getattr(hybrid, name) for name in hybrid.__all__ if not name.startswith("_")]
    bare = [each.__name__ for each in public if ">>> " not in (each.__doc__ or "")]
    assert not bare
