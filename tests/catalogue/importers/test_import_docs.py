"""The pages on imports: their examples, run on the data sets of these tests, and their tables."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from hybrid.catalogue.importers.genre_names import SAME, TMDB_IDS
from hybrid.catalogue.importers.kinds import IMPORTERS
from hybrid.catalogue.importers.poster_files import image_suffix
from hybrid.cli.main import main

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "imports.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^    hybrid (import (\S+) (\S+) .*)\n((?:    .*\n)+)", PAGE, re.M)

Make = Callable[[str, Path], Path]


def run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as done:
        main(arguments)
    return int(str(done.value.code or 0))


def test_there_is_an_example_of_each_kind() -> None:
    assert [kind for _, kind, _, _ in EXAMPLES] == list(IMPORTERS)


@pytest.mark.parametrize(("command", "kind", "source", "output"), EXAMPLES)
def test_example(
    command: str,
    kind: str,
    source: str,
    output: str,
    make_data_set: Make,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_data_set(kind, Path(source).parent if Path(source).suffix else Path(source))
    assert run(shlex.split(command)) == 0
    expected = "".join(f"{line[4:]}\n" for line in output.splitlines())
    assert capsys.readouterr().out == expected


def test_a_result_as_json(make_data_set: Make, capsys: pytest.CaptureFixture[str]) -> None:
    make_data_set("movies-metadata", Path("source"))
    assert run(["import", "movies-metadata", "source", "--out", "films", "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["items"] == 6
    assert sum(found["left_out"].values()) == 3
    assert {finding["kind"] for finding in found["findings"]} == {"columns left out", "broken rows"}


def test_a_mapping_without_a_role_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import", "csv", "t.csv", "--out", "films", "--map", "Genre"]) == 2
    assert "--map: expected COLUMN=ROLE such as Genre=genres" in capsys.readouterr().err


def test_the_help_lists_all_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import", "--help"]) == 0
    listed = capsys.readouterr().out.partition("KIND is one of:")[2].partition(".")[0]
    assert [name.strip() for name in listed.split(",")] == list(IMPORTERS)


def test_the_tables_of_genres_are_those_of_the_code() -> None:
    rows = re.findall(
        r"^\| (.+) \| (.+) \| (.+) \|$", PAGE.partition("## Names of genres")[2], re.M
    )
    table = {name: (tuple(a.split(", ")), tuple(b.split(", "))) for name, a, b in rows[1:]}
    table.pop("---", None)
    assert table == SAME
    ids = re.findall(r"^\| (\d+) \| (.+) \|$", PAGE, re.M)
    assert {int(number): name for number, name in ids} == TMDB_IDS


def test_images_are_known_by_their_first_bytes() -> None:
    assert image_suffix(b"\x00\x00\x00\x20ftypavif") == ".avif"
    assert image_suffix(b"RIFF\x00\x00\x00\x00WEBPVP8 ") == ".webp"
    assert image_suffix(b"\x89PNG\r\n\x1a\n\x00") == ".png"
    assert image_suffix(b"") == ""
