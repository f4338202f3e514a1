"""The leaking split of April 2017, reproduced so that the figures published with it can be understood.

scikit-learn 0.18's ``train_test_split(..., stratify=Y)`` took each cell of a two-dimensional Y for a
sample of its own (scikit-learn issues 8670 and 9037; fixed in 0.19): the classes were 0 and 1, and of
the n x L cells it drew as many for train and for test as there should have been items, from each class
its share. A cell stands for its row, so that one film can be in both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def draw_cells(
    ids: Sequence[str], labels: NDArray[Any], test: float, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Draw cells of the label matrix for train and for test.

    Parameters
    ----------
    ids : sequence of n str
        With the seed, they alone decide: not the order of the rows, nor the machine.
    labels : ndarray of shape (n, L)
        1 where the item has the label.
    test : float
        Share of test; the rest is train.
    seed : int

    Returns
    -------
    ndarray of shape (n,), bool; ndarray of shape (n,), bool
        Whether a cell of the item was drawn for train, and for test: both, one or neither.

    Examples
    --------
    >>> labels = np.random.default_rng(0).random((500, 8)) < 0.3
    >>> train, test = draw_cells([str(i) for i in range(500)], labels, 0.2, 0)
    >>> bool((train & test).any())
    True
    """
    n, n_labels = labels.shape
    lots = np.frombuffer(
        b"".join(
            hashlib.shake_256(f"{seed}\0{name}".encode()).digest(8 * n_labels) for name in ids
        ),
        dtype=">u8",
    ).astype(np.uint64)
    ones = np.flatnonzero(labels.ravel() != 0)
    zeros = np.flatnonzero(labels.ravel() == 0)
    n_test = round(n * test)
    drawn_for = [np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)]
    for cells, quotas in zip(
        (ones, zeros), _quotas(len(ones), len(zeros), n - n_test, n_test), strict=True
    ):
        order = cells[np.argsort(lots[cells], kind="stable")]
        start = 0
        for drawn, quota in zip(drawn_for, quotas, strict=True):
            drawn[order[start : start + quota] // n_labels] = True
            start += quota
    return drawn_for[0], drawn_for[1]


def _quotas(ones: int, zeros: int, n_train: int, n_test: int) -> list[tuple[int, int]]:
    """How many ones, and zeros, train and test draw: each class in its share."""
    share = ones / max(ones + zeros, 1)
    of_ones = round(n_train * share), round(n_test * share)
    return [of_ones, (n_train - of_ones[0], n_test - of_ones[1])]


def expected_overlap(n_labels: int, test: float) -> float:
    """Expected share of the test items that are in train as well.

    Each of an item's L cells is drawn for train with chance (1 - t) / L, for test with t / L. Among the
    items that were drawn for test at all, those count that were not drawn for train.

    Parameters
    ----------
    n_labels : int
        L.
    test : float
        t, the share of test, above 0.

    Returns
    -------
    float
        From 0 to 1.

    Examples
    --------
    >>> round(expected_overlap(26, 0.1), 2)
    0.59
    """
    no_train = (1 - (1 - test) / n_labels) ** n_labels
    neither = (1 - 1 / n_labels) ** n_labels
    in_test = 1 - (1 - test / n_labels) ** n_labels
    return 1 - (no_train - neither) / in_test
