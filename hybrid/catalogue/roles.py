"""Role of a column by its cells: numbers, dates, URLs, lists or categories, by the large majority."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.cells import filled_cells
from hybrid.catalogue.dates import find_date_order, parse_dates
from hybrid.catalogue.numbers import find_number_format, parse_numbers
from hybrid.catalogue.packed import find_repeated, match_all, take_every
from hybrid.catalogue_types import DAY_FIRST, CellFormat, ColumnOptions, ColumnRole
from hybrid.utils.counts import agree, counted

MAJORITY = 0.95  # of the filled cells: what they are, the column is
HALF = 0.5
SAMPLE = 1000  # cells that are tried first
EXAMPLES = 3
FEW = 20  # distinct cells: as likely classes, such as certificates, as numbers
WORDS = 5  # on average: sentences
IMAGE = r"(?i).*\.(?:jpe?g|png|webp|gif|bmp|tiff?|avif|heic)(?:\?\S*)?"
# As people paste them: with spaces in the path, or without the scheme; and pictures in the cell itself.
URL = r"(?i)(?:[a-z][a-z0-9+.-]*:)?//[^\s/]+(?:/.*)?|[a-z][a-z0-9+.-]*://\S+|data:[a-z]+/.*"
ROLES = ("text", "numeric", "categorical", "list", "date")


def find_role(name: str, cells: pd.Series, options: ColumnOptions) -> ColumnRole:
    """Find the role of a metadata column by its cells.

    Parameters
    ----------
    name : str
        Of the column.
    cells : Series of n str
    options : ColumnOptions
        Its separator, decimal mark and order of dates are used.

    Returns
    -------
    ColumnRole

    Examples
    --------
    >>> role = find_role("length", pd.Series(["90 min", "1 h 30", "105"]), ColumnOptions())
    >>> role.role, role.reason, role.format.unit
    ('numeric', '100% numbers, in min', 'min')
    >>> find_role("link", pd.Series(["https://example.org/1"]), ColumnOptions()).role
    'URL'
    """
    filled = filled_cells(cells)
    if not len(filled):
        used = bool((cells != "").any())
        reason = "no cell says more than a word for nothing" if used else "all cells are empty"
        return ColumnRole(name, "categorical" if used else "not used", reason, 0)
    sample = take_every(filled, max(1, len(filled) // SAMPLE))
    numbers = _share(~np.isnan(parse_numbers(sample)))
    if numbers >= HALF:
        found = numeric_role(name, cells, options)
        if found.not_understood <= (1 - MAJORITY) * found.filled:
            return found
    elif _share(parse_dates(sample) != "") >= HALF:
        found = date_role(name, cells, options)
        if found.not_understood <= (1 - MAJORITY) * found.filled:
            return found
    if _mostly(filled, sample, URL):
        images = ", of images" if _share(match_all(filled, IMAGE)) >= HALF else ""
        return ColumnRole(name, "URL", f"addresses{images}: not used as metadata", len(filled))
    return _words_role(name, filled, sample, options)


def _mostly(filled: pd.Series, sample: pd.Series, pattern: str) -> bool:
    """Whether the large majority of cells match; all are looked at only where half of a sample does."""
    if _share(match_all(sample, pattern)) < HALF:
        return False
    return _share(match_all(filled, pattern)) >= MAJORITY


def _words_role(
    name: str, filled: pd.Series, sample: pd.Series, options: ColumnOptions
) -> ColumnRole:
    """Lists, file names, or categories."""
    separator = options.label_separator
    lists = int(filled.str.contains(separator, regex=False).sum())
    if lists:
        reason = f"{lists:,} of {counted(len(filled), 'cell')} {agree(lists, '{hold|holds}')} {separator!r}"
        return ColumnRole(name, "list", reason, len(filled))
    if _mostly(filled, sample, IMAGE):
        reason = "names of image files: not used as metadata"
        return ColumnRole(name, "not used", reason, len(filled))
    distinct = int((~find_repeated(filled)).sum())
    reason = f"{distinct:,} different words" if distinct > 1 else "one word"
    return ColumnRole(name, "categorical", reason, len(filled))


def numeric_role(
    name: str, cells: pd.Series, options: ColumnOptions, recorded: CellFormat | None = None
) -> ColumnRole:
    """Describe a column that is read as numbers.

    Parameters
    ----------
    name : str
        Of the column.
    cells : Series of n str
    options : ColumnOptions
        Its decimal mark is used.
    recorded : CellFormat, optional
        Of a run; by default it is found.

    Examples
    --------
    >>> numeric_role("votes", pd.Series(["7,5", "many"]), ColumnOptions())  # doctest: +ELLIPSIS
    ColumnRole(column='votes', role='numeric', reason='50% numbers, decimal comma', filled=2, \
not_understood=1, examples=('many',), format=CellFormat(decimal=',', unit='', order=''))
    """
    filled = filled_cells(cells)
    found = recorded or find_number_format(filled, options.decimal)
    understood = ~np.isnan(parse_numbers(filled, found))
    dress = (", decimal comma" if found.decimal == "," else "") + (
        f", in {found.unit}" if found.unit else ""
    )
    return _role(name, "numeric", f"numbers{dress}", filled, understood, found)


def date_role(
    name: str, cells: pd.Series, options: ColumnOptions, recorded: CellFormat | None = None
) -> ColumnRole:
    """Describe a column that is read as dates.

    Parameters
    ----------
    name, cells, options, recorded
        As for `numeric_role`; the order of dates is used.

    Examples
    --------
    >>> date_role("released", pd.Series(["25/12/1999", "May 1979"]), ColumnOptions()).reason
    '100% dates, day first'
    """
    filled = filled_cells(cells)
    order = recorded.order if recorded else options.date_order or find_date_order(filled)[0]
    understood = parse_dates(filled, order) != ""
    first = "" if not order else ", day first" if order == DAY_FIRST else ", month first"
    return _role(name, "date", f"dates{first}", filled, understood, CellFormat(order=order))


def _role(
    name: str,
    role: str,
    reason: str,
    filled: pd.Series,
    understood: NDArray[np.bool_],
    found: CellFormat,
) -> ColumnRole:
    left = filled[~understood]
    share = f"{_share(understood):.0%} " if len(filled) else "no "
    if len(left) and share == "100% ":
        share = "almost all "
    examples = tuple(left.drop_duplicates().iloc[:EXAMPLES])
    return ColumnRole(name, role, share + reason, len(filled), len(left), examples, found)


def _share(found: Sequence[bool] | NDArray[np.bool_] | pd.Series) -> float:
    return float(np.mean(found)) if len(found) else 0.0
