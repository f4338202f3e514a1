"""What the blocks share: taking their columns from the catalogue's frame."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from hybrid.errors import SettingError


def take_columns(frame: pd.DataFrame, columns: Sequence[str], block: str) -> pd.DataFrame:
    """The named columns of a frame.

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
    return frame[list(columns)]
