"""Cells as people write them → numbers and dates; the expected values are written by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from hybrid.catalogue.dates import count_days, find_date_order, parse_dates
from hybrid.catalogue.numbers import (
    find_number_format,
    find_undecided,
    mixed_currencies,
    parse_numbers,
    read_number,
)
from hybrid.types import CellFormat


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("13,634", 13634),
        ("1,234,567", 1234567),
        ("12,34,567", 1234567),
        ("1,234.5", 1234.5),
        ("1.234,5", 1234.5),
        ("1.234.567", 1234567),
        ("7,5", 7.5),
        ("0,123", 0.123),
        ("7.5", 7.5),
        ("1 234 567", 1234567),
        ("1\u00a0234,5", 1234.5),
        ("1\u202f234", 1234),
        ("1'234.50", 1234.5),
        ("$ 10", 10),
        ("$10", 10),
        ("-$10", -10),
        ("$4,234.00-", -4234),
        ("1.234,50- €", -1234.5),
        ("$-10", -10),
        ("($1,234)", -1234),
        ("€12", 12),
        ("12,90 €", 12.9),
        ("12,- €", 12),
        ("USD 25,000", 25000),
        ("25,000 USD", 25000),
        ("US$ 3", 3),
        ("£1.5 million", 1_500_000),
        ("$1.5M", 1_500_000),
        ("12k", 12_000),
        ("1.2K", 1_200),
        ("3 billion", 3e9),
        ("2bn", 2e9),
        ("10,000+", 10_000),
        ("~90", 90),
        ("45%", 45),
        ("45 %", 45),
        ("8.5/10", 8.5),
        ("8 out of 10", 8),
        ("90 min", 90),
        ("90 min.", 90),
        ("90 minutes", 90),
        ("1 h 30", 90),
        ("1h 30m", 90),
        ("1h30", 90),
        ("1 hr 30 min", 90),
        ("1 hour, 30 minutes", 90),
        ("2 Std. 5 Min.", 125),
        ("1:30:00", 90),
        ("PT1H30M", 90),
        ("(1979)", 1979),
        ("\u22125", -5),
        ("１２３", 123),
        ("١٢٣", 123),
        ("+5", 5),
        ("$6,000,000 (estimated)", 6_000_000),
        ("90 min (director's cut)", 90),
        ("90'", 90),
        ("1h 30'", 90),
        ("EUR12", 12),
        ("CHF 1'200.-", 1200),
        ("$ 1,234.56 USD", 1234.56),
        ("approx. 90", 90),
        ("#12", 12),
        ("No. 12", 12),
        ("4.5★", 4.5),
        ("-5 °C", -5),
        ("3 years", 3),
        ("(I) (2017)", 2017),
        ("2008\u20132013", 2008),
        ("(2019\u2013 )", 2019),
    ],
)
def test_a_number_is_read_in_whatever_dress(cell: str, value: float) -> None:
    assert parse_numbers(pd.Series([cell])).tolist() == pytest.approx([value])


@pytest.mark.parametrize(
    "cell",
    [
        "", "Heat", "PG-13", "12 Angry Men", "18-25", "1.2.3", "25.12.1999", "1,2,3", "tt0012",
        "1999-05-25", "4 x 4", "1|2", "$", "%", "inf", "nan", "192.168.0.1", "+49 30 1234", "(5", "5)",
    ],
)  # fmt: skip
def test_what_is_no_number_is_none(cell: str) -> None:
    assert np.isnan(parse_numbers(pd.Series([cell]))).all()


def test_the_column_settles_the_decimal_mark() -> None:
    german = pd.Series(["1.234", "7,5", "1.234,5", "12"])
    assert parse_numbers(german).tolist() == [1234, 7.5, 1234.5, 12]
    english = pd.Series(["1,234", "7.5", "1,234.5", "12"])
    assert parse_numbers(english).tolist() == [1234, 7.5, 1234.5, 12]
    assert parse_numbers(pd.Series(["1.234", "2.5"])).tolist() == [1.234, 2.5]
    recorded = CellFormat(decimal=",")
    assert parse_numbers(pd.Series(["1.234", "1,234"]), recorded).tolist() == [1234, 1.234]
    assert find_number_format(pd.Series(["1,234"]), settled=",").decimal == ","


def test_units_are_converted_to_that_of_the_column() -> None:
    assert parse_numbers(pd.Series(["90 min", "95 min", "2 h", "100"])).tolist() == [
        90,
        95,
        120,
        100,
    ]
    assert parse_numbers(pd.Series(["2 h", "1.5 h", "30 min"])).tolist() == [2, 1.5, 0.5]
    assert parse_numbers(pd.Series(["5 kg", "1 kg", "500 g"])).tolist() == [5, 1, 0.5]
    assert parse_numbers(pd.Series(["1:02:03", "3:30"])).tolist() == pytest.approx([62.05, 3.5])
    assert np.isnan(parse_numbers(pd.Series(["90 min", "95 min", "5 kg"]))).tolist() == [
        False, False, True,
    ]  # fmt: skip


def test_a_word_is_a_unit_where_most_cells_have_it() -> None:
    assert parse_numbers(pd.Series(["320 pages", "1 page", "12 pages"])).tolist() == [320, 1, 12]
    found = parse_numbers(pd.Series(["12", "15", "18", "12A", "PG"]))
    assert np.isnan(found).tolist() == [False, False, False, True, True]


def test_a_reading_has_a_unit() -> None:
    assert read_number("12 USD") == read_number("USD 12")
    found = read_number("€ 7")
    assert found is not None
    assert found.unit == "€"


@pytest.mark.parametrize(
    ("cell", "date"),
    [
        ("1979-05-25", "1979-05-25"),
        ("1979-5-3", "1979-05-03"),
        ("1979/05/25", "1979-05-25"),
        ("1979-05-25T10:11:12Z", "1979-05-25"),
        ("1979-05-25 10:11:12.123+02:00", "1979-05-25"),
        ("1979-05", "1979-05"),
        ("05/1979", "1979-05"),
        ("1979", "1979"),
        ("25/12/1999", "1999-12-25"),
        ("12/25/1999", "1999-12-25"),
        ("12/25/1999 12:00:00 AM", "1999-12-25"),
        ("5.12.1999", "1999-12-05"),
        ("25.12.99", "1999-12-25"),
        ("25 May 1979", "1979-05-25"),
        ("25th May 1979", "1979-05-25"),
        ("May 25, 1979", "1979-05-25"),
        ("Fri, 25 May 1979", "1979-05-25"),
        ("May 1979", "1979-05"),
        ("25-May-1979", "1979-05-25"),
        ("25-May-79", "1979-05-25"),
        ("1 October 2010 (USA)", "2010-10-01"),
        ("25. März 1979", "1979-03-25"),
        ("25 août 1979", "1979-08-25"),
        ("25 de mayo de 1979", "1979-05-25"),
        ("25 мая 1979", "1979-05-25"),
        ("1979年5月25日", "1979-05-25"),
        ("1979년 5월", "1979-05"),
        ("Fri, 25 May 1979 23:30:00 GMT", "1979-05-25"),
        ("25 May 1979 10:00", "1979-05-25"),
        ("May 25, 1979 at 10:00 PM", "1979-05-25"),
        ("1979-05-25 07:30 PM EST", "1979-05-25"),
        ("1979-05-25T07:30:00+0200", "1979-05-25"),
    ],
)
def test_a_date_is_read_in_the_usual_forms(cell: str, date: str) -> None:
    assert parse_dates(pd.Series([cell])).tolist() == [date]


@pytest.mark.parametrize(
    "cell",
    [
        "", "soon", "31.02.1999", "1979-13-01", "May", "May 25", "12", "123", "25/25/1999", "99999",
        "5/1999/3", "Heat 2",
    ],
)  # fmt: skip
def test_what_is_no_date_is_none(cell: str) -> None:
    assert parse_dates(pd.Series([cell])).tolist() == [""]


def test_the_column_settles_the_order_of_day_and_month() -> None:
    ambiguous = "01/02/1999"
    assert parse_dates(pd.Series([ambiguous, "25/12/1999"])).tolist() == [
        "1999-02-01",
        "1999-12-25",
    ]
    assert parse_dates(pd.Series([ambiguous, "12/25/1999"])).tolist() == [
        "1999-01-02",
        "1999-12-25",
    ]
    assert parse_dates(pd.Series([ambiguous]), "day").tolist() == ["1999-02-01"]
    assert find_date_order(pd.Series([ambiguous, "03/03/1999"])) == ("", 1)


def test_days_grow_with_time() -> None:
    days = count_days(parse_dates(pd.Series(["1979", "May 1979", "25 May 1979", "", "1980"])))
    assert np.isnan(days).tolist() == [False, False, False, True, False]
    assert (np.diff(days[[0, 1, 2, 4]]) > 0).all()
    assert days[2] - days[1] == 24


def test_many_timestamps_are_read_as_few_are() -> None:
    at = pd.date_range("1999-12-25", periods=12_000, freq="h")
    cells = pd.Series(
        [*at.strftime("%Y-%m-%d %H:%M:%S"), "12/25/1999 10:00", "soon", "1999-12-32 10:00"]
    )
    expected = [*at.strftime("%Y-%m-%d"), "1999-12-25", "", ""]
    assert parse_dates(cells).tolist() == expected
    assert find_date_order(cells) == ("month", 0)
    assert parse_dates(cells.iloc[-5:]).tolist() == expected[-5:]


@pytest.mark.parametrize("different", [True, False])
@pytest.mark.parametrize("place", [1, 12_345, 24_999])
def test_one_cell_of_many_decides_for_the_decimal_mark(different: bool, place: int) -> None:
    cells = pd.Series([f"{1 + i % 900 if different else 1},{100 + i % 899}" for i in range(25_000)])
    assert find_number_format(cells).decimal == "."
    assert find_undecided(cells)[0] == 25_000
    cells[place] = "7,5"
    assert find_number_format(cells).decimal == ","
    assert find_undecided(cells) == (0, "")
    assert parse_numbers(cells)[place] == 7.5


def test_few_undecided_cells_of_many_are_told() -> None:
    cells = pd.Series([str(i) for i in range(50_000)])
    cells[31_415] = "1,234"
    assert find_undecided(cells) == (1, "1,234")


DRESSED = [
    "#", "#,#", "#.#", "#,###", "#.###", "###,###", "#.###.###", "#,###.##", "#.###,##", "$ #", "€#,##",
    "# EUR", "## min", "# h ##", "#h", "#:##", "#:##:##", "(#,###)", "-#.#", "#k", "#.#M", "#%", "#/10",
    "#.#/5", "# out of 10", "(19##)", "20##-20##", "PT#H##M", "# ###", "#'###,#", "# pages", "no. #", "about",
    "", "#,### kg", "0,###", "##'",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_a_column_is_read_as_each_of_its_cells_votes(seed: int) -> None:
    """Against the reading of every single cell."""
    random = np.random.default_rng(seed)
    kinds = random.choice(DRESSED, random.integers(1, 6), replace=False)
    cells = [
        "".join(str(random.integers(0, 10)) if c == "#" else c for c in random.choice(kinds))
        for _ in range(int(random.choice([5, 60, 3000])))
    ]
    readings = [read_number(cell) for cell in cells]
    votes = sum(found.vote for found in readings if found)
    units = Counter(found.unit for found in readings if found)
    found = find_number_format(pd.Series(cells, dtype=object))
    assert found.decimal == ("," if votes < 0 else ".")
    if len(set(units) - {""}) == 1:
        (unit,) = set(units) - {""}
        assert found.unit in ("", unit)
        assert found.unit == unit or 2 * units[unit] < len(cells)
    undecided = [c for c, r in zip(cells, readings, strict=True) if r and r.point != r.comma]
    decided = any(r.vote for r in readings if r)
    dressed = [c for c in undecided if "," in c or not c.replace(".", "").isdigit()]
    count, example = find_undecided(pd.Series(cells, dtype=object))
    assert count == (0 if decided else len(dressed))
    assert example in dressed or not count
    money = {unit: n for unit, n in units.items() if unit in ("$", "€", "eur")}
    assert mixed_currencies(pd.Series(cells, dtype=object)) == money
