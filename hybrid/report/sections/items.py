"""Worst and best predictions: test items with the highest and lowest loss of the best run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid.evaluation import Outputs
from hybrid.images.thumbnails import Thumbnail, make_thumbnails
from hybrid.report.comparison import Comparison
from hybrid.utils.unknown_labels import as_no, known_cells

SHOWN = 8  # items of each kind
LEAST = 1e-6  # probability: predictions.csv has six digits
TITLE = "title"
MOST_LIKELY = 3  # probabilities beside each item


@dataclass(frozen=True)
class Item:
    """Labels and predictions of one item.

    Parameters
    ----------
    id, title : str
    true, predicted : tuple of str
        True and predicted labels.
    most_likely : tuple of (str, float)
        Genres with the highest probabilities.
    picture : Thumbnail

    Examples
    --------
    >>> Item("1", "Night", ("Horror",), (), (("Horror", 0.4),), Thumbnail()).true
    ('Horror',)
    """

    id: str
    title: str
    true: tuple[str, ...]
    predicted: tuple[str, ...]
    most_likely: tuple[tuple[str, float], ...]
    picture: Thumbnail


@dataclass(frozen=True)
class ItemsData:
    """Worst and best predictions of one run.

    Parameters
    ----------
    run : str
    worst, best : tuple of Item
    has_probabilities : bool
        Whether the loss is the log loss, not the Hamming loss.
    pictures : bool
        Whether any poster could be read.

    Examples
    --------
    >>> ItemsData("svm", (), (), True, False).run
    'svm'
    """

    run: str
    worst: tuple[Item, ...]
    best: tuple[Item, ...]
    has_probabilities: bool
    pictures: bool


def make(comparison: Comparison) -> ItemsData:
    """Select the test items of the best run, and load their posters.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    ItemsData

    Examples
    --------
    >>> make(comparison).worst[0].id  # doctest: +SKIP
    'f007'
    """
    run = comparison.runs[0]
    loss = item_loss(comparison.truth, run.outputs)
    worst, best = worst_and_best(loss, comparison.ids)
    row = {name: i for i, name in enumerate(comparison.catalogue.ids.tolist())}
    files = comparison.catalogue.poster_files
    chosen = [*worst, *best]
    pictures = make_thumbnails([files(row[str(comparison.ids[i])]) for i in chosen])
    items = [
        _item(comparison, i, row, picture) for i, picture in zip(chosen, pictures, strict=True)
    ]
    return ItemsData(
        run.name,
        tuple(items[: len(worst)]),
        tuple(items[len(worst) :]),
        run.has_probabilities,
        any(picture.source for picture in pictures),
    )


def item_loss(truth: NDArray[np.uint8], outputs: Outputs) -> NDArray[np.float64]:
    """Log loss of each item; Hamming loss for runs without probabilities.

    Parameters
    ----------
    truth : ndarray of shape (n, L), dtype uint8
    outputs : Outputs

    Returns
    -------
    ndarray of shape (n,), dtype float64
        Mean over genres; NaN for an item without a prediction.

    Examples
    --------
    >>> import numpy as np
    >>> outputs = Outputs(np.array([[1, 0]], dtype=np.uint8), np.array([[0.5, 0.5]]))
    >>> item_loss(np.array([[1, 0]], dtype=np.uint8), outputs).round(3).tolist()
    [0.693]
    """
    if not np.isfinite(outputs.scores).any():
        return np.asarray((outputs.labels != truth).mean(axis=1), dtype=np.float64)
    right = np.where(as_no(truth) != 0, outputs.scores, 1 - outputs.scores)
    known = np.isfinite(right)
    if (looked_at := known_cells(truth)) is not None:
        known &= looked_at
    cells = np.where(known, -np.log(np.clip(np.nan_to_num(right), LEAST, 1.0)), 0.0)
    count = known.sum(axis=1)
    return np.where(count > 0, cells.sum(axis=1) / np.maximum(count, 1), np.nan)


def worst_and_best(loss: NDArray[np.float64], ids: NDArray[np.str_]) -> tuple[list[int], list[int]]:
    """Positions of the items with the highest and with the lowest loss.

    Parameters
    ----------
    loss : ndarray of shape (n,)
        NaN: left out.
    ids : ndarray of shape (n,), dtype str
        Break ties.

    Returns
    -------
    worst, best : list of int
        Disjoint, at most 8 each.

    Examples
    --------
    >>> import numpy as np
    >>> worst_and_best(np.array([0.3, 0.1, 0.9]), np.array(["a", "b", "c"]))
    ([2], [1])
    """
    order = [int(i) for i in np.lexsort((ids, loss)) if np.isfinite(loss[i])]
    shown = min(SHOWN, len(order) // 2)
    return order[::-1][:shown], order[:shown]


def _item(comparison: Comparison, i: int, row: dict[str, int], picture: Thumbnail) -> Item:
    name, outputs, genres = str(comparison.ids[i]), comparison.runs[0].outputs, comparison.genres
    table = comparison.catalogue.table
    title = str(table[TITLE].iloc[row[name]]) if TITLE in table else ""
    scores = outputs.scores[i]
    order = [j for j in np.argsort(-scores, kind="stable").tolist() if np.isfinite(scores[j])]
    return Item(
        name,
        title,
        tuple(genres[j] for j in np.flatnonzero(as_no(comparison.truth[i]))),
        tuple(genres[j] for j in np.flatnonzero(outputs.labels[i])),
        tuple((genres[j], float(scores[j])) for j in order[:MOST_LIKELY]),
        picture,
    )
