"""The block `metadata`: numeric, categorical and list columns → one sparse matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils.validation import check_is_fitted

from hybrid.catalogue import split_cell
from hybrid.errors import SettingError
from hybrid.features.frames import take_columns

# Numbers that are all whole and in this range are read as years.
YEARS = (1800, 2100)
CLIP = 5.0  # standard deviations; keeps one odd number from ruling the block


class MetadataFeatures(TransformerMixin, BaseEstimator):
    """Metadata columns as tokens with TF-IDF weights, and scaled numbers.

    Categorical cells (``language=en``), entries of list cells (``directors=Guy Ritchie``) and year
    bins (``year=1990-1999``) are tokens; a row of tokens has length 1. Numbers are standardised,
    clipped, and divided by the root of their count, so that both halves weigh alike; a missing number
    is 0 and sets its own indicator.

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
    vectorizer_ : TfidfVectorizer or None
        None where no token is frequent enough.
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
        # All-missing columns have no mean: they are read as 0 with the indicator set.
        known = np.isfinite(numbers)
        counts = np.maximum(known.sum(axis=0), 1)
        self.mean_ = np.where(known, numbers, 0.0).sum(axis=0) / counts
        spread = np.where(known, numbers - self.mean_, 0.0)
        scale = np.sqrt((spread**2).sum(axis=0) / counts)
        self.scale_ = np.where(scale > 0, scale, 1.0)
        self.vectorizer_ = self._fit_tokens(frame)
        return self

    def transform(self, X: pd.DataFrame) -> sparse.csr_matrix:
        """Encode items: CSR of shape (n, tokens + 2 x numbers), float32."""
        check_is_fitted(self)
        frame = self._take(X)
        numbers = self._numbers(frame)
        unknown = ~np.isfinite(numbers)
        scaled = np.clip((numbers - self.mean_) / self.scale_, -CLIP, CLIP)
        dense = np.hstack([np.where(unknown, 0.0, scaled), unknown])
        halves = [sparse.csr_matrix(dense / np.sqrt(max(numbers.shape[1], 1)))]
        if self.vectorizer_ is not None:
            halves.insert(0, self.vectorizer_.transform(self._tokens(frame)))
        return sparse.csr_matrix(sparse.hstack(halves), dtype=np.float32)

    def missing(self, X: pd.DataFrame) -> NDArray[np.bool_]:
        """Whether each item is without any metadata, shape (n,)."""
        frame = self._take(X)
        texts = frame[[*self.categorical, *self.lists]].to_numpy(dtype=object) == ""
        numbers = frame[list(self.numeric)].isna().to_numpy()
        return np.asarray(np.hstack([texts, numbers]).all(axis=1), dtype=bool)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """``column=value`` for tokens, ``column`` and ``column missing`` for numbers."""
        check_is_fitted(self)
        tokens = [] if self.vectorizer_ is None else self.vectorizer_.get_feature_names_out()
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

    def _fit_tokens(self, frame: pd.DataFrame) -> TfidfVectorizer | None:
        vectorizer = TfidfVectorizer(analyzer=_as_is, min_df=self.min_count, dtype=np.float32)
        tokens = self._tokens(frame)
        counts: dict[str, int] = {}
        for token in (token for row in tokens for token in set(row)):
            counts[token] = counts.get(token, 0) + 1
        if max(counts.values(), default=0) < self.min_count:
            return None
        return vectorizer.fit(tokens)

    def _tokens(self, frame: pd.DataFrame) -> list[list[str]]:
        rows: list[list[str]] = [[] for _ in range(len(frame))]
        for name in self.categorical:
            for row, cell in zip(rows, frame[name], strict=True):
                if cell:
                    row.append(f"{name}={cell}")
        for name in self.lists:
            for row, cell in zip(rows, frame[name], strict=True):
                row.extend(f"{name}={entry}" for entry in split_cell(cell, self.separator))
        for name in self.years_:
            for row, year in zip(rows, frame[name], strict=True):
                if np.isfinite(year):
                    start = int(year // self.year_bin * self.year_bin)
                    row.append(f"{name}={start}-{start + self.year_bin - 1}")
        return rows


def _as_is(tokens: list[str]) -> list[str]:
    return tokens


def _are_years(cells: pd.Series) -> bool:
    known = cells[cells.notna()]
    return len(known) > 0 and bool(((known % 1 == 0) & known.between(*YEARS)).all())
