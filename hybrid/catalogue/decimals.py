"""Decimal points and decimal commas in the cells of one column."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from hybrid.catalogue.cells import find_different
from hybrid.catalogue.numbers import read_shapes


@dataclass(frozen=True)
class DecimalCounts:
    """Cells of a column that show a decimal point, a decimal comma, and that can be either.

    Parameters
    ----------
    point, comma, undecided : int
    example : str
        A cell that can be either.
    """

    point: int = 0
    comma: int = 0
    undecided: int = 0
    example: str = ""


def count_decimals(cells: pd.Series) -> DecimalCounts:
    """Count what the numbers of a column show about their decimal mark, where they contradict each other.

    Parameters
    ----------
    cells : Series of n str

    Returns
    -------
    DecimalCounts
        All 0 where the cells do not show both marks.

    Examples
    --------
    >>> count_decimals(pd.Series(["1,234.5", "1.234,5", "7,5", "1,234"]))
    DecimalCounts(point=1, comma=2, undecided=1, example='1,234')
    >>> count_decimals(pd.Series(["7,5", "1,234"]))
    DecimalCounts(point=0, comma=0, undecided=0, example='')
    """
    different, place = find_different(cells)
    if not any("," in one for one in different):
        return DecimalCounts()
    votes, undecided, example = Counter[int](), 0, ""
    for cell, items, found in read_shapes(different, place):
        if found is None:
            continue
        votes[found.vote] += items
        if found.point != found.comma:
            undecided, example = undecided + items, example or cell
    if not votes[1] or not votes[-1]:
        return DecimalCounts()
    return DecimalCounts(votes[1], votes[-1], undecided, example)
