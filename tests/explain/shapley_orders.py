"""Shapley values by their definition, to compare with."""

from __future__ import annotations

import itertools

import numpy as np


def by_orders(scores: np.ndarray) -> np.ndarray:
    """The mean of what each part adds, over all orders."""
    n = len(scores).bit_length() - 1
    orders = list(itertools.permutations(range(n)))
    found = np.zeros((n, *scores.shape[1:]))
    for order in orders:
        there = 0
        for part in order:
            found[part] += (scores[there | 1 << part] - scores[there]) / len(orders)
            there |= 1 << part
    return found
