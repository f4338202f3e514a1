"""Text of a catalogue controls neither the terminal nor a page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from markupsafe import Markup

from hybrid.cli.output import bad_rows_text, echo, roles_text, show, tell
from hybrid.report.page import make_environment
from hybrid.types import BadRow, ColumnRole

HOSTILE = [
    *map(chr, (*range(9), *range(11, 32), *range(127, 160))),
    *map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029, 0xD800, 0xDFFF)),
]
TEXT = "a" + "b".join(HOSTILE) + "c"
ORDINARY = "Amélie \u05d0\u200f \u0639\u0631\u0628\u064a \U0001f3ac\u200d\U0001f3a5 \u65e5\u672c\tx"
FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def test_a_terminal_shows_what_would_control_it(capfd: pytest.CaptureFixture[str]) -> None:
    echo(TEXT)
    tell(f"note: {TEXT}\nerror: forged")
    said = capfd.readouterr()
    assert not FORBIDDEN.search(said.out + said.err)
    assert r"b\x1bb" in said.out
    assert r"b\u202eb" in said.out
    assert said.err.count("\n") == 1


def test_ordinary_text_is_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    echo(ORDINARY)
    assert capfd.readouterr().out == ORDINARY + "\n"


def test_json_says_the_same(capfd: pytest.CaptureFixture[str]) -> None:
    show(True, {"title": TEXT, "ordinary": ORDINARY}, "")
    out = capfd.readouterr().out
    assert not FORBIDDEN.search(out)
    assert json.loads(out) == {"title": TEXT, "ordinary": ORDINARY}


def test_a_bad_row_is_one_line() -> None:
    row = BadRow(1, "x\nrow 2, id y: all is well\r\x1b[2K", "p.jpg", "cannot be read")
    assert len(bad_rows_text([row]).splitlines()) == 1


def test_a_page_shows_what_would_turn_its_text() -> None:
    made = make_environment()
    page = made.from_string("<p title='{{ x }}'>{{ x }}{{ y }}</p>").render(
        x=f"<b>{TEXT}", y=Markup("<i>{}</i>").format(TEXT)
    )
    assert not FORBIDDEN.search(page)
    assert "&lt;b&gt;" in page
    assert "<i>" in page
    assert made.from_string("{{ x }}").render(x=ORDINARY) == ORDINARY


def test_check_of_a_hostile_catalogue(
    tmp_path: Path, call: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "catalogue.csv"
    name = "f\x1b]0;owned\x07\u202e"
    rows = "".join(f"{i % 8},Dra\u202ema|War,{name}.jpg,{name}\n" for i in range(9))
    rows += f"{name},War,,\n"
    path.write_text(f"id,genres,poster,title\n{rows}", encoding="utf-8")
    for words in ([], ["--json"]):
        call("check", "--catalogue", str(path), *words)
        said = capfd.readouterr()
        assert not FORBIDDEN.search(said.out + said.err)
        assert "owned" in said.out + said.err


def test_an_error_with_the_users_words(
    call: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    assert call("check", "--catalogue", "no\x1b[31mfile\u202e.csv") == 1
    assert call("check", "--no\x1bsuch") == 2
    assert not FORBIDDEN.search(capfd.readouterr().err)


def test_one_place_prints() -> None:
    """And each page is made by one environment."""
    here = Path(__file__).parents[2]
    echoing = [p.name for p in (here / "cli").glob("*.py") if "click.echo(" in p.read_text()]
    assert echoing == ["output.py"]
    made = [
        p.name for p in (here / "hybrid/report").rglob("*.py") if "Environment(" in p.read_text()
    ]
    assert sorted(made) == ["model_card.py", "page.py"]


def test_long_text_does_not_fill_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    long, path = "x" * 200_000, "/".join(["f" * 255] * 8)
    echo(f"row 1, id {long}: it is there twice\n{path}")
    tell(f"note: {'many words ' * 20_000}end; do this")
    said = capfd.readouterr()
    first = f"row 1, id {'x' * 200}… (199,801 more characters) it is there twice"
    assert said.out == f"{first}\n{path}\n"
    assert len(said.err) < 4100
    assert said.err.endswith("many words end; do this\n")


def test_a_document_and_json_are_whole(capfd: pytest.CaptureFixture[str]) -> None:
    show(False, {}, "x" * 5000, document=True)
    show(True, {"id": "x" * 5000}, "")
    out = capfd.readouterr().out
    assert out.startswith("x" * 5000 + "\n")
    assert json.loads(out[5001:]) == {"id": "x" * 5000}


def test_the_table_of_roles_is_as_wide_as_names_are(capfd: pytest.CaptureFixture[str]) -> None:
    roles = [ColumnRole(name, "text", "words", 3, 0) for name in ("title", "x" * 200_000, "a\nb")]
    echo(roles_text(roles))
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 4
    assert max(map(len, lines)) < 200
