"""The documentation says what is true."""

from __future__ import annotations

import configparser
import doctest
import importlib
import inspect
import re
import shlex
from pathlib import Path

import click
import pytest

from hybrid.cli.main import COMMANDS, hybrid

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
PAGES.append(ROOT / "cache" / "FORMAT.md")


def commands() -> list[tuple[str, str]]:
    """Every `hybrid …` line of a code block: page and line."""
    found = []
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            if re.match(r"    hybrid [a-z]", line):
                found.append((page.name, line.strip()))
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_every_command_line_parses(page: str, line: str) -> None:
    arguments = shlex.split(line.replace("→", ""), comments=True)[1:]
    context = click.Context(hybrid)
    name, command, rest = hybrid.resolve_command(context, arguments)
    assert command is not None
    command.make_context(name, rest, parent=context)


def test_the_pages_show_commands() -> None:
    assert len(commands()) > 10


def test_table_of_commands_is_the_list_of_commands() -> None:
    rows = re.findall(r"^\| `hybrid ([a-z-]+)[^`]*` \| (.*) \|$", PAGES[0].read_text(), re.M)
    assert dict(rows) == COMMANDS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_each_dependency_has_its_reason() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    requirements = config["options"]["install_requires"].split("\n")
    names = {re.split(r"[ <>=\[]", line)[0] for line in requirements if line}
    said = (ROOT / "docs" / "dependencies.md").read_text()
    assert not {name for name in names if not re.search(rf"\b{name}\b", said)}
    for extra in config["options.extras_require"]:
        assert f"`{extra}`" in said


@pytest.mark.usefixtures("shallow_mobilenet", "eager_networks")  # examples are of calls and shapes
@pytest.mark.filterwarnings("ignore:Liblinear failed to converge")
@pytest.mark.parametrize(("page", "least"), [("api.md", 15), ("embeddings.md", 10)])
def test_pages_of_python_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str, least: int
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYBRID_CACHE", raising=False)
    failed, tried = doctest.testfile(
        str(ROOT / "docs" / page), module_relative=False, optionflags=doctest.ELLIPSIS
    )
    assert tried > least
    assert failed == 0


def test_page_of_backbones_lists_the_registry() -> None:
    from hybrid.backbones import BACKBONES

    rows = re.findall(
        r"^\| `([a-z0-9-]+)` \| (\d.*) \|$", (ROOT / "docs" / "backbones.md").read_text(), re.M
    )
    assert dict(rows) == {
        spec.name: (
            f"{spec.dimension} | {spec.input_size[0]} x {spec.input_size[1]} | {spec.parameters:,} | "
            f"{spec.gflops:.2f} | {spec.min_side} | {spec.licence}"
        )
        for spec in BACKBONES.values()
    }


def test_contributing_names_what_there_is() -> None:
    page = " ".join((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split())
    for path in re.findall(r"`((?:hybrid|cache|cli|tests|docs)/[^ `]*)`", page):
        assert "NAME" in path or (ROOT / path).exists(), path
    places = re.findall(r"`(\w+)`(?: to `(\w+)`)? in `([^`]+\.py)`", page)
    assert len(places) == 5
    for first, second, path in places:
        assert re.search(rf"\b{second or first}\b", (ROOT / path).read_text()), (first, path)


def find(name: str) -> object:
    """`hybrid.a.b.Class.method` → what has this name."""
    parts = name.split(".")
    for cut in range(len(parts), 1, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise AssertionError(name)


def calls() -> list[tuple[str, str]]:
    """The walks of the page on architecture: caller and callee."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    found, above = [], [""]
    for indent, name in re.findall(r"^( *)- `([\w.]+)`", page, re.M):
        depth = len(indent) // 4
        above[depth:] = [name]
        found.append((above[depth - 1] if depth else "", name))
    return found


@pytest.mark.parametrize(("caller", "callee"), calls())
def test_the_walks_are_calls_in_the_code(caller: str, callee: str) -> None:
    assert callable(find(callee))
    if caller:
        name = callee.rsplit(".", 1)[1]
        assert re.search(rf"\b{name}\b", inspect.getsource(find(caller)))  # type: ignore[arg-type]


def test_there_are_three_walks() -> None:
    assert sum(caller == "" for caller, _ in calls()) == 3
    assert len(calls()) > 30
