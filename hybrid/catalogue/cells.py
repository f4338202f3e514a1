"""How cells are parsed: lists, and words for nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.lists import join_list as join_list
from hybrid.catalogue.lists import parse_list as parse_list
from hybrid.catalogue.lists import split_cell as split_cell
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
    told = (
        len(cell) > _LONGEST or cell.lower() not in NOTHING for cell in cells.to_numpy(dtype=object)
    )
    return np.fromiter(told, dtype=bool, count=len(cells))


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
        known = says_something(cells) if name == columns.poster else ~cells.isin(NOTHING_ANYWHERE)
        if not known.all():
            emptied[name] = cells.where(known, "")
    return table.assign(**emptied) if emptied else table
