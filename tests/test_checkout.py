"""Working in a checkout: imports from its root, and a linked (editable) installation."""

from __future__ import annotations

import site
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., str]
ROOT = Path(__file__).resolve().parents[1]
WHERE = "import hybrid, hybrid.cache, hybrid.cli; print(hybrid.cache.__file__, hybrid.cli.__file__)"


def test_the_links_lead_to_the_folders_beside() -> None:
    for name in ("cache", "cli"):
        assert (ROOT / "hybrid" / name).resolve() == ROOT / name


def test_imports_from_the_root_are_those_of_the_checkout(run_in: Run) -> None:
    found = [Path(part).resolve() for part in run_in(ROOT, sys.executable, "-c", WHERE).split()]
    assert found == [ROOT / name / "__init__.py" for name in ("cache", "cli")]


def test_the_package_runs_as_a_module(run_in: Run) -> None:
    assert run_in(ROOT, sys.executable, "-m", "hybrid", "--version").startswith("hybrid, version")


def test_a_linked_installation_works_in_any_folder(
    tmp_path: Path, copy_sources: Callable[[Path], Path], run_in: Run
) -> None:
    """In an environment of its own that borrows only the dependencies from this one."""
    pytest.importorskip("setuptools", "77", reason="the extra 'test' is not installed")
    sources = copy_sources(tmp_path / "sources")
    run_in(tmp_path, sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    library = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    # Not hybrid itself, which may be installed here and would be found first.
    dependencies = tmp_path / "dependencies"
    dependencies.mkdir()
    for found in {sysconfig.get_path("purelib"), *site.getsitepackages()}:
        for path in Path(found).iterdir():
            if not path.name.startswith(("hybrid", "__editable__", "__pycache__")):
                (dependencies / path.name).symlink_to(path)
    (library / "dependencies.pth").write_text(f"{dependencies}\n")
    python = tmp_path / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    offline = ("--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed")
    run_in(tmp_path, *pip, *offline, "--editable", sources)
    places = [Path(part).resolve() for part in run_in(tmp_path, python, "-c", WHERE).split()]
    assert places == [sources / name / "__init__.py" for name in ("cache", "cli")]
    code = "from hybrid import __version__; print(__version__)"
    assert run_in(tmp_path, python, "-c", code).strip()
