"""Working in a checkout: imports from its root, and a linked (editable) installation."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WHERE = "import hybrid, hybrid.cache, hybrid.cli; print(hybrid.cache.__file__, hybrid.cli.__file__)"


def run(*command: object, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_links_lead_to_the_folders_beside() -> None:
    for name in ("cache", "cli"):
        assert (ROOT / "hybrid" / name).resolve() == ROOT / name


def test_imports_from_the_root_are_those_of_the_checkout() -> None:
    found = [Path(part).resolve() for part in run(sys.executable, "-c", WHERE, cwd=ROOT).split()]
    assert found == [ROOT / name / "__init__.py" for name in ("cache", "cli")]


def test_the_package_runs_as_a_module() -> None:
    assert run(sys.executable, "-m", "hybrid", "--version", cwd=ROOT).startswith("hybrid, version")


def test_a_linked_installation_works_in_any_folder(tmp_path: Path) -> None:
    """In an environment of its own that borrows only the dependencies from this one."""
    pytest.importorskip("setuptools", "77", reason="the extra 'test' is not installed")
    sources = tmp_path / "sources"
    sources.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    for name in ("hybrid", "cache", "cli"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, sources / name, symlinks=True, ignore=ignore)
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", cwd=tmp_path)
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
    run(
        *(
            sys.executable,
            "-m",
            "pip",
            "--python",
            python,
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
        ),
        *("--no-build-isolation", "--ignore-installed", "--editable", sources),
        cwd=tmp_path,
    )
    places = [Path(part).resolve() for part in run(python, "-c", WHERE, cwd=tmp_path).split()]
    assert places == [sources / name / "__init__.py" for name in ("cache", "cli")]
    code = "from hybrid import __version__; print(__version__)"
    assert run(python, "-c", code, cwd=tmp_path).strip()
