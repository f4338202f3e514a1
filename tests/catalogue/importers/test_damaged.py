"""Imports of damaged files, and of files that other programs wrote again."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.catalogue.importers import import_catalogue
from hybrid.catalogue.importers.records import parse_literal

Make = Callable[[str, Path], Path]


def read(name: str) -> list[dict[str, str]]:
    with Path("films", name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def by_id() -> dict[str, dict[str, str]]:
    return {row["id"]: row for row in read("catalogue.csv")}


def test_damaged_rows_of_joined_files_are_repaired_or_listed(make_data_set: Make) -> None:
    folder = make_data_set("movies-metadata", Path("source"))
    with (folder / "credits.csv").open("a", encoding="utf-8") as file:
        file.write("[],[],5,more\n\"[]\",\"[{'job': 'Director', 'name': 'A B'}]\",5\n[],[],5\n[]\n")
    keywords = folder / "keywords.csv"
    words = [[n, str([{"id": 1, "name": f"word {n}"}])] for n in (5, 5, 6)]
    plain = "".join(f'{n},"{cell}"\n' for n, cell in words)
    keywords.write_text(keywords.read_text(encoding="utf-8") + plain, encoding="utf-8")
    import_catalogue("movies-metadata", "source", "films")
    assert (by_id()["5"]["directors"], by_id()["6"]["keywords"]) == ("A B", "word 6")
    rows = [(row["file"], row["row"], row["id"], row["reason"]) for row in read("left-out.csv")]
    assert [row for row in rows if row[0] in ("credits.csv", "keywords.csv")] == [
        ("credits.csv", "4", "", "too many fields; 3 expected"),
        ("credits.csv", "6", "5", "the id is used by an earlier row"),
        ("credits.csv", "7", "", "fields are missing; 3 expected"),
        ("keywords.csv", "3", "5", "the id is used by an earlier row"),
        ("keywords.csv", "4", "5", "the id is used by an earlier row"),
        ("credits.csv", "3", "999", "the id is not in movies_metadata.csv"),
    ]


def test_a_quote_that_swallows_credits_is_a_letter(make_data_set: Make) -> None:
    folder = make_data_set("movies-metadata", Path("source"))
    path = folder / "credits.csv"
    rows = "".join(f"\"[]\",\"[{{'job': 'Director', 'name': 'D{n}'}}]\",{n}\n" for n in (5, 6))
    path.write_text('cast,crew,id\n[],[],862\n[],"[],82663\n' + rows, encoding="utf-8")
    summary = import_catalogue("movies-metadata", "source", "films")
    assert [by_id()[key]["directors"] for key in ("5", "6")] == ["D5", "D6"]
    (told,) = (each for each in summary.findings if each.kind == "unclosed quotes")
    assert told.message.startswith("credits.csv: 1 row with a quote that is not closed")


@pytest.mark.parametrize("kind", ["movies-metadata", "tmdb-5000", "movielens", "movie-genre"])
def test_ids_that_another_program_wrote_as_decimals_are_the_same(
    kind: str, make_data_set: Make
) -> None:
    """As pandas does where an id is missing; leading zeros of IMDb's ids are lost then, too."""
    folder = make_data_set(kind, Path("source"))
    import_catalogue(kind, folder, "expected")
    for path in folder.glob("*.csv"):
        encoding = "latin-1" if kind == "movie-genre" else "utf-8"
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding=encoding)
        for name in {"id", "movie_id", "movieId", "tmdbId", "imdbId"} & set(table.columns):
            number = table[name].str.fullmatch(r"\d+")
            table.loc[number, name] = table.loc[number, name].astype(int).astype(str) + ".0"
        table.to_csv(path, index=False)
    import_catalogue(kind, folder, "films")
    for name in ("catalogue.csv", "ids.csv"):
        assert read(name) == read(f"../expected/{name}")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("aN'\"\\\n\téone:,{}[]Tru", max_size=9),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text("a'\"\\", max_size=3), each),
    max_leaves=9,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(VALUES, min_size=1))
def test_cells_are_what_python_or_json_wrote(value: list[object]) -> None:
    assert parse_literal(repr(value)) == parse_literal(json.dumps(value)) == value


def test_ratings_and_tags_of_films_that_are_not_there_are_told(make_data_set: Make) -> None:
    folder = make_data_set("movielens", Path("source"))
    with (folder / "ratings.csv").open("a") as file:
        file.write("1,7,4.0,9\n1,8,4.0,9\n1,x,4.0,9\n1,1,nan,9\n")
    with (folder / "tags.csv").open("a") as file:
        file.write("1,7,sea,9\n")
    summary = import_catalogue("movielens", folder, "films")
    told = {finding.kind: finding.count for finding in summary.findings}
    assert told == {"ratings not understood": 2, "unused tags": 1, "unused ratings": 2}
    assert by_id()["1"]["ratings"] == "3"


def test_answers_of_tmdb_with_odd_values_are_read() -> None:
    film = {
        "id": 1,
        "title": "A",
        "credits": [],
        "external_ids": "x",
        "genre_ids": ["18", [], 18.0],
    }
    Path("a.json").write_text(json.dumps([film, {"id": 2, "title": "B", "genre_ids": 35}]))
    import_catalogue("tmdb", "a.json", "films")
    assert [row["genres"] for row in read("catalogue.csv")] == ["Drama", "Comedy"]


def test_a_key_that_stands_twice_in_an_answer_of_tmdb_is_told(make_data_set: Make) -> None:
    make_data_set("tmdb", Path("source"))
    film = '{"id": 7, "title": "Heat", "genres": [{"id": 18, "name": "Drama"}], "title": "Casino"}'
    Path("source/twice.json").write_text(film)
    summary = import_catalogue("tmdb", "source", "films")
    (told,) = (each for each in summary.findings if each.kind == "repeated keys")
    assert told.count == 1
    assert told.message == (
        "1 film has a key twice in an object: the last value was read, such as twice.json, row 1: 'title'"
    )
    assert by_id()["7"]["title"] == "Casino"
