"""Tables as people have them: any separator, encoding and format, broken rows, an index, odd ids."""

from __future__ import annotations

import codecs
import csv
import datetime
import decimal
import gzip
import hashlib
import io
import json
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.catalogue.readers.csv_rows import CHUNK, CsvRows
from hybrid.catalogue.readers.dialect import Dialect
from hybrid.errors import CatalogueError, SettingError
from hybrid.types import ColumnOptions

Load = Callable[..., Catalogue]
CASES = Path(os.environ.get("HYBRID_SHARED", Path(__file__).parents[3] / "shared")) / "cases"
TABLE = [
    ["id", "title", "genres"],
    ["1", "Lock, Stock; Barrels", "Crime|Comedy"],
    ["2", "Heat", "Drama"],
]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write text or bytes to a file and load it as a catalogue."""

    def write(content: str | bytes, name: str = "films.csv", **options: Any) -> Catalogue:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_catalogue(path, ColumnOptions(**options))

    return write


def kinds(catalogue: Catalogue) -> list[str]:
    kinds = (finding.kind for finding in catalogue.findings)
    return [kind for kind in kinds if kind != "rare labels"]  # the tables are short


def cells(catalogue: Catalogue) -> list[list[str]]:
    return [list(catalogue.table.columns), *catalogue.table.to_numpy().tolist()]


def written(separator: str, rows: list[list[str]] = TABLE) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows(rows)
    return text.getvalue()


@pytest.mark.parametrize("name", ["f.csv", "f.tsv", "f.txt", "f.TSV", "f.csv.gz"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "^", "~"])
def test_any_separator_is_recognised_and_told(load: Load, name: str, separator: str) -> None:
    content = written(separator).encode()
    catalogue = load(gzip.compress(content, mtime=0) if name.endswith("gz") else content, name)
    assert cells(catalogue) == TABLE
    usual = {"f.tsv": "\t", "f.TSV": "\t"}.get(name, ",")
    assert kinds(catalogue) == ["separator"] * (separator != usual)


def test_a_separator_in_other_cells_misleads_nobody(load: Load) -> None:
    rows = [
        ["id", "title, as shown", "price"],
        *([str(i), f"a, b; {i}", f"{i},5"] for i in range(9)),
    ]
    assert cells(load(written(";", rows))) == rows
    assert cells(load(written(",", rows))) == rows


def test_of_two_separators_the_one_with_more_columns_is_taken(load: Load) -> None:
    rows = [
        ["id", "title, original", "year"],
        ["1", "Seven, The", "1995"],
        ["2", "Heat, A", "1995"],
    ]
    for separator in "\t;|":
        assert cells(load(written(separator, rows))) == rows


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;"])
def test_a_first_line_that_names_the_separator(load: Load, first: str) -> None:
    assert cells(load(f"{first}\r\n" + written(";"))) == TABLE
    assert cells(load("\ufeff" + f"{first}\r\nid\r\n1\r\n")) == [["id"], ["1"]]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "^"])
@pytest.mark.parametrize("more", [1, 3])
@pytest.mark.parametrize("name", ["{}", "tt{}"])
def test_separators_at_the_end_of_the_rows_alone_shift_nothing(
    load: Load, separator: str, more: int, name: str
) -> None:
    rows = [[name.format(i), f"Film {i}", "War"] for i in range(30)]
    lines = [separator.join(["id", "title", "genres"])]
    lines += [separator.join(row) + separator * more for row in rows]
    catalogue = load("\n".join(lines) + "\n")
    assert cells(catalogue) == [["id", "title", "genres"], *rows]
    expected = ["separator"] * (separator != ",") + ["separators at the end"]
    assert kinds(catalogue)[: len(expected)] == expected
    lines[7] = separator.join(["x", "A film", "of two parts", "War"])  # one row with a field more
    catalogue = load("\n".join(lines) + "\n")
    assert cells(catalogue) == [["id", "title", "genres"], *rows[:6], *rows[7:]]
    assert [bad.row for bad in catalogue.left_out] == [7]


def test_separators_at_the_end_cost_no_time(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    def mend(*_: object) -> None:
        raise AssertionError("sound rows are mended one by one")

    monkeypatch.setattr(CsvRows, "_mend", mend)
    rows = [[f"tt{i}", f"Film {i}", "War"] for i in range(CHUNK + 10)]
    lines = ["id,title,genres", *(",".join(row) + "," for row in rows)]
    assert cells(load("\n".join(lines) + "\n"))[1:] == rows


def test_the_shape_of_rows_is_learnt_behind_separators_at_the_end(load: Load) -> None:
    lines = [f"{i},tt{i},Film {i},War," for i in range(40)]
    lines[7] = "7,tt7,Love, actually,War,"
    catalogue = load("\n".join(["Unnamed: 0,id,title,genres", *lines]) + "\n")
    assert [(bad.row, bad.id) for bad in catalogue.left_out] == [(8, "tt7")]


def test_row_numbers_without_a_name_are_still_an_index(load: Load) -> None:
    lines = ["id,title,genres"] + [f"{i},tt{i},Film,{'' if i % 3 else 'War'}" for i in range(30)]
    catalogue = load("\n".join(lines) + "\n")
    assert catalogue.ids.tolist() == [f"tt{i}" for i in range(30)]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_separator_at_the_end_of_the_header_alone(load: Load, separator: str) -> None:
    rows = [["id", "title", "genres"], *([f"tt{i}", "A film", "War"] for i in range(30))]
    head, *lines = (separator.join(row) for row in rows)
    catalogue = load("\n".join([head + separator, *lines]) + "\n")
    assert cells(catalogue) == rows
    assert not catalogue.left_out
    assert "short rows" not in kinds(catalogue)


def test_blank_lines_above_the_header(load: Load) -> None:
    assert cells(load("\n \n,,\n" + written(","))) == TABLE


@pytest.mark.parametrize("above", ["# exported in 2020\n", "My films\n\n", "My films,,\n,,\n"])
def test_a_title_above_the_header_is_left_out_and_told(load: Load, above: str) -> None:
    catalogue = load(above + written(","))
    assert cells(catalogue) == TABLE
    assert kinds(catalogue) == ["header"]


def test_a_web_page_is_no_catalogue(load: Load) -> None:
    with pytest.raises(CatalogueError, match="found a web page"):
        load("<!DOCTYPE html>\n<html>\n</html>\n")


def test_quotes_behind_a_space_and_quotes_with_a_backslash(load: Load) -> None:
    spaced = 'id, title, genres\n1, "Lock, Stock; Barrels", Crime|Comedy\n2, Heat, Drama\n'
    assert cells(load(spaced)) == TABLE
    escaped = 'id,title\n1,"a \\"b\\", c"\n2,"d"\n'
    catalogue = load(escaped)
    assert cells(catalogue)[1:] == [["1", 'a "b", c'], ["2", "d"]]
    assert kinds(catalogue) == ["quotes"]


MARKS = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE,
         "utf-32-le": codecs.BOM_UTF32_LE}  # fmt: skip


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize("codec", list(MARKS))
def test_byte_order_marks(load: Load, codec: str, suffix: str) -> None:
    text = "id,title\n1,é\n" if suffix == "csv" else '{"id": 1, "title": "é"}\n'
    content = MARKS[codec] + text.encode(codec)
    family = codec.removesuffix("-le").removesuffix("-be")
    name = f"f.{suffix}"
    aliases = {"utf-8": ("utf8", "UTF_8", "utf-8-sig", "U8"), "utf-16": ("UTF16", codec, "utf_16")}
    for named in aliases.get(family, (family,)):
        catalogue = load(content, name, encoding=named)
        assert cells(catalogue) == [["id", "title"], ["1", "é"]], named
    assert kinds(load(content, name)) == ["encoding"] * (family != "utf-8")
    with pytest.raises(SettingError, match=f"byte order mark of {family}"):
        load(content, name, encoding="latin-1")


def test_utf16_without_a_mark_is_named(load: Load) -> None:
    with pytest.raises(CatalogueError, match="--encoding utf-16-le"):
        load("id,title\n1,a\n".encode("utf-16-le"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (",id,title\n0,a,x\n1,b,y\n", ["index column"]),
        ("Unnamed: 0,id,title\n5,a,x\n3,b,y\n", ["index column"]),
        ('"id","title"\n"1","a","x"\n"2","b","y"\n', ["index column"]),
        ("id,title,\na,x,\nb,y,\n", ["unnamed column"]),
        ("id,title\na,x,,\nb,y,,\n", ["separators at the end"]),
    ],
    ids=["pandas", "pandas twice", "R", "trailing separators", "only in the rows"],
)
def test_an_index_is_no_column(load: Load, content: str, told: list[str]) -> None:
    catalogue = load(content)
    assert cells(catalogue) == [["id", "title"], ["a", "x"], ["b", "y"]]
    assert kinds(catalogue) == told


def test_an_unnamed_column_that_holds_something_can_be_named(load: Load) -> None:
    content = ",title\ntt1,x\ntt2,y\n"
    with pytest.raises(CatalogueError, match="found Unnamed: 0, title"):
        load(content)
    assert load(content, id="Unnamed: 0").ids.tolist() == ["tt1", "tt2"]
    catalogue = load("id,,title\n1,see,x\n")
    assert cells(catalogue) == [["id", "Unnamed: 1", "title"], ["1", "see", "x"]]
    assert kinds(catalogue) == ["unnamed column"]


@pytest.mark.parametrize(
    ("content", "column"),
    [
        (",title,genres\n0,Heat,War\n1,Jaws,War\n2,Heat,Drama\n", "Unnamed: 0"),
        ("title,year,genres\nHeat,1995,War\nJaws,1975,War\nSeven,1995,Drama\n", "title"),
        ("paid,film name,genres\nyes,Heat,War\nyes,Jaws,War\n", "film name"),
        ("title,imdbId,genres\nHeat,1,War\nJaws,2,War\n", "imdbId"),
        ("genres,country,title\nWar,US,\nDrama,US,Jaws\nCrime,DE,Heat\n", None),
    ],
)
def test_the_error_without_an_id_names_a_column_that_can_be_one(
    load: Load, content: str, column: str | None
) -> None:
    with pytest.raises(CatalogueError, match="expected a column 'id'") as error:
        load(content)
    if column is None:
        assert "--id-column" not in str(error.value)
        assert "add a column 'id'" in str(error.value)
        return
    words = shlex.split(
        str(error.value).split("Name it with ")[1].split(", in which")[0].rstrip(".")
    )
    assert words == ["--id-column", column]
    catalogue = load(content, id=column)
    assert len(catalogue) == content.count("\n") - 1
    assert not catalogue.bad_rows


def test_a_name_twice_in_the_header_is_told_with_its_places(load: Load) -> None:
    with pytest.raises(CatalogueError, match=r"genres \(columns 3 and 5\)") as error:
        load("id,title,genres,year,genres\n1,Heat,War,1995,x\n")
    assert "such as column 5 to 'genres_2'" in str(error.value)
    with pytest.raises(CatalogueError, match=r"a \(columns 2, 3 and 6\), b \(columns 4 and 5\)"):
        load("id,a,a,b,b,a,a_2\n1,2,3,4,5,6,7\n")


def films(n: int) -> list[str]:
    return [f"{1000 + i},Film {i},{'Drama|War' if i % 2 else 'Comedy'}" for i in range(n)]


@pytest.mark.parametrize("closed", [9, None])
@pytest.mark.parametrize("at", [4, CHUNK - 3])
def test_a_quote_that_swallows_rows(load: Load, at: int, closed: int | None) -> None:
    """Also where the rows that it swallows are read in the next chunk."""
    lines = films(at + 20)
    lines[at] = lines[at].replace(",Film", ',"Film')
    if closed:
        lines[at + closed] = (
            lines[at + closed].replace(",Drama", '",Drama').replace(",Com", '",Com')
        )
    catalogue = load("\n".join(["id,title,genres", *lines]) + "\n")
    assert len(catalogue) == at + 20
    assert catalogue.table["title"][at] == f'"Film {at}'
    assert catalogue.table["title"][at + 1] == f"Film {at + 1}"
    assert kinds(catalogue) == ["unclosed quotes"]
    (bad,) = catalogue.bad_rows
    where = f"is closed in line {at + 2 + closed}" if closed else "is never closed"
    assert (bad.row, bad.id) == (at + 1, str(1000 + at))
    assert f"line {at + 2}: a quote opens here that {where}" in bad.reason


def test_an_open_quote_is_not_followed_to_the_end_of_the_file() -> None:
    """Memory holds a chunk and the lines until it is sure that the quote swallows rows."""
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        for taken, line in enumerate(films(4 * CHUNK), start=1):
            yield (line.replace(",Film", ',"Film') if taken == CHUNK - 2 else line) + "\n"

    reader = CsvRows(lines(), Dialect(), ["id", "title", "genres"], 2)
    chunks = reader.chunks()
    first, _ = next(chunks)
    assert len(first) <= taken < CHUNK + 3000
    assert first[CHUNK - 3][1] == f'"Film {CHUNK - 3}'
    assert len(first) + sum(len(rows) for rows, _ in chunks) == 4 * CHUNK
    assert [(one.kind, one.row) for one in reader.troubles] == [("quote", CHUNK - 2)]


def test_long_lines_make_small_chunks() -> None:
    text = "x" * 100_000
    reader = CsvRows((f"{i},{text}\n" for i in range(3000)), Dialect(), ["id", "text"], 2)
    sizes = [len(rows) for rows, _ in reader.chunks()]
    assert sum(sizes) == 3000
    assert max(sizes) == 100


def test_two_quotes_that_each_swallow_rows(load: Load) -> None:
    lines = films(30)
    for at in (5, 15):
        lines[at] = lines[at].replace(",Film", ',"Film')
    catalogue = load("\n".join(["id,title,genres", *lines]))
    assert catalogue.table["title"].tolist() == [
        f'"Film {i}' if i in (5, 15) else f"Film {i}" for i in range(30)
    ]
    assert [bad.row for bad in catalogue.bad_rows] == [6, 16]


def test_a_quoted_word_at_the_start_of_a_cell(load: Load) -> None:
    """As in IMDb's files; the last has a quote that is not closed before the quoted text behind it."""
    lines = [
        *films(9),
        '2000,"Weird Al" Story,Comedy',
        '2001,"Open,"War, Drama"',
        '2002,"Plain" ,War',
    ]
    catalogue = load("\n".join(["id,title,genres", *lines]))
    assert catalogue.table.iloc[9:].to_numpy().tolist() == [
        ["2000", '"Weird Al" Story', "Comedy"],
        ["2001", '"Open', "War, Drama"],
        ["2002", "Plain", "War"],
    ]
    told = {found.kind: found.count for found in catalogue.findings}
    assert told["quotes within cells"] == 2
    assert catalogue.bad_rows == ()


def test_texts_of_several_lines_swallow_nothing(load: Load) -> None:
    texts = [f"Once, {i}\nupon, a time,\n\nthere was 1, 2, {i}" for i in range(50)]
    rows = [["id", "overview", "year"], *([str(i), text, "1999"] for i, text in enumerate(texts))]
    catalogue = load(written(",", rows).replace("\r\n", "\n"))
    assert catalogue.table["overview"].tolist() == texts
    assert catalogue.findings == catalogue.bad_rows == ()


@pytest.mark.parametrize("end", ["\n", "", "\n\n", '\n9,"open', '\n9,"open\n'])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_files_that_end_where_a_chunk_does(load: Load, more: int, end: str) -> None:
    n = CHUNK + more
    catalogue = load("id,x\n" + "\n".join(f"{i + 10},y" for i in range(n)) + end)
    assert len(catalogue) == n + end.count('"')
    assert len(catalogue.bad_rows) == end.count('"')


def test_a_text_that_goes_on_in_the_next_chunk(load: Load) -> None:
    lines = [f"{i},text {i}" for i in range(CHUNK + 5)]
    lines[CHUNK - 1] = f'{CHUNK - 1},"first line\nsecond line"'
    catalogue = load("\n".join(["id,overview", *lines]))
    assert len(catalogue) == CHUNK + 5
    assert catalogue.table["overview"][CHUNK - 1] == "first line\nsecond line"
    assert catalogue.findings == ()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.lists(st.text(st.sampled_from('ab",;\n |\t')), min_size=3, max_size=3),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(",;\t|"),
)
def test_what_the_csv_module_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], separator: str
) -> None:
    path = tmp_path_factory.mktemp("rows") / "f.csv"
    plain = [[str(i), "a", "b", "b"] for i in range(3)]
    body = [*plain, *([str(i), *row] for i, row in enumerate(rows, start=3))]
    path.write_text(written(separator, [["id", "a", "b", "c"], *body]), newline="")
    catalogue = load_catalogue(path, ColumnOptions(text=("a", "b", "c")))
    assert cells(catalogue)[1:] == [[cell.strip() for cell in row] for row in body]
    assert not [kind for kind in kinds(catalogue) if kind != "separator"]


def test_short_rows_are_read_and_long_rows_left_out_by_name(load: Load) -> None:
    lines = films(20)
    lines[3] = "1003,Film 3"
    lines[7] = "1007,Film 7, the second,Comedy"
    lines[9] += ",,"
    catalogue = load("\n".join(["id,title,genres", *lines]))
    assert len(catalogue) == 19
    assert catalogue.rows.tolist() == [i for i in range(1, 21) if i != 8]
    short, unlabelled, long = catalogue.bad_rows
    assert (short.row, short.id, unlabelled.row, long.row) == (4, "1003", 4, 8)
    assert "line 5 has 2 fields, the header 3" in short.reason
    assert "line 9 has 4 fields, the header 3" in long.reason
    assert "left out" in long.reason
    assert kinds(catalogue) == ["short rows", "long rows"]
    assert [finding.count for finding in catalogue.findings] == [1, 1]


@pytest.mark.parametrize("index", [False, True])
def test_a_row_that_is_too_long_is_named_by_its_id(load: Load, index: bool) -> None:
    lines = [f"{f'{i},' * index}tt{i},Film {i},War" for i in range(40)]
    lines[7] = f"{'7,' * index}tt7,Love, actually,War"
    catalogue = load("\n".join([f"{',' * index}id,title,genres", *lines]) + "\n")
    assert [(bad.row, bad.id) for bad in catalogue.left_out] == [(8, "tt7")]


def test_a_row_that_is_too_long_before_its_id_has_none(load: Load) -> None:
    lines = [f"Film {i},tt{i},War" for i in range(40)]
    lines[7] = "Love, actually,tt7,War"
    catalogue = load("\n".join(["title,id,genres", *lines]) + "\n")
    assert [(bad.row, bad.id) for bad in catalogue.left_out] == [(8, "")]


def test_the_header_again_is_no_row(load: Load) -> None:
    catalogue = load("id,title\n1,a\nid,title\n2,b\n")
    assert cells(catalogue) == [["id", "title"], ["1", "a"], ["2", "b"]]
    assert catalogue.rows.tolist() == [1, 3]
    assert kinds(catalogue) == ["repeated header"]
    assert [bad.row for bad in catalogue.bad_rows] == [2]


def test_a_row_that_a_line_break_cuts_is_joined(load: Load) -> None:
    lines = films(20)
    lines[6] = "1006,A film\n - the long version,Comedy"
    catalogue = load("\n".join(["id,title,genres", *lines]))
    assert len(catalogue) == 20
    assert catalogue.table["title"][6] == "A film\n - the long version"
    assert kinds(catalogue) == ["broken rows"]


@pytest.mark.parametrize(
    "name",
    [
        "Casa\xa0Azul",
        "می‌خواهم",
        "君の　前編",
        "Fa👨‍👩‍👧",
        "Co­op",
        "\u3000映画\u3000",
        "e\u0301",
        "a\u2028b",
        "\ufeffx",
    ],
)
def test_an_id_is_kept_letter_for_letter(load: Load, name: str) -> None:
    assert load(f"title,id\nx,{name}\ny,2\n").ids.tolist() == [name, "2"]
    assert load(json.dumps({"id": name}) + "\n", "f.jsonl").ids.tolist() == [name]


@pytest.mark.parametrize("name", ["a\x00b", "a\x1bb", "a\x85b", "a\x7fb"])
def test_an_id_with_a_control_character_is_left_out(load: Load, name: str) -> None:
    catalogue = load(json.dumps({"id": name}) + '\n{"id": 1}\n', "f.jsonl")
    assert catalogue.ids.tolist() == ["1"]
    assert "control character" in catalogue.bad_rows[0].reason


def test_halves_of_emoji_are_replaced_and_told(load: Load) -> None:
    line = (
        '{"id": "a\\ud83d", "k\\ud83dy": "\\ud83d\\ude00", "genres": ["x\\ud83d", "[\\ude00]"], '
        '"n": {"o\\ud83d": "q\\ude00"}}'
    )
    catalogue = load(line + "\n", "f.jsonl")
    row = catalogue.table.iloc[0].to_dict()
    assert row["id"] == "a\ufffd"
    assert row["k\ufffdy"] == "\U0001f600"
    assert catalogue.genres == ("[\ufffd]", "x\ufffd")
    json.dumps(row, ensure_ascii=False).encode()
    assert kinds(catalogue).count("replaced characters") == 4
    assert load(f"[{line}]", "f.json").table.iloc[0].to_dict() == row


RECORDS = [
    {"id": 1, "cast": ["Ann", "Bo"], "set": {"name": "A|B"}},
    {"id": 2, "year": 1999, "cast": None},
]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("\n".join(map(json.dumps, RECORDS)), "f.jsonl"),
        ("\n".join(map(json.dumps, RECORDS)), "f.json"),
        (json.dumps(RECORDS), "f.json"),
        (json.dumps(RECORDS, indent=1), "f.jsonl"),
        (json.dumps({"page": 1, "results": RECORDS}), "f.json"),
        (pd.DataFrame(RECORDS).to_json(orient="split"), "f.json"),
        (pd.DataFrame(RECORDS).to_json(), "f.json"),
        (pd.DataFrame(RECORDS).to_json(orient="index"), "f.json"),
        (gzip.compress(json.dumps(RECORDS).encode(), mtime=0), "f.json.gz"),
        (gzip.compress("\n".join(map(json.dumps, RECORDS)).encode(), mtime=0), "f.jsonl.gz"),
    ],
)
def test_json_in_any_layout(load: Load, content: str | bytes, name: str) -> None:
    catalogue = load(content, name)
    assert catalogue.ids.tolist() == ["1", "2"]
    assert catalogue.table["cast"].tolist() == ["Ann|Bo", ""]
    assert [float(cell or "nan") for cell in catalogue.table["year"][1:]] == [1999]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("", "f.json", "found an empty file"),
        (" \n", "f.csv", "found an empty file"),
        ("3", "f.json", "array of JSON objects .*found int"),
        ('[{"id": 1}', "f.json", "array of JSON objects .*found: Expecting"),
        (
            gzip.compress(b"id\n1\n" * 999, mtime=0)[:-9],
            "f.csv.gz",
            "gzip file, found one that is cut off",
        ),
        (
            "id,a\n" + "1,2,3\n" * 9,
            "f.csv",
            "found 9 of 9 rows with more than the 2 .* line 2 with 3",
        ),
    ],
)
def test_files_that_cannot_be_read(
    load: Load, content: str | bytes, name: str, message: str
) -> None:
    with pytest.raises(CatalogueError, match=message):
        load(content, name)


def test_lists_in_cells_are_read_and_told(load: Load) -> None:
    rows = [
        ["id", "genres", "cast", "notes"],
        ["1", repr([{"id": 18, "name": "Drama"}]), json.dumps(["Ann|Bo", "Cy"]), "[sic]"],
        ["2", repr([{"id": 1, "name": "War"}, {"id": 2, "name": None}]), "[]", "plain"],
        ["3", "Drama|Comedy", json.dumps(["Di"]), "words"],
    ]
    catalogue = load(written(",", rows))
    assert catalogue.genres == ("Comedy", "Drama", "War")
    assert catalogue.labels.tolist() == [[0, 1, 0], [0, 0, 1], [1, 1, 0]]
    from hybrid.catalogue.cells import split_cell

    assert [split_cell(cell, "|") for cell in catalogue.table["cast"]] == [
        ["Ann|Bo", "Cy"],
        [],
        ["Di"],
    ]
    assert catalogue.table["notes"].tolist() == ["[sic]", "plain", "words"]
    told = {finding.column: finding for finding in catalogue.findings if finding.kind == "lists"}
    assert {name: finding.count for name, finding in told.items()} == {"genres": 2, "cast": 3}


def test_objects_without_a_name_are_told(load: Load) -> None:
    catalogue = load(
        written(",", [["id", "x"], *([str(i), '[{"a": "b", "c": "d"}]'] for i in range(3))])
    )
    assert catalogue.table["x"][0] == '[{"a": "b", "c": "d"}]'
    assert [(f.kind, f.column, f.count) for f in catalogue.findings] == [("objects", "x", 3)]


@pytest.fixture
def arrow() -> Any:
    return pytest.importorskip("pyarrow", exc_type=ImportError)


def test_parquet_of_pandas(load: Load, arrow: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "id": ["a", "b", "c"],
            "when": pd.to_datetime(["1999-05-25 00:00", None, "2001-01-01 12:30"]),
            "kind": pd.Categorical(["x", "y", None]),
            "price": [decimal.Decimal("1.50"), None, decimal.Decimal("2.00")],
            "day": [datetime.date(1999, 5, 25), None, None],
            "ok": [True, False, None],
            "n": pd.array([1, None, 3], dtype="Int64"),
        },
        index=[4, 2, 9],
    )
    frame.to_parquet(tmp_path / "f.parquet")
    catalogue = load_catalogue(tmp_path / "f.parquet")
    assert cells(catalogue) == [
        ["id", "when", "kind", "price", "day", "ok", "n"],
        ["a", "1999-05-25", "x", "1.50", "1999-05-25", "true", "1"],
        ["b", "", "y", "", "", "false", ""],
        ["c", "2001-01-01 12:30:00", "", "2.00", "", "", "3"],
    ]
    assert kinds(catalogue) == ["index column"]
    packed = gzip.compress((tmp_path / "f.parquet").read_bytes())
    assert cells(load(packed, "g.parquet.gz")) == cells(catalogue)
    assert kinds(load((tmp_path / "f.parquet").read_bytes(), "g.csv")) == ["format", "index column"]


def test_an_index_that_pandas_left_in_the_metadata_is_told(arrow: Any, tmp_path: Path) -> None:
    path = tmp_path / "films.parquet"
    frame = pd.DataFrame({"title": ["Heat", "Heat"], "genres": ["War", "Drama"]})
    frame.to_parquet(path)
    with pytest.raises(CatalogueError, match="is no column of the file") as error:
        load_catalogue(path)
    assert "frame.rename_axis('id').reset_index().to_parquet(...)" in str(error.value)
    frame.rename_axis("id").reset_index().to_parquet(path)
    assert load_catalogue(path).ids.tolist() == ["0", "1"]


def test_parquet_of_hugging_face(arrow: Any, tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    labels = {"_type": "ClassLabel", "names": ["Drama", "War"]}
    features = {"genres": {"_type": "Sequence", "feature": labels}, "image": {"_type": "Image"}}
    image = [{"bytes": b"\xff\xd8\xff", "path": "a.jpg"}, {"bytes": None, "path": "b.jpg"}]
    struct = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    table = arrow.table(
        {
            "id": [1, 2],
            "genres": [[0, 1], [1]],
            "image": arrow.array(image, struct),
            "people": [[{"name": "Ann"}], [{"name": "Bo"}, {"name": "Cy"}]],
            "set": [{"id": 1, "name": "A"}, None],
            "ratings": arrow.array([[("a", 1)], None], arrow.map_(arrow.string(), arrow.int64())),
            "vector": [[0.5, 1.5], [2.5, 3.5]],
            "raw": [b"text", b"\xe9"],
            "uuid": arrow.array([b"\0\1", b"\2\3"], arrow.binary(2)),
            "stills": arrow.array([[image[0], image[0]], None], arrow.list_(struct)),
        }
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, tmp_path / "f.parquet")
    catalogue = load_catalogue(tmp_path / "f.parquet")
    assert cells(catalogue) == [
        ["id", "genres", "image", "people", "set", "ratings", "raw", "uuid"],
        ["1", "Drama|War", "f.parquet#image#0", "Ann", "A", '{"a": 1}', "text", "0001"],
        ["2", "War", "b.jpg", "Bo|Cy", "", "", "\ufffd", "0203"],
    ]
    assert catalogue.columns.poster == "image"
    assert set(kinds(catalogue)) >= {
        "vectors",
        "image lists",
        "label names",
        "lists",
        "replaced characters",
        "images",
    }


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("1,Jaws,1975\n2,Heat,1995\n3,Alien,1979\n", True),
        ("tt1;Jaws;7,5\ntt2;Heat;8\ntt3;Alien;9\n", True),
        ("id,title,1975\n2,Heat,1\n3,Alien,0\n", False),
        ("movie_id,1975,1976\ntt2,1,1\ntt3,0,1\n", False),
        ("id,1975,1976\n2,1,1\n3,0,1\n", False),
        ("0,1,2\n10,Heat,1\n11,Alien,0\n", False),
        ("id,title\na,Heat\nb,Alien\n", False),
    ],
)
def test_a_row_in_place_of_the_header(text: str, row: bool, tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text(text)
    if row:
        with pytest.raises(CatalogueError, match="found what looks like a row: "):
            load_catalogue(path, ColumnOptions(id=text[:1]))
    else:
        load_catalogue(path, ColumnOptions(id="0" if text[0] == "0" else None))


def test_images_in_a_parquet_file_are_the_posters(arrow: Any, tmp_path: Path) -> None:
    import pyarrow.parquet as parquet
    from PIL import Image

    from hybrid.catalogue.check import check_posters
    from hybrid.images.files import hash_poster

    files = []
    for shade in range(5):
        file = io.BytesIO()
        Image.new("RGB", (30, 40), (shade * 40, 0, 0)).save(file, "PNG")
        files.append(file.getvalue())
    files[3] = b"no image"
    images = [{"bytes": data, "path": None} for data in files] + [
        {"bytes": None, "path": "x/5.png"},
        None,
    ]
    parquet.write_table(
        arrow.table({"id": list(range(7)), "image": images, "plain": [*files, b"", None]}),
        tmp_path / "f.parquet",
        row_group_size=2,
    )
    catalogue = load_catalogue(tmp_path / "f.parquet")
    keys = [hash_poster(path) for path in catalogue.poster_paths]
    assert keys[:5] == [hashlib.sha256(data).digest() for data in files]
    reasons = {bad.row: bad.reason for bad in check_posters(catalogue)}
    assert set(reasons) == {4, 6, 7}
    assert reasons[6] == "file not found"
    assert reasons[7] == "no poster named"
    by_hand = load_catalogue(tmp_path / "f.parquet", ColumnOptions(poster="plain"))
    assert [hash_poster(path) for path in by_hand.poster_paths][:5] == keys[:5]


@pytest.mark.skipif(not CASES.is_dir(), reason="needs the shared cases")
@pytest.mark.parametrize(
    ("case", "options", "items", "kind"),
    [
        ("01-kaggle-movies-metadata/catalogue.csv", {}, 120, "lists"),
        ("03-tmdb5000-json/catalogue.csv", {}, 120, "lists"),
        ("08-tsv/catalogue.csv", {}, 30, "separator"),
        ("08-tsv/catalogue.tsv", {}, 30, None),
        ("12-unclosed-quote/catalogue.csv", {}, 40, "unclosed quotes"),
        ("12-unclosed-quote/open.csv", {}, 40, "unclosed quotes"),
        ("16-odd-ids/titles.csv", {"id": "title"}, 20, None),
        ("21-half-emoji/catalogue.jsonl", {}, 80, "replaced characters"),
        ("21-half-emoji/labels.jsonl", {}, 80, "replaced characters"),
        ("22-parquet-nested/hf.parquet", {}, 40, "images"),
        ("22-parquet-nested/lists.parquet", {}, 40, None),
        ("22-parquet-nested/times.parquet", {}, 40, "lists"),
    ],
)
def test_shared_cases(case: str, options: dict[str, Any], items: int, kind: str | None) -> None:
    catalogue = load_catalogue(CASES / "catalogues" / case, ColumnOptions(**options))
    assert len(catalogue) == items
    names = {name.removesuffix("\ufffd") for name in catalogue.genres}
    assert names == {"Comedy", "Drama", "Horror", "Romance", "Western"}
    assert kind is None or kind in kinds(catalogue)
