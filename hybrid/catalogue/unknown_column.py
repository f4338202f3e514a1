"""The column of labels that were not looked at: names of labels, ``*``, or truth values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.cells import join_list, split_cell
from hybrid.catalogue.label_words import ALL, UNKNOWN, means_nothing

TRUE = frozenset(("1", "1.0", "true", "yes", "t", "y"))
FALSE = frozenset(("0", "0.0", "false", "no", "f", "n"))


def add_unknown(
    cells: NDArray[np.object_], unknown: NDArray[np.object_], separator: str
) -> tuple[NDArray[np.object_], Counter[str]]:
    """Add the labels that were not looked at to the label cells, marked with ``?``.

    Where all cells of the column are truth values, and none of them is a label, true says ``*``.

    Parameters
    ----------
    cells : ndarray of shape (n,), str
        Labels between separators.
    unknown : ndarray of shape (n,), str
        Labels that were not looked at, ``*``, or a truth value.
    separator : str

    Returns
    -------
    cells : ndarray of shape (n,), str
    truth : Counter of str
        Truth value → items; empty where the column has others.

    Examples
    --------
    >>> marked, truth = add_unknown(np.array(["Drama", "War"]), np.array(["War", "N/A"]), "|")
    >>> marked.tolist(), add_unknown(np.array(["Drama", "War"]), np.array(["1", "0"]), "|")[0].tolist()
    (['Drama|?War', 'War'], ['Drama|?*', 'War'])
    """
    codes, distinct = pd.factorize(unknown)
    entries = [list(_entries(cell, separator)) for cell in distinct.tolist()]
    truth = _find_truth(cells, codes, entries, separator)
    if truth:
        entries = [[ALL] if one and one[0].casefold() in TRUE else [] for one in entries]
    marks = [[UNKNOWN + entry for entry in one] for one in entries]
    joined = [
        join_list((*split_cell(cell, separator), *marks[code]), separator) if marks[code] else cell
        for cell, code in zip(cells.tolist(), codes.tolist(), strict=True)
    ]
    return np.array(joined, dtype=object), truth


def _entries(cell: str, separator: str) -> Iterator[str]:
    """The labels that a cell names; they may be marked as in a label cell."""
    for entry in split_cell(cell, separator):
        name = entry.removeprefix(UNKNOWN).strip()
        if name == ALL or not means_nothing(name):
            yield name


def _find_truth(
    cells: NDArray[np.object_],
    codes: NDArray[np.int64],
    entries: list[list[str]],
    separator: str,
) -> Counter[str]:
    """Items of each truth value, where the column has nothing else and no label is called so."""
    values = {one for each in entries for one in each}
    if not values or not all(value.casefold() in TRUE | FALSE for value in values):
        return Counter()
    labels = {label for cell in set(cells.tolist()) for label in split_cell(cell, separator)}
    if values & labels:
        return Counter()
    items = np.bincount(codes, minlength=len(entries)).tolist()
    truth: Counter[str] = Counter()
    for one, count in zip(entries, items, strict=True):
        if one:
            truth[one[0]] += count
    return truth
