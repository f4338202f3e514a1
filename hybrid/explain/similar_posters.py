"""Nearest posters and texts: top-k items by cosine similarity of their embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.features.embeddings import EmbeddingFeatures
from hybrid.features.fusion import Fusion

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Neighbour:
    """An item with a similar poster or text.

    Parameters
    ----------
    id, title : str
    labels : tuple of str
    cosine : float
        Cosine similarity of the embeddings, in [-1, 1].

    Examples
    --------
    >>> Neighbour("f001", "Night", ("Horror",), 0.93).cosine
    0.93
    """

    id: str
    title: str
    labels: tuple[str, ...]
    cosine: float


class HasFusion(Protocol):
    """A fitted model on fused blocks: a head or a network."""

    fusion_: Fusion


def block_embeddings(model: HasFusion, X: pd.DataFrame, source: str = "posters") -> Floats:
    """Blocks of embeddings of one source, as they are in the fusion, weighted, side by side; L2-normalised.

    Parameters
    ----------
    model : HybridClassifier or FusedBaseline
        Fitted. Of a network only texts can be asked for: the embeddings of its own posters are not cached.
    X : DataFrame of n items
    source : {"posters", "texts"}, default="posters"
        What the embeddings are of.

    Returns
    -------
    ndarray of shape (n, D), dtype float64
        Rows of NaN where an item has no poster, or no text; D is 0 where the model has no such block.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from hybrid.features import TextFeatures
    >>> from hybrid.features.fusion import Fusion
    >>> from hybrid.heads import HybridClassifier, MultilabelLinearSVC
    >>> X = pd.DataFrame({"overview": ["ghost night", "joke wedding"] * 10}, index=map(str, range(20)))
    >>> fusion = Fusion([("text", TextFeatures(["overview"]))])
    >>> model = HybridClassifier(fusion, MultilabelLinearSVC(), folds=2)
    >>> model = model.fit(X, np.array([[1, 0], [0, 1]] * 10))
    >>> block_embeddings(model, X).shape  # the model has words alone
    (20, 0)
    """
    weights = model.fusion_.weights or {}
    blocks = [
        block.transform(X) * float(weights.get(name, 1.0))
        for name, block in model.fusion_.fitted_
        if isinstance(block, EmbeddingFeatures) and block.source == source
    ]
    rows = np.hstack([np.empty((len(X), 0)), *blocks])
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms == 0, 1.0, norms)


def top_k_cosine(item: Floats, others: Floats, top: int) -> tuple[NDArray[np.int64], Floats]:
    """Top-k rows by cosine similarity.

    Parameters
    ----------
    item : ndarray of shape (D,)
        Of unit length, as `block_embeddings` returns it.
    others : ndarray of shape (n, D)
        Rows of unit length; rows of NaN are ignored.
    top : int
        Maximum number of rows.

    Returns
    -------
    rows : ndarray of shape (m,), dtype int64
        Row indices, highest similarity first; m <= top. Empty where `item` is NaN or D is 0.
    cosines : ndarray of shape (m,), dtype float64

    Examples
    --------
    >>> import numpy as np
    >>> others = np.array([[0.0, 1.0], [1.0, 0.0], [0.6, 0.8]])
    >>> rows, cosines = top_k_cosine(np.array([1.0, 0.0]), others, 2)
    >>> rows.tolist(), cosines.tolist()
    ([1, 2], [1.0, 0.6])
    """
    cosines = others @ item if item.size else np.full(len(others), np.nan)
    known = np.flatnonzero(~np.isnan(cosines))
    rows = known[np.argsort(-cosines[known], kind="stable")][:top]
    return rows, cosines[rows]
