"""What the blocks share: taking their columns from the catalogue's frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.errors import SettingError


def take_columns(
    frame: pd.DataFrame, columns: Sequence[str], block: str
) -> dict[str, NDArray[Any]]:
    """The named columns of a frame, as numbers where they are such, else as objects.

    For one item alone a frame of its own would take longer than all that is done with it.

    Raises
    ------
    SettingError
        If `frame` is not a DataFrame, or a column is missing; says which.
    """
    if not isinstance(frame, pd.DataFrame):
        raise SettingError(
            f"block {block}: expected a DataFrame such as load_catalogue(...).frame, found "
            f"{type(frame).__name__}."
        )
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise SettingError(
            f"block {block}: expected the columns {', '.join(columns)}, found none named "
            f"{', '.join(missing)}."
        )
    return {name: _cells(frame[name]) for name in columns}


def _cells(column: pd.Series) -> NDArray[Any]:
    if column.dtype.kind in "fiub":
        return column.to_numpy(na_value=np.nan)
    return column.to_numpy(dtype=object)
