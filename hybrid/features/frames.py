"""Base class of the transformers of a catalogue's frame, and the reading of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import validate_data

from hybrid.errors import SettingError
from hybrid.utils.spilled import let_pages_go


class FrameTransformer(TransformerMixin, BaseEstimator):
    """Base class of transformers that take a DataFrame and use some of its columns by name.

    As with scikit-learn's `ColumnTransformer`, other columns may be there or not.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Columns of the frame that `fit` was given; not set where it was given what `read` returned.
    """

    def _record_features(self, X: Any) -> None:
        """Set `n_features_in_` and `feature_names_in_`."""
        validate_data(self, X, skip_check_array=True)

    def __sklearn_tags__(self) -> Any:
        tags = frame_tags(super().__sklearn_tags__())
        tags.transformer_tags.preserves_dtype = []
        return tags


def frame_tags(tags: Any) -> Any:
    """Change scikit-learn's tags to those of an estimator that takes frames with named columns."""
    tags.input_tags.two_d_array = False  # columns are found by their names
    tags.input_tags.string = True
    tags.input_tags.categorical = True
    tags.input_tags.allow_nan = True
    return tags


def take_columns(
    frame: pd.DataFrame, columns: Sequence[str], block: str
) -> dict[str, NDArray[Any]]:
    """Named columns of a frame as arrays: numbers as float or int, all else as objects.

    Raises
    ------
    SettingError
        If `frame` is not a DataFrame, or a column is missing; says which.

    Examples
    --------
    >>> frame = pd.DataFrame({"title": ["A film"], "year": [1999]})
    >>> take_columns(frame, ["year"], "metadata")["year"].tolist()
    [1999]
    """
    check_columns(frame, columns, block)
    found = {name: _cells(frame[name]) for name in columns}
    let_pages_go()
    return found


def check_columns(frame: Any, columns: Sequence[str], block: str) -> None:
    """Check that these columns can be taken; raises as `take_columns`.

    Examples
    --------
    >>> check_columns(pd.DataFrame({"title": ["A film"]}), ["title"], "text")
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


def _cells(column: pd.Series) -> NDArray[Any]:
    if column.dtype.kind in "fiub":
        return column.to_numpy(na_value=np.nan)
    return column.to_numpy(dtype=object)
