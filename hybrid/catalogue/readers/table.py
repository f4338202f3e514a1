"""What every reader gives: a table of strings, and what is to be told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.packed import join_packed, pack
from hybrid.types import BadRow, Finding
from hybrid.utils.counts import first_few
from hybrid.utils.spilled import PackedParts

_SHOWN = 10  # names, and places of one, in a message
_ASCII_SPACE = " \t\n\r\f\v"
_FEW = 20_000  # different cells of a column that are kept once each, whatever its length


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
    unstripped : dict of str to (dict of int to str), default={}
        Cells whose ends hold white space of other scripts, which an id keeps: column → index → cell.
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
    unstripped: dict[str, dict[int, str]] = field(default_factory=dict)
    hint: str = ""
    left_out: dict[int, dict[str, str]] = field(default_factory=dict)


class ColumnBuilder:
    """Collects the cells of a column; cells that are the same share one string.

    Where most of them differ, they are packed, if pyarrow is there (`hybrid.catalogue.packed`), and spilled
    where they are large (`hybrid.utils.spilled`).

    Attributes
    ----------
    unstripped : dict of int to str
        Cells with the white space of other scripts at their ends, by their index.

    Examples
    --------
    >>> builder = ColumnBuilder()
    >>> builder.add([" a ", "b"])
    >>> builder.cells().tolist()
    ['a', 'b']
    """

    def __init__(self) -> None:
        self.unstripped: dict[int, str] = {}
        self._pool: dict[str, str] | None = {}
        self._packed: PackedParts | None = None
        self._parts: list[NDArray[np.object_]] = []
        self._n = 0

    def add(self, cells: Sequence[str]) -> None:
        """Add cells; the white space at their ends is left out."""
        stripped = [cell.strip() for cell in cells]
        if stripped != list(cells):
            for i, (cell, bare) in enumerate(zip(cells, stripped, strict=True), start=self._n):
                if len(cell) > len(bare) and (kept := cell.strip(_ASCII_SPACE)) != bare:
                    self.unstripped[i] = kept
        self._n += len(stripped)
        if self._pool is not None:
            keep = self._pool.setdefault
            stripped = [keep(cell, cell) for cell in stripped]
        self._keep(stripped)
        if self._pool is not None and _most_differ(len(self._pool), self._n):
            self._pool = None
            self._pack()

    def _keep(self, cells: list[str]) -> None:
        if self._packed is not None:
            if (part := pack(cells)) is not None:
                self._packed.add(part)
                return
            # A cell that Arrow cannot hold: the column is not packed.
            self._parts = [_array(part.to_pylist()) for part in self._packed.parts]
            self._packed = None
        self._parts.append(_array(cells))

    def _pack(self) -> None:
        """Pack what was added, and what will be, where it can be."""
        packed = [pack(part) for part in self._parts]
        if all(part is not None for part in packed):
            self._parts, self._packed = [], PackedParts()
            for part in packed:
                self._packed.add(part)

    def cells(self) -> Any:
        """All cells, as an array of NumPy or a packed one of pandas; nothing can be added then."""
        parts, self._parts, self._pool = self._parts, [], None
        packed, self._packed = self._packed, None
        if packed is not None:
            return join_packed(packed.parts)
        return np.concatenate(parts) if parts else np.empty(0, dtype=object)


def _most_differ(different: int, n: int) -> bool:
    """Whether so many of n cells differ that nothing is saved where the same ones share a string."""
    return different > max(_FEW, n // 2)


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
) -> tuple[pd.DataFrame, dict[str, dict[int, str]]]:
    """Make the table of columns, and the cells that were not stripped of all white space."""
    unstripped = {
        name: builder.unstripped for name, builder in columns.items() if builder.unstripped
    }
    cells = {name: as_column(builder.cells()) for name, builder in columns.items()}
    return pd.DataFrame(cells, index=pd.RangeIndex(n), copy=False), unstripped


def as_column(cells: Any) -> pd.Series:
    """A column of cells as they are, where pandas would look for a type of its own."""
    dtype = object if isinstance(cells, np.ndarray) else None
    return pd.Series(cells, dtype=dtype, copy=False)
