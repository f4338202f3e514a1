"""Roles of columns: by the large majority of the cells, by names whatever their case, and what is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid.catalogue import Catalogue, load_catalogue
from hybrid.types import ColumnOptions


def write(path: Path, rows: dict[str, list[str]], **options: Any) -> Catalogue:
    """A catalogue of these columns, ids aside, written with every field quoted."""
    n = len(next(iter(rows.values())))
    columns = (
        rows
        if any(name.lower() == "id" for name in rows)
        else {"id": [*map(str, range(n))], **rows}
    )
    lines = [columns.keys(), *zip(*columns.values(), strict=True)]
    path.write_text(
        "".join(",".join(f'"{cell}"' for cell in line) + "\n" for line in lines), "utf-8"
    )
    return load_catalogue(path, ColumnOptions(**options))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalogue.csv"


def test_one_odd_cell_does_not_decide_for_its_column(path: Path) -> None:
    votes = [f"{i},{i:03d}" for i in range(1, 100)]
    dates = [f"{i % 28 + 1}/{i % 12 + 1}/19{i:02d}" for i in range(1, 100)]
    catalogue = write(
        path,
        {
            "votes": [*votes, "many"],
            "released": [*dates, "soon"],
            "pipe": [*map(str, range(99)), "1|2"],
        },
    )
    assert catalogue.columns.numeric == ("votes", "pipe")
    assert catalogue.columns.date == ("released",)
    assert np.isnan(catalogue.frame["votes"]).sum() == 1
    assert catalogue.frame["votes"].iloc[4] == 5005
    assert catalogue.frame["released"].iloc[0] == "1901-02-02"
    told = {f.column: f for f in catalogue.findings if f.kind == "cells not understood"}
    assert {name: (f.count, f.examples) for name, f in told.items()} == {
        "votes": (1, ("many",)),
        "released": (1, ("soon",)),
        "pipe": (1, ("1|2",)),
    }
    assert "--categorical votes" in told["votes"].message


def test_words_for_nothing_are_no_misunderstanding(path: Path) -> None:
    words = ["N/A", "nan", "None", "-", r"\N", "unknown", "TBA", "?", "[]", "n.a."]
    catalogue = write(path, {"votes": ["1,000,000", *words], "released": ["1999-01-01", *words]})
    assert catalogue.columns.numeric == ("votes",)
    assert catalogue.columns.date == ("released",)
    assert catalogue.findings == ()
    assert {role.column: role.filled for role in catalogue.roles} == {
        "id": 11,
        "votes": 1,
        "released": 1,
    }


def test_words_for_nothing_are_missing_in_words_too(path: Path) -> None:
    cells = ["nan", "N/A", r"\N", "NULL", "NA", "None", "de"]
    catalogue = write(path, {"country": cells, "overview": cells, "poster": cells})
    assert catalogue.frame["country"].tolist() == ["", "", "", "", "NA", "None", "de"]
    assert catalogue.frame["overview"].tolist() == ["", "", "", "", "NA", "None", "de"]
    assert catalogue.posters == ("", "", "", "", "", "", "de")
    assert catalogue.ids.tolist() == [*map(str, range(7))]


def test_half_numbers_are_categories_and_told(path: Path) -> None:
    catalogue = write(path, {"code": [*map(str, range(30)), *(f"x{i}" for i in range(10))]})
    assert catalogue.columns.categorical == ("code",)
    [told] = catalogue.findings
    assert (told.count, told.column) == (10, "code")
    assert "--numeric code" in told.message
    certificates = ["12", "15", "18", "U"] * 10
    assert write(path, {"certificate": certificates}).findings == ()


def test_numeric_by_hand_counts_what_is_no_number(path: Path) -> None:
    catalogue = write(path, {"x": ["1", "two", "three", ""]}, numeric=("x",))
    assert catalogue.frame["x"].tolist()[0] == 1
    [told] = catalogue.findings
    assert (told.count, told.examples) == (2, ("two", "three"))


@pytest.mark.parametrize(
    "names",
    [
        ("ID", "GENRES", "Poster", "Title", "OverView"),
        ("Film_ID", "Genres", "POSTER", "TITLE", "Overview"),
    ],
)
def test_columns_are_found_whatever_their_case(path: Path, names: tuple[str, ...]) -> None:
    path.write_text(",".join(names) + "\n1,Drama,1.jpg,Heat,Two men\n")
    columns = load_catalogue(path).columns
    assert (columns.id, columns.label, columns.poster, *columns.text) == names


def test_a_name_in_its_own_case_goes_first(path: Path) -> None:
    catalogue = write(path, {"ID": ["a"], "id": ["b"], "Year": ["1999"]}, numeric=("year",))
    assert catalogue.ids.tolist() == ["b"]
    assert catalogue.columns.numeric == ("Year",)


def test_the_poster_column_can_be_named(path: Path) -> None:
    catalogue = write(path, {"img": ["a.jpg"], "poster": ["https://x.org/a.jpg"]}, poster="img")
    assert catalogue.columns.poster == "img"
    assert catalogue.frame["poster"].tolist() == [str(path.parent / "a.jpg")]
    assert "poster" not in catalogue.columns.metadata


def test_a_poster_column_that_nobody_named_is_told(path: Path) -> None:
    for cells in (["a.jpg", "b.PNG"], ["https://x.org/a.jpg", "https://x.org/b.jpg"]):
        catalogue = write(path, {"cover": cells, "title": ["a", "b"]})
        [told] = catalogue.findings
        assert told.kind == "no poster column"
        remote = "://" in cells[0]
        assert ("--url-column cover" if remote else "--poster-column cover") in told.message
        assert catalogue.columns.metadata == ()


def test_urls_are_urls(path: Path) -> None:
    catalogue = write(
        path,
        {"link": ["http://x.org/1", "https://x.org/2"], "poster": ["https://x.org/1.jpg", "2.jpg"]},
    )
    roles = {role.column: role.role for role in catalogue.roles}
    assert roles == {"id": "id", "link": "URL", "poster": "poster"}
    [told] = catalogue.findings
    assert (told.kind, told.count, told.column) == ("poster URLs", 1, "poster")


@pytest.mark.parametrize(
    "cell",
    [
        "//x.org/{}.jpg",
        "https://x.org/a b{}.jpg",
        "s3://b/{}.jpg",
        "HTTP://X.ORG/{}",
        "data:image/png;base64,A{}",
    ],
)
def test_addresses_as_people_paste_them_are_urls(path: Path, cell: str) -> None:
    catalogue = write(path, {"cover_url": [cell.format(i) for i in range(9)]})
    assert [role.role for role in catalogue.roles if role.column == "cover_url"] == ["URL"]


def test_addresses_among_other_cells_are_told(path: Path) -> None:
    cells = [f"https://x.org/{i}.jpg" for i in range(8)]
    [told] = write(path, {"cover_url": [*cells, "soon", "N/A", "lost"]}).findings
    assert (told.kind, told.count, told.examples) == ("cells not understood", 2, ("soon", "lost"))
    assert "--drop cover_url leaves it out" in told.message
    assert write(path, {"cover_url": [*cells, "soon"]}, drop=("cover_url",)).findings == ()


def test_a_text_column_that_nobody_named_is_told(path: Path) -> None:
    plots = [f"A man number {i} walks along the long river of his youth" for i in range(30)]
    [told] = write(path, {"Plot": plots, "title": ["a"] * 30}).findings
    assert told.kind == "text column"
    assert "--text Plot" in told.message


def test_undecided_dates_and_short_years_and_currencies_are_told(path: Path) -> None:
    catalogue = write(
        path,
        {
            "released": ["01/02/1999", "03/04/1999"],
            "seen": ["1-May-79", "2-May-80"],
            "price": ["$ 1", "€ 2"],
        },
    )
    kinds = [(f.kind, f.column, f.count) for f in catalogue.findings]
    assert kinds == [
        ("order of day and month", "released", 2),
        ("years of two digits", "seen", 2),
        ("mixed currencies", "price", 2),
    ]
    assert catalogue.frame["released"].tolist() == ["1999-01-02", "1999-03-04"]
    again = load_catalogue(path, ColumnOptions(date_order="day"))
    assert again.frame["released"].tolist() == ["1999-02-01", "1999-04-03"]


def test_recorded_roles_and_formats_are_used_for_a_new_catalogue(path: Path) -> None:
    old = write(
        path,
        {
            "price": ["1.234,5", "7,5"],
            "released": ["25/12/1999", "1/2/1999"],
            "length": ["2 h", "1 h"],
            "kind": ["a", "b"],
        },
    )
    new = write(
        path,
        {
            "price": ["1.234", "?"],
            "released": ["1/2/1999", ""],
            "length": ["90 min", ""],
            "kind": ["1", "2"],
        },
    )
    assert new.frame["price"].iloc[0] == 1.234
    like = load_catalogue(path, like=old.columns)
    assert like.columns == old.columns
    assert like.frame["price"].iloc[0] == 1234
    assert like.frame["released"].iloc[0] == "1999-02-01"
    assert like.frame["length"].iloc[0] == 1.5
    assert like.frame["kind"].tolist() == ["1", "2"]
    assert like.findings == ()


def test_what_a_new_catalogue_lacks_in_numbers_is_told(path: Path) -> None:
    old = write(path, {"votes": ["1,000", "2,000"]})
    write(path, {"votes": ["many", "few"]})
    [told] = load_catalogue(path, like=old.columns).findings
    assert (told.kind, told.count, told.examples) == ("cells not understood", 2, ("many", "few"))
    assert "(--" not in told.message  # no option changes what a run has recorded


def test_posters_are_relative_to_the_folder_that_is_named(path: Path) -> None:
    folder = path.parent / "elsewhere" / "images"
    folder.mkdir(parents=True)
    cells = [
        "a.jpg",
        str(folder / "b.jpg"),
        str(path.parent / "c.jpg"),
        "../d.jpg",
        f"{folder}/../e.jpg",
        "/f.jpg",
    ]
    catalogue = write(path, {"poster": cells}, posters=folder)
    assert catalogue.poster_paths == (str(folder / "a.jpg"), str(folder / "b.jpg"), "", "", "", "")
    reasons = list(catalogue.poster_problems.values())
    assert all("the folder of the posters" in reason for reason in reasons)
    here = load_catalogue(path)
    assert here.poster_paths[2] == str(path.parent / "c.jpg")


def test_a_run_finds_its_columns_in_another_case(path: Path) -> None:
    old = write(
        path, {"Title": ["a"], "Year": ["1999"], "Poster": ["1.jpg"], "kind": ["x"]}
    ).columns
    new = write(path, {"TITLE": ["b"], "year": ["2001"], "POSTER": ["2.jpg"], "KIND": ["7"]})
    frame = load_catalogue(path, like=old).frame_for(old)
    assert frame["Title"].tolist() == ["b"]
    assert frame["Year"].tolist() == [2001]
    assert frame["kind"].tolist() == ["7"]
    assert frame["poster"].tolist() == [str(path.parent / "2.jpg")]
    assert new.columns.numeric == ("year", "KIND")


def test_titles_and_years_are_compared_whatever_the_case_of_their_columns(path: Path) -> None:
    from hybrid.duplicates.find import find_duplicates
    from hybrid.duplicates.groups import group_by_column
    from hybrid.images.decode import BadPoster
    from hybrid.utils.context import Context

    catalogue = write(path, {"Title": ["Heat", "heat", "Jaws"], "YEAR": ["1995", "1995", "1975"]})
    keys = [BadPoster("none")] * 3
    context = Context(cache=str(path.parent / "cache"), workers=1)
    found = {
        kind.kind: kind.groups for kind in find_duplicates(catalogue, keys, context=context).kinds
    }
    assert found["same title and year"] == (("0", "1"),)
    assert group_by_column(catalogue, "year") == (("0", "1"),)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["25 May 1979", "May 1980", "1981", "soon"], [0, 1, 2, 3]),
        (["25/12/1999", "1/2/1998", "", "1/1/2000"], [1, 0, 3, 2]),
        (["1,979", "1,980", "N/A", "1,981"], [0, 1, 3, 2]),
    ],
)
@pytest.mark.filterwarnings("ignore:--by")
def test_times_are_read_like_any_cells(path: Path, cells: list[str], expected: list[int]) -> None:
    from hybrid.splitting.methods import read_times

    times = read_times(write(path, {"Released": cells}), "released")
    assert np.argsort(times, kind="stable").tolist() == expected


def test_dates_in_both_orders_are_told(path: Path) -> None:
    cells = [*(f"{day}/1/1999" for day in range(13, 29)), "1/25/1999", "2/3/1999"]
    catalogue = write(path, {"released": cells})
    [told] = catalogue.findings
    assert (told.kind, told.count) == ("order of day and month", 1)
    assert "--date-order month" in told.message
    assert catalogue.frame["released"].tolist()[-2:] == ["1999-01-25", "1999-03-02"]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (
            ["25/12/1999", "12/25/1999", "03/04/1999", "05/06/1999"],
            "1 cell shows the month first, 1 the day first; 2 can be either and were read with the month",
        ),
        (
            ["25/12/1999", "12/25/1999", "26/12/1999", "12/26/1999"],
            "2 cells show the month first, 2 the day first; each is read as it shows (--date-order month",
        ),
    ],
)
def test_dates_that_contradict_each_other_are_told(
    path: Path, cells: list[str], words: str
) -> None:
    [told] = write(path, {"released": cells}).findings
    assert words in told.message
    assert (told.kind, told.count) == ("order of day and month", int(words[0]))
    [told] = write(path, {"released": cells}, date_order="day").findings
    assert f"{words[0]} cell" in told.message
    assert "the day first, " in told.message


@pytest.mark.parametrize(
    ("cells", "count"),
    [
        (["1,234", "5,678", "9,120", "12"], 3),
        (["1,234 €", "5,678 €"], 2),
        (["$1.234", "$5.678"], 2),
        (["1,234", "5,678", "1,234,567"], 0),
        (["1,234", "0,678"], 0),
        (["1,234", "7.5"], 0),
        (["1.234", "5.678"], 0),
        (["1.234"] * 30 + ["many"], 0),
        (["1234", "5678"], 0),
        (["1,234.50", "1.234,50", "1,234", "1.234"], 2),
        (["$1,234.00", "R$ 1.234,00", "7,5", "€ 5.678"], 1),
        (["7.5", "7,5", "12"], 0),
    ],
)
def test_numbers_that_can_be_read_in_two_ways_are_told(
    path: Path, cells: list[str], count: int
) -> None:
    told = [f for f in write(path, {"v": cells}).findings if f.kind == "decimal mark"]
    assert [finding.count for finding in told] == [count] * bool(count)
    for mark in (".", ","):
        settled = write(path, {"v": cells}, decimal=mark).findings
        assert [f for f in settled if f.kind == "decimal mark"] == []


def test_decimal_marks_that_contradict_each_other_are_told(path: Path) -> None:
    cells = ["1,234.50", "1.234,50", "2.345,50", "1,234"]
    catalogue = write(path, {"v": cells})
    [told] = catalogue.findings
    assert "2 cells show a decimal comma, 1 a decimal point; 1 such as 1,234" in told.message
    assert "(--decimal . reads them with the point)" in told.message
    assert catalogue.frame["v"].tolist() == [1234.5, 1234.5, 2345.5, 1.234]
    assert write(path, {"v": cells}, decimal=".").frame["v"].tolist()[-1] == 1234


def test_names_of_image_files_are_no_numbers_with_a_unit(path: Path) -> None:
    catalogue = write(path, {"cover": [f"{i}.jpg" for i in range(5)]})
    assert [(role.column, role.role) for role in catalogue.roles[1:]] == [("cover", "not used")]
    [told] = catalogue.findings
    assert "--poster-column cover" in told.message


@pytest.mark.parametrize("between", [" ", ", ", ";", "|"])
def test_several_addresses_in_a_cell_are_addresses(path: Path, between: str) -> None:
    cells = [f"https://x.org/{i}.jpg{between}https://x.org/{i}b.jpg" for i in range(5)]
    catalogue = write(path, {"links": cells})
    assert catalogue.roles[1].role == "URL"
    [told] = catalogue.findings
    assert "hybrid fetch-posters --url-column links" in told.message


def test_numbers_that_can_be_read_in_two_ways_are_not_told_again(path: Path) -> None:
    old = write(path, {"v": ["1,234", "5,678"]})
    assert "--decimal ," in old.findings[0].message
    assert load_catalogue(path, like=old.columns).findings == ()


@pytest.mark.parametrize(
    ("cells", "count"),
    [
        (["12,50 €", "EUR 3,20", "4,10 euro"], 0),
        (["$10.50", "USD 20", "US$ 30", "$ 5 USD"], 0),
        (["£1.50", "GBP 2"], 0),
        (["¥ 150", "JPY 200"], 0),
        (["$10.50", "US$ 30", "C$ 5"], 3),
        (["¥ 150", "CNY 200"], 2),
        (["5.50 kr", "SEK 6"], 2),
    ],
)
def test_a_currency_written_in_several_ways_is_one(
    path: Path, cells: list[str], count: int
) -> None:
    told = write(path, {"price": cells}).findings
    assert [(f.kind, f.count) for f in told] == [("mixed currencies", count)] * bool(count)


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("Genre(s)", "'Genre(s)'"),
        ("genre", "genre"),
        ("Movie Genres", "'Movie Genres'"),
        ("Géneros", "'Géneros'"),
        ("Category", "Category"),
    ],
)
def test_a_column_that_may_hold_the_labels_is_named(path: Path, name: str, typed: str) -> None:
    rows = {"title": ["a", "b"], name: ["War|Drama", "War"]}
    [told] = write(path, rows).findings
    assert (told.kind, told.column) == ("no label column", name)
    assert f"(--label-column {typed})" in told.message
    assert write(path, rows, label=name).genres == ("Drama", "War")
    assert write(path, rows, drop=(name,)).findings == ()
    kinds = [f.kind for f in write(path, {**rows, "genres": ["War", "War"]}).findings]
    assert kinds == []


def test_columns_of_zeros_and_ones_are_named_where_there_are_no_labels(path: Path) -> None:
    rows = {"title": list("abc"), "War": ["0", "1", "0"], "Drama": ["1", "0", "1"]}
    assert write(path, rows).findings == ()
    [told] = write(path, {**rows, "Horror": ["1", "0", "0"]}).findings
    assert (told.kind, told.count) == ("no label column", 3)
    assert "'War', 'Drama', 'Horror'" in told.message
    assert "one column" in told.message


def test_a_column_that_may_be_the_text_is_named(path: Path) -> None:
    rows = {"Movie Title": ["Heat", "Jaws"], "genres": ["War", "War"]}
    [told] = write(path, rows).findings
    assert told.kind == "no text column"
    assert "(--text 'Movie Title')" in told.message
    assert write(path, rows, text=("Movie Title",)).findings == ()


def test_examples_of_a_finding_are_different(tmp_path: Path) -> None:
    prices = ["ask us"] * 30 + ["sold"] + [f"{10 + i}" for i in range(60)]
    lists = ["[None]"] * 20 + ["['Ann']"] * 71
    rows = [
        f"{i},War,{price},{names}"
        for i, (price, names) in enumerate(zip(prices, lists, strict=True))
    ]
    (tmp_path / "c.csv").write_text("\n".join(["id,genres,price,cast", *rows]) + "\n")
    catalogue = load_catalogue(tmp_path / "c.csv")
    told = {finding.column: finding.examples for finding in catalogue.findings}
    assert told["price"] == ("ask us", "sold")
    assert told["cast"] == ("[None]", "['Ann']")


@pytest.mark.parametrize(
    "ids",
    [
        ["1", "2", "1.0"],
        ["0001", "2", "1"],
        ["tt7", "b", "TT7"],
        ["\u00e9", "b", "e\u0301"],
    ],
)
def test_ids_that_only_their_spelling_tells_apart_are_told(path: Path, ids: list[str]) -> None:
    catalogue = write(path, {"id": ids, "genres": ["Drama"] * 3})
    [told] = [finding for finding in catalogue.findings if finding.kind == "ids alike"]
    assert (told.count, told.examples) == (2, (ids[0], ids[2]))
    assert f"{ids[0]!a} (row 1) and {ids[2]!a} (row 3)" in told.message
    assert catalogue.ids.tolist() == ids


def test_an_id_column_that_repeats_its_ids_is_told_with_the_option(path: Path) -> None:
    rows = {"category_id": ["1", "1", "1", "2"], "ID": ["a", "b", "c", "d"]}
    path.write_text("category_id,name\n1,a\n1,b\n1,c\n2,d\n", "utf-8")
    told = {finding.kind: finding for finding in load_catalogue(path).findings}
    assert "2 of 4 rows" not in told
    path.write_text("category_id,name\n1,a\n1,b\n1,c\n1,d\n", "utf-8")
    told = {finding.kind: finding for finding in load_catalogue(path).findings}
    assert told["id column"].count == 3
    settled = load_catalogue(path, ColumnOptions(id="name"))
    assert len(settled) == 4
    assert "id column" not in {finding.kind for finding in settled.findings}
    assert "id column" not in {finding.kind for finding in write(path, rows).findings}


def test_columns_whose_names_differ_in_case_only_are_told(path: Path) -> None:
    catalogue = write(path, {"Genres": ["x", "y"], "genres": ["Drama", "War"]})
    [told] = [finding for finding in catalogue.findings if finding.kind == "columns of one name"]
    assert "'genres' was taken as labels, 'Genres' as categorical (--drop Genres" in told.message
    told_after = write(
        path, {"Genres": ["x", "y"], "genres": ["a", "b"]}, drop=("Genres",)
    ).findings
    assert "columns of one name" not in {finding.kind for finding in told_after}


@pytest.mark.parametrize("name", ["\u200bgenres", "Ge\u00adnres", "ｇｅｎｒｅｓ"])
def test_a_name_is_found_whatever_its_invisible_characters(path: Path, name: str) -> None:
    assert write(path, {name: ["['Drama', 'War']", "War"]}).genres == ("Drama", "War")


@pytest.mark.parametrize("name", ["tags_list", "категория", "main category"])
def test_a_word_of_a_name_is_enough_to_suggest_it(path: Path, name: str) -> None:
    [told] = [f for f in write(path, {name: ["a|b", "b"]}).findings if f.kind == "no label column"]
    assert "--label-column" in told.message


def test_dates_that_are_not_nearly_all_of_a_column_are_told(path: Path) -> None:
    cells = [f"1979-05-{1 + i % 28:02d}" for i in range(28)] + [f"Easter {i}" for i in range(8)]
    catalogue = write(path, {"released": cells})
    [told] = [f for f in catalogue.findings if f.kind == "cells not understood"]
    assert (catalogue.roles[1].role, told.count) == ("categorical", 8)
    assert "(--date released reads dates, and the others as missing)" in told.message
    assert write(path, {"released": cells}, date=("released",)).roles[1].role == "date"
