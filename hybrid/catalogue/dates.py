"""Dates in cells, as people write them: 1979-05-25, 25/12/1999, "25 May 1979", "May 1979", 1979."""

from __future__ import annotations

import datetime
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue_types import DAY_FIRST, MONTH_FIRST

_NAMES = (
    "jan january januar janvier enero ene gennaio gen janeiro januari январь января",
    "feb february februar fevrier fev febrero febbraio fevereiro februari февраль февраля",
    "mar march marz mrz maerz mars marzo marco maart март марта",
    "apr april avril avr abril abr aprile апрель апреля",
    "may mai mayo maggio mag maio mei май мая",
    "jun june juni juin junio giugno giu junho июнь июня",
    "jul july juli juillet juil julio luglio lug julho июль июля",
    "aug august aout agosto ago augustus август августа",
    "sep sept september septembre septiembre settembre set setembro сентябрь сентября",
    "oct october oktober okt octobre octubre ottobre ott outubro out октябрь октября",
    "nov november novembre noviembre novembro ноябрь ноября",
    "dec december dezember dez decembre diciembre dic dicembre dezembro декабрь декабря",
)
MONTHS = {name: i for i, names in enumerate(_NAMES, start=1) for name in names.split()}

_ZONE = r"(?:Z|[A-Z]{3,5}(?![a-z])|[+-]\d{2}:?\d{2})"
_CLOCK = rf"\s*\d{{1,2}}:\d{{2}}(?::\d{{2}}(?:[.,]\d+)?)?\s*(?:[ap]\.?m\.?)?\s*{_ZONE}?"
_TIME = rf"(?:[T ]{_CLOCK})?"
_TIME_BEHIND = re.compile(rf"(?:,| at)? {_CLOCK}$", re.IGNORECASE)  # Tue, 25 May 1979 23:30:00 GMT
_YEAR_FIRST = re.compile(
    rf"(\d{{4}})(?:([-/.])(\d{{1,2}})(?:\2(\d{{1,2}}){_TIME})?)?", re.IGNORECASE
)
_TIMESTAMP = re.compile(rf"(\d{{4}}-\d{{1,2}}-\d{{1,2}}){_TIME}", re.IGNORECASE)
_YEAR_LAST = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}}|\d{{2}}){_TIME}", re.IGNORECASE)
_MONTH_YEAR = re.compile(r"(\d{1,2})[-/.](\d{4})")
_EAST_ASIAN = re.compile(r"(\d{4}) ?[年년](?: ?(\d{1,2}) ?[月월](?: ?(\d{1,2}) ?[日일])?)?")
_REMARK = re.compile(r" ?\([^()]*\)$")  # 1 October 2010 (USA)
_WORDS = re.compile(r"\d+|[^\W\d_]+")
_FILLER = frozenset(["of", "de", "del", "den", "the", "st", "nd", "rd", "th"])
_WEEKDAY = re.compile(
    r"^(?:mon|tue|wed|thu|fri|sat|sun|die|mit|don|fre|sam|son)[a-z]*\.?,? ",
    re.IGNORECASE,
)
PIVOT = 69  # two digits: 69 to 99 are 19xx, as in POSIX
FIRST_YEAR, LAST_YEAR = 1000, 2999
EXAMPLES = 3
LONGEST = 60  # characters of a date
MANY = 10_000  # distinct cells
# The order of day and month that a date needs, and whether its year has two digits.
Dated = tuple[str, str, int, bool]


def parse_dates(cells: pd.Series, order: str = "") -> NDArray[np.object_]:
    """Parse cells as dates.

    Parameters
    ----------
    cells : Series of n str
    order : str, default=""
        ``"day"`` or ``"month"``: which comes first in dates such as 01/02/1999; by default as
        `find_date_order` finds it.

    Returns
    -------
    ndarray of shape (n,), str
        ISO dates as far as they are known (``1979-05-25``, ``1979-05``, ``1979``), ``""`` where there is
        none.

    Examples
    --------
    >>> parse_dates(pd.Series(["25/12/1999", "01/02/1999", "May 1979", "1979", "soon"])).tolist()
    ['1999-12-25', '1999-02-01', '1979-05', '1979', '']
    """
    number, distinct = _factorize(cells)
    read = [read_date(cell) for cell in distinct]
    # Where no cell tells, as pandas: the month first.
    first = 0 if (order or find_date_order(cells)[0]) == DAY_FIRST else 1
    found = np.array([one[first] if one else "" for one in read] or [""], dtype=object)
    return found[number]


def find_date_order(cells: pd.Series) -> tuple[str, int]:
    """Find which comes first in the dates of a column, day or month, from those that tell.

    Parameters
    ----------
    cells : Series of n str

    Returns
    -------
    order : str
        ``"day"``, ``"month"``, or ``""`` where no cell tells.
    undecided : int
        Number of cells that can be read in two ways.

    Examples
    --------
    >>> find_date_order(pd.Series(["25/12/1999", "01/02/1999"]))
    ('day', 1)
    >>> find_date_order(pd.Series(["12/25/1999"])), find_date_order(pd.Series(["01/02/1999"]))
    (('month', 0), ('', 1))
    """
    counts = count_dates(cells)
    order = {1: DAY_FIRST, 0: "", -1: MONTH_FIRST}[int(np.sign(counts.day - counts.month))]
    return order, counts.undecided


@dataclass(frozen=True)
class DateCounts:
    """Cells of a column of dates: that show the day first, the month first, that can be either.

    Parameters
    ----------
    day, month, undecided : int
    short : int
        Cells whose year has two digits.
    examples : tuple of str
        Different cells that can be either, in the order of the column.
    """

    day: int = 0
    month: int = 0
    undecided: int = 0
    short: int = 0
    examples: tuple[str, ...] = ()


def count_dates(cells: pd.Series) -> DateCounts:
    """Count what the dates of a column show about their order and their years.

    Parameters
    ----------
    cells : Series of n str

    Returns
    -------
    DateCounts

    Examples
    --------
    >>> count_dates(pd.Series(["25/12/1999", "12/25/1999", "03/04/99", "1979-05-25"]))
    DateCounts(day=1, month=1, undecided=1, short=1, examples=('03/04/99',))
    """
    numbers, distinct = _factorize(cells)
    day = month = undecided = short = 0
    either = []
    for cell, count in zip(distinct, np.bincount(numbers).tolist(), strict=True):
        if (found := read_date(str(cell))) is None:
            continue
        day += count * (found[2] > 0)
        month += count * (found[2] < 0)
        short += count * found[3]
        if found[0] != found[1]:
            undecided += count
            either.append(str(cell))
    return DateCounts(day, month, undecided, short, tuple(either[:EXAMPLES]))


def _factorize(cells: pd.Series) -> tuple[NDArray[np.int64], list[str]]:
    """Number the distinct cells; of many timestamps, which all differ, the days are numbered."""
    numbers, distinct = pd.factorize(cells)
    if len(distinct) < MANY:
        return numbers, list(distinct)
    days = np.array([_day(cell) for cell in distinct], dtype=object)
    again, found = pd.factorize(days)
    return again[numbers], found.tolist()


def _day(cell: str) -> str:
    found = _TIMESTAMP.fullmatch(cell) if len(cell) <= LONGEST else None
    return found[1] if found else cell


@lru_cache(maxsize=2**16)
def read_date(cell: str) -> Dated | None:
    """Read a cell as a date.

    Parameters
    ----------
    cell : str

    Returns
    -------
    day_first, month_first : str
        The ISO date if the day comes first, and if the month does; equal where the cell tells.
    vote : int
        1: the day comes first; -1: the month; 0: either, or no such cell.
    short : bool
        Whether its year has two digits.
        None in place of all where the cell is no date.

    Examples
    --------
    >>> read_date("25th May 1979")
    ('1979-05-25', '1979-05-25', 0, False)
    >>> read_date("01/02/99")
    ('1999-02-01', '1999-01-02', 0, True)
    """
    if not any(c.isdigit() for c in cell) or len(cell) > LONGEST:
        return None
    if not cell.isascii():
        cell = unicodedata.normalize("NFKC", cell)
        cell = "".join(str(unicodedata.decimal(c, c)) if c.isdecimal() else c for c in cell)
    cell = _WEEKDAY.sub("", _REMARK.sub("", " ".join(cell.split())))
    if (match := _YEAR_FIRST.fullmatch(cell)) is not None:
        return _same(_iso(match[1], match[3], match[4]))
    if (match := _YEAR_LAST.fullmatch(cell)) is not None:
        return _two_orders(match[1], match[3], match[4], dotted=match[2] == ".")
    if (match := _MONTH_YEAR.fullmatch(cell)) is not None:
        return _same(_iso(match[2], match[1]))
    if (match := _EAST_ASIAN.fullmatch(cell)) is not None:
        return _same(_iso(*match.groups()))
    return _in_words(cell)


def _same(date: str, short: bool = False) -> Dated | None:
    return (date, date, 0, short) if date else None


def _two_orders(first: str, second: str, year: str, *, dotted: bool) -> Dated | None:
    """A date of numbers, its year last; where dots are between them the day is always first."""
    by_day, by_month = _iso(year, second, first), _iso(year, first, second)
    short = len(year) == 2
    if not by_day and not by_month:
        return None
    if first == second or (dotted and by_day):
        return by_day, by_day, 0, short
    if by_day and by_month:
        return by_day, by_month, 0, short
    return (by_day, by_day, 1, short) if by_day else (by_month, by_month, -1, short)


def _in_words(cell: str) -> Dated | None:
    """A date with the name of its month: "25 May 1979", "May 25, 1979", "May 1979", "25-May-79"."""
    words = [_plain(word) for word in _WORDS.findall(_TIME_BEHIND.sub("", cell))]
    words = [word for word in words if word not in _FILLER]
    months = [MONTHS[word] for word in words if word in MONTHS]
    numbers = [word for word in words if word.isdecimal()]
    if len(months) != 1 or len(words) != len(numbers) + 1 or not 1 <= len(numbers) <= 2:
        return None
    year, day = numbers[-1], numbers[0] if len(numbers) == 2 else None
    if day and len(day) == 4:  # 1979 May 25
        year, day = day, year
    if len(year) == 2 and day is None:  # "May 25" has no year
        return None
    return _same(_iso(year, str(months[0]), day), len(year) == 2)


def _plain(word: str) -> str:
    word = unicodedata.normalize("NFD", word.casefold())
    kept = "".join(c for c in word if not unicodedata.combining(c) or c == "\u0306")
    return unicodedata.normalize("NFC", kept)  # the breve makes another letter in Cyrillic


def _iso(year: str, month: str | None = None, day: str | None = None) -> str:
    """The ISO date, ``""`` where there is no such day."""
    number = int(year)
    if len(year) == 2:
        number += 1900 if number >= PIVOT else 2000
    if len(year) not in (2, 4) or not FIRST_YEAR <= number <= LAST_YEAR:
        return ""
    try:
        date = datetime.date(number, int(month or 1), int(day or 1))
    except ValueError:
        return ""
    return date.isoformat()[: 10 if day else 7 if month else 4]


def count_days(dates: NDArray[np.object_]) -> NDArray[np.float64]:
    """Turn ISO dates into numbers that grow with time.

    Parameters
    ----------
    dates : ndarray of shape (n,), str
        As `parse_dates` gives them; a month or a year stands for its first day.

    Returns
    -------
    ndarray of shape (n,), float64
        Days since the year 1; NaN where there is no date.

    Examples
    --------
    >>> count_days(np.array(["1979-05-25", "1979-05", ""], dtype=object)).tolist()
    [722594.0, 722570.0, nan]
    """
    number, distinct = pd.factorize(dates)
    days = [
        datetime.date.fromisoformat((date + "-01-01")[:10]).toordinal() if date else np.nan
        for date in distinct
    ]
    return np.array(days or [np.nan], dtype=np.float64)[number]
