"""Poster features: cached embeddings of the poster files, or scores, standardised and scaled."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd

from hybrid.catalogue.columns import POSTER
from hybrid.catalogue.poster_paths import split_paths
from hybrid.errors import ExtractionError
from hybrid.extraction.key_sets import KeySets, frame_key_sets
from hybrid.extraction.pooling import check_pooling, read_pooled
from hybrid.features.embeddings import EmbeddingFeatures, StoredRows
from hybrid.features.frames import take_columns
from hybrid.utils.counts import agree, counted
from hybrid.utils.resources import default_workers


class PosterFeatures(EmbeddingFeatures):
    """Poster features: cached embeddings, standardised and scaled to unit length.

    Parameters
    ----------
    cache : str, default=".hybrid-cache"
        Folder of the embedding cache.
    fingerprint : str, default=""
        Fingerprint of one of its stores; see `hybrid.extraction.lookup.find_store`.
    workers : int or None, default=None
        Threads that hash the posters; by default one a core.
    pooling : {"mean", "max", "first"}, default="mean"
        How the embeddings of an item's posters become one, where it has several; see
        `hybrid.extraction.pooling.pool_rows`.
    unit_length : bool, default=True
        Scale each row to unit length; False for scores of labels.

    Attributes
    ----------
    mean_, scale_ : ndarray of shape (D,), float32
        Mean and standard deviation of the training embeddings.

    Examples
    --------
    Embeddings that are known already can take the place of the frame:

    >>> import numpy as np
    >>> embeddings = np.array([[1.0, 4.0], [3.0, 4.0], [np.nan, np.nan]], np.float32)
    >>> features = PosterFeatures().fit(embeddings)
    >>> features.transform(embeddings).tolist(), features.missing(embeddings).tolist()
    ([[-1.0, 0.0], [1.0, 0.0], [nan, nan]], [False, False, True])
    """

    block, source = "poster", "posters"
    pooling: str = "mean"  # of models that were stored before there were others

    def __init__(
        self,
        cache: str = ".hybrid-cache",
        fingerprint: str = "",
        workers: int | None = None,
        pooling: str = "mean",
        unit_length: bool = True,
    ) -> None:
        self.cache = cache
        self.fingerprint = fingerprint
        self.workers = workers
        self.pooling = pooling
        self.unit_length = unit_length

    def keys(self, X: pd.DataFrame) -> KeySets:
        """Content keys of the readable poster files of each of n items.

        Parameters
        ----------
        X : DataFrame of n items
            With the column ``poster``, as for `look_up`.

        Returns
        -------
        KeySets of length n
            A list of bytes for each.
        """
        take_columns(X[:0], [POSTER], POSTER)
        return frame_key_sets(X, self.cache, self.workers or default_workers())

    def look_up(self, X: pd.DataFrame) -> StoredRows:
        """Find the posters' embeddings in the cache, and read them lazily.

        Parameters
        ----------
        X : DataFrame of n items
            With the column ``poster``: a path, several as `hybrid.catalogue.poster_paths.join_paths` writes
            them, or ``""``. The embeddings of several are pooled.

        Raises
        ------
        ExtractionError
            If a readable poster is neither in the cache nor known there as bad.
        SettingError
            If the pooling is unknown.
        """
        check_pooling(self.pooling)
        store = self._open()
        keys = self.keys(X)
        absent = int((~store.knows(keys.packed)).sum())
        if absent:
            posters = sum(len(split_paths(cell)) for cell in X[POSTER].tolist())
            raise ExtractionError(
                f"{absent:,} of {counted(posters, 'poster')} {agree(absent, '{have|has}')} no "
                f"embedding in {self.cache}. Run hybrid extract for this catalogue with the same backbone "
                "and weights."
            )
        return StoredRows(keys, partial(read_pooled, store, pooling=self.pooling))

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({"pooling": "mean", **state})  # models of earlier versions have none
