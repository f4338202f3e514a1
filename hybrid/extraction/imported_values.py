"""Ids and vectors as values of Python and NumPy become one matrix; what is wrong with them is one error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.errors import ExtractionError
from hybrid.utils.counts import counted, first_few
from hybrid.utils.row_file import RowFile


class RawEmbeddings(NamedTuple):
    """What a file holds.

    Parameters
    ----------
    ids : list of n str
        ``""`` where a row has none.
    rows : ndarray of shape (n, D)
        As the file has them; rows of NaN where it has no vector.
    """

    ids: list[str]
    rows: NDArray[Any]


def with_gaps(rows: NDArray[Any], absent: NDArray[np.bool_]) -> NDArray[Any]:
    """Put rows of NaN where there is no vector."""
    if not absent.any():
        return rows
    kind = rows.dtype if rows.dtype.kind == "f" else np.float64
    found = np.full((len(absent), rows.shape[1]), np.nan, dtype=kind)
    found[~absent] = rows
    return found


def is_absent(cell: Any) -> bool:
    """Whether a cell of a table holds nothing."""
    return cell is None or (np.ndim(cell) == 0 and bool(pd.isna(cell)))


def of_vectors(cells: Sequence[Any], where: object) -> NDArray[Any]:
    """One matrix of vectors, some of them None."""
    there = [cell for cell in cells if cell is not None]
    if any(cell.ndim != 1 or cell.dtype.kind not in "fiu" for cell in there):
        raise unlike(where, "a vector of numbers in each row", "something else")
    lengths = sorted({len(cell) for cell in there})
    if len(lengths) > 1:
        raise unequal(where, lengths)
    rows = np.stack(there) if there else np.empty((0, 0))
    return with_gaps(rows, np.array([cell is None for cell in cells], dtype=bool))


class StackedRows:
    """Collects blocks of rows as one matrix; those of a large one in a temporary file.

    Examples
    --------
    >>> rows = StackedRows("x.parquet")
    >>> rows.add(np.empty((1, 0)))
    >>> rows.add(np.ones((1, 2)))
    >>> rows.matrix().tolist()
    [[nan, nan], [1.0, 1.0]]
    """

    def __init__(self, where: object) -> None:
        self._where, self._file = where, RowFile()
        self._before = self._width = 0  # rows before the first vector
        self._dtype: Any = None

    def add(self, block: NDArray[Any]) -> None:
        """Add a block; one without any vector has no width.

        Raises
        ------
        ExtractionError
            If its vectors are not as long as the others.
        """
        if not block.shape[1]:
            if not self._width:
                self._before += len(block)
                return
            block = np.full((len(block), self._width), np.nan)
        if not self._width:
            self._width = block.shape[1]
            # Whole numbers have no NaN, which a later block may need.
            self._dtype = block.dtype if block.dtype.kind == "f" else np.dtype(np.float64)
            if self._before:
                self._file.add(np.full((self._before, self._width), np.nan, self._dtype))
        if block.shape[1] != self._width:
            raise unequal(self._where, sorted((self._width, block.shape[1])))
        self._file.add(block.astype(self._dtype, copy=False))

    def matrix(self) -> NDArray[Any]:
        """All rows; of no width where there is no vector."""
        return self._file.matrix() if self._width else np.empty((self._before, 0))


def matrix(array: NDArray[Any], where: object) -> NDArray[Any]:
    """Check that an array is a matrix of numbers."""
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise unlike(
            where,
            "a matrix of numbers, one row an id",
            f"shape {array.shape} of {array.dtype}",
        )
    return array


def matched(ids: Sequence[Any], rows: NDArray[Any], where: object) -> RawEmbeddings:
    """Check that there is an id for each row, and make text of the ids."""
    if len(ids) != len(rows):
        raise unlike(
            where,
            f"an id for each of {counted(len(rows), 'row')}",
            f"{counted(len(ids), 'id')}",
        )
    return RawEmbeddings(list(_id_texts(ids, where)), rows)


def _id_texts(values: Iterable[Any], where: object) -> Iterable[str]:
    """Ids as a catalogue has them: text without spaces around it, and numbers without a fraction."""
    for value in values:
        if isinstance(value, bytes):
            yield value.decode("utf-8", "replace").strip()
        elif isinstance(value, str):
            yield value.strip()
        elif is_absent(value):
            yield ""
        elif _is_whole(value):
            yield str(int(value))
        else:
            raise unlike(where, "ids that are text or whole numbers", f"{value!r:.60}")


def _is_whole(value: Any) -> bool:
    if isinstance(value, (float, np.floating)):
        return float(value).is_integer()
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def pick(
    what: str,
    named: str | None,
    usual: Sequence[str],
    there: Sequence[str],
    where: object,
    option: str,
) -> str:
    """The name that was given, a usual one, or the only one that is there."""
    if named is not None and named not in there:
        raise unlike(where, f"a {what} {named!r}", first_few(list(there), 10) or "none")
    found = named or next((name for name in usual if name in there), None)
    if found is None and len(there) == 1:
        return there[0]
    if found is None:
        expected = f"a {what} {' or '.join(map(repr, usual[:2]))}"
        raise ExtractionError(
            f"{where}: expected {expected}, found {first_few(list(there), 10) or 'none'}. Name it with "
            f"{option}."
        )
    return found


def unequal(where: object, lengths: Sequence[int]) -> ExtractionError:
    """The error of vectors of several lengths."""
    said = ", ".join(f"{length:,}" for length in lengths[:3])
    return unlike(where, "vectors of one length", f"some of {said} numbers")


def unlike(where: object, expected: str, found: str) -> ExtractionError:
    """The error of a file that is something else."""
    return ExtractionError(f"{where}: expected {expected}, found {found}.")
