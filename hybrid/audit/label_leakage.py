"""Labels, text and metadata → what gives a label away. Pure.

A column that only somebody who knows the labels can fill is no feature; nor is a text that names them.
The program cannot know who filled it, so what is found here is a warning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score
from sklearn.tree import DecisionTreeClassifier

from hybrid.catalogue import Catalogue
from hybrid.catalogue.catalogue import split_cell
from hybrid.duplicates.similarity import (
    tokenize,
)
from hybrid.splitting.splits import make_folds

Floats = NDArray[np.float64]

FOLDS = 3
SUPPORT = 20  # items with a genre, and without; fewer can be told by chance
PERFECT = 0.95  # out-of-fold average precision of one column
LEAVES = 64
PRIOR = 1.0  # items that stand for the genre's mean when a value's own rate is taken
NAMED = 0.1  # of a genre's items whose text names it …
RIGHT = 0.9  # … where so many of the texts that name it are its own


@dataclass(frozen=True)
class LabelLeak:
    """What gives one genre away.

    `score` is the average precision of a column, or the share of right ones among the texts that name
    the genre; `items` are the positions of the items with the genre that are given away.
    """

    genre: str
    column: str
    score: float
    items: NDArray[np.int64]


def text_leakage(
    texts: Sequence[str], labels: NDArray[np.uint8], genres: Sequence[str], column: str
) -> list[LabelLeak]:
    """Genres that the text names: "a comedy about …".

    A genre is listed where at least a tenth of its items name it, and nine tenths of the items that name
    it have it.

    Parameters
    ----------
    texts : sequence of n str
    labels : ndarray of shape (n, L)
    genres : sequence of L str
    column : str
        What the text is called.
    """
    said = [f" {' '.join(tokenize(text))} " for text in texts]
    found = []
    for j, genre in enumerate(genres):
        name = f" {' '.join(tokenize(genre))} "
        named = np.array([name in text for text in said], dtype=bool)
        own = named & (labels[:, j] != 0)
        enough = own.sum() >= max(NAMED * labels[:, j].sum(), 2)
        if enough and own.sum() >= RIGHT * named.sum():
            found.append(
                LabelLeak(genre, column, float(own.sum() / named.sum()), np.flatnonzero(own))
            )
    return found


def categorical_leakage(
    cells: Sequence[Sequence[str]],
    labels: NDArray[np.uint8],
    genres: Sequence[str],
    folds: NDArray[np.int64],
    column: str,
) -> list[LabelLeak]:
    """Genres that the values of one column tell almost perfectly.

    An item's score is the highest rate of the genre among the other folds' items with one of its values.

    Parameters
    ----------
    cells : sequence of n sequences of str
        The values of each item; a categorical column has one or none.
    labels : ndarray of shape (n, L)
    genres : sequence of L str
    folds : ndarray of shape (n,)
    column : str
    """
    known: dict[str, int] = {}
    columns = [known.setdefault(value, len(known)) for cell in cells for value in cell]
    ends = np.concatenate([[0], np.cumsum([len(cell) for cell in cells])])
    shape = (len(cells), len(known))
    held = sp.csr_array((np.ones(len(columns)), np.array(columns, dtype=np.int64), ends), shape)
    scores = np.zeros(labels.shape)
    for fold in np.unique(folds):
        here, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        mean = labels[rest].mean(axis=0)
        hits = held[rest].T @ labels[rest].astype(np.float64)
        count = np.asarray(held[rest].sum(axis=0)).reshape(-1, 1)
        scores[here] = _highest(held[here], (hits + PRIOR * mean) / (count + PRIOR), mean)
    return _almost_perfect(scores, labels, genres, column)


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
    """Genres that one numeric column tells almost perfectly: by a tree of 64 leaves, out of fold.

    Parameters
    ----------
    numbers : ndarray of shape (n,), float64
        NaN where missing.
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
    return _almost_perfect(scores, labels, genres, column)


def _almost_perfect(
    scores: Floats, labels: NDArray[np.uint8], genres: Sequence[str], column: str
) -> list[LabelLeak]:
    found = []
    for j, genre in enumerate(genres):
        own = labels[:, j] != 0
        if SUPPORT <= own.sum() <= len(own) - SUPPORT:
            score = float(average_precision_score(own, scores[:, j]))
            if score >= PERFECT:
                found.append(LabelLeak(genre, column, score, np.flatnonzero(own)))
    return found


def find_label_leakage(catalogue: Catalogue) -> tuple[list[LabelLeak], list[LabelLeak]]:
    """Labels that the text names, and labels that one metadata column tells, over the labelled items.

    `items` are positions in the catalogue.
    """
    rows = np.flatnonzero(catalogue.labelled)
    labels, genres, columns = catalogue.labels[rows], catalogue.genres, catalogue.columns
    table = catalogue.table.iloc[rows]
    texts = [g for c in columns.text for g in text_leakage(table[c].tolist(), labels, genres, c)]
    folds = make_folds(catalogue.ids[rows], labels[:, :0], 3) if len(rows) >= 3 else rows * 0
    told: list[LabelLeak] = []
    if len(np.unique(folds)) > 1:
        frame = catalogue.frame.iloc[rows]
        for name in columns.numeric:
            told += numeric_leakage(frame[name].to_numpy(), labels, genres, folds, name)
        for name in (*columns.categorical, *columns.list):
            whole = name in columns.categorical
            cells = [
                ([cell] if cell else []) if whole else split_cell(cell, columns.label_separator)
                for cell in table[name].tolist()
            ]
            told += categorical_leakage(cells, labels, genres, folds, name)
    place = lambda g: LabelLeak(g.genre, g.column, g.score, rows[g.items])  # noqa: E731
    return list(map(place, texts)), list(map(place, told))
