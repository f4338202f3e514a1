"""What may be wrong about ids: the wrong column, or ids that only their spelling tells apart."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.packed import chunks, may_repeat
from hybrid.catalogue_types import BadRow, ColumnRole, Finding
from hybrid.utils.counts import counted

ALIKE = "ids alike"
ID_COLUMN = "id column"
_WHOLE = re.compile(r"0*(\d+?)(?:\.0+)?")


def tell_ids(
    ids: pd.Series, rows: NDArray[np.int64], role: ColumnRole, bad: list[BadRow]
) -> tuple[Finding, ...]:
    """Tell whether the id column looks like the wrong one, and which ids only their spelling tells apart.

    Parameters
    ----------
    ids : Series of n str
        Of the items.
    rows : ndarray of shape (n,), int64
        Position of each in the file.
    role : ColumnRole
        Of the id column.
    bad : list of BadRow
        Rows that were left out for their ids.

    Returns
    -------
    tuple of Finding

    Examples
    --------
    >>> role = ColumnRole("id", "id", "by its name", 3)
    >>> print(tell_ids(pd.Series(["1", "2", "1.0"]), np.array([1, 2, 3]), role, [])[0].message)
    column 'id': 2 ids differ from others only in case, Unicode form, leading zeros or '.0', such as '1' \
(row 1) and '1.0' (row 3); they are different items (write them alike where they are one item)
    """
    told = []
    if role.reason == "by its name" and role.column.casefold() != "id" and len(bad) > len(ids):
        told.append(
            Finding(
                ID_COLUMN,
                f"column {role.column!r} was taken as the id by its name, and {len(bad):,} of "
                f"{counted(len(bad) + len(ids), 'row is', 'rows are')} left out for theirs (--id-column "
                "names another column)",
                len(bad),
                role.column,
            )
        )
    places = np.flatnonzero(may_repeat(map(fold_id, part) for part in chunks(ids)))
    some = ids.iloc[places].astype(object)
    keys = some.map(fold_id)
    alike = keys.duplicated(keep=False).to_numpy()
    if not alike.any():
        return tuple(told)
    rows, some, keys = rows[places[alike]], some[alike], keys[alike]
    n = int((keys == keys.iloc[0]).to_numpy().nonzero()[0][1])  # the first that is like the first
    first, second = str(some.iloc[0]), str(some.iloc[n])
    shown = [
        f"{_show(first, second)} (row {rows[0]})",
        f"{_show(second, first)} (row {rows[n]})",
    ]
    told.append(
        Finding(
            ALIKE,
            f"column {role.column!r}: {counted(len(some), 'id differs', 'ids differ')} from others only in "
            "case, Unicode form, "
            f"leading zeros or '.0', such as {shown[0]} and {shown[1]}; they are different items (write "
            "them alike where they are one item)",
            len(some),
            role.column,
            (first, second),
        )
    )
    return tuple(told)


def fold_id(name: str) -> str:
    """What ids share that only their spelling tells apart.

    Examples
    --------
    >>> fold_id("007") == fold_id("7.0"), fold_id("TT7") == fold_id("tt7"), fold_id("7") == fold_id("07a")
    (True, True, False)
    """
    if name.isascii():
        if name.isdecimal() and name[0] != "0":
            return name  # most are so
    else:
        name = unicodedata.normalize("NFKC", name)
    if number := _WHOLE.fullmatch(name):
        return number[1]
    return name.casefold()


def _show(name: str, other: str) -> str:
    """An id; by its code points where it looks like the other."""
    same = unicodedata.normalize("NFKC", name) == unicodedata.normalize("NFKC", other)
    return ascii(str(name)) if same else repr(str(name))
