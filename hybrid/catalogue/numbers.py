"""Numbers in cells, as people write them: "13,634", "1.234,5", "$ 10", "90 min", "1 h 30", "45%"."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.cells import find_different
from hybrid.catalogue.units import (
    CLOCK,
    CURRENCIES,
    MAGNITUDES,
    MILLION_OR_MINUTE,
    SHORT_CLOCK,
    SYMBOLS,
    UNITS,
    conversion,
    is_currency,
    is_known,
)
from hybrid.catalogue_types import COMMA, POINT, CellFormat

_GROUPED = re.compile(r"\d{1,3}(?:[ '’٬]\d{3})+(?=[.,٫]\d*$|$)")
_POINT = re.compile(r"\d{1,3}(?:,\d{2,3})*,\d{3}\.\d*|\d{1,3}(?:,\d{2,3})+,\d{3}")
_COMMA = re.compile(r"\d{1,3}(?:\.\d{3})+,\d*|\d{1,3}(?:\.\d{3}){2,}")
_EITHER = re.compile(r"[1-9]\d{0,2}[.,]\d{3}")
_SINGLE = re.compile(r"\d+|\d*[.,]\d+|\d+[.,]")
_CODE = "|".join(sorted(map(re.escape, CURRENCIES), key=len, reverse=True))
_CELL = re.compile(
    rf"(?P<sign>[-+~≈(#№★]|(?:ca|c|approx|about|etwa|no|nr)\.? )? ?"
    rf"(?P<currency>(?:[a-z]{{0,2}}[{SYMBOLS}])|(?:{_CODE})(?![a-z])\.?)? ?(?P<minus>-)?"
    r"(?P<digits>(?:\d|[.,](?=\d))(?:[\d.,'’٬٫]| (?=\d{3}(?!\d)))*)(?P<rest>[^\d]*|(?: out of | ?/ ?)\d+)\)?",
    re.IGNORECASE,
)
_NUMBER = r"(\d+(?:[.,]\d+)?)"
_HOURS, _MINUTES, _SECONDS = (
    "|".join(sorted((w for w, (n, _, _) in UNITS.items() if n == unit), key=len, reverse=True))
    for unit in ("h", "min", "s")
)
_DURATION = re.compile(
    rf"(?:{_NUMBER} ?(?:{_HOURS})\b\.?,?(?: and| und| et)? ?)?"
    rf"(?:{_NUMBER} ?(?:(?:{_MINUTES})\b\.?|$),? ?)?(?:{_NUMBER} ?(?:{_SECONDS})\b\.?)?",
    re.IGNORECASE,
)
_GLUED_HOURS = re.compile(r"(?<=\d)h(?=\d)", re.IGNORECASE)  # 1h30
_ISO_DURATION = re.compile(r"P(?:0D)?T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.\d+)?S)?")
_CLOCK = re.compile(r"(\d{1,3}):([0-5]\d)(?::([0-5]\d))?")
# (1979), and as IMDb has it: (I) (1979), 2008–2013, (2019– )
_YEAR = re.compile(r"(?:\([IVX]+\) ?)?\(?(1[89]\d\d|20\d\d)(?: ?- ?(?:1[89]\d\d|20\d\d)?)?\)?")
_REMARK = re.compile(r"(?<=\S) ?\([^()\d]+\)$")  # $6,000,000 (estimated)
_CENTS = re.compile(r"[.,]\d\d$")
_PRIME = re.compile(r"(?<=\d) ?['′’]$")  # 90'
_TOKEN = re.compile(rf"/ ?\d+|out of \d+|%|\+|★|° ?[CF]?|[{SYMBOLS}]|[^\W\d_]+\.?")


# Numbers of one shape have the same unit, and are read in one way: 0 cannot begin thousands, nor 6 minutes.
_SHAPE = str.maketrans("123456789", "555556666")
_TRIED = 1000  # cells that are looked at before all others
_DENOMINATOR = re.compile("/|of", re.IGNORECASE)  # 8/10: its digits are the unit
THOUSANDS = r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?"


@dataclass(frozen=True)
class Reading:
    """A cell that holds a number: its value with a decimal point, with a decimal comma, and its unit."""

    point: float
    comma: float
    vote: int = 0  # 1: only a decimal point makes sense of it; -1: only a comma; 0: either, or none
    unit: str = ""


def parse_numbers(cells: pd.Series, reading: CellFormat | None = None) -> NDArray[np.float64]:
    """Parse cells as numbers, whatever they are dressed in.

    Parameters
    ----------
    cells : Series of n str
    reading : CellFormat, optional
        Decimal mark and unit where a cell alone does not tell; by default those that most of these cells
        have.

    Returns
    -------
    ndarray of shape (n,), float64
        In the unit of the column; NaN where there is no finite number.

    Examples
    --------
    >>> parse_numbers(pd.Series(["13,634", "$ 10", "", "long", "1e3"])).tolist()
    [13634.0, 10.0, nan, nan, 1000.0]
    >>> parse_numbers(pd.Series(["90 min", "1 h 30", "1h 5m"])).tolist()
    [90.0, 90.0, 65.0]
    """
    different, place = find_different(cells)
    if reading is None and not _plain(different)[1][different != ""].all():
        reading = find_number_format(cells[cells != ""])
    return _parse(pd.Series(different, dtype=object), reading)[place]


def _parse(cells: pd.Series, reading: CellFormat | None) -> NDArray[np.float64]:
    """Parse cells; without a reading only those that are numbers as Python writes them."""
    numbers, plain = _plain(cells)
    again = ~plain & (cells != "").to_numpy()
    if reading is not None and reading.decimal == COMMA:
        again |= cells.str.fullmatch(r"[-+]?[1-9]\d{0,2}\.\d{3}").to_numpy(dtype=bool)
    if reading is not None and reading.decimal == POINT and again.any():
        left = cells[again]
        common = left.str.fullmatch(THOUSANDS).to_numpy(dtype=bool)
        places = np.flatnonzero(again)[common]
        numbers[places] = left[common].str.replace(",", "", regex=False).astype(np.float64)
        again[places] = False
    if reading is not None and again.any():
        number, distinct = pd.factorize(cells[again])
        values = np.array([_value(cell, reading) for cell in distinct], dtype=np.float64)
        numbers[again] = values[number]
    return numbers


def find_number_format(cells: pd.Series, settled: str = "") -> CellFormat:
    """Find the decimal mark and the unit of a column: those of most of its cells that tell.

    Parameters
    ----------
    cells : Series of n str
    settled : str, default=""
        The decimal mark, ``"."`` or ``","``, where it is known.

    Returns
    -------
    CellFormat

    Examples
    --------
    >>> find_number_format(pd.Series(["1.234,5", "1.234", "7,5"])).decimal
    ','
    >>> find_number_format(pd.Series(["90 min", "100 min", "2 h"])).unit
    'min'
    """
    different, place = find_different(cells)
    if not settled and _plain(different)[1].all():
        return CellFormat()
    votes, units = 0, Counter[str]()
    for _, count, found in read_shapes(different, place):
        if found is not None:
            votes += found.vote * count
            units[found.unit] += count
    decimal = settled or (COMMA if votes < 0 else POINT)
    return CellFormat(decimal, _column_unit(units, len(cells)))


def read_shapes(
    different: NDArray[np.object_], place: NDArray[np.int64]
) -> list[tuple[str, int, Reading | None]]:
    """Read one cell of each shape: the cell, how many cells have its shape, and the number in it.

    The value is that of this cell alone; the unit, the vote, and whether a point and a comma read it
    differently, are those of all of them.

    Parameters
    ----------
    different : ndarray of shape (m,), str
        The different cells of a column.
    place : ndarray of shape (n,), int
        Which of them each cell is.

    Examples
    --------
    >>> [(cell, count) for cell, count, _ in read_shapes(*find_different(pd.Series(["7,5", "8,5", "9"])))]
    [('7,5', 2), ('9', 1)]
    """
    shapes = [one if _DENOMINATOR.search(one) else one.translate(_SHAPE) for one in different]
    shape, names = pd.factorize(np.array(shapes, dtype=object))
    counts = np.bincount(shape, np.bincount(place, minlength=len(different)), len(names))
    first = np.unique(shape, return_index=True)[1]
    cells = different[first].tolist()
    return [(c, int(n), read_number(c)) for c, n in zip(cells, counts.tolist(), strict=True)]


def _column_unit(units: Counter[str], filled: int) -> str:
    """The most frequent unit; a word that is no unit elsewhere must be in half of the cells."""
    if units[CLOCK] and units[SHORT_CLOCK]:
        return CLOCK
    for unit, count in sorted(units.items(), key=lambda pair: (-pair[1], pair[0])):
        if unit and (is_known(unit) or 2 * count >= filled):
            return unit
    return ""


def find_undecided(cells: pd.Series) -> tuple[int, str]:
    """Find the numbers of a column that a decimal point and a decimal comma read differently.

    Parameters
    ----------
    cells : Series of n str

    Returns
    -------
    count : int
        0 where another cell of the column shows which it is.
    example : str

    Examples
    --------
    >>> find_undecided(pd.Series(["1,234", "5,678", "12"])), find_undecided(pd.Series(["1,234", "7,5"]))
    ((2, '1,234'), (0, ''))
    """
    different, place = find_different(cells)
    if _plain(different)[1].all():
        return 0, ""
    for cell in different[:: max(1, len(different) // _TRIED)]:  # most columns are settled by these
        found = read_number(cell)
        if found is not None and found.vote:
            return 0, ""
    count, example = 0, ""
    for cell, items, found in read_shapes(different, place):
        if found is None:
            continue
        if found.vote:
            return 0, ""
        dressed = "," in cell or not _SINGLE.fullmatch(cell)
        if found.point != found.comma and dressed:
            count, example = count + items, example or cell
    return count, example


def mixed_currencies(cells: pd.Series) -> Counter[str]:
    """The currencies of a column's cells, with their counts.

    Examples
    --------
    >>> sorted(mixed_currencies(pd.Series(["$ 10", "€12", "7", "€ 8"])).items())
    [('$', 1), ('€', 2)]
    """
    units = Counter[str]()
    for _, count, found in read_shapes(*find_different(cells)):
        if found is not None and is_currency(found.unit):
            units[found.unit] += count
    return units


def _plain(
    cells: pd.Series | NDArray[np.object_],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Cells that are numbers as Python writes them, and which are."""
    column = pd.Series(cells, dtype=object)
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    known = np.isfinite(numbers)
    return np.where(known, numbers, np.nan), known


def _value(cell: str, reading: CellFormat) -> float:
    found = read_number(cell)
    if found is None or not (is_known(found.unit) or found.unit == reading.unit):
        return np.nan
    factor = conversion(found.unit, reading.unit)
    if factor is None:
        return np.nan
    return factor * (found.comma if reading.decimal == COMMA else found.point)


def read_number(cell: str) -> Reading | None:
    """Read a cell as a number with its unit; None where it is none.

    Parameters
    ----------
    cell : str

    Returns
    -------
    Reading or None

    Examples
    --------
    >>> read_number("1.234,5 €")
    Reading(point=1234.5, comma=1234.5, vote=-1, unit='€')
    >>> read_number("13,634").point, read_number("13,634").comma
    (13634.0, 13.634)
    >>> read_number("Heat") is None
    True
    """
    cell = _normalise(cell)
    if not cell or not any(c.isdigit() for c in cell[:12]):
        return None
    if year := _YEAR.fullmatch(cell):
        return Reading(float(year[1]), float(year[1]))
    match = _CELL.fullmatch(cell)
    return (_dressed(match) if match else None) or _duration(cell)


def _normalise(cell: str) -> str:
    """Full-width forms, digits of other scripts, spaces and minus signs as ASCII has them."""
    if not cell.isascii():
        cell = unicodedata.normalize("NFKC", cell).replace("\u2212", "-").replace("\u2013", "-")
        cell = "".join(str(unicodedata.decimal(c, c)) if c.isdecimal() else c for c in cell)
    return _PRIME.sub(" min", _REMARK.sub("", " ".join(cell.split())))


def _dressed(match: re.Match[str]) -> Reading | None:
    """A number with a sign, a currency, a magnitude, a unit."""
    digits = _read_digits(match["digits"])
    rest = match["rest"]
    suffix = _read_suffix(rest, (match["currency"] or "").casefold().rstrip(". "))
    closed = match[0].endswith(")")
    if digits is None or suffix is None or closed != (match["sign"] == "("):
        return None
    if match["digits"][-1] == "." and rest[:1].isalpha() and not is_known(suffix[1]):
        return None  # 12.jpg
    behind = rest.startswith("-") and _CENTS.search(match["digits"])  # 4,234.00-
    negative = match["sign"] in ("-", "(") or bool(match["minus"]) or bool(behind)
    factor, (scale, unit) = -1.0 if negative else 1.0, suffix
    point, comma, vote = digits
    return Reading(factor * scale * point, factor * scale * comma, vote, unit)


def _read_digits(text: str) -> tuple[float, float, int] | None:
    """The value of digits with their separators: by a decimal point, by a comma, and what they vote for."""
    if grouped := _GROUPED.match(text):
        text = re.sub("[ '’٬]", "", grouped[0]) + text[grouped.end() :]
    elif " " in text:
        return None
    text = text.replace("٫", ".")
    if _POINT.fullmatch(text):
        value = float(text.replace(",", ""))
        return value, value, 1
    if _COMMA.fullmatch(text):
        value = float(text.replace(".", "").replace(",", "."))
        return value, value, -1
    if not _SINGLE.fullmatch(text):
        return None
    value = float(text.replace(",", "."))
    if grouped is None and _EITHER.fullmatch(text):
        whole = float(re.sub("[.,]", "", text))
        return (value, whole, 0) if "." in text else (whole, value, 0)
    return value, value, 1 if "." in text else -1 if "," in text else 0


def _read_suffix(text: str, currency: str) -> tuple[float, str] | None:
    """What follows a number: the factor of its magnitude, and its unit."""
    scale, unit = 1.0, currency
    text = text.strip().rstrip(")").removeprefix("-").strip()  # 12,- €
    for token in _TOKEN.findall(text):
        word = token.casefold().rstrip(".")
        million = word == MILLION_OR_MINUTE and (token[0] == "M" or is_currency(unit))
        if token == "+":
            continue
        if million or (word in MAGNITUDES and scale == 1):
            scale = 1e6 if million else MAGNITUDES[word]
        elif unit:
            if not (is_currency(unit) and is_currency(word)):  # $ 5 USD
                return None
        elif token[0] == "/" or word.startswith("out of"):
            unit = "/" + re.sub(r"\D", "", token)
        else:
            unit = UNITS[word][0] if word in UNITS else _singular(word)
    return None if _TOKEN.sub("", text).strip() else (scale, unit)


def _singular(word: str) -> str:
    return word if word in CURRENCIES or len(word) < 3 else word.removesuffix("s")


def _duration(cell: str) -> Reading | None:
    """Hours and minutes ("1 h 30", "1:30:00", "PT1H30M") in minutes."""
    if clock := _CLOCK.fullmatch(cell):
        first, second, third = (float(part or 0) for part in clock.groups())
        value, unit = 60 * first + second + third / 60, CLOCK if clock[3] else SHORT_CLOCK
        return Reading(value, value, 0, unit)
    spaced = _GLUED_HOURS.sub("h ", cell)
    match = _ISO_DURATION.fullmatch(cell) or _DURATION.fullmatch(spaced)
    if match is None or not any(match.groups()):
        return None
    hours, minutes, seconds = (float((part or "0").replace(",", ".")) for part in match.groups())
    value = 60 * hours + minutes + seconds / 60
    return Reading(value, value, 0, "min")
