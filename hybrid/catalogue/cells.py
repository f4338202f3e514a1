"""How cells are parsed: lists, and words for nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.lists import join_list as join_list
from hybrid.catalogue.lists import parse_list as parse_list
from hybrid.catalogue.lists import split_cell as split_cell
from hybrid.catalogue.packed import blank, chunks, slices
from hybrid.types import Columns

# What spreadsheets, databases and people write for "nothing" in a column of numbers, dates or files.
NOTHING = frozenset(
    (
        "", "na", "n/a", "nan", "null", "none", "-", "--", "–", "—", "?", "\\n", "<na>", "nat", "n.a.", "n.a",
        "n/d", "nd", "nil", "unknown", "undefined", "missing", "not available", "tbd", "tba", "tbc", ".",
        "...", "…", "[]", "{}", "()", "#n/a", "#value!", "#ref!", "#div/0!", "#name?", "#num!", "0000-00-00",
    )
)  # fmt: skip
_LONGEST = max(map(len, NOTHING))
_SAMPLE = 1000  # cells that tell whether most repeat
# What means nothing in any column. "NA" is Namibia, "None" may be a name: they are not among these.
NOTHING_ANYWHERE = frozenset(
    (
        "N/A", "n/a", "nan", "NaN", "NAN", "NULL", "null", "\\N", "<NA>", "NaT", "#N/A", "#REF!", "#VALUE!",
        "#DIV/0!", "#NAME?", "[]", "{}",
    )
)  # fmt: skip


def says_something(cells: pd.Series) -> NDArray[np.bool_]:
    """Tell which cells of numbers, dates or files are more than a word for nothing: shape (n,).

    Examples
    --------
    >>> says_something(pd.Series(["7", "", "N/A", "unknown"])).tolist()
    [True, False, False, False]
    """
    return np.concatenate([_say_something(part) for part in chunks(cells)])


def _say_something(cells: pd.Series) -> NDArray[np.bool_]:
    different, place = find_different(cells)
    told = (len(cell) > _LONGEST or cell.lower() not in NOTHING for cell in different)
    return np.fromiter(told, dtype=bool, count=len(different))[place]


def filled_cells(cells: pd.Series) -> pd.Series:
    """The cells that are more than a word for nothing; a column without such words as it is.

    Examples
    --------
    >>> filled_cells(pd.Series(["7", "", "N/A"])).tolist()
    ['7']
    """
    filled = says_something(cells)
    return cells if filled.all() else cells[filled]


def find_different(cells: pd.Series) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Find the different cells of a column, and which of them each cell is.

    Where few cells repeat, as a sample shows, they are not searched for: a cell may be listed twice then.

    Parameters
    ----------
    cells : Series of n str

    Returns
    -------
    different : ndarray of shape (m,), object
    place : ndarray of shape (n,), int64
        Position of each cell in `different`.

    Examples
    --------
    >>> different, place = find_different(pd.Series(["1999", "2001", "1999", "1999"]))
    >>> different.tolist(), place.tolist()
    (['1999', '2001'], [0, 1, 0, 0])
    """
    values = cells.to_numpy(dtype=object)
    sample = values[:: max(1, len(values) // _SAMPLE)].tolist()
    if 2 * len(set(sample)) > len(sample):
        return values, np.arange(len(values))
    place, different = pd.factorize(values)
    return different, place


def blank_nothing(table: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """Empty the cells that hold a word for nothing; ids and labels stay as they are.

    Parameters
    ----------
    table : DataFrame of shape (n, columns)
        Every cell a str.
    columns : Columns

    Returns
    -------
    DataFrame of shape (n, columns)

    Examples
    --------
    >>> columns = Columns("id", None, None, "|", (), (), ("country",), ())
    >>> table = pd.DataFrame({"id": ["1", "2"], "country": ["NA", "N/A"]})
    >>> blank_nothing(table, columns)["country"].tolist()
    ['NA', '']
    """
    emptied = {}
    for name in table.columns:
        if name in (columns.id, columns.label):
            continue
        cells = table[name]
        known = says_something(cells) if name == columns.poster else _may_say_something(cells)
        if not known.all():
            emptied[name] = blank(cells, known)
    return table.assign(**emptied) if emptied else table


def _may_say_something(cells: pd.Series) -> NDArray[np.bool_]:
    """Tell which cells of any column are more than what means nothing anywhere: shape (n,)."""
    return ~np.concatenate([part.isin(NOTHING_ANYWHERE).to_numpy() for part in slices(cells)])
