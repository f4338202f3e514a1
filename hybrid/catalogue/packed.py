"""Columns of strings as Arrow packs them, without a Python object a cell; and how they are read in chunks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, islice, pairwise
from typing import Any, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.utils.spilled import PackedParts, let_pages_go

CHUNK = 20_000  # cells that are Python strings at once


@cache
def packed_type() -> Any:
    """The pandas type of packed strings; None where pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        return None
    try:
        return pd.StringDtype("pyarrow", na_value=np.nan)
    except TypeError:  # pandas 2.2
        return pd.StringDtype("pyarrow_numpy")


def pack(cells: Sequence[str] | NDArray[np.object_]) -> Any:
    r"""Pack strings as an Arrow array; None where it cannot hold one of them, or pyarrow is not installed.

    Examples
    --------
    >>> pack(["Jaws", ""]).to_pylist(), pack(["\ud800"])
    (['Jaws', ''], None)
    """
    if packed_type() is None:
        return None
    import pyarrow

    try:
        # Arrow's own allocator keeps up to a fifth more than such arrays need.
        pool = pyarrow.system_memory_pool()
        return pyarrow.array(cells, pyarrow.large_string(), memory_pool=pool)
    except UnicodeEncodeError:  # half of a surrogate pair
        return None


def pack_many(cells: Iterable[str]) -> Any:
    """An array of strings: more than some thousand are packed as they come, where Arrow can hold them.

    So many that they fill memory are spilled (`hybrid.utils.spilled`).

    Parameters
    ----------
    cells : iterable of n str

    Returns
    -------
    ndarray of shape (n,), object, or a packed array of pandas

    Examples
    --------
    >>> pack_many(iter(["Jaws", ""])).tolist()
    ['Jaws', '']
    """
    coming, column, packs = iter(cells), PackedParts(), packed_type() is not None
    plain = list[str]()
    while some := list(islice(coming, CHUNK)):
        part = pack(some) if packs and (column.parts or len(some) == CHUNK) else None
        if part is not None:
            column.add(part)
            continue
        if packs:  # few, or a cell that Arrow cannot hold
            packs, plain = False, [cell for each in column.parts for cell in each.to_pylist()]
        plain += some
    if packs and column.parts:
        return join_packed(column.parts)
    found = np.empty(len(plain), dtype=object)
    found[:] = plain
    return found


def join_packed(parts: Sequence[Any]) -> Any:
    """One pandas array of packed parts; nothing is copied.

    Examples
    --------
    >>> join_packed([pack(["Jaws"]), pack(["Heat", ""])]).tolist()
    ['Jaws', 'Heat', '']
    """
    import pyarrow

    return packed_type().__from_arrow__(pyarrow.chunked_array(parts, pyarrow.large_string()))


def replace_cells(cells: pd.Series, others: Mapping[int, str]) -> pd.Series:
    """A column with other cells at some positions, packed as `pack_many` does it.

    Examples
    --------
    >>> replace_cells(pd.Series(["Jaws", "Heat"]), {1: "Alien"}).tolist()
    ['Jaws', 'Alien']
    """
    found = pack_many(others.get(i, cell) for i, cell in enumerate(Cells(cells)))
    dtype = object if isinstance(found, np.ndarray) else None
    return pd.Series(found, index=cells.index, dtype=dtype, copy=False)


def is_packed(cells: pd.Series) -> bool:
    """Whether a column is packed; else each cell is a Python object."""
    return cells.dtype != object


def chunks(cells: pd.Series) -> Iterator[pd.Series]:
    """Yield a column as Python strings, some thousand at a time; one that is not packed, whole.

    Examples
    --------
    >>> [part.tolist() for part in chunks(pd.Series(["Jaws", "Heat"], dtype=object))]
    [['Jaws', 'Heat']]
    """
    if not is_packed(cells):
        yield cells
        return
    yield from (part.astype(object) for part in slices(cells))


def slices(cells: pd.Series) -> Iterator[pd.Series]:
    """Yield a column as it is, some thousand cells at a time; one that is not packed, whole.

    Examples
    --------
    >>> [part.tolist() for part in slices(pd.Series(["Jaws", "Heat"], dtype=object))]
    [['Jaws', 'Heat']]
    """
    if not is_packed(cells):
        yield cells
        return
    for start in range(0, max(len(cells), 1), CHUNK):
        yield cells.iloc[start : start + CHUNK]
        let_pages_go()


class Cells(Sequence[str]):
    """The cells of a column as Python strings, which are made some thousand at a time, each time anew.

    Parameters
    ----------
    column : Series of n str

    Examples
    --------
    >>> cells = Cells(pd.Series(["Jaws", "Heat"]))
    >>> list(cells), cells[1], len(cells)
    (['Jaws', 'Heat'], 'Heat', 2)
    """

    def __init__(self, column: pd.Series) -> None:
        self.column = column

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(chunks(self.column))

    def __len__(self) -> int:
        return len(self.column)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> list[str]: ...

    def __getitem__(self, place: Any) -> Any:
        """One cell, or some of them."""
        found = self.column.iloc[place]
        return found.tolist() if isinstance(place, slice) else found


def match_all(cells: pd.Series, pattern: str) -> NDArray[np.bool_]:
    r"""Tell which cells match a regular expression of Python's, from start to end.

    Arrow's own are others: ``\w`` and ``\s`` know ASCII only there.

    Parameters
    ----------
    cells : Series of n str
    pattern : str

    Returns
    -------
    ndarray of shape (n,), bool

    Examples
    --------
    >>> match_all(pd.Series(["éé", "e e"]), r"\w+").tolist()
    [True, False]
    """
    fits = re.compile(pattern).fullmatch
    found = (fits(cell) is not None for cell in Cells(cells))
    return np.fromiter(found, dtype=bool, count=len(cells))


def take_every(cells: pd.Series, step: int) -> pd.Series:
    """Every so-many-th cell; of a packed column no copy of the whole is made, as ``iloc[::step]`` does.

    Examples
    --------
    >>> take_every(pd.Series(["a", "b", "c"]), 2).tolist()
    ['a', 'c']
    """
    if not is_packed(cells):
        return cells.iloc[::step]
    wanted = np.zeros(len(cells), dtype=bool)
    wanted[::step] = True
    return cells[wanted]


def find_repeated(cells: pd.Series) -> NDArray[np.bool_]:
    """Tell which cells stand in the column before, as `Series.duplicated` does, with some bytes a cell.

    Parameters
    ----------
    cells : Series of n str

    Returns
    -------
    ndarray of shape (n,), bool

    Examples
    --------
    >>> find_repeated(pd.Series(["War", "Drama", "War"])).tolist()
    [False, False, True]
    """
    alike = may_repeat(chunks(cells))
    repeated = np.zeros(len(cells), dtype=bool)
    repeated[alike] = cells[alike].astype(object).duplicated().to_numpy()
    return repeated


def may_repeat(parts: Iterable[Iterable[str]]) -> NDArray[np.bool_]:
    """Tell which strings share their hash with another: all that repeat, and others by rare chance.

    Parameters
    ----------
    parts : iterable of iterable of str
        Together n.

    Returns
    -------
    ndarray of shape (n,), bool

    Examples
    --------
    >>> may_repeat([["War", "Drama"], ["War"]]).tolist()
    [True, False, True]
    """
    hashes = np.fromiter((hash(cell) for part in parts for cell in part), dtype=np.int64)
    order = np.argsort(hashes)
    same = hashes[order[1:]] == hashes[order[:-1]]
    alike = np.zeros(len(hashes), dtype=bool)
    alike[order[1:][same]] = alike[order[:-1][same]] = True
    return alike


def keep_rows(table: pd.DataFrame, keep: NDArray[np.bool_]) -> pd.DataFrame:
    """Keep some rows of a table; packed parts of which all are kept are not copied.

    Examples
    --------
    >>> keep_rows(pd.DataFrame({"id": ["1", "2"]}), np.array([False, True])).to_dict("list")
    {'id': ['2']}
    """
    kept = {name: _keep(cells, keep) for name, cells in table.items()}
    return pd.DataFrame(kept, index=pd.RangeIndex(int(keep.sum())), copy=False)


def _keep(cells: pd.Series, keep: NDArray[np.bool_]) -> pd.Series:
    if not is_packed(cells) or packed_type() is None:
        return cells[keep].reset_index(drop=True)
    return _change_parts(cells, keep, lambda part, here: part.filter(here))


def take_table(table: pd.DataFrame, rows: NDArray[Any] | slice) -> pd.DataFrame:
    """Rows of a table as ``iloc`` takes them; it would copy all of a packed column into one piece before.

    Parameters
    ----------
    table : DataFrame of n rows
    rows : slice, or ndarray of int or bool

    Returns
    -------
    DataFrame
        Its packed columns are packed; large ones are spilled.

    Examples
    --------
    >>> table = pd.DataFrame({"title": ["Jaws", "Heat"]}, index=["f1", "f2"])
    >>> take_table(table, np.array([1, 0]))["title"].to_dict()
    {'f2': 'Heat', 'f1': 'Jaws'}
    """
    if isinstance(rows, slice) or packed_type() is None:
        return table.iloc[rows]
    places = np.arange(len(table))[rows]
    index = table.index[places]
    taken = {name: _take(cells, places).set_axis(index) for name, cells in table.items()}
    return pd.DataFrame(taken, index=index, copy=False)


def _take(cells: pd.Series, places: NDArray[np.int64]) -> pd.Series:
    if not is_packed(cells) or cells.dtype != packed_type():
        return cells.iloc[places]
    import pyarrow

    whole, column = pyarrow.array(cells.array), PackedParts()
    parts = getattr(whole, "chunks", [whole])
    starts = np.cumsum([0, *map(len, parts)])
    for start in range(0, len(places), CHUNK):
        some = places[start : start + CHUNK]
        order = np.argsort(some, kind="stable")
        bounds = np.searchsorted(some[order], starts).tolist()
        found = [
            parts[i].take(pyarrow.array(some[order[a:b]] - starts[i]))
            for i, (a, b) in enumerate(pairwise(bounds))
            if a < b
        ]
        back = pyarrow.array(np.argsort(order, kind="stable"))
        column.add(pyarrow.concat_arrays(found).take(back))
        let_pages_go()
    return pd.Series(join_packed(column.parts), copy=False)


def blank(cells: pd.Series, known: NDArray[np.bool_]) -> pd.Series:
    """Empty the cells that are not known; packed parts without any are not copied.

    Examples
    --------
    >>> blank(pd.Series(["Jaws", "N/A"]), np.array([True, False])).tolist()
    ['Jaws', '']
    """
    if not is_packed(cells) or packed_type() is None:
        return cells.where(known, "")
    from pyarrow import compute, large_string, scalar

    nothing = scalar("", large_string())
    emptied = _change_parts(cells, known, lambda part, here: compute.if_else(here, part, nothing))
    return emptied.set_axis(cells.index)


def _change_parts(
    cells: pd.Series, unchanged: NDArray[np.bool_], change: Callable[[Any, Any], Any]
) -> pd.Series:
    """Change those packed parts of a column of which some cells do not stay as they are."""
    import pyarrow

    whole, column, start = pyarrow.array(cells.array), PackedParts(), 0
    for part in getattr(whole, "chunks", [whole]):
        here = unchanged[start : start + len(part)]
        if here.all():
            column.keep(part)
        else:
            column.add(change(part, pyarrow.array(here)))
            let_pages_go()
        start += len(part)
    return pd.Series(join_packed(column.parts), copy=False)
