"""Heads of labels that are unknown for some items: each label is fitted on the items where it is known."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid.heads.svm.multilabel_svc import MultilabelLinearSVC
from hybrid.utils.unknown_labels import as_no, known_cells

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class MaskedHead:
    """Heads that were each fitted on the items where their labels are known.

    Parameters
    ----------
    labels : tuple of tuple of int
        Numbers of the labels of each head.
    heads : tuple
        As `hybrid.heads.fitting.fit_head` returns them.
    """

    labels: tuple[tuple[int, ...], ...]
    heads: tuple[Any, ...]

    def score(self, score: Callable[[Any], NDArray[np.float64]]) -> NDArray[np.float64]:
        """Scores of shape (n, L), from a function of one head."""
        parts = [score(head) for head in self.heads]
        found = np.empty((len(parts[0]), sum(map(len, self.labels))))
        for columns, part in zip(self.labels, parts, strict=True):
            found[:, columns] = part
        return found


def fit_masked(truth: NDArray[Any], fit: Callable[[Flags, NDArray[Any]], Any]) -> Any:
    """Fit labels together that are known for the same items.

    Parameters
    ----------
    truth : masked array of shape (n, L)
    fit : callable
        Which items, and their labels of shape (items, labels) → a head.

    Returns
    -------
    MultilabelLinearSVC or MaskedHead
        The SVMs are one SVM again.
    """
    known = known_cells(truth)
    assert known is not None
    values, patterns = as_no(truth), dict[bytes, list[int]]()
    for j in range(truth.shape[1]):
        patterns.setdefault(known[:, j].tobytes(), []).append(j)
    labels, heads = [], []
    for columns in patterns.values():
        rows = known[:, columns[0]]
        if not rows.any():  # unknown for all: a constant, whose score has no meaning
            rows = np.ones(len(truth), dtype=bool)
        labels.append(tuple(columns))
        heads.append(fit(rows, values[rows][:, columns]))
    if all(isinstance(head, MultilabelLinearSVC) for head in heads):
        return _join(labels, heads)
    return MaskedHead(tuple(labels), tuple(heads))


def _join(labels: list[tuple[int, ...]], heads: list[Any]) -> MultilabelLinearSVC:
    """One SVM of the labels of several."""
    order = np.argsort([j for columns in labels for j in columns])
    joined: MultilabelLinearSVC = copy(heads[0])
    for name in ("coef_", "intercept_", "dual_gap_", "n_iter_"):
        parts = [np.atleast_1d(getattr(head, name)) for head in heads]
        setattr(joined, name, np.concatenate(parts)[order])
    joined.classes_ = np.arange(len(order))
    joined._multilabel = True
    return joined
