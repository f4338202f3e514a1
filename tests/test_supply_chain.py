"""Locked requirements, the search for known vulnerabilities, the bill of materials: what `make` runs."""

from __future__ import annotations

import configparser
import importlib.util
import json
import re
import sys
import zipfile
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime(2026, 11, 27, tzinfo=timezone.utc)
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    path = ROOT / "tools/audit_dependencies.py"
    spec = importlib.util.spec_from_file_location("audit_dependencies", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def requirements() -> list[Requirement]:
    """All that `setup.cfg` asks for: what is installed always, and each extra but those for one machine."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options"]["install_requires"]
    lines += "".join(config["options.extras_require"][name] for name in ("test", "dev"))
    names = [
        line for line in lines.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    return [Requirement(line) for line in names if not line.startswith("hybrid-posters")]


def locked(path: Path, python: str) -> dict[str, tuple[Version, int]]:
    """Name → version and number of hashes, for a version of Python on Linux."""
    found = {}
    for block in re.split(r"\n(?=[a-z0-9])", path.read_text()):
        line = block.splitlines()[0].rstrip("\\ ")
        if not re.match(r"[a-z0-9][\w.-]*==", line):
            continue
        one = Requirement(line)
        full = {"python_version": python, "python_full_version": f"{python}.9"}
        linux = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
        if one.marker is None or one.marker.evaluate(full | linux):
            (version,) = one.specifier
            found[one.name] = (Version(version.version), block.count("--hash=sha256:"))
    return found


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_file_has_what_is_asked_for_with_hashes(python: str) -> None:
    found = locked(ROOT / "requirements/dev.txt", python)
    assert all(hashes for _, hashes in found.values())
    for one in requirements():
        assert one.name in found, f"{one}: run make lock"
        assert found[one.name][0] in one.specifier, f"{one}: run make lock"


def test_every_environment_begins_with_current_tools() -> None:
    lines = (ROOT / "requirements/pip.in").read_text().splitlines()
    asked = [Requirement(line) for line in lines if not line.startswith("#")]
    assert [one.name for one in asked] == ["pip", "setuptools"]
    tools = locked(ROOT / "requirements/tools.txt", "3.12")
    assert all(tools[one.name][0] in one.specifier for one in asked)
    assert {"pip-audit", "cyclonedx-bom", "uv"} <= tools.keys()


@pytest.mark.parametrize(
    ("version", "allowed"),
    [("3.10.0", False), ("3.12.3", False), ("3.12.4", True), ("3.13.2", False), ("3.14.1", False),
     ("3.15.0", False), ("3.15.1", True), ("3.16.0", True)],
)  # fmt: skip
def test_keras_is_one_that_checks_what_files_of_weights_refer_to(
    version: str, allowed: bool
) -> None:
    (keras,) = (one for one in requirements() if one.name == "keras")
    assert (version in keras.specifier) == allowed
    assert "CVE-2026-12480" in (ROOT / "docs/dependencies.md").read_text()


def entry(name: str, events: list[dict[str, str]], **more: Any) -> dict[str, Any]:
    affected = {
        "package": {"ecosystem": "PyPI", "name": name},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }
    return {
        "id": f"PYSEC-{name}",
        "modified": "2026-11-20T00:00:00Z",
        "affected": [affected],
        **more,
    }


def zipped(path: Path, entries: list[dict[str, Any]]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for i, one in enumerate(entries):
            archive.writestr(f"{i}.json", json.dumps(one))
    return path


def test_the_audit_finds_what_osv_knows(audit: ModuleType, tmp_path: Path) -> None:
    packages = {"keras": "3.14.0", "numpy": "2.4.6", "ruamel-yaml": "0.18"}
    entries = [
        entry("keras", [{"introduced": "0"}, {"fixed": "3.14.1"}], aliases=["CVE-2026-12480"]),
        entry("numpy", [{"introduced": "0"}, {"fixed": "1.22"}]),
        entry("numpy", [{"introduced": "0"}], withdrawn="2026-01-01T00:00:00Z"),
        entry("Ruamel_YAML", [{"introduced": "0"}, {"last_affected": "0.18"}]),
        entry("absent", [{"introduced": "0"}]),
    ]
    found = audit.read_osv(zipped(tmp_path / "all.zip", entries), packages, NOW)
    lines, code = audit.report(found)
    assert code == 1
    assert lines[:2] == [
        "keras 3.14.0: PYSEC-keras, CVE-2026-12480; fixed in 3.14.1",
        "ruamel-yaml 0.18: PYSEC-Ruamel_YAML",
    ]
    assert lines[3] == "3 packages searched, 2 with known vulnerabilities, 0 not searched"
    for i, one in enumerate(entries):
        (tmp_path / f"{i}.json").write_text(json.dumps(one))
    assert audit.read_osv(tmp_path, packages, NOW).found == found.found
    sound = audit.read_osv(tmp_path / "all.zip", {"keras": "3.14.1"}, NOW)
    assert audit.report(sound)[1] == 0


def test_the_audit_reads_a_clone_of_the_advisory_database(
    audit: ModuleType, tmp_path: Path
) -> None:
    pytest.importorskip("yaml", reason="PyYAML, which pip-audit brings, is not here")
    text = (
        "aliases: [CVE-1]\nid: PYSEC-1\nmodified: '2026-11-26T00:00:00Z'\naffected:\n- package:\n"
    )
    text += "    name: NumPy\n    ecosystem: PyPI\n  versions:\n  - 2.4.6\n"
    (tmp_path / "PYSEC-1.yaml").write_text(text)
    more = audit.read_osv(tmp_path, {"numpy": "2.4.6"}, NOW)
    assert list(more.found) == [audit.Vulnerability("numpy", "2.4.6", "PYSEC-1, CVE-1", "")]
    assert "up to 2026-11-26" in more.source


@pytest.mark.parametrize(
    "entries", [[], [entry("numpy", [{"introduced": "9"}], modified="2024-10-10T00:00:00Z")]]
)
def test_old_data_proves_nothing(
    audit: ModuleType, tmp_path: Path, entries: list[dict[str, Any]]
) -> None:
    found = audit.read_osv(zipped(tmp_path / "all.zip", entries), {"numpy": "2.4.6"}, NOW)
    lines, code = audit.report(found)
    assert code == 2
    assert lines[-1] == "exit code 2: not all could be searched"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("", 2),  # the index is out of reach
        ('{"dependencies": [{"name": "numpy", "skip_reason": "not found on PyPI"}]}', 2),  # a mirror
        ('{"dependencies": [{"name": "numpy", "vulns": []}]}', 0),
        ('{"dependencies": [{"name": "numpy", "vulns": [{"id": "X", "fix_versions": []}]}]}', 1),
    ],
)  # fmt: skip
def test_what_the_index_does_not_answer_is_not_called_clean(
    audit: ModuleType, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    done = SimpleNamespace(stdout=answer, stderr="no route to host\n", returncode=1)
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: done)
    assert audit.report(audit.ask_index("site-packages", {"numpy": "1"}))[1] == code


def test_the_packages_of_an_environment_are_listed(audit: ModuleType) -> None:
    folder, packages = audit.installed(sys.executable)
    assert Path(folder).is_dir()
    assert packages["keras"]
    assert "hybrid-posters" not in packages
