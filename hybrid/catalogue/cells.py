"""How cells are parsed: lists and numbers."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.lists import join_list as join_list
from hybrid.catalogue.lists import parse_list as parse_list
from hybrid.catalogue.lists import split_cell as split_cell

# What spreadsheets and databases write for "nothing" in a column of numbers.
NOT_A_NUMBER = frozenset({"", "na", "n/a", "nan", "null", "none", "-"})


def to_numbers(cells: pd.Series) -> NDArray[np.float64]:
    """Parse cells as numbers.

    Parameters
    ----------
    cells : Series of n str

    Returns
    -------
    ndarray of shape (n,), float64
        NaN where there is no finite number.

    Examples
    --------
    >>> to_numbers(pd.Series(["1.5", "", "inf", "1e3"])).tolist()
    [1.5, nan, nan, 1000.0]
    """
    numbers = pd.to_numeric(cells.astype(object), errors="coerce").to_numpy(dtype=np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def warn_of_words(name: str, cells: pd.Series, numbers: NDArray[np.float64], path: Path) -> None:
    """Warn of the cells of a numeric column that are neither missing nor a number: they count as missing.

    Parameters
    ----------
    name : str
        Of the column.
    cells : Series of n str
    numbers : ndarray of shape (n,)
        What `to_numbers` made of them.
    path : Path
        Of the catalogue.
    """
    words = cells[np.isnan(numbers)]
    words = words[~words.str.lower().isin(NOT_A_NUMBER)]
    if len(words):
        warnings.warn(
            f"{path}: expected numbers in the numeric column {name!r}, found others in {len(words)} of "
            f"{len(cells)} items, such as {words.iloc[0]!r}; they count as missing.",
            stacklevel=3,
        )
