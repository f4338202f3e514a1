"""What may be wrong about columns: cells that were not understood, roles that nobody found."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.cells import filled_cells
from hybrid.catalogue.dates import count_dates, parse_dates
from hybrid.catalogue.decimals import count_decimals
from hybrid.catalogue.numbers import find_undecided, mixed_currencies, parse_numbers
from hybrid.catalogue.packed import find_repeated, match_all, take_every
from hybrid.catalogue.roles import FEW, HALF, IMAGE, URL, WORDS
from hybrid.catalogue.units import currency_code, is_currency
from hybrid.catalogue_types import COMMA, DAY_FIRST, MONTH_FIRST, ColumnRole, Columns, Finding
from hybrid.utils.counts import agree, counted

NOT_UNDERSTOOD = "cells not understood"
ORDER = "order of day and month"
DECIMALS = "decimal mark"
NO_POSTER = "no poster column"
NO_POSTERS = "no posters"
POSTER_URLS = "poster URLs"
POSTER_FINDINGS = (NO_POSTER, NO_POSTERS, POSTER_URLS)
TMDB = r"/\w{20,40}\.(?:jpg|png|svg)"  # as its API names images
TEXT_COLUMN = "text column"
EXAMPLES = 3


def tell_roles(
    table: pd.DataFrame, columns: Columns, roles: tuple[ColumnRole, ...], decimal: str = ""
) -> tuple[Finding, ...]:
    """Tell what may be wrong about the roles of columns and the reading of their cells.

    Parameters
    ----------
    table : DataFrame of shape (n, columns)
        Every cell a str.
    columns : Columns
    roles : tuple of ColumnRole
    decimal : str, default=""
        The decimal mark that was set by hand.

    Returns
    -------
    tuple of Finding

    Examples
    --------
    >>> from pathlib import Path
    >>> from hybrid.catalogue.columns import find_columns
    >>> from hybrid.types import ColumnOptions
    >>> table = pd.DataFrame({"id": ["1", "2"], "runtime": ["90", "long"]})
    >>> found = find_columns(table, ColumnOptions(numeric=("runtime",)), Path("c.csv"))
    >>> print(tell_roles(table, *found)[0].message)
    column 'runtime': 1 of 2 cells is no number, such as 'long'; it counts as missing (--categorical \
runtime reads words)
    """
    found: list[Finding] = []
    for role in roles:
        cells = table[role.column]
        if role.role in ("numeric", "date"):
            found += _of_cells(role, cells)
        if role.role == "numeric" and not decimal and not role.reason.startswith("recorded"):
            found += _of_decimals(role, filled_cells(cells))
        elif role.role in ("categorical", "list"):
            addresses = [*_of_addresses(role, cells)]
            found += addresses
            if role.role == "categorical" and not addresses:
                found += _of_categories(role, cells, columns)
    found += _of_posters(table, columns, roles)
    return tuple(found)


def _advice(role: ColumnRole, text: str) -> str:
    """What to do, in parentheses; nothing where the role is that of a run, which no option changes."""
    return "" if role.reason.startswith("recorded") else f" ({text})"


def _of_cells(role: ColumnRole, cells: pd.Series) -> Iterator[Finding]:
    """Of a column of numbers or dates."""
    if lost := role.not_understood:
        kind = "number" if role.role == "numeric" else "date"
        yield Finding(
            NOT_UNDERSTOOD,
            f"column {role.column!r}: {lost:,} of {counted(role.filled, 'cell')} {agree(lost, '{are|is}')} "
            f"no {kind}, such as {', '.join(map(repr, role.examples))}; "
            f"{agree(lost, '{they count|it counts}')} as missing"
            + _advice(role, f"--categorical {quote(role.column)} reads words"),
            lost,
            role.column,
            role.examples,
        )
    filled = filled_cells(cells)
    if role.role == "date":
        yield from _of_dates(role, filled)
    elif is_currency(role.format.unit):
        currencies = mixed_currencies(filled)
        if len({currency_code(unit) for unit in currencies}) < 2:
            return
        counts = ", ".join(f"{count:,} x {unit}" for unit, count in currencies.most_common())
        yield Finding(
            "mixed currencies",
            f"column {role.column!r}: {counts}; the amounts are not converted"
            + _advice(role, f"--drop {quote(role.column)} leaves them out"),
            sum(currencies.values()),
            role.column,
            tuple(currencies),
        )


def _of_decimals(role: ColumnRole, filled: pd.Series) -> Iterator[Finding]:
    """Of numbers such as 1,234, where no cell of the column shows what the comma is, or several disagree."""
    shown = count_decimals(filled)
    if shown.undecided:
        read, other = ("comma", "point") if role.format.decimal == COMMA else ("point", "comma")
        marks = {"point": (shown.point, "."), "comma": (shown.comma, COMMA)}
        yield Finding(
            DECIMALS,
            f"column {role.column!r}: {counted(marks[read][0], 'cell shows', 'cells show')} a decimal "
            f"{read}, {marks[other][0]:,} a "
            f"decimal {other}; {shown.undecided:,} such as {shown.example} can be either and were read with "
            f"the {read} (--decimal {marks[other][1]} reads them with the {other})",
            shown.undecided,
            role.column,
            (shown.example,),
        )
        return
    count, example = find_undecided(filled)
    if count:
        comma = "," in example
        reading, other = ("thousands", "decimals") if comma else ("decimals", "thousands")
        mark = "comma" if comma else "point"
        yield Finding(
            DECIMALS,
            f"column {role.column!r}: {count:,} of {counted(len(filled), 'number')} such as {example} can be "
            f"read in two ways, and no cell tells which; the {mark} was taken as that of {reading} "
            f"(--decimal , reads {other}, --decimal . {reading})",
            count,
            role.column,
            (example,),
        )


def _of_dates(role: ColumnRole, filled: pd.Series) -> Iterator[Finding]:
    counts = count_dates(filled)
    orders = {DAY_FIRST: counts.day, MONTH_FIRST: counts.month}
    read = role.format.order or MONTH_FIRST
    other = MONTH_FIRST if read == DAY_FIRST else DAY_FIRST
    if orders[other]:
        shows = f"{counted(orders[read], 'cell shows', 'cells show')} the {read} first"
        either = (
            f"{counts.undecided:,} can be either and {agree(counts.undecided, '{were|was}')} read with the "
            f"{read} first (--date-order {other} reads {agree(counts.undecided, '{them|it}')} with the "
            f"{other} first)"
            if counts.undecided
            else f"each is read as it shows (--date-order {read} settles those to come that can be either)"
        )
        yield Finding(
            ORDER,
            f"column {role.column!r}: {shows}, {orders[other]:,} the {other} first; {either}",
            orders[other],
            role.column,
            counts.examples,
        )
    elif counts.undecided and not role.format.order:
        yield Finding(
            ORDER,
            f"column {role.column!r}: {counted(counts.undecided, 'date')} such as {counts.examples[0]!r} can "
            "be read in two ways, and none tells which; the month was read first (--date-order day reads "
            "the day first)",
            counts.undecided,
            role.column,
            counts.examples,
        )
    if short := counts.short:
        yield Finding(
            "years of two digits",
            f"column {role.column!r}: {counted(short, 'date has', 'dates have')} a year of two digits; 69 to "
            "99 were read as 1969 to 1999, 00 to 68 as 2000 to 2068 (write four digits where that is wrong)",
            short,
            role.column,
        )


def _of_addresses(role: ColumnRole, cells: pd.Series) -> Iterator[Finding]:
    """Of a column of words or lists: many of its cells are addresses."""
    some = filled_cells(take_every(cells, max(1, len(cells) // 1000)))
    if role.reason.startswith(("--", "recorded")) or not _mostly(some, URL):
        return
    filled = filled_cells(cells)
    are = match_all(filled, URL)
    examples = tuple(filled[~are].drop_duplicates().iloc[:EXAMPLES])
    yield Finding(
        NOT_UNDERSTOOD,
        f"column {role.column!r}: {int(are.sum()):,} of {counted(len(filled), 'cell')} "
        f"{agree(are.sum(), '{are addresses|is an address}')}, others are not, such as "
        f"{', '.join(map(repr, examples))}; it is read as {role.role} (--drop {quote(role.column)} leaves it "
        "out)",
        int((~are).sum()),
        role.column,
        examples,
    )


def _of_categories(role: ColumnRole, cells: pd.Series, columns: Columns) -> Iterator[Finding]:
    """Of a column of words: many of its cells are numbers, or it is a text that nobody named."""
    if role.reason.startswith(("--", "recorded")):
        return
    filled = filled_cells(cells)
    repeated = find_repeated(filled)
    distinct = filled[~repeated] if repeated.any() else filled
    if len(distinct) <= FEW:
        return
    some = take_every(distinct, max(1, len(distinct) // 1000))
    option = "numeric" if (~np.isnan(parse_numbers(some))).mean() >= HALF else ""
    if not option and (parse_dates(some) != "").mean() >= HALF:
        option = "date"
    if option:
        numeric = option == "numeric"
        known = ~np.isnan(parse_numbers(distinct)) if numeric else parse_dates(distinct) != ""
        words, what = filled[filled.isin(distinct[~known])], "numbers" if numeric else "dates"
        examples = tuple(words.drop_duplicates().iloc[:EXAMPLES])
        n = len(filled) - len(words)
        yield Finding(
            NOT_UNDERSTOOD,
            f"column {role.column!r}: {n:,} of {counted(len(filled), 'cell')} "
            f"{agree(n, f'{{are {what}|is a {what[:-1]}}}')}, others are not, such as "
            f"{', '.join(map(repr, examples))}; it is read as "
            f"categories (--{option} {quote(role.column)} reads {what}, and the others as missing)",
            len(words),
            role.column,
            examples,
        )
    elif _mean_spaces(distinct.iloc[:1000]) >= WORDS and len(distinct) >= HALF * len(filled):
        yield Finding(
            TEXT_COLUMN,
            f"column {role.column!r} holds sentences, and is read as categories "
            f"({' '.join(f'--text {quote(name)}' for name in (*columns.text, role.column))} reads them as "
            "text)",
            len(filled),
            role.column,
            (distinct.iloc[0][:80],),
        )


def _of_posters(
    table: pd.DataFrame, columns: Columns, roles: tuple[ColumnRole, ...]
) -> Iterator[Finding]:
    """Posters that are addresses, and columns of image files that nobody named."""
    if columns.poster is not None:
        cells = table[columns.poster]
        remote = _are_remote(cells)
        if remote.any():
            count, name = int(remote.sum()), columns.poster
            said = (
                "{posters are URLs or TMDB's paths, which are|poster is a URL or TMDB's path, which is} not "
                "read; fetch {them|it}"
            )
            yield Finding(
                POSTER_URLS,
                f"column {name!r}: {agree(count, f'{count:,} {said}')}: hybrid fetch-posters --url-column "
                f"{quote(name)}",
                count,
                name,
                tuple(cells[remote].iloc[:1]),
            )
        return
    for role in roles:
        cells = table[role.column]
        if role.role not in ("not used", "URL") or not role.filled or role.reason == "--drop":
            continue
        filled = filled_cells(cells)
        if _mostly(filled.iloc[:1000], IMAGE):
            far = role.role == "URL" or _mostly(filled.iloc[:1000], TMDB)
            what, name = "addresses" if far else "names of files", quote(role.column)
            fetch = f"hybrid fetch-posters --url-column {name}"
            yield Finding(
                NO_POSTER,
                f"no column 'poster' was found; column {role.column!r} holds {what} of images "
                f"({fetch if far else f'--poster-column {name}'})",
                len(filled),
                role.column,
                tuple(filled.iloc[:1]),
            )


def _mostly(cells: pd.Series, pattern: str) -> bool:
    """Whether half of some cells match."""
    return len(cells) > 0 and bool(match_all(cells, pattern).mean() >= HALF)


def _mean_spaces(cells: pd.Series) -> float:
    """White space in a cell, on average."""
    return float(np.mean([sum(map(str.isspace, cell)) for cell in cells]))


def _are_remote(cells: pd.Series) -> NDArray[np.bool_]:
    """Which poster cells are URLs, or paths of TMDB, shape (n,)."""
    urls = cells.str.contains("://", regex=False).to_numpy(dtype=bool)
    return urls | match_all(cells, TMDB)


def name_no_posters(cells: pd.Series) -> bool:
    """Whether all cells of a poster column are empty or addresses, in whatever folder the posters are.

    Parameters
    ----------
    cells : Series of shape (n,), str

    Examples
    --------
    >>> name_no_posters(pd.Series(["", "https://x.org/1.jpg"])), name_no_posters(pd.Series(["", "1.jpg"]))
    (True, False)
    """
    for some in (cells.iloc[:100], cells):  # most columns are told by their first cells
        if not ((some == "") | _are_remote(some)).all():
            return False
    return len(cells) > 1


def tell_no_posters(cells: pd.Series, column: str) -> tuple[Finding, ...]:
    """Tell once of the items without a poster, in a column of which no cell names a file.

    Parameters
    ----------
    cells : Series of shape (n,), str
    column : str

    Examples
    --------
    >>> print(tell_no_posters(pd.Series(["", ""]), "poster")[0].message)
    column 'poster': 2 of 2 items name no poster, and none names a file (--poster-column names another column)
    """
    count = int((cells == "").sum())
    if not count:
        return ()
    message = (
        f"column {column!r}: {count:,} of {counted(len(cells), 'item')} {agree(count, '{name|names}')} no "
        "poster, and none names a file (--poster-column names another column)"
    )
    return (Finding(NO_POSTERS, message, count, column),)
