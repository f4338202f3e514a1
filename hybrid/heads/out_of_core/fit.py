"""Fit the blocks of a fusion and a head on items whose rows do not fit in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone

from hybrid.features.fusion import Fusion, select_rows
from hybrid.heads.feature_rows import RowsOnDisk
from hybrid.heads.fitting import fit_head


class FittedFromDisk(NamedTuple):
    """What `fit_from_disk` fitted: a `Fusion`, and the head on what it gives."""

    fusion: Fusion
    head: Any


def fit_from_disk(
    fusion: Fusion,
    estimator: Any,
    X: pd.DataFrame,
    y: NDArray[Any],
    *,
    folder: str | Path | None = None,
    n_jobs: int | None = None,
    random_state: int = 0,
    sample_weight: NDArray[np.float64] | None = None,
) -> FittedFromDisk:
    """Fit the blocks of a fusion and a head, while the rows of the items stay on disk.

    The items are taken in the order in which their embeddings lie in the cache. Memory: some thousand rows,
    the dual variables of items and labels, and some matrices of the size of the coefficients.

    Parameters
    ----------
    fusion : Fusion
        It is cloned.
    estimator : MultilabelLinearSVC or MultilabelLogistic
        It is cloned.
    X : DataFrame of n items
    y : array of shape (n, L)
        1 where the item has the label; masked where it is unknown.
    folder : str or Path, optional
        Where the rows of words and metadata are written meanwhile, in a folder of their own that is removed
        afterwards; by default where the system keeps temporary files.
    n_jobs : int or None, default=None
        Threads: None is 1, and -1 all cores.
    random_state : int, default=0
    sample_weight : ndarray of shape (n,), optional
        Weight of each item in the loss, from 0.

    Returns
    -------
    FittedFromDisk
        ``fusion`` and ``head``.

    Raises
    ------
    RowsError
        If the disk refuses.
    SettingError
        If the head needs all rows in memory.

    Examples
    --------
    >>> from hybrid.features import TextFeatures
    >>> from hybrid.heads import MultilabelLinearSVC
    >>> films = pd.DataFrame({"overview": ["a ghost in a house", "a sheriff rides west"] * 6})
    >>> fusion = Fusion([("text", TextFeatures(["overview"], max_chars=0))])
    >>> labels = np.array([[1, 0], [0, 1]] * 6)
    >>> fitted = fit_from_disk(fusion, MultilabelLinearSVC(random_state=0), films, labels)
    >>> fitted.head.predict(fitted.fusion.transform(films[:2])).tolist()
    [[1, 0], [0, 1]]
    """
    fitted = clone(fusion)
    found = fitted.look_up(X)
    order = fitted.storage_order(found)
    data = select_rows(found, order)
    weight = None if sample_weight is None else np.asarray(sample_weight, np.float64)[order]
    with RowsOnDisk(folder).encode(fitted.fit(data), data) as matrix:
        head = fit_head(
            estimator,
            matrix,
            np.asanyarray(y)[order],
            n_jobs=n_jobs,
            random_state=random_state,
            sample_weight=weight,
        )
    return FittedFromDisk(fitted, head)
