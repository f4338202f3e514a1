"""Advice can be followed: each command and option that a message names exists, and what it says helps."""

from __future__ import annotations

import ast
import configparser
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest

from hybrid.cli.main import COMMANDS, hybrid

ROOT = Path(__file__).resolve().parents[2]
Call = Callable[..., int]
Capture = pytest.CaptureFixture[str]

# Words after the name of the program that are no commands.
PROSE = {"wrote", "that", "without", "with", "again"}
NAMED = re.compile(r"(?<![\w./`'’-])hybrid ((?:cache )?[a-z][a-z-]*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")
# Options of other programs, and variables of style sheets.
FOREIGN = {"--query-gpu", "--format", "--upgrade", "--local-dir", "--ink", "--soft", "--line"}
FOREIGN |= {"--debug", "--version"}  # of `hybrid` itself


def options_of(name: str) -> set[str]:
    """The options of a command of its full name."""
    command: click.Command = hybrid
    for word in name.split():
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None, name
        command = found
    commands = [command]
    if isinstance(command, click.Group):  # of any of its commands
        names = command.list_commands(click.Context(command))
        commands += filter(None, (command.get_command(click.Context(command), n) for n in names))
    options = (p for each in commands for p in each.params if isinstance(p, click.Option))
    return {
        "--help",
        *(name for option in options for name in (*option.opts, *option.secondary_opts)),
    }


EVERY = {name: options_of(name) for name in COMMANDS}


def messages() -> Iterator[tuple[str, str]]:
    """Place and text of every string that is no docstring; of one that is put together, {} for the parts."""
    for folder in ("hybrid", "cli", "cache"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.is_relative_to(ROOT / "hybrid/cli") or path.is_relative_to(
                ROOT / "hybrid/cache"
            ):
                continue
            tree = ast.parse(path.read_text(encoding="utf-8"))
            yield from ((f"{path.relative_to(ROOT)}:{line}", said) for line, said in _strings(tree))


def _strings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    inside: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):  # a docstring
            inside.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            inside.update(map(id, node.values))
            parts = (v.value if isinstance(v, ast.Constant) else "{}" for v in node.values)
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(value := getattr(node, "value", None), str) and id(node) not in inside:
            yield node.lineno, value


def pages() -> Iterator[tuple[str, str]]:
    """Place and text of each piece of code inside a line of the documentation."""
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            for code in re.findall(r"`(hybrid [^`]+)`", line):
                yield f"{path.relative_to(ROOT)}:{number}", code


def wrong_words(text: str, command: str | None = None) -> list[str]:
    """Commands that do not exist; options that no command named before them has, nor the one that speaks."""
    pieces = re.split(NAMED, text)
    problems: list[str] = []
    allowed = set().union(*EVERY.values()) if command is None else set(EVERY[command.split()[0]])
    if command is not None and command.split()[0] == "cache":
        allowed = options_of(command)
    problems += [o for o in OPTION.findall(pieces[0]) if o not in allowed | FOREIGN]
    for name, after in zip(pieces[1::2], pieces[2::2], strict=True):
        if name.split()[0] in PROSE:
            continue
        first = name if name.startswith("cache ") else name.split()[0]
        if first.split()[0] not in COMMANDS:
            problems.append(f"hybrid {first}")
            continue
        its = options_of(first)
        # Up to the end of the sentence they are of this command, and then of the one that speaks, too.
        sentence, _, rest = after.partition(". ")
        problems += [f"hybrid {first} {o}" for o in OPTION.findall(sentence) if o not in its]
        problems += [o for o in OPTION.findall(rest) if o not in allowed | its | FOREIGN]
    return problems


def test_every_command_and_option_in_a_message_exists() -> None:
    found = [(place, wrong_words(said)) for place, said in messages()]
    assert len(found) > 1000
    assert [each for each in found if each[1]] == []


def test_every_command_and_option_in_a_page_exists() -> None:
    found = [(place, wrong_words(code)) for place, code in pages()]
    assert len(found) > 50
    assert [each for each in found if each[1]] == []


def test_every_extra_in_a_message_exists() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = set(parser["options.extras_require"])
    named = {
        extra.strip()
        for _, said in messages()
        for several in re.findall(r"hybrid-posters\[([^\]{}]+)\]", said)
        for extra in several.split(",")
    }
    assert named
    assert named <= extras


def test_the_search_finds_wrong_advice() -> None:
    assert wrong_words("Make one with hybrid tidy.") == ["hybrid tidy"]
    assert wrong_words("Try hybrid split --blocks text.") == ["hybrid split --blocks"]
    assert wrong_words("Name it with --lable.") == ["--lable"]
    assert wrong_words("Leave it out with --blocks.", "audit") == ["--blocks"]
    assert wrong_words("Make it with: hybrid extract --backbone {}; or wait.", "audit") == []


@pytest.fixture
def project(fitted_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(fitted_project, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("HYBRID_CACHE", raising=False)
    return folder


FIT = ["fit-svm", "--blocks", "text", "--C", "0.1", "--folds", "2"]
KNN = ["fit-ovr", "--estimator", "knn", "--blocks", "text", "--folds", "2", "--name", "knn"]
NET = ["--backbone", "mobilenet-075", "--weights", "random"]


def rename(old: str, new: str) -> Callable[[], None]:
    """Give a column another name."""
    table = "catalogue.csv"
    return lambda: (
        pd.read_csv(table, dtype=str).rename(columns={old: new}).to_csv(table, index=False)
    )


def remove(path: str) -> Callable[[], object]:
    """Remove a file or folder."""
    return lambda: shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()


def in_latin() -> None:
    text = Path("catalogue.csv").read_text(encoding="utf-8").replace("film", "filmé")
    Path("catalogue.csv").write_text(text + "f-é,Été,,,Comedy\n", encoding="latin-1")


def split_by_hand() -> None:
    table = pd.read_csv("splits.csv", dtype=str)
    table["split"] = np.resize(["train", "train", "validation", "test"], len(table))
    table.to_csv("splits.csv", index=False)
    Path("splits.method.json").unlink()


def another_catalogue() -> None:
    table = pd.read_csv("catalogue.csv", dtype=str)
    later = table.head(1).assign(id="later", title="Later", poster="")
    pd.concat([table, later]).to_csv("catalogue.csv", index=False)


def nothing() -> None:
    pass


# What is wrong, the command that fails, what its message says, and what is done then: words that the message
# has, as commands; or options that it has, which are added to the command.
CASES: dict[str, tuple[Callable[[], object], list[str], str, list[list[str]], list[str]]] = {
    "no split": (remove("splits.csv"), FIT, "hybrid split", [["split"]], []),
    "other items": (another_catalogue, FIT, "hybrid split", [["split"]], []),
    "no run": (remove("runs"), ["report", "--draws", "20"], "hybrid fit-svm", [FIT], []),
    "no such run": (remove("runs"), ["predict", "svm"], "hybrid fit-svm", [FIT], []),
    "no id": (rename("id", "film"), ["check"], "--id-column", [], ["--id-column", "film"]),
    "no labels": (
        rename("genres", "sort"),
        ["split"],
        "--label-column",
        [],
        ["--label-column", "sort"],
    ),
    "no catalogue": (
        lambda: Path("catalogue.csv").rename("films.csv"),
        ["check"],
        "--catalogue",
        [],
        ["--catalogue", "films.csv"],
    ),
    "latin-1": (in_latin, ["check"], "latin-1", [], ["--encoding", "latin-1"]),
    "another catalogue": (
        another_catalogue,
        ["report", "text", "--draws", "20"],
        "--catalogue",
        [],
        ["--catalogue", "catalogue.csv"],
    ),
    "a folder in the way": (
        lambda: Path("runs/notes").mkdir(),
        [*FIT, "--name", "notes"],
        "--name",
        [],
        ["--name", "other"],
    ),
    "no embeddings": (
        remove(".hybrid-cache"),
        ["fit-svm", "--blocks", "poster,text", "--C", "0.1", "--folds", "2"],
        "--blocks",
        [],
        ["--blocks", "text"],
    ),
    "no linear head": (lambda: None, ["explain", "knn"], "hybrid fit-svm", [FIT], ["svm"]),
    "a split by hand": (
        split_by_hand,
        ["study", "svm", "--repeats", "2"],
        "--method",
        [],
        ["--method", "random"],
    ),
    "no time": (nothing, ["split", "--method", "temporal"], "--by", [], ["--by", "year"]),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_message_advises_helps(
    name: str, project: Path, call: Call, capsys: Capture
) -> None:
    spoil, words, advised, fixes, added = CASES[name]
    if name == "no linear head":
        assert call(*KNN, "--quiet") == 0
    spoil()
    if name == "a split by hand":
        assert call(*FIT, "--quiet") == 0
    capsys.readouterr()
    assert call(*words, "--quiet") in (1, 2)
    said = capsys.readouterr().err
    assert advised in said
    assert wrong_words(said, words[0]) == []
    for fix in fixes:
        assert call(*fix, "--quiet") == 0
    again = [words[0], *added] if name == "no linear head" else [*words, *added]
    assert call(*again, "--quiet") == 0


FAILING: dict[str, tuple[Callable[[], object], list[str]]] = {
    "audit without embeddings": (remove(".hybrid-cache"), ["audit", *NET]),
    "export without embeddings": (remove(".hybrid-cache"), ["cache", "export", "--out", "e.npz"]),
    "audit without a split": (remove("splits.csv"), ["audit"]),
    "audit of another catalogue": (another_catalogue, ["audit", "--run", "text"]),
    "study of another catalogue": (another_catalogue, ["study", "text", "--curve"]),
    "study of another split": (split_by_hand, ["study", "text", "--curve"]),
    "explain with another catalogue": (another_catalogue, ["explain", "text"]),
    "model-card of another catalogue": (another_catalogue, ["model-card", "text"]),
    "no weights to choose": (
        nothing,
        ["predict", "text", "--weights", "imagenet", "--out", "p.csv"],
    ),
    "an unknown item": (nothing, ["explain", "text", "nobody"]),
    "an unknown column": (nothing, ["check", "--numeric", "weight"]),
    "an unknown backbone": (nothing, ["extract", "--backbone", "nothing"]),
    "an untrained backbone": (nothing, ["extract", "--backbone", "scratch"]),
    "an unknown estimator": (nothing, ["fit-ovr", "--estimator", "nothing"]),
    "a layer that is not there": (nothing, ["backbones", "--layers", "nothing"]),
    "a run that is none": (nothing, ["describe", "nothing"]),
    "features of words": (nothing, ["explain", "text", "--features"]),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_message_names_options_of_its_own_command(
    name: str, project: Path, call: Call, capsys: Capture
) -> None:
    spoil, words = FAILING[name]
    spoil()
    assert call(*words, "--quiet") in (1, 2)
    said = capsys.readouterr().err
    command = " ".join(words[:2]) if words[0] == "cache" else words[0]
    assert said.strip()
    assert wrong_words(said, command) == []
