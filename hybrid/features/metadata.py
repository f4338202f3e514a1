"""The block `metadata`: numeric, categorical and list columns → one sparse matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction import DictVectorizer
from sklearn.utils.validation import check_is_fitted

from hybrid.catalogue import split_cell
from hybrid.errors import SettingError
from hybrid.features.frames import take_columns

# Numbers that are all whole and in this range are read as years.
YEARS = (1800, 2100)
CLIP = 5.0  # standard deviations; keeps one odd number from ruling the block
SKEW = 2.0  # counts and prices are far above it; their logarithm is nearer to a bell


class MetadataFeatures(TransformerMixin, BaseEstimator):
    """Metadata columns as one-hot tokens and scaled numbers.

    Categorical cells (``language=en``) and year bins (``year=1990-1999``) are tokens of weight 1; the
    k entries of a list cell (``directors=Guy Ritchie``) weigh 1 / sqrt(k) each. Numbers are
    standardised (the logarithm of 1 + x where x is never negative and its skewness is above 2) and
    clipped; a missing number is 0 and sets its own indicator. So each column gives each item a vector
    of length about 1, and the block is divided by the root of the number of columns.

    Parameters
    ----------
    numeric, categorical, lists : sequence of str
        Columns of the frame.
    separator : str
        What stands between two entries of a list cell.
    min_count : int
        Tokens found in fewer items are left out.
    year_bin : int
        Years in a bin.

    Attributes
    ----------
    years_ : tuple of str
        Numeric columns that are read as years.
    vectorizer_ : DictVectorizer
        Of the tokens that are frequent enough.
    logarithmic_ : ndarray of shape (numbers,), bool
    mean_, scale_ : ndarray of shape (numbers,), float64
    """

    def __init__(
        self,
        numeric: Sequence[str] = (),
        categorical: Sequence[str] = (),
        lists: Sequence[str] = (),
        separator: str = "|",
        min_count: int = 2,
        year_bin: int = 10,
    ) -> None:
        self.numeric = numeric
        self.categorical = categorical
        self.lists = lists
        self.separator = separator
        self.min_count = min_count
        self.year_bin = year_bin

    def fit(self, X: pd.DataFrame, y: Any = None) -> MetadataFeatures:
        """Learn which columns are years, the tokens, and the scale of the numbers.

        Raises
        ------
        SettingError
            If a setting is wrong or there is no metadata column.
        """
        self._check()
        frame = self._take(X)
        self.years_ = tuple(name for name in self.numeric if _are_years(frame[name]))
        numbers = self._numbers(frame)
        self.logarithmic_ = np.array([_is_skewed(column) for column in numbers.T], dtype=bool)
        numbers = self._unskew(numbers)
        # All-missing columns have no mean: they are read as 0 with the indicator set.
        known = np.isfinite(numbers)
        counts = np.maximum(known.sum(axis=0), 1)
        self.mean_ = np.where(known, numbers, 0.0).sum(axis=0) / counts
        spread = np.where(known, numbers - self.mean_, 0.0)
        scale = np.sqrt((spread**2).sum(axis=0) / counts)
        # Of equal numbers, mean and scale are off by a rounding error.
        varies = scale > 1e-12 * np.abs(self.mean_)
        self.scale_ = np.where(varies, scale, 1.0)
        self.mean_ = np.where(
            varies | ~known.any(axis=0),
            self.mean_,
            numbers[known.argmax(axis=0), range(numbers.shape[1])],
        )
        self.vectorizer_ = self._fit_tokens(frame)
        return self

    def transform(self, X: pd.DataFrame) -> sparse.csr_matrix:
        """Encode items: CSR of shape (n, tokens + 2 x numbers), float32."""
        check_is_fitted(self)
        frame = self._take(X)
        numbers = self._unskew(self._numbers(frame))
        unknown = ~np.isfinite(numbers)
        scaled = np.clip((numbers - self.mean_) / self.scale_, -CLIP, CLIP)
        dense = np.hstack([np.where(unknown, 0.0, scaled), unknown])
        tokens = self.vectorizer_.transform(self._tokens(frame))
        columns = len(self.numeric) + len(self.categorical) + len(self.lists)
        block = sparse.hstack([tokens, sparse.csr_matrix(dense)]) / np.sqrt(columns)
        return sparse.csr_matrix(block, dtype=np.float32)

    def missing(self, X: pd.DataFrame) -> NDArray[np.bool_]:
        """Whether each item is without any metadata, shape (n,)."""
        frame = self._take(X)
        texts = frame[[*self.categorical, *self.lists]].to_numpy(dtype=object) == ""
        numbers = frame[list(self.numeric)].isna().to_numpy()
        return np.asarray(np.hstack([texts, numbers]).all(axis=1), dtype=bool)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """``column=value`` for tokens, ``column`` and ``column missing`` for numbers."""
        check_is_fitted(self)
        tokens = self.vectorizer_.get_feature_names_out()
        numbers = self._number_columns()
        return np.array([*tokens, *numbers, *(f"{n} missing" for n in numbers)], dtype=object)

    def _check(self) -> None:
        problems = []
        if not (self.numeric or self.categorical or self.lists):
            problems.append("expected at least one column, found none.")
        if self.min_count < 1:
            problems.append(f"min_count: expected 1 or more, found {self.min_count}.")
        if self.year_bin < 1:
            problems.append(f"year_bin: expected 1 or more, found {self.year_bin}.")
        if problems:
            raise SettingError("block metadata: " + "\n".join(problems))

    def _take(self, X: pd.DataFrame) -> pd.DataFrame:
        return take_columns(X, [*self.numeric, *self.categorical, *self.lists], "metadata")

    def _number_columns(self) -> list[str]:
        return [name for name in self.numeric if name not in self.years_]

    def _numbers(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        return frame[self._number_columns()].to_numpy(dtype=np.float64)

    def _unskew(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        # Where train never was negative, a later negative number is read as 0.
        logarithm = np.log1p(np.maximum(numbers, 0.0))
        return np.where(self.logarithmic_, logarithm, numbers)

    def _fit_tokens(self, frame: pd.DataFrame) -> DictVectorizer:
        vectorizer = DictVectorizer(dtype=np.float32)
        counts = (vectorizer.fit_transform(self._tokens(frame)) > 0).sum(axis=0)
        return vectorizer.restrict(np.asarray(counts).ravel() >= self.min_count)

    def _tokens(self, frame: pd.DataFrame) -> list[dict[str, float]]:
        rows: list[dict[str, float]] = [{} for _ in range(len(frame))]
        for name in self.categorical:
            for row, cell in zip(rows, frame[name], strict=True):
                if cell:
                    row[f"{name}={cell}"] = 1.0
        for name in self.lists:
            for row, cell in zip(rows, frame[name], strict=True):
                entries = split_cell(cell, self.separator)
                row.update({f"{name}={entry}": len(entries) ** -0.5 for entry in entries})
        for name in self.years_:
            for row, year in zip(rows, frame[name], strict=True):
                if np.isfinite(year):
                    start = int(year // self.year_bin * self.year_bin)
                    row[f"{name}={start}-{start + self.year_bin - 1}"] = 1.0
        return rows


def _are_years(cells: pd.Series) -> bool:
    known = cells[cells.notna()]
    return len(known) > 0 and bool(((known % 1 == 0) & known.between(*YEARS)).all())


def _is_skewed(numbers: NDArray[np.float64]) -> bool:
    known = numbers[np.isfinite(numbers)]
    if not len(known) or known.min() < 0 or known.std() == 0:
        return False
    return float((((known - known.mean()) / known.std()) ** 3).mean()) > SKEW
