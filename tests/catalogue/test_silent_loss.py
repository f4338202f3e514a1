"""What a file loses while it is read is named: rows that a quote swallows, keys that stand twice."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.errors import CatalogueError
from hybrid.types import Finding
from hybrid.utils.strict_json import find_repeated, load_json, load_marked

Load = Callable[..., Catalogue]
WORDS = ("house", "night", "her river", "lost", "by the road", "war was", "found on", "sea")


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def write(content: str, name: str) -> Catalogue:
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        return load_catalogue(path)

    return write


def told(catalogue: Catalogue, kind: str) -> list[Finding]:
    return [one for one in catalogue.findings if one.kind == kind]


def reasons(catalogue: Catalogue) -> list[tuple[int, str, str]]:
    return [
        (bad.row, bad.id, bad.reason) for bad in catalogue.bad_rows if "no genres" not in bad.reason
    ]


def films(n: int) -> list[list[str]]:
    draw = random.Random(3)
    return [
        [f"tt{i}", str(1950 + i), " ".join(draw.choices(WORDS, k=9)), draw.choice(["Drama", "War"])]
        for i in range(n)
    ]


@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize("rows", [1, 3])
def test_rows_that_a_quote_swallows_are_read_and_named(load: Load, column: int, rows: int) -> None:
    table = films(30)
    table[10][column] = '"' + table[10][column]
    table[10 + rows][column] += '"'
    text = "id,year,overview,genres\n" + "".join(",".join(row) + "\n" for row in table)
    catalogue = load(text, "films.csv")
    assert len(catalogue) == 30
    (found,) = reasons(catalogue)
    assert found[0] == 11
    assert found[2].startswith(f"line 12: a quote opens here that is closed in line {12 + rows}")
    assert told(catalogue, "unclosed quotes")[0].count == 1


def test_a_cell_that_may_have_swallowed_a_row_is_suspected_and_named(load: Load) -> None:
    table = [[f"id{i}", row[2], row[3]] for i, row in enumerate(films(20))]
    table[4][1], table[5][1] = (
        '"' + table[4][1],
        table[5][1] + '"',
    )  # without numbers: one line is no proof
    text = "id,overview,genres\n" + "".join(",".join(row) + "\n" for row in table)
    catalogue = load(text, "films.csv")
    (found,) = told(catalogue, "suspected rows")
    assert (found.count, found.examples) == (1, ("line 6: line 7 looks like a row",))
    assert "(line 6)" in found.message
    assert len(catalogue) == 19  # as its quotes say
    short = load(text + "id30\n", "short.csv")  # a row that is not sound: rows are read another way
    assert told(short, "suspected rows")[0].examples == found.examples


def test_texts_of_several_lines_are_not_suspected(load: Load) -> None:
    table = films(20)
    for i in range(0, 20, 3):
        table[i][2] = (
            f'"A line, with a comma\n{table[i][2]}, and more\n\n- a, b, c, d, e\nthe end, 1999"'
        )
    catalogue = load(
        "id,year,overview,genres\n" + "".join(",".join(row) + "\n" for row in table), "films.csv"
    )
    assert len(catalogue) == 20
    assert not told(catalogue, "suspected rows")
    assert not reasons(catalogue)


@pytest.mark.parametrize("end", ["2,Casino,War", '2,Casino",War\n3,Jaws,Drama'])
def test_a_quote_that_opens_in_the_header_is_refused(load: Load, end: str) -> None:
    with pytest.raises(CatalogueError, match="in this line, so that the name would hold 2 rows"):
        load(f'id,"title,genres\n1,Heat,Drama\n{end}\n', "films.csv")


def test_a_name_of_two_lines_is_a_name(load: Load) -> None:
    catalogue = load('id,"Release\n(day, month)",genres\n1,5 May,Drama\n2,6 May,War\n', "films.csv")
    assert list(catalogue.table.columns) == ["id", "Release\n(day, month)", "genres"]


@pytest.mark.parametrize("name", ["films.jsonl", "films.json"])
def test_keys_that_stand_twice_in_a_row_are_listed_with_it(load: Load, name: str) -> None:
    rows = [
        '{"id": "1", "title": "Heat", "genres": ["Drama"], "title": "Casino"}',
        '{"id": "2", "title": "Jaws", "genres": ["War"]}',
        '{"id": "3", "title": "Alien", "genres": [{"name": "War", "name": "Drama"}], "x": {"a": 1, "a": 1}}',
    ]
    catalogue = load("\n".join(rows) if name.endswith("l") else f"[{','.join(rows)}]", name)
    assert reasons(catalogue) == [
        (1, "1", "has the key 'title' twice; the last value was read"),
        (3, "3", "has the keys 'a', 'name' twice; the last value was read"),
    ]
    assert not catalogue.left_out
    (found,) = told(catalogue, "repeated keys")
    assert (found.count, found.message) == (
        2,
        "2 rows have a key twice: the last value was read (rows 1, 3)",
    )


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (
            '{"films": [{"id": "1", "genres": "War"}], "films": [{"id": "2", "genres": "War"}]}',
            "films",
        ),
        (
            '{"a": {"id": "1", "genres": "x"}, "b": {"id": "2", "genres": "x"}, "a": {"id": "3"}}',
            "a",
        ),
        ('{"id": {"0": "1", "1": "2", "0": "7"}, "genres": {"0": "x", "1": "y"}}', "0"),
    ],
)
def test_keys_that_stand_twice_around_the_rows_are_told(load: Load, text: str, key: str) -> None:
    catalogue = load(text, "films.json")
    (found,) = told(catalogue, "repeated keys")
    assert found.message.startswith(f"the object that holds the items has the key {key!r} twice")
    assert not reasons(catalogue)


def test_rows_of_split_tables_with_another_number_of_values_are_listed(load: Load) -> None:
    table = {"columns": ["id", "genres"], "data": [["1", "War"], ["2"], ["3", "War", "x"]]}
    assert reasons(load(json.dumps(table), "films.json")) == [
        (2, "2", "1 value, where 'columns' names 2; the missing ones are empty"),
        (3, "3", "3 values, where 'columns' names 2; the others were left out"),
    ]


def test_keys_that_stand_twice_in_cells_are_told_with_their_rows(load: Load) -> None:
    twice = "[{'id': 18, 'name': 'War', 'name': 'Drama'}]"
    table = [["1", "[{'id': 18, 'name': 'Drama'}]"], ["2", twice], ["3", "[]"], ["4", twice]]
    catalogue = load("id,genres\n" + "".join(f'{i},"{cell}"\n' for i, cell in table), "films.csv")
    (found,) = told(catalogue, "repeated keys")
    assert (found.count, found.column, found.examples) == (2, "genres", (twice,))
    assert "2 cells have an object with a key twice ('name')" in found.message
    assert found.message.endswith("(rows 2, 4)")
    assert list(catalogue.genres) == ["Drama"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(value=JSON)
def test_strict_json_is_json_where_no_key_stands_twice(value: Any) -> None:
    text = json.dumps(value)
    assert load_json(text) == load_marked(text) == load_json(text.encode()) == value
    assert find_repeated(load_marked(text)) == ()
    twice = f'[{text}, [{{"k": 1, "z": {{"k": {text}, "k": 2}}}}]]'
    assert find_repeated(load_marked(twice)) == ("k",)
    with pytest.raises(ValueError, match="expected once in an object, found twice: 'k'"):
        load_json(twice)
    assert load_marked(twice) == json.loads(twice)


def test_json_that_is_nested_too_deeply_is_no_json() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        load_json("[" * 200_000)
