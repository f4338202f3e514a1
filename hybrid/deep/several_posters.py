"""Items with several posters: which examples they are, and the mean of their posters' probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hybrid.deep.items import Items, usable


def usable_posters(items: Items, workers: int = 1) -> NDArray[np.bool_]:
    """Which posters of the items have an embedding, or can be decoded: shape (m,).

    Examples
    --------
    >>> usable_posters(Items(["a", "b"], ["", "no-such-file.jpg"])).tolist()
    [False, False]
    """
    if items.embeddings is not None:
        return ~np.isnan(items.embeddings[:, 0])
    return usable(items.by_poster().paths, workers)


def usable_examples(
    items: Items, good: NDArray[np.bool_], keep_all: bool = False
) -> tuple[Items, NDArray[np.int64]]:
    r"""One example for each usable poster, with the labels and the other blocks of its item.

    Parameters
    ----------
    items : Items
        n items with m posters.
    good : ndarray of shape (m,), bool
        Which posters are usable.
    keep_all : bool, default=False
        Whether an item without a usable poster is an example, too: of its other blocks.

    Returns
    -------
    examples : Items
    owners : ndarray of int
        The item of each example.

    Examples
    --------
    >>> items = Items(["a", "b"], ["1.jpg\0002.jpg", "3.jpg"])
    >>> examples, owners = usable_examples(items, np.array([True, True, False]))
    >>> examples.ids, examples.paths, owners.tolist()
    (['a', 'a'], ['1.jpg', '2.jpg'], [0, 0])
    """
    chosen, owners = good.copy(), items.owners
    if keep_all:
        lost = ~np.isin(np.arange(len(items)), owners[good])
        chosen[(np.cumsum(items.counts) - items.counts)[lost]] = True
    return items.by_poster().take(chosen), owners[chosen]


def mean_log_odds(
    scores: NDArray[np.floating], owners: NDArray[np.int64], n: int, multiclass: bool = False
) -> NDArray[np.float64]:
    """Log-odds of the mean of the probabilities of each item's posters.

    Parameters
    ----------
    scores : ndarray of shape (m, L)
        Log-odds of the posters; with `multiclass` what a softmax is taken of.
    owners : ndarray of shape (m,), int
        The item of each poster, in ascending order.
    n : int
        Number of items.
    multiclass : bool, default=False

    Returns
    -------
    ndarray of shape (n, L), float64
        Of an item with one poster its own, of one without NaN.

    Examples
    --------
    >>> of_a_quarter = np.log(1 / 3)
    >>> found = mean_log_odds(np.array([[0.0], [of_a_quarter], [2.0]]), np.array([1, 1, 2]), 3)
    >>> (1 / (1 + np.exp(-found))).round(3).ravel().tolist()
    [nan, 0.375, 0.881]
    """
    found = np.full((n, scores.shape[1]), np.nan)
    found[owners] = scores
    numbers, counts = np.unique(owners, return_counts=True)
    for i in numbers[counts > 1].tolist():
        some = scores[owners == i].astype(np.float64)
        if multiclass:
            logs = some - np.logaddexp.reduce(some, axis=1, keepdims=True)
            found[i] = np.logaddexp.reduce(logs, axis=0) - np.log(len(some))
        else:  # log p = -log(1 + exp(-score)), and likewise log (1 - p)
            yes = np.logaddexp.reduce(-np.logaddexp(0.0, -some), axis=0)
            no = np.logaddexp.reduce(-np.logaddexp(0.0, some), axis=0)
            found[i] = yes - no
    return found
