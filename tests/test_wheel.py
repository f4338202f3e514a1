"""The wheel, installed in a clean environment and tried from outside the repository."""

from __future__ import annotations

import site
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, copy_sources: Callable[[Path], Path]) -> Path:
    """Built from a copy of the sources, so that nothing is left in the checkout."""
    pytest.importorskip("build", reason="the extra 'test' is not installed")
    copy = copy_sources(tmp_path_factory.mktemp("sources"))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist"]
    subprocess.run(command, cwd=copy, check=True, capture_output=True)
    (built,) = (copy / "dist").glob("*.whl")
    return built


def test_one_name_is_installed(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"hybrid"}
    needed = {"hybrid/py.typed", "hybrid/report/report.html.j2", "hybrid/cache/FORMAT.md"}
    assert needed <= set(names)
    # Every module of the sources is in it.
    modules = {
        f"hybrid/{'' if top == 'hybrid' else top + '/'}{path.relative_to(ROOT / top).as_posix()}"
        for top in ("hybrid", "cache", "cli")
        for path in (ROOT / top).rglob("*.py")
        if not (top == "hybrid" and path.relative_to(ROOT / top).parts[0] in ("cache", "cli"))
    }
    assert modules == {name for name in names if name.endswith(".py")}


def test_it_works_from_elsewhere(wheel: Path, tmp_path: Path, run_in: Callable[..., str]) -> None:
    """In an environment of its own that borrows only the dependencies from this one."""
    venv = [sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"]
    subprocess.run(venv, check=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python]
    install = [*pip, "install", "--quiet", "--no-compile", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, capture_output=True)
    here = {sysconfig.get_path("purelib"), *site.getsitepackages()}
    library = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    (library / "dependencies.pth").write_text("\n".join(sorted(here)) + "\n")

    def run(*command: object) -> str:
        return run_in(tmp_path, *command)

    code = "import hybrid, hybrid.cache, hybrid.cli; print(hybrid.__file__, hybrid.cache.__file__)"
    assert all(part.startswith(str(tmp_path)) for part in run(python, "-c", code).split())
    command = tmp_path / "venv" / "bin" / "hybrid"
    assert "0.1.0" in run(command, "--version")
    run(command, "sample", "films", "--items", "60")
    common = ("--catalogue", "films/catalogue.csv", "--quiet")
    rest = (
        ("split", *common),
        # A head without compiled loops: a new installation would compile them for half a minute.
        ("fit-ovr", "--estimator", "dummy-stratified", "--blocks", "metadata", *common),
        ("report", *common),
    )
    # In one process: each would load pandas and scikit-learn for seconds.
    run(python, "-c", f"from hybrid.cli.main import _run; assert not any(map(_run, {rest}))")
    assert (tmp_path / "report.html").exists()
