"""Imports of any table: columns by the usual names, what was not found, rows of another length."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from hybrid import load_catalogue
from hybrid.catalogue.importers import ImportOptions, import_catalogue
from hybrid.catalogue.importers.mapping import map_columns


def read(name: str) -> list[dict[str, str]]:
    with Path("films", name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_what_was_not_found_is_told_with_the_option_that_names_it() -> None:
    Path("t.csv").write_text("Nr;Head;Words;Cat of it;Face\n1;A;t;Krimi;c/1.jpg\n")
    summary = import_catalogue("csv", "t.csv", "films")
    (told,) = (each for each in summary.findings if each.kind == "columns not found")
    assert told.message == (
        "no column of labels, text, posters was found in t.csv; columns: Nr, Head, Words, Cat of it, Face; "
        "name them with --map COLUMN=genres --map COLUMN=title --map COLUMN=poster"
    )
    Path("u.csv").write_text("id,title,poster,cat\n1,A,,Krimi\n")
    summary = import_catalogue("csv", "u.csv", "more")
    assert summary.findings[0].message.endswith("title, poster, cat; name it with --map cat=genres")
    mapped = import_catalogue("csv", "u.csv", "again", ImportOptions(mapping=(("cat", "genres"),)))
    assert (mapped.findings, mapped.labels) == ((), {"Krimi": 1})


@pytest.mark.parametrize(
    ("column", "role"),
    [
        *(("Summary", "overview"), ("Description", "overview"), ("name", "title")),
        *(("category", "genres"), ("Categories", "genres"), ("tag", "genres"), ("Genre", "genres")),
        *(("Cover", "poster"), ("thumb", "poster"), ("cover_url", "poster_url")),
    ],
)
def test_the_usual_names(column: str, role: str) -> None:
    assert map_columns(["Id", column], {}, Path("t.csv")) == {"Id": "id", column: role}


def test_short_rows_are_kept_as_by_the_reader_of_catalogues() -> None:
    Path("t.csv").write_text("id,title,genres,year\n1,a,A,1999\n2,b,B\n3,c\n4,d,A,1,2\n5,e,B,1\n")
    summary = import_catalogue("csv", "t.csv", "films")
    read_directly = load_catalogue("t.csv")
    films = {row["id"]: row for row in read("catalogue.csv")}
    assert list(films) == read_directly.ids.tolist() == ["1", "2", "3", "5"]
    assert (films["2"]["year"], films["3"]["genres"]) == ("", "")
    (bad,) = read("left-out.csv")
    assert (bad["id"], bad["reason"]) == ("4", "too many fields; 4 expected")
    (told,) = (each for each in summary.findings if each.kind == "short rows")
    assert (told.count, told.examples) == (2, ("row 2", "row 3"))
