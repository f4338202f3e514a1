"""Compiled loops of `hybrid.splitting.group_counts`, imported only when needed: numba is slow to load."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hybrid.utils.jit import jit


@jit()
def count(
    present: NDArray[np.uint8],
    order: NDArray[np.int64],
    ends: NDArray[np.int64],
    starts: NDArray[np.int64],
    labels: NDArray[np.int32],
    items: NDArray[np.int32],
) -> None:
    """See `count_labels`: write `starts`, `labels` and `items`; `order` has the items group by group."""
    n_labels = present.shape[1]
    count, at = np.zeros(n_labels, dtype=np.int32), 0
    for group in range(len(ends) - 1):
        for place in range(ends[group], ends[group + 1]):
            for label in range(n_labels):
                if present[order[place], label]:
                    count[label] += 1
        for label in range(n_labels):
            if count[label]:
                labels[at], items[at] = label, count[label]
                count[label] = 0
                at += 1
        labels[at], items[at] = n_labels, ends[group + 1] - ends[group]
        at += 1
        starts[group + 1] = at


@jit()
def turn(
    starts: NDArray[np.int64],
    labels: NDArray[np.int32],
    free: NDArray[np.int64],
    groups: NDArray[np.int32],
) -> None:
    """See `count_labels`: write the groups of each label; `free`, the next place of each, is changed."""
    for group in range(len(starts) - 1):
        for at in range(starts[group], starts[group + 1]):
            groups[free[labels[at]]] = group
            free[labels[at]] += 1
