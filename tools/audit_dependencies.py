"""Search the packages of a virtual environment for known vulnerabilities, and say what could not be searched.

    python tools/audit_dependencies.py .venv/bin/python
    python tools/audit_dependencies.py .venv/bin/python --osv all.zip

The first asks the package index, by pip-audit. The second reads the data of https://osv.dev, where the index
is out of reach or is a mirror without vulnerabilities: a .zip of JSON files, as
https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip, or a folder of JSON or YAML files, as a clone
of github.com/pypa/advisory-database. It needs packaging, and PyYAML for YAML.

Exit code: 0 if all packages were searched and none has a known vulnerability, 1 if one has, 2 if some could
not be searched, so that nothing is known of them.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from packaging.version import InvalidVersion, Version

OURS = "hybrid-posters"
STALE_DAYS = 30
_LIST = (
    "import importlib.metadata as m, json, sysconfig; print(json.dumps([sysconfig.get_paths()['purelib'], "
    "sorted({(d.metadata['Name'], d.version) for d in m.distributions()})]))"
)


class Vulnerability(NamedTuple):
    """A known vulnerability of an installed package."""

    package: str
    version: str
    name: str
    fixed: str


class Audit(NamedTuple):
    """What was found, what was searched, and what could not be."""

    found: list[Vulnerability]
    searched: list[str]
    skipped: list[str]
    source: str


def normalise(name: str) -> str:
    """The name of a package as the index writes it.

    >>> normalise("Ruamel_Yaml.clib")
    'ruamel-yaml-clib'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(python: str) -> tuple[str, dict[str, str]]:
    """The folder of the packages of an interpreter, and their versions by name."""
    done = subprocess.run([python, "-c", _LIST], check=True, capture_output=True, text=True)
    folder, packages = json.loads(done.stdout)
    return folder, {
        normalise(name): version for name, version in packages if normalise(name) != OURS
    }


def ask_index(folder: str, packages: dict[str, str]) -> Audit:
    """Ask the package index by pip-audit, which passes over what the index does not know of."""
    command = [sys.executable, "-m", "pip_audit", "--path", folder, "--format", "json"]
    done = subprocess.run(
        [*command, "--progress-spinner", "off"], check=False, capture_output=True, text=True
    )
    try:
        answers = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        return Audit(
            [], [], sorted(packages), f"the package index, which is out of reach ({last[:200]})"
        )
    found, searched = [], set()
    for one in answers:
        name = normalise(one["name"])
        if "skip_reason" in one or name not in packages:
            continue
        searched.add(name)
        for each in one["vulns"]:
            names = ", ".join([each["id"], *each.get("aliases", [])])
            fixed = ", ".join(each["fix_versions"])
            found.append(Vulnerability(name, packages[name], names, fixed))
    return Audit(found, sorted(searched), sorted(set(packages) - searched), "the package index")


def read_osv(path: Path, packages: dict[str, str], now: datetime) -> Audit:
    """Compare with the data of OSV; packages that it does not name have no known vulnerability."""
    found, newest, entries = [], "", 0
    for entry in _entries(path, packages):
        entries += 1
        newest = max(newest, str(entry.get("modified", ""))[:10])
        if "withdrawn" not in entry:
            found += _affects(entry, packages)
    age = (now - datetime.fromisoformat(f"{newest or '1970-01-01'}T00:00:00+00:00")).days
    source = f"{path}: {entries:,} entries up to {newest or 'an unknown day'}"
    if not entries or age > STALE_DAYS:
        why = f"{age:,} days old: what became known since is missing" if entries else "no entries"
        return Audit(found, [], sorted(packages), f"{source} ({why})")
    return Audit(found, sorted(packages), [], source)


def _entries(path: Path, packages: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Read the entries; of those that name no installed package only the day, since parsing takes long."""
    for is_yaml, text in _texts(path):
        names = re.findall(r"""\bname['"]?:\s*['"]?([\w.-]+)""", text)
        if packages.keys().isdisjoint(map(normalise, names)):
            day = re.search(r"""\bmodified['"]?:\s*['"]?(\d{4}-\d\d-\d\d)""", text)
            yield {"modified": day[1] if day else ""}
        elif is_yaml:
            import yaml  # only a clone of the advisory database has such files

            yield yaml.safe_load(text)
        else:
            yield json.loads(text)


def _texts(path: Path) -> Iterator[tuple[bool, str]]:
    if path.is_file():
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                if name.endswith(".json"):
                    yield False, archive.read(name).decode()
        return
    for file in sorted(path.rglob("*")):
        if file.suffix in (".json", ".yaml", ".yml") and ".github" not in file.parts:
            yield file.suffix != ".json", file.read_text(encoding="utf-8")


def _affects(entry: dict[str, Any], packages: dict[str, str]) -> list[Vulnerability]:
    found = []
    for one in entry.get("affected", []):
        package = one.get("package", {})
        name = normalise(str(package.get("name", "")))
        version = packages.get(name)
        if version is None or package.get("ecosystem") != "PyPI" or not is_affected(one, version):
            continue
        events = [event for each in one.get("ranges", []) for event in each.get("events", [])]
        fixed = ", ".join(str(event["fixed"]) for event in events if "fixed" in event)
        names = ", ".join([entry["id"], *entry.get("aliases", [])])
        found.append(Vulnerability(name, version, names, fixed))
    return list(dict.fromkeys(found))


def is_affected(affected: dict[str, Any], version: str) -> bool:
    """Whether a version is listed, or in a range of versions.

    >>> ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.12.2"},
    ...                                            {"introduced": "3.13.0"}, {"fixed": "3.14.1"}]}]
    >>> [is_affected({"ranges": ranges}, one) for one in ("3.12.1", "3.12.4", "3.14.0", "3.14.1")]
    [True, False, True, False]
    """
    if version in affected.get("versions", []):
        return True
    try:
        ours = Version(version)
        return any(
            _within(each.get("events", []), ours)
            for each in affected.get("ranges", [])
            if each.get("type") in ("ECOSYSTEM", "SEMVER")
        )
    except InvalidVersion:
        return False  # of an entry or a package: the listed versions decide


def _within(events: Iterable[dict[str, str]], ours: Version) -> bool:
    affected = False
    for event in sorted(events, key=lambda one: Version(str(next(iter(one.values()))))):
        ((kind, value),) = event.items()
        if kind == "introduced" and ours >= Version(str(value)):
            affected = True
        elif (kind == "fixed" and ours >= Version(str(value))) or (
            kind == "last_affected" and ours > Version(str(value))
        ):
            affected = False
    return affected


def report(audit: Audit) -> tuple[list[str], int]:
    """The lines that are printed, and the exit code."""
    lines = [
        f"{one.package} {one.version}: {one.name}"
        + (f"; fixed in {one.fixed}" if one.fixed else "")
        for one in sorted(audit.found)
    ]
    lines.append(f"searched in {audit.source}")
    hit = len({one.package for one in audit.found})
    lines.append(
        f"{len(audit.searched)} packages searched, {hit} with known vulnerabilities, "
        f"{len(audit.skipped)} not searched"
    )
    if audit.skipped:
        shown = ", ".join(audit.skipped[:8]) + ", …" * (len(audit.skipped) > 8)
        lines.append(
            f"nothing is known of {shown}: give newer data with make audit OSV=FILE "
            "(https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip)"
        )
    code = 1 if audit.found else 2 if audit.skipped else 0
    meanings = ("nothing known", "vulnerabilities are known", "not all could be searched")
    return [*lines, f"exit code {code}: {meanings[code]}"], code


def main(arguments: Sequence[str] | None = None) -> int:
    """Search, print, return the exit code."""
    parser = argparse.ArgumentParser(
        description="Search a virtual environment for known vulnerabilities."
    )
    parser.add_argument("python", help="the interpreter of the environment")
    parser.add_argument("--osv", type=Path, help="data of OSV: a .zip, or a folder")
    options = parser.parse_args(arguments)
    folder, packages = installed(options.python)
    if options.osv:
        audit = read_osv(options.osv, packages, datetime.now(timezone.utc))
    else:
        audit = ask_index(folder, packages)
    lines, code = report(audit)
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
