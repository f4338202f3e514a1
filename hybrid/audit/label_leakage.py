"""Label leakage: features from which a label can be read off, by text and by metadata column. Pure.

A column that only somebody who knows the labels can fill is no feature; nor is a text that names them.
The program cannot know who filled it, so what is found here is a warning.
"""

from __future__ import annotations

import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score
from sklearn.tree import DecisionTreeClassifier

from hybrid.catalogue import Catalogue
from hybrid.catalogue.cells import split_cell
from hybrid.catalogue.dates import count_days, parse_dates
from hybrid.catalogue.numbers import parse_numbers
from hybrid.catalogue.packed import Cells
from hybrid.splitting.splits import make_folds
from hybrid.types import CellFormat
from hybrid.utils.progress import shows_step
from hybrid.utils.scripts import is_hangul, split_words
from hybrid.utils.unknown_labels import as_no

Floats = NDArray[np.float64]

FOLDS = 3
MIN_SUPPORT = 20  # items with a genre, and without; of fewer the precision says little
MIN_PRECISION = 0.95  # out-of-fold average precision of one column
LEAVES = 64
PRIOR = 1.0  # pseudo-count of the genre's mean in the rate of a value
MIN_NAMED = 0.1  # share of a genre's items whose text names it
MIN_RIGHT = 0.9  # share of its own items among all whose text names it


@dataclass(frozen=True)
class LabelLeak:
    """A genre that leaks through one column.

    Parameters
    ----------
    genre, column : str
    score : float
        From 0 to 1: the out-of-fold average precision of a metadata column, or the share of right ones
        among the texts that name the genre.
    items : ndarray of shape (m,), int64
        Positions of the items with the genre that are concerned.

    Examples
    --------
    >>> LabelLeak("War", "overview", 1.0, np.array([3, 8])).genre
    'War'
    """

    genre: str
    column: str
    score: float
    items: NDArray[np.int64]


def text_leakage(
    texts: Iterable[str], labels: NDArray[np.uint8], genres: Sequence[str], column: str
) -> list[LabelLeak]:
    """Find genres that the text names: "a comedy about …".

    A genre is listed where at least a tenth of its items name it, and nine tenths of the items that name
    it have it. Case does not matter. In a script without spaces the name may be anywhere in the text; in
    Korean it may begin a word, since particles follow it.

    Parameters
    ----------
    texts : iterable of n str
    labels : ndarray of shape (n, L), uint8
        1 where the item has the label.
    genres : sequence of L str
    column : str
        Name of the text column.

    Returns
    -------
    list of LabelLeak

    Examples
    --------
    >>> labels = np.array([[1], [1], [0]], dtype=np.uint8)
    >>> texts = ["A war film.", "Another war film.", "A wedding."]
    >>> [(leak.genre, leak.score) for leak in text_leakage(texts, labels, ["War"], "overview")]
    [('War', 1.0)]
    """
    # A name of signs only is one that no text is searched for.
    names = {j: _between_spaces(genre) for j, genre in enumerate(genres) if _words(genre)}
    named = np.zeros(labels.shape, dtype=bool)
    for i, text in enumerate(texts):
        words = f" {' '.join(_words(text))} "
        for j, name in names.items():
            if name in words:
                named[i, j] = True
    found = []
    for j in names:
        own = named[:, j] & (labels[:, j] != 0)
        enough = own.sum() >= max(MIN_NAMED * labels[:, j].sum(), 2)
        if enough and own.sum() >= MIN_RIGHT * named[:, j].sum():
            score = float(own.sum() / named[:, j].sum())
            found.append(LabelLeak(genres[j], column, score, np.flatnonzero(own)))
    return found


def _between_spaces(genre: str) -> str:
    """The words of a name, as they stand in a text."""
    words = _words(genre)
    return f" {' '.join(words)}" + ("" if is_hangul(words[-1]) else " ")


def _words(text: str) -> list[str]:
    return split_words(unicodedata.normalize("NFKC", text).casefold())


def categorical_leakage(
    cells: Iterable[Sequence[str]],
    labels: NDArray[np.uint8],
    genres: Sequence[str],
    folds: NDArray[np.int64],
    column: str,
) -> list[LabelLeak]:
    """Find genres that the values of a categorical or list column predict almost perfectly.

    An item's score is the highest target-encoded rate of the genre among its values, out of fold.

    Parameters
    ----------
    cells : iterable of n sequences of str
        The values of each item; a categorical column has one or none.
    labels : ndarray of shape (n, L), uint8
        1 where the item has the label.
    genres : sequence of L str
    folds : ndarray of shape (n,), int64
        The fold of each item.
    column : str
        Name of the column.

    Returns
    -------
    list of LabelLeak
        Genres with an average precision of at least 0.95, and 20 or more items with and without them.

    Examples
    --------
    >>> labels = np.arange(60)[:, None] % 2
    >>> cells = [["R18"] if label else ["U"] for label in labels[:, 0]]
    >>> folds = np.arange(60) // 20
    >>> (leak,) = categorical_leakage(cells, labels, ["Adult"], folds, "certificate")
    >>> leak.column, leak.score
    ('certificate', 1.0)
    """
    known: dict[str, int] = {}
    columns, ends = array("q"), array("q", [0])
    for cell in cells:
        columns.extend(known.setdefault(value, len(known)) for value in cell)
        ends.append(len(columns))
    held = sp.csr_array(
        (np.ones(len(columns)), np.asarray(columns), np.asarray(ends)), (len(labels), len(known))
    )
    scores = np.zeros(labels.shape)
    for fold in np.unique(folds):
        here, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        mean = labels[rest].mean(axis=0)
        hits = held[rest].T @ labels[rest].astype(np.float64)
        count = np.asarray(held[rest].sum(axis=0)).reshape(-1, 1)
        scores[here] = _highest(held[here], (hits + PRIOR * mean) / (count + PRIOR), mean)
    return _predicted(scores, labels, genres, column)


def _highest(held: sp.csr_array, rates: Floats, mean: Floats) -> Floats:
    """The highest rate of each genre among a row's values; the mean where it has none."""
    highest = np.tile(mean, (held.shape[0], 1))
    has_some = np.diff(held.indptr) > 0
    if has_some.any():
        starts = held.indptr[:-1][has_some]
        highest[has_some] = np.maximum.reduceat(rates[held.indices], starts, axis=0)
    return highest


def numeric_leakage(
    numbers: Floats,
    labels: NDArray[np.uint8],
    genres: Sequence[str],
    folds: NDArray[np.int64],
    column: str,
) -> list[LabelLeak]:
    """Find genres that a numeric column predicts almost perfectly: by a tree of 64 leaves, out of fold.

    Parameters
    ----------
    numbers : ndarray of shape (n,), float64
        NaN where missing.
    labels, genres, folds, column
        As in `categorical_leakage`.

    Returns
    -------
    list of LabelLeak
        As `categorical_leakage` gives them.

    Examples
    --------
    >>> labels = np.arange(60)[:, None] % 2
    >>> folds = np.arange(60) // 20
    >>> (leak,) = numeric_leakage(100.0 + labels[:, 0], labels, ["Adult"], folds, "shelf")
    >>> leak.genre, leak.score
    ('Adult', 1.0)
    """
    values = np.where(np.isnan(numbers), np.nanmin(numbers, initial=0.0) - 1, numbers)[:, None]
    scores = np.zeros(labels.shape)
    for fold in np.unique(folds):
        here = folds == fold
        tree = DecisionTreeClassifier(max_leaf_nodes=LEAVES, min_samples_leaf=5, random_state=0)
        tree.fit(values[~here], labels[~here].astype(np.float64))
        leaves = tree.apply(values[~here])
        _, place = np.unique(leaves, return_inverse=True)
        sums = np.zeros((place.max() + 1, labels.shape[1]))
        np.add.at(sums, place, labels[~here])
        rates = sums / np.bincount(place)[:, None]
        scores[here] = rates[np.searchsorted(np.unique(leaves), tree.apply(values[here]))]
    return _predicted(scores, labels, genres, column)


def _predicted(
    scores: Floats, labels: NDArray[np.uint8], genres: Sequence[str], column: str
) -> list[LabelLeak]:
    found = []
    for j, genre in enumerate(genres):
        own = labels[:, j] != 0
        if MIN_SUPPORT <= own.sum() <= len(own) - MIN_SUPPORT:
            score = float(average_precision_score(own, scores[:, j]))
            if score >= MIN_PRECISION:
                found.append(LabelLeak(genre, column, score, np.flatnonzero(own)))
    return found


@shows_step("searching for columns that give labels away")
def find_label_leakage(catalogue: Catalogue) -> tuple[list[LabelLeak], list[LabelLeak]]:
    """Search the labelled items of a catalogue for label leakage.

    Parameters
    ----------
    catalogue : Catalogue

    Returns
    -------
    named, predicted : list of LabelLeak
        Genres that a text column names, and genres that a metadata column predicts. `items` are positions
        in the catalogue.

    Examples
    --------
    >>> import tempfile
    >>> from hybrid.catalogue import load_catalogue
    >>> from hybrid.datasets.sample import write_sample
    >>> folder = tempfile.TemporaryDirectory()
    >>> _ = write_sample(folder.name, n_items=60)
    >>> find_label_leakage(load_catalogue(f"{folder.name}/catalogue.csv"))
    ([], [])
    >>> folder.cleanup()
    """
    rows = np.flatnonzero(catalogue.labelled)
    labels, genres, columns = as_no(catalogue.labels)[rows], catalogue.genres, catalogue.columns

    def cells(name: str) -> Iterator[str]:
        return compress(Cells(catalogue.table[name]), catalogue.labelled)

    named = [g for c in columns.text for g in text_leakage(cells(c), labels, genres, c)]
    folds = (
        make_folds(catalogue.ids[rows], labels[:, :0], FOLDS) if len(rows) >= FOLDS else rows * 0
    )
    predicted: list[LabelLeak] = []
    if len(np.unique(folds)) > 1:
        for name in (*columns.numeric, *columns.date):
            numbers = _read_numbers(catalogue, name)[rows]
            predicted += numeric_leakage(numbers, labels, genres, folds, name)
        for name in columns.categorical:
            values = ([cell] if cell else [] for cell in cells(name))
            predicted += categorical_leakage(values, labels, genres, folds, name)
        for name in columns.list:
            parts = (split_cell(cell, columns.label_separator) for cell in cells(name))
            predicted += categorical_leakage(parts, labels, genres, folds, name)
    return [_at(leak, rows) for leak in named], [_at(leak, rows) for leak in predicted]


def _read_numbers(catalogue: Catalogue, name: str) -> Floats:
    """The numbers of a column, or the days of its dates."""
    columns, cells = catalogue.columns, catalogue.table[name]
    reading = columns.formats.get(name, CellFormat())
    if name in columns.numeric:
        return parse_numbers(cells, reading)
    return count_days(parse_dates(cells, reading.order))


def _at(leak: LabelLeak, rows: NDArray[np.int64]) -> LabelLeak:
    return replace(leak, items=rows[leak.items])
