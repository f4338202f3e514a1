"""Metadata features: one-hot encoding of categories, lists and year bins, and standardised numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from hybrid.catalogue.cells import split_cell
from hybrid.errors import SettingError
from hybrid.features.frames import FrameTransformer, take_columns

# Whole numbers in this range are years, where nearly all of a column are.
YEARS = (1800, 2100)
MAJORITY = 0.95
CLIP = 5.0  # standard deviations; keeps one odd number from ruling the block
SKEW = 2.0  # counts and prices are far above it; their logarithm is nearer to a bell
UNKNOWN = -1
Cells = dict[str, NDArray[Any]]  # column → its cells
Placed = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]  # rows, columns, values


class MetadataFeatures(FrameTransformer):
    """Metadata features: one-hot tokens and standardised numbers.

    Categorical cells (``language=en``) and year bins (``year=1990-1999``) are tokens of weight 1; the
    k entries of a list cell (``directors=Guy Ritchie``) weigh 1 / sqrt(k) each, and so do the year bin and
    the month of a date (``released=1990-1999``, ``released=month 05``). Numbers are
    standardised (the logarithm of 1 + x where x is never negative and its skewness is above 2) and
    clipped; a missing number is 0 and sets its own indicator. So each column gives each item a vector
    of length about 1, and the block is divided by the root of the number of columns.

    Parameters
    ----------
    numeric, categorical, lists : sequence of str, default=()
        Columns of the frame.
    separator : str, default="|"
        Separator of the entries of a list cell.
    min_count : int, default=2
        Tokens found in fewer items are left out.
    year_bin : int, default=10
        Number of years in a bin.
    dates : sequence of str, default=()
        Columns of ISO dates, such as ``1979-05-25``, ``1979-05`` and ``1979``.

    Attributes
    ----------
    years_ : tuple of str
        Numeric columns that are read as years.
    tokens_ : dict of dict of int
        Column → token → its place among those of all columns that are frequent enough, in
        alphabetical order of ``column=token``.
    logarithmic_ : ndarray of shape (numbers,), bool
    mean_, scale_ : ndarray of shape (numbers,), float64

    Examples
    --------
    >>> films = pd.DataFrame({"runtime": [90.0, 110.0], "language": ["en", "en"]})
    >>> features = MetadataFeatures(["runtime"], ["language"]).fit(films)
    >>> features.get_feature_names_out().tolist()
    ['language=en', 'runtime', 'runtime missing']
    >>> features.transform(films).toarray().astype(float).round(2).tolist()
    [[0.71, -0.71, 0.0], [0.71, 0.71, 0.0]]
    """

    dates: Sequence[str] = ()  # of models that were stored before there were dates

    def __init__(
        self,
        numeric: Sequence[str] = (),
        categorical: Sequence[str] = (),
        lists: Sequence[str] = (),
        separator: str = "|",
        min_count: int = 2,
        year_bin: int = 10,
        dates: Sequence[str] = (),
    ) -> None:
        self.numeric = numeric
        self.categorical = categorical
        self.lists = lists
        self.separator = separator
        self.min_count = min_count
        self.year_bin = year_bin
        self.dates = dates

    def fit(self, X: pd.DataFrame, y: Any = None) -> MetadataFeatures:
        """Find the columns of years, the frequent tokens, and the scale of the numbers.

        Raises
        ------
        SettingError
            If a setting is wrong or there is no metadata column.
        """
        self._check()
        frame = self._take(X)
        self._record_features(X)
        self.years_ = find_years(frame, self.numeric)
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
        self.tokens_ = self._fit_tokens(frame)
        return self

    def transform(self, X: pd.DataFrame) -> sparse.csr_matrix:
        """Encode items: CSR of shape (n, tokens + 2 x numbers), float32."""
        check_is_fitted(self)
        frame = self._take(X)
        numbers = self._unskew(self._numbers(frame))
        unknown = ~np.isfinite(numbers)
        scaled = np.clip((numbers - self.mean_) / self.scale_, -CLIP, CLIP)
        tokens = sum(map(len, self.tokens_.values()))
        parts = [*self._place_tokens(frame), _place(scaled, ~unknown, tokens)]
        parts.append(_place(unknown, unknown, tokens + unknown.shape[1]))
        rows, places, values = (np.concatenate(part) for part in zip(*parts, strict=True))
        columns = len(self._columns())
        values = (values / np.sqrt(columns)).astype(np.float32)
        shape = (len(X), tokens + 2 * unknown.shape[1])
        return sparse.csr_matrix(sparse.coo_matrix((values, (rows, places)), shape=shape))

    def missing(self, X: pd.DataFrame) -> NDArray[np.bool_]:
        """Which items have no metadata: shape (n,), bool."""
        frame = self._take(X)
        empty = [frame[name] == "" for name in (*self.categorical, *self.lists, *self.dates)]
        empty += [np.isnan(frame[name]) for name in self.numeric]
        return np.logical_and.reduce(empty).astype(bool)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """``column=value`` for tokens, ``column`` and ``column missing`` for numbers."""
        check_is_fitted(self)
        places = [(i, f"{n}={t}") for n, known in self.tokens_.items() for t, i in known.items()]
        tokens = [token for _, token in sorted(places)]
        numbers = self._number_columns()
        return np.array([*tokens, *numbers, *(f"{n} missing" for n in numbers)], dtype=object)

    def _check(self) -> None:
        problems = []
        if not self._columns():
            problems.append("expected at least one column, found none.")
        if self.min_count < 1:
            problems.append(f"min_count: expected 1 or more, found {self.min_count}.")
        if self.year_bin < 1:
            problems.append(f"year_bin: expected 1 or more, found {self.year_bin}.")
        if problems:
            raise SettingError("block metadata: " + "\n".join(problems))

    def _take(self, X: pd.DataFrame) -> Cells:
        return take_columns(X, self._columns(), "metadata")

    def _columns(self) -> list[str]:
        return [*self.numeric, *self.categorical, *self.lists, *self.dates]

    def _number_columns(self) -> list[str]:
        return [name for name in self.numeric if name not in self.years_]

    def _numbers(self, frame: Cells) -> NDArray[np.float64]:
        n = len(next(iter(frame.values())))
        columns = [frame[name].astype(np.float64) for name in self._number_columns()]
        return np.array(columns, dtype=np.float64).reshape(len(columns), n).T

    def _unskew(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        # Where train never was negative, a later negative number is read as 0.
        logarithm = np.log1p(np.maximum(numbers, 0.0))
        return np.where(self.logarithmic_, logarithm, numbers)

    def _fit_tokens(self, frame: Cells) -> dict[str, dict[str, int]]:
        frequent = []
        for name, number, tokens in self._split(frame):
            items: Counter[str] = Counter()
            for count, found in zip(np.bincount(number).tolist(), tokens, strict=True):
                items.update(dict.fromkeys(found, count))
            frequent += [(name, token) for token, count in items.items() if count >= self.min_count]
        places: dict[str, dict[str, int]] = {}
        for place, (name, token) in enumerate(sorted(frequent, key="=".join)):
            places.setdefault(name, {})[token] = place
        return places

    def _place_tokens(self, frame: Cells) -> Iterator[Placed]:
        """The known tokens of each column; k tokens of one cell, known or not, weigh 1 / sqrt(k) each."""
        for name, number, tokens in self._split(frame):
            known = self.tokens_.get(name, {})
            length = np.array([len(found) for found in tokens], dtype=np.int64)
            flat = map(known.get, chain.from_iterable(tokens), repeat(UNKNOWN))
            places = np.fromiter(flat, np.int64, length.sum())
            each, start = length[number], np.cumsum(length) - length
            rows = np.repeat(np.arange(len(number)), each)
            nth = np.arange(len(rows)) - np.repeat(np.cumsum(each) - each, each)
            found = places[np.repeat(start[number], each) + nth]
            chosen = found != UNKNOWN
            yield rows[chosen], found[chosen], each[rows[chosen]] ** -0.5

    def _split(self, frame: Cells) -> Iterator[tuple[str, NDArray[np.int64], list[list[str]]]]:
        """Column by column the number of each item's cell, and the tokens of each cell so numbered, once."""
        readers: list[tuple[Sequence[str], Callable[[Any], list[str]]]] = [
            (self.categorical, lambda cell: [str(cell)] if cell else []),
            (self.lists, lambda cell: split_cell(cell, self.separator)),
            (self.years_, self._bin),
            (self.dates, self._read_date),
        ]
        for name, read in ((name, read) for names, read in readers for name in names):
            number, cells = pd.factorize(frame[name], use_na_sentinel=False)
            yield name, number, [read(cell) for cell in cells.tolist()]

    def _bin(self, year: float) -> list[str]:
        if not np.isfinite(year):
            return []
        start = int(year // self.year_bin * self.year_bin)
        return [f"{start}-{start + self.year_bin - 1}"]

    def _read_date(self, date: str) -> list[str]:
        """Year bin and month of an ISO date, as far as it goes."""
        if not date:
            return []
        month = [f"month {date[5:7]}"] if len(date) >= 7 else []
        return [*self._bin(float(date[:4])), *month]


def _place(numbers: NDArray[Any], chosen: NDArray[np.bool_], first: int) -> Placed:
    """Those numbers of a matrix that are chosen, its columns counted from `first`."""
    rows, columns = np.nonzero(chosen)
    return rows, columns + first, np.asarray(numbers[chosen], dtype=np.float64)


def find_years(
    frame: pd.DataFrame | Mapping[str, NDArray[Any]], numeric: Sequence[str]
) -> tuple[str, ...]:
    """The numeric columns that hold years: at least 95 % whole numbers of the range `YEARS`.

    Examples
    --------
    >>> find_years(pd.DataFrame({"year": [1979.0, 2001.0], "runtime": [90.0, 117.0]}), ["year", "runtime"])
    ('year',)
    """
    return tuple(name for name in numeric if _are_years(np.asarray(frame[name])))


def _are_years(cells: NDArray[Any]) -> bool:
    known = cells[~np.isnan(cells)]
    first, last = YEARS
    years = (known % 1 == 0) & (known >= first) & (known <= last)
    return len(known) > 0 and bool(years.mean() >= MAJORITY)


def _is_skewed(numbers: NDArray[np.float64]) -> bool:
    known = numbers[np.isfinite(numbers)]
    if not len(known) or known.min() < 0 or known.std() == 0:
        return False
    return float((((known - known.mean()) / known.std()) ** 3).mean()) > SKEW
