"""Columns of strings as Arrow packs them, without a Python object a cell; and how they are read in chunks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, islice
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
    coming, parts, packs = iter(cells), list[Any](), packed_type() is not None
    while some := list(islice(coming, CHUNK)):
        part = pack(some) if packs and (parts or len(some) == CHUNK) else None
        if part is None and packs:  # few, or a cell that Arrow cannot hold
            packs, parts = False, [each.to_pylist() for each in parts]
        parts.append(some if part is None else part)
    if packs and parts:
        return join_packed(parts)
    found = np.empty(sum(map(len, parts)), dtype=object)
    found[:] = list(chain.from_iterable(parts))
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
    """A column with other cells at some positions, packed where it was.

    Examples
    --------
    >>> replace_cells(pd.Series(["Jaws", "Heat"]), {1: "Alien"}).tolist()
    ['Jaws', 'Alien']
    """
    values = cells.to_numpy(dtype=object, copy=True)
    values[list(others)] = list(others.values())
    packed = pack(values) if is_packed(cells) else None
    if packed is None:
        return pd.Series(values, index=cells.index, dtype=object, copy=False)
    return pd.Series(join_packed([packed]), index=cells.index, copy=False)


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
    for start in range(0, max(len(cells), 1), CHUNK):
        yield cells.iloc[start : start + CHUNK].astype(object)


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
    found = (fits(cell) is not None for part in chunks(cells) for cell in part.to_numpy())
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
    import pyarrow

    whole, parts, start = pyarrow.array(cells.array), list[Any](), 0
    for part in getattr(whole, "chunks", [whole]):
        here = keep[start : start + len(part)]
        parts.append(part if here.all() else part.filter(pyarrow.array(here)))
        start += len(part)
    return pd.Series(join_packed(parts), copy=False)
