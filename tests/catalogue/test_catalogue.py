"""A catalogue file → table, roles, labels and bad rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.catalogue.cells import split_cell
from hybrid.errors import CatalogueError, SettingError
from hybrid.types import BadRow, ColumnOptions, Columns

Load = Callable[..., Catalogue]

FILMS = [
    {
        "id": "m1",
        "title": "Löwe",
        "year": 1990,
        "genres": ["Drama", "Comedy"],
        "cast": ["Ann", "Bo"],
        "country": "DE",
        "poster": "posters/1.jpg",
        "overview": 'A lion, a "king"\nof two lines',
    },
    {
        "id": "m2",
        "title": None,
        "year": None,
        "genres": ["Comedy"],
        "cast": None,
        "country": None,
        "poster": None,
        "overview": None,
    },
    {
        "id": "m3",
        "title": "Ü",
        "year": 2001.5,
        "genres": None,
        "cast": ["Cy"],
        "country": "FR",
        "poster": "posters/3.jpg",
        "overview": "words",
    },
]
FILMS_CSV = (
    "id,title,year,genres,cast,country,poster,overview\n"
    'm1,Löwe,1990,Drama|Comedy,Ann|Bo,DE,posters/1.jpg,"A lion, a ""king""\nof two lines"\n'
    "m2,,,Comedy,,,,\n"
    "m3,Ü,2001.5,,Cy,FR,posters/3.jpg,words\n"
)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write text or bytes to a file and load it as a catalogue."""

    def write(content: str | bytes, name: str = "catalogue.csv", **options: Any) -> Catalogue:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_catalogue(path, ColumnOptions(**options))

    return write


@pytest.fixture(params=["csv", "jsonl", "ndjson", "parquet"])
def films(request: pytest.FixtureRequest, tmp_path: Path) -> Catalogue:
    """The same three films, written in each form without the library."""
    path = tmp_path / f"films.{request.param}"
    if request.param == "csv":
        path.write_bytes(FILMS_CSV.encode())
    elif request.param == "parquet":
        pytest.importorskip("pyarrow", exc_type=ImportError)
        pd.DataFrame(FILMS).to_parquet(path)
    else:
        lines = [json.dumps(film, ensure_ascii=False) for film in FILMS]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return load_catalogue(path)


def test_every_form_gives_the_same_catalogue(films: Catalogue, tmp_path: Path) -> None:
    assert len(films) == 3
    assert films.ids.tolist() == ["m1", "m2", "m3"]
    assert films.rows.tolist() == [1, 2, 3]
    assert films.columns == Columns(
        id="id",
        poster="poster",
        label="genres",
        label_separator="|",
        text=("title", "overview"),
        numeric=("year",),
        categorical=("country",),
        list=("cast",),
    )
    assert films.columns.metadata == ("year", "country", "cast")
    assert films.genres == ("Comedy", "Drama")
    assert films.labels.tolist() == [[1, 1], [1, 0], [0, 0]]
    assert films.labels.dtype == np.uint8
    assert films.labelled.tolist() == [True, True, False]
    reason = "no genres; the row can be predicted but not learnt from"
    assert films.bad_rows == (BadRow(3, "m3", "posters/3.jpg", reason),)
    assert films.poster_problems == {1: "no poster named"}
    first, third = (str(tmp_path / "posters" / name) for name in ("1.jpg", "3.jpg"))
    assert films.poster_paths == (first, "", third)
    assert films.sha256 == hashlib.sha256(films.path.read_bytes()).hexdigest()


def test_frame_holds_texts_and_numbers(films: Catalogue, tmp_path: Path) -> None:
    frame = films.frame
    expected = {
        "poster": [str(tmp_path / "posters/1.jpg"), "", str(tmp_path / "posters/3.jpg")],
        "title": ["Löwe", "", "Ü"],
        "overview": ['A lion, a "king"\nof two lines', "", "words"],
        "country": ["DE", "", "FR"],
        "cast": ["Ann|Bo", "", "Cy"],
    }
    assert {name: frame[name].tolist() for name in expected} == expected
    assert frame["year"].dtype == np.float64
    np.testing.assert_array_equal(frame["year"], [1990, np.nan, 2001.5])
    assert frame.index.tolist() == ["m1", "m2", "m3"]
    assert frame.index.name == "id"
    assert set(frame.columns) == {*expected, "year"}


def test_frame_for_the_columns_of_another_catalogue(load: Load) -> None:
    other = load("id,title,year,country,cast\n1,a,1990,DE,x|y\n", "other.csv").columns
    frame = load("id,title,budget\n7,b,5\n8,,\n").frame_for(other)
    assert list(frame.columns) == ["poster", "title", "country", "cast", "year"]
    assert frame["title"].tolist() == ["b", ""]
    assert frame["country"].tolist() == frame["cast"].tolist() == ["", ""]
    assert frame["year"].dtype == np.float64
    assert frame["year"].isna().all()
    assert "budget" not in frame


def test_roles_of_another_catalogue_are_used_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text("film,id,kinds\na,1,x/y\nb,2,y\n")
    like = Columns("film", None, "kinds", "/", (), (), (), ())
    catalogue = load_catalogue(path, like=like)
    assert catalogue.ids.tolist() == ["a", "b"]
    assert catalogue.genres == ("x", "y")
    assert (
        load_catalogue(path, like=Columns("gone", None, "gone", "|", (), (), (), ())).ids[0] == "1"
    )


def test_label_matrix_for_labels_named_elsewhere(load: Load) -> None:
    catalogue = load("id,genres\n1,a|b\n2,c\n3, b | b |\n")
    assert catalogue.genres == ("a", "b", "c")
    assert catalogue.labels.tolist() == [[1, 1, 0], [0, 0, 1], [0, 1, 0]]
    assert catalogue.label_matrix(["c", "zzz", "a"]).tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0]]


def test_labels_at_another_separator(load: Load) -> None:
    catalogue = load("id,kinds\n1,a; b\n2,b\n", label="kinds", label_separator=";")
    assert catalogue.genres == ("a", "b")
    assert catalogue.labels.tolist() == [[1, 1], [0, 1]]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("", []), (" ", []), ("a", ["a"]), ("a|b|a", ["a", "b"]), ("| b ||a ", ["b", "a"])],
)
def test_split_cell(cell: str, expected: list[str]) -> None:
    assert split_cell(cell, "|") == expected


@pytest.mark.parametrize(
    ("header", "options", "expected"),
    [
        ("x_id,id", {}, "id"),
        ("name,film_id,x_id", {}, "film_id"),
        ("id,isbn", {"id": "isbn"}, "isbn"),
    ],
)
def test_id_column(load: Load, header: str, options: dict[str, str], expected: str) -> None:
    cells = ",".join(str(i) for i, _ in enumerate(header.split(",")))
    assert load(f"{header}\n{cells}\n", **options).columns.id == expected


@pytest.mark.parametrize(
    ("cells", "role"),
    [
        (["1", "2.5", "-3e2"], "numeric"),
        (["1", "", "NA"], "numeric"),
        (["-", "null", "7"], "numeric"),
        (["1", "two", ""], "categorical"),
        (["1", "inf", ""], "categorical"),
        (["NA", "NA", "NA"], "categorical"),
        (["a|b", "", "c"], "list"),
        (["1|2", "3", "4"], "list"),
        (["", "", ""], None),
    ],
)
def test_role_of_a_column_is_found_from_its_cells(
    load: Load, cells: list[str], role: str | None
) -> None:
    rows = [f"{i},{cell}" for i, cell in enumerate(cells)]
    columns = load("\n".join(["id,x", *rows]) + "\n").columns
    found = {name: getattr(columns, name) for name in ("numeric", "categorical", "list")}
    assert found == {name: ("x",) if name == role else () for name in found}


def test_roles_set_by_hand_go_before_roles_that_are_found(load: Load) -> None:
    columns = load(
        "id,genres,title,overview,year,zip,tags,junk\n1,a,t,o,1990,123,x|y,j\n",
        text=("overview", "tags"),
        categorical=("zip",),
        list=("year",),
        drop=("junk",),
    ).columns
    assert columns.text == ("overview", "tags")
    assert columns.numeric == ()
    assert columns.categorical == ("zip", "title")
    assert columns.list == ("year",)


def test_a_column_can_be_numeric_by_hand(load: Load) -> None:
    catalogue = load("id,runtime\n1,90\n2,long\n", numeric=("runtime",))
    np.testing.assert_array_equal(catalogue.frame["runtime"], [90, np.nan])
    [told] = catalogue.findings
    assert "1 of 2 cells is no number, such as 'long'; it counts as missing" in told.message


def test_bad_rows_are_left_out_and_listed(load: Load) -> None:
    catalogue = load(
        "id,genres,poster\na,x,1.jpg\n,y,2.jpg\nb,,3.jpg\na,z,4.jpg\n c ,x,5.jpg\nc,x,6.jpg\n"
    )
    assert catalogue.ids.tolist() == ["a", "b", "c"]
    assert catalogue.rows.tolist() == [1, 3, 5]
    assert catalogue.genres == ("x",)
    assert catalogue.bad_rows == (
        BadRow(2, "", "2.jpg", "no id; the row is left out"),
        BadRow(3, "b", "3.jpg", "no genres; the row can be predicted but not learnt from"),
        BadRow(4, "a", "4.jpg", "the id is already used in row 1; the row is left out"),
        BadRow(6, "c", "6.jpg", "the id is already used in row 5; the row is left out"),
    )


def test_broken_json_lines_are_left_out_and_listed(load: Load) -> None:
    catalogue = load('{"id": 1}\n{"id": 2\n\n[3]\n{"id": 4}\r\n{"id": 1}\n', "c.jsonl")
    assert catalogue.ids.tolist() == ["1", "4"]
    assert catalogue.rows.tolist() == [1, 4]
    rows = [(bad.row, bad.reason.split(";")[0].split(" (")[0]) for bad in catalogue.bad_rows]
    assert rows == [
        (2, "not JSON"),
        (3, "not a JSON object"),
        (5, "the id is already used in row 1"),
    ]


def test_json_values_become_cells(load: Load) -> None:
    line = '{"id": 7, "yes": true, "cast": ["a", null, 2], "nested": {"k": [1]}, "n": NaN}'
    catalogue = load(line + "\n", "c.jsonl")
    row = catalogue.table.iloc[0].to_dict()
    assert row == {"id": "7", "yes": "true", "cast": "a|2", "nested": '{"k": [1]}', "n": ""}


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [
        ("utf-8", "utf-8"),
        ("utf-8", "utf-8-sig"),
        ("UTF8", "utf-8-sig"),
        ("latin-1", "latin-1"),
        ("utf-16", "utf-16"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_encodings_and_line_ends(load: Load, encoding: str, codec: str, newline: str) -> None:
    text = newline.join(["id,title", "1,Café", '2,"a, ""b"""', ""])
    catalogue = load(text.encode(codec), encoding=encoding)
    assert catalogue.ids.tolist() == ["1", "2"]
    assert catalogue.table["title"].tolist() == ["Café", 'a, "b"']


def test_a_byte_order_mark_is_no_part_of_the_first_line(load: Load) -> None:
    mark = b"\xef\xbb\xbf"
    assert load(mark + b'{"id": 1}\n{"id": 2}\n', "c.jsonl").ids.tolist() == ["1", "2"]
    assert load(mark + b'"id",title\n1,a\n').ids.tolist() == ["1"]


def test_blank_lines_and_short_lines_are_no_harm(load: Load) -> None:
    catalogue = load("id,title,country\n\n1,a\n2,b,DE\n\n")
    assert catalogue.table.to_numpy().tolist() == [["1", "a", ""], ["2", "b", "DE"]]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("", "c.csv", r"c\.csv: expected a header and rows, found an empty file"),
        ("id,title\n", "c.csv", "at least one item with an id, found none"),
        ("id,title\n,a\n", "c.csv", "at least one item with an id, found none"),
        ("id,a,b,a\n1,2,3,4\n", "c.csv", "each column once, found twice: a"),
        ("id,a\n1,2,3\n", "c.csv", "same number of fields in every line"),
        ("name,title\na,b\n", "c.csv", "'id' or one that ends in '_id', found name, title"),
        ('{"name": "a"}\n', "c.jsonl", "'id' or one that ends in '_id', found name"),
        (b"id,a\n1,\xe9\n", "c.csv", r"text in utf-8, found bytes that are not \(byte 7, line 2\)"),
        ("id\n1\n", "c.xlsx", "expected an Excel file, found"),
        ("id\n1\n", "catalogue", r"a \.csv, .*or \.xlsx file, or one of them with \.gz, found ''"),
        ("not parquet", "c.parquet", "expected a Parquet file, found"),
    ],
)
def test_files_that_cannot_be_used(
    load: Load, content: str | bytes, name: str, message: str
) -> None:
    with pytest.raises(CatalogueError, match=message):
        load(content, name)


@pytest.mark.filterwarnings("ignore")  # as in a user's session, nothing is raised
def test_a_first_line_that_is_too_long_is_refused(load: Load) -> None:
    with pytest.raises(CatalogueError, match="same number of fields"):
        load("id,overview\n1,a lion, a king\n")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        pytest.param('{"id": ' + "[" * 100_000, "c.jsonl"),
    ],
    ids=["deep JSON"],
)
def test_odd_files_raise_our_error(load: Load, content: str, name: str) -> None:
    with pytest.raises(CatalogueError, match=name):
        load(content, name)


def test_a_catalogue_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        CatalogueError, match=r"expected a catalogue at .*films\.csv, found no such"
    ):
        load_catalogue(tmp_path / "films.csv")
    with pytest.raises(CatalogueError, match="cannot read the catalogue"):
        load_catalogue(tmp_path)


@pytest.mark.parametrize("encoding", ["klingon", "hex"])
def test_unknown_encoding(load: Load, encoding: str) -> None:
    with pytest.raises(SettingError, match=f"--encoding: .* found '{encoding}'"):
        load("id\n1\n", encoding=encoding)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"id": "idd"}, "--id-column: unknown column 'idd'. Did you mean id"),
        ({"label": "genre"}, "--label-column: unknown column 'genre'. Did you mean genres"),
        ({"text": ("yaer",)}, "--text: unknown column 'yaer'. Did you mean year"),
        ({"numeric": ("zzzz",)}, "unknown column 'zzzz'. Known: genres, id, year"),
        ({"numeric": ("year",), "list": ("year",)}, "'year' is named by both --numeric and --list"),
        ({"label_separator": ""}, "--label-separator: expected at least one character"),
        ({"id": "x", "drop": ("y",)}, "(?s)--id-column: unknown.*--drop: unknown"),
    ],
)
def test_wrong_settings_are_all_named(load: Load, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        load("id,genres,year\n1,a,1990\n", **options)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("", "no poster named"),
        ("../x.jpg", "leaves the catalogue's folder"),
        ("a/../../b.jpg", "leaves the catalogue's folder"),
        ("a\\..\\..\\b.jpg", "leaves the catalogue's folder"),
        ("/etc/x.jpg", "the path is absolute"),
        ("C:\\x.jpg", "the path is absolute"),
        ("C:x.jpg", "the path is absolute"),
        ("\\\\server\\share\\x.jpg", "the path is absolute"),
        pytest.param("\\x.jpg", "the path is absolute"),
        ("https://example.org/x.jpg", "the poster is a URL"),
        ("file:///x.jpg", "the poster is a URL"),
        ("a\0b.jpg", "NUL"),
    ],
)
def test_poster_cells_that_name_no_file(load: Load, cell: str, reason: str) -> None:
    catalogue = load(json.dumps({"id": "1", "poster": cell}) + "\n", "c.jsonl")
    assert list(catalogue.poster_problems) == [0]
    assert reason in catalogue.poster_problems[0]
    assert catalogue.poster_paths == ("",)
    assert catalogue.posters == (cell,)


@pytest.mark.parametrize(
    "cell", ["x.jpg", "a/b c.jpg", "./x.jpg", "Plakát/日本.jpg", "a..b.jpg", "...x"]
)
def test_poster_cells_that_name_a_file(load: Load, cell: str, tmp_path: Path) -> None:
    catalogue = load(json.dumps({"id": "1", "poster": cell}) + "\n", "c.jsonl")
    assert catalogue.poster_problems == {}
    assert Path(catalogue.poster_paths[0]) == tmp_path / cell


def test_without_a_poster_column_no_item_has_one(load: Load) -> None:
    catalogue = load("id,title\n1,a\n2,b\n")
    assert catalogue.posters == catalogue.poster_paths == ("", "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,kinds\n1,a\n2,b\n", "expected a column 'genres'.* found id, kinds.*--label-column"),
        ("id,genres\n1,a\n2,\n", "at least 2 items with a label in column 'genres', found 1 of 2"),
    ],
)
def test_labels_are_required_to_learn(load: Load, content: str, message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        load(content).require_labels()
