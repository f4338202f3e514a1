"""What every reader gives: a table of strings, and what is to be told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.types import BadRow, Finding
from hybrid.utils.counts import first_few

_SHOWN = 10  # names, and places of one, in a message
_FEW = 5_000  # different cells of a column that are kept once each, whatever its length


@dataclass(frozen=True, eq=False)
class ParsedTable:
    """The table of a catalogue file.

    Parameters
    ----------
    table : DataFrame of shape (n, columns)
        Every cell a stripped string, ``""`` where it is missing.
    rows : ndarray of shape (n,), int64
        Position of each row in the file, from 1.
    bad_rows : list of BadRow, default=[]
        Rows that were left out, or that are not what they should be.
    findings : list of Finding, default=[]
        How the file was understood.
    images : tuple of str, default=()
        Columns whose cells name images that are in the file itself.
    unstripped : dict of str to ndarray, default={}
        Cells of columns whose ends hold white space of other scripts, which an id keeps.
    hint : str, default=""
        What more to say where the table has no id column.
    left_out : dict of int to (dict of str to str), default={}
        Cells by column, as far as they are known, of rows that were left out, by their positions.
    """

    table: pd.DataFrame
    rows: NDArray[np.int64]
    bad_rows: list[BadRow] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    images: tuple[str, ...] = ()
    unstripped: dict[str, NDArray[np.object_]] = field(default_factory=dict)
    hint: str = ""
    left_out: dict[int, dict[str, str]] = field(default_factory=dict)


class ColumnBuilder:
    """Collects the cells of a column; cells that are the same share one string.

    Examples
    --------
    >>> builder = ColumnBuilder()
    >>> builder.add([" a ", "b"])
    >>> builder.cells().tolist()
    ['a', 'b']
    """

    def __init__(self) -> None:
        self._pool: dict[str, str] | None = {}
        self._parts: list[NDArray[np.object_]] = []
        self._raw: list[NDArray[np.object_]] = []
        self._n = 0

    def add(self, cells: Sequence[str]) -> None:
        """Add cells; the white space at their ends is left out."""
        stripped = [cell.strip() for cell in cells]
        if self._raw or stripped != list(cells):
            ascii_only = [cell.strip(" \t\n\r\f\v") for cell in cells]
            if self._raw or stripped != ascii_only:
                self._raw = self._raw or list(self._parts)
                self._raw.append(_array(ascii_only))
        if self._pool is not None:
            keep = self._pool.setdefault
            stripped = [keep(cell, cell) for cell in stripped]
            self._n += len(stripped)
            if len(self._pool) > max(_FEW, self._n // 2):  # most cells differ: nothing is saved
                self._pool = None
        self._parts.append(_array(stripped))

    def cells(self) -> NDArray[np.object_]:
        """All cells; nothing can be added then."""
        parts, self._parts, self._pool = self._parts, [], None
        return np.concatenate(parts) if parts else np.empty(0, dtype=object)

    def unstripped(self) -> NDArray[np.object_] | None:
        """All cells with the white space of other scripts at their ends; None where there is none."""
        return np.concatenate(self._raw) if self._raw else None


def _array(cells: list[str]) -> NDArray[np.object_]:
    found = np.empty(len(cells), dtype=object)
    found[:] = cells
    return found


def name_repeated(header: Sequence[str]) -> str:
    """Name the columns that a header has twice, with their positions; ``""`` where there are none.

    Examples
    --------
    >>> name_repeated(["id", "genres", "", "", "genres"])
    "genres (columns 2 and 5). Rename one of them in the header, such as column 5 to 'genres_2'"
    >>> name_repeated(["id", "title"])
    ''
    """
    places: dict[str, list[int]] = {}
    for j, name in enumerate(header, start=1):
        if name:
            places.setdefault(name, []).append(j)
    twice = {name: each for name, each in places.items() if len(each) > 1}
    if not twice:
        return ""
    told = [f"{name} (columns {_places(each)})" for name, each in sorted(twice.items())]
    name = min(twice)
    free = next(new for n in count(2) if (new := f"{name}_{n}") not in places)
    which = "one of them" if list(map(len, twice.values())) == [2] else "all but one of each"
    advice = f"Rename {which} in the header, such as column {twice[name][-1]} to {free!r}"
    return f"{first_few(told, _SHOWN)}. {advice}"


def _places(found: list[int]) -> str:
    if more := len(found[_SHOWN:]):
        return f"{', '.join(map(str, found[:_SHOWN]))} and {more:,} more"
    return f"{', '.join(map(str, found[:-1]))} and {found[-1]}"


def make_table(
    columns: dict[str, ColumnBuilder], n: int
) -> tuple[pd.DataFrame, dict[str, NDArray[np.object_]]]:
    """Make the table of columns, and the cells that were not stripped of all white space."""
    cells = {name: builder.cells() for name, builder in columns.items()}
    unstripped = {
        name: raw for name, builder in columns.items() if (raw := builder.unstripped()) is not None
    }
    return pd.DataFrame(cells, index=pd.RangeIndex(n), dtype=object, copy=False), unstripped
