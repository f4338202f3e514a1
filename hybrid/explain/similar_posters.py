"""Which items have posters that look alike to the backbone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.features import PosterFeatures
from hybrid.heads import HybridClassifier

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Neighbour:
    """An item whose poster looks like another one's: the cosine of their embeddings, in [-1, 1]."""

    id: str
    title: str
    labels: tuple[str, ...]
    cosine: float


def poster_embeddings(model: HybridClassifier, X: pd.DataFrame) -> Floats:
    """The blocks of posters as the fusion has them, weighted, each row brought to length 1.

    Parameters
    ----------
    model : HybridClassifier
        Fitted.
    X : DataFrame of n items

    Returns
    -------
    ndarray of shape (n, D), float64
        Rows of NaN where an item lacks a poster; D is 0 where the model has no block of posters.
    """
    weights = model.fusion_.weights or {}
    blocks = [
        block.transform(X) * float(weights.get(name, 1.0))
        for name, block in model.fusion_.fitted_
        if isinstance(block, PosterFeatures)
    ]
    rows = np.hstack([np.empty((len(X), 0)), *blocks])
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length == 0, 1.0, length)


def top_k_cosine(item: Floats, others: Floats, top: int) -> tuple[NDArray[np.int64], Floats]:
    """The rows that point most nearly the way that `item` does.

    Parameters
    ----------
    item : ndarray of shape (D,)
    others : ndarray of shape (n, D)
        All of length 1, as `poster_embeddings` gives them; rows of NaN are left out.
    top : int

    Returns
    -------
    rows, cosines : ndarray of shape (m,), m <= top
        The nearest first; none where `item` is NaN or D is 0.
    """
    cosines = others @ item if item.size else np.full(len(others), np.nan)
    known = np.flatnonzero(~np.isnan(cosines))
    rows = known[np.argsort(-cosines[known], kind="stable")][:top]
    return rows, cosines[rows]
