"""Cells that hold lists and objects, as Python, JSON, NumPy and databases write them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.catalogue.cells import join_list, parse_list, split_cell

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x1f\0"), min_size=1).filter(
    str.strip
)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("[{'id': 18, 'name': 'Drama'}, {'id': 37, 'name': 'Western'}]", ["Drama", "Western"]),
        ('[{"id": 18, "name": "Drama"}, {"id": 37, "name": "Western"}]', ["Drama", "Western"]),
        ("{'id': 11, 'name': \"Bob's Set, None\", 'poster_path': None}", ["Bob's Set, None"]),
        ("[{'Title': 'Drama'}, {'Label': 'War'}]", ["Drama", "War"]),
        ("[{'genre': 'Drama', 'votes': 3}]", ["Drama"]),
        ("[{'id': 18}, {'id': 37}]", ["18", "37"]),
        ("['Drama', None, nan, 'War',]", ["Drama", "War"]),
        ("[Drama, Science Fiction]", ["Drama", "Science Fiction"]),
        ('{Drama,"Science Fiction",NULL}', ["Drama", "Science Fiction"]),
        ("{1: 'Drama'}", ["Drama"]),
        ('{"/m/07s9rl0": "Drama", "/m/06ppq": "Silent film"}', ["Drama", "Silent film"]),
        ('{"Drama": true, "War": false}', ["Drama"]),
        ("('Drama', 'War')", ["Drama", "War"]),
        ("array(['Drama', 'War'], dtype=object)", ["Drama", "War"]),
        ("[18 37]", ["18", "37"]),
        ("[['Drama'], ['War']]", ["Drama", "War"]),
        ('["half \\ud83d", "whole \\ud83d\\ude00"]', ["half \ufffd", "whole \U0001f600"]),
        ("['it\\'s', 'caf\\xe9']", ["it's", "café"]),
        (json.dumps(json.dumps(["Drama", "War"])), ["Drama", "War"]),
        ("{'genres': [{'name': 'Drama'}, {'name': 'War'}]}", ["Drama", "War"]),
        ("[\u201cDrama\u201d, \u201cWar\u201d]", ["Drama", "War"]),
        ("[]", []),
        ("[None]", []),
        # No list, or one whose entries cannot be known:
        ("Drama|War", None),
        ("(no genres listed)", None),
        ("['Drama', 'War'", None),
        ("['a' 'b' ... 'z']", None),
        ("[{'first': 'a', 'second': 'b'}]", None),
        ("{name: Drama}", None),
        ('"[\\"Drama\\", ', None),
        ("{'Drama': ['x']}", None),
        ("[Timestamp('2020-01-01')]", None),
        ("[" * 100_000 + "]" * 100_000, None),
    ],
)
def test_cells_that_are_lists(cell: str, expected: list[str] | None) -> None:
    assert parse_list(cell) == expected


@given(st.lists(WORDS))
def test_what_python_json_and_numpy_write_is_read(words: list[str]) -> None:
    assert parse_list(repr(words)) == words
    assert parse_list(json.dumps(words)) == words
    assert parse_list(repr([{"id": 1, "name": word, "path": None} for word in words])) == words
    assert parse_list(json.dumps([{"id": 1, "name": word} for word in words])) == words
    if words and len(words) < 1000:
        assert parse_list(str(np.array(words, dtype=object))) == words


@given(st.text())
def test_no_cell_raises(cell: str) -> None:
    for text in (cell, f"[{cell}]", f"['{cell}]", f'{{"{cell}}}'):
        found = parse_list(text)
        assert found is None or all(isinstance(entry, str) for entry in found)


@given(st.lists(WORDS, unique=True), st.sampled_from(["|", ",", "; ", " "]))
def test_joined_entries_are_split_again(words: list[str], separator: str) -> None:
    expected = list(dict.fromkeys(" ".join(word.split()) for word in words))
    assert split_cell(join_list(words, separator), separator) == expected
