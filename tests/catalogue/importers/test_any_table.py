"""Imports of any table: columns by the usual names, what was not found, rows of another length."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from hybrid import load_catalogue
from hybrid.catalogue.importers import ImportOptions, import_catalogue
from hybrid.catalogue.importers.mapping import map_columns
from hybrid.errors import CatalogueError


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
    assert (told.count, told.examples) == (2, ("line 3: 3 fields", "line 4: 2 fields"))


def films(n: int = 30) -> list[str]:
    return [f"tt{i},Film {i},{1960 + i},Drama|War" for i in range(n)]


def damaged(at: int, old: str, new: str) -> str:
    lines = films()
    lines[at] = lines[at].replace(old, new)
    return "\n".join(["id,title,year,genres", *lines]) + "\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (damaged(4, ",Film", ',"Film'), "unclosed quotes"),
        (damaged(4, "Film 4", '"Big" Film 4'), "quotes within cells"),
        (damaged(4, "Film 4", "A film\n - the long one"), "broken rows"),
        (damaged(4, ",1964,Drama|War", ""), "short rows"),
        (damaged(4, "Film 4", "Love, actually"), ""),
        (damaged(4, "Film 4", "Love, actually").replace("tt9,", "id,title,year,genres\ntt9,"), ""),
        (damaged(0, "", "").replace("War\n", "War,,\n"), "separators at the end"),
        ("My films\n\n" + damaged(0, "", ""), "header"),
        ("\ufeffsep=;\n" + damaged(0, "", "").replace(",", ";"), "separator"),
        ("\n\n" + damaged(0, "", "").replace(",", "\t"), "separator"),
        ("," + "\n".join(f"{i},{row}" for i, row in enumerate(damaged(0, "", "").split("\n")))[2:-3],
         "unnamed column"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_rows_are_repaired_and_told_as_where_a_catalogue_is_read(
    text: str, told: str, encoding: str
) -> None:
    Path("t.csv").write_text(text, encoding=encoding)
    summary = import_catalogue("csv", "t.csv", "films")
    expected = load_catalogue("t.csv")
    rows = read("catalogue.csv")
    assert [row["id"] for row in rows] == expected.ids.tolist()
    for name in ("title", "year"):
        assert [row[name] for row in rows] == expected.table[name].tolist()
    assert len(rows) > 28
    found = {each.kind: each.count for each in summary.findings}
    assert told in found or not told
    as_read = {each.kind: each.count for each in expected.findings}
    for kind in {"encoding", "header", "separator", "separators at the end", "unclosed quotes",
                 "quotes within cells", "broken rows", "short rows"}:  # fmt: skip
        assert found.get(kind) == as_read.get(kind)
    assert [int(row["row"]) for row in read("left-out.csv")] == [
        bad.row for bad in expected.left_out
    ]


def test_most_rows_too_long_is_an_error_as_where_a_catalogue_is_read() -> None:
    Path("t.csv").write_text("id,title\n" + "".join(f"{i},a, b\n" for i in range(9)) + "10,c\n")
    with pytest.raises(CatalogueError, match="found 9 of 10 rows with more than the 2") as error:
        import_catalogue("csv", "t.csv", "films")
    with pytest.raises(CatalogueError) as as_read:
        load_catalogue("t.csv")
    assert str(error.value) == str(as_read.value)
    assert not Path("films").exists()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
def test_a_byte_order_mark_names_the_encoding(encoding: str) -> None:
    Path("a.csv").write_text("id,title,genres\n1,Löwe,Drama\n", encoding=encoding)
    assert import_catalogue("csv", "a.csv", "out").items == 1
    assert Path("out/catalogue.csv").read_text("utf-8").splitlines()[1].startswith("1,Löwe,Drama")


def test_utf_16_without_a_mark_is_refused() -> None:
    Path("a.csv").write_text("id,title,genres\n1,Löwe,Drama\n", encoding="utf-16-le")
    with pytest.raises(
        CatalogueError, match="found what looks like UTF-16 without a byte order mark"
    ):
        import_catalogue("csv", "a.csv", "out")
    named = ImportOptions(encoding="utf-16-le")
    assert import_catalogue("csv", "a.csv", "out", named).labels == {"Drama": 1}


def test_a_folder_is_no_table() -> None:
    with pytest.raises(CatalogueError, match="found a folder: name the file in it"):
        import_catalogue("csv", ".", "out")
