"""Poster features: cached embeddings of the poster files, standardised and scaled to unit length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from hybrid.cache import EmbeddingCache, EmbeddingStore
from hybrid.catalogue.columns import POSTER
from hybrid.catalogue.poster_paths import split_paths
from hybrid.errors import ExtractionError, SettingError
from hybrid.extraction.pooling import check_pooling, read_pooled
from hybrid.features.frames import FrameTransformer, take_columns
from hybrid.images.hashes import hash_posters
from hybrid.utils.counts import agree, counted
from hybrid.utils.resources import default_workers

Floats = NDArray[np.float32]
CHUNK = 256  # rows that are brought to another scale or precision at a time


class StoredPosters:
    """Lazy embeddings of n items in a store: ``[rows]``, a slice or numbers, reads some as float32.

    It is thread-safe.
    """

    def __init__(
        self, store: EmbeddingStore, keys: Sequence[Sequence[bytes]], pooling: str = "mean"
    ) -> None:
        self._store, self._keys, self._reading = store, keys, Lock()
        self._pooling = pooling

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Floats:
        some = self._keys[rows] if isinstance(rows, slice) else [self._keys[i] for i in rows]
        with self._reading:
            return read_pooled(self._store, some, self._pooling)


class PosterFeatures(FrameTransformer):
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

    Attributes
    ----------
    mean_, scale_ : ndarray of shape (D,), float32
        Mean and standard deviation of the training embeddings.

    Examples
    --------
    Embeddings that are known already can take the place of the frame:

    >>> embeddings = np.array([[1.0, 4.0], [3.0, 4.0], [np.nan, np.nan]], np.float32)
    >>> features = PosterFeatures().fit(embeddings)
    >>> features.transform(embeddings).tolist(), features.missing(embeddings).tolist()
    ([[-1.0, 0.0], [1.0, 0.0], [nan, nan]], [False, False, True])
    """

    pooling: str = "mean"  # of models that were stored before there were others

    def __init__(
        self,
        cache: str = ".hybrid-cache",
        fingerprint: str = "",
        workers: int | None = None,
        pooling: str = "mean",
    ) -> None:
        self.cache = cache
        self.fingerprint = fingerprint
        self.workers = workers
        self.pooling = pooling

    def read(self, X: pd.DataFrame) -> Floats:
        """Read the posters' embeddings from the cache; only this and `look_up` use the disk.

        Parameters
        ----------
        X : DataFrame of n items
            With the column ``poster``: a path, several as `hybrid.catalogue.poster_paths.join_paths` writes
            them, or ``""``. The embeddings of several are pooled.

        Returns
        -------
        ndarray of shape (n, D), float32
            Output of the backbone; rows of NaN where an item has no usable poster.

        Raises
        ------
        ExtractionError
            If a readable poster is neither in the cache nor known there as bad.
        """
        return self.look_up(X)[:]

    def look_up(self, X: pd.DataFrame) -> StoredPosters:
        """Find the posters' embeddings in the cache, and read them lazily.

        Raises
        ------
        ExtractionError
            If a readable poster is neither in the cache nor known there as bad.
        SettingError
            If the pooling is unknown.
        """
        check_pooling(self.pooling)
        store = self._open()
        paths = take_columns(X, [POSTER], POSTER)[POSTER].tolist()
        workers = self.workers or default_workers()
        sets = [split_paths(cell) for cell in paths]
        found = hash_posters(self.cache, [path for each in sets for path in each], workers)
        keys = [
            [key for key in islice(found, len(each)) if isinstance(key, bytes)] for each in sets
        ]
        absent = int((~store.knows([key for each in keys for key in each])).sum())
        if absent:
            raise ExtractionError(
                f"{absent:,} of {counted(sum(map(len, sets)), 'poster')} {agree(absent, '{have|has}')} no "
                f"embedding in {self.cache}. Run hybrid extract for this catalogue with the same backbone "
                "and weights."
            )
        return StoredPosters(store, keys, self.pooling)

    def fit(self, X: pd.DataFrame | Floats, y: Any = None) -> PosterFeatures:
        """Compute mean and scale of each dimension over the items that have a poster.

        Parameters
        ----------
        X : DataFrame of n items, or what `read` returned for them
        y : ignored
        """
        self._record_features(X)
        embeddings = self._embeddings(X)
        present = np.flatnonzero(~np.isnan(embeddings[:, 0]))
        if not len(present):
            raise ExtractionError(
                "block poster: expected posters to learn from, found none usable."
            )
        mean = _mean_of(embeddings, present, lambda rows: rows)
        scale = np.sqrt(_mean_of(embeddings, present, lambda rows: (rows - mean) ** 2))
        self.mean_ = mean.astype(np.float32)
        self.scale_ = np.where(scale > 0, scale, 1.0).astype(np.float32)
        return self

    def transform(self, X: pd.DataFrame | Floats) -> Floats:
        """Standardise, and scale each row to unit length.

        Returns
        -------
        ndarray of shape (n, D), float32
            Rows of NaN where an item has no usable poster.
        """
        check_is_fitted(self)
        embeddings = self._embeddings(X)
        found = np.empty(embeddings.shape, dtype=np.float32)
        for start in range(0, len(found), CHUNK):  # so few that they stay in the processor's cache
            rows = (embeddings[start : start + CHUNK] - self.mean_) / self.scale_
            length = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
            np.divide(rows, np.where(length > 0, length, 1), out=found[start : start + CHUNK])
        return found

    def missing(self, X: pd.DataFrame | Floats) -> NDArray[np.bool_]:
        """Which items have no usable poster: shape (n,), bool."""
        return np.isnan(self._embeddings(X)[:, 0])

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Numbers of the embedding's dimensions, shape (D,)."""
        check_is_fitted(self)
        return np.array([str(i) for i in range(len(self.mean_))], dtype=object)

    def _open(self) -> EmbeddingStore:
        """The store, opened and verified once a process."""
        if not self.fingerprint:
            raise SettingError("block poster: expected the fingerprint of a store, found none.")
        cache = EmbeddingCache(self.cache)
        opened: EmbeddingStore | None = getattr(self, "_opened", None)
        if opened is None or opened.folder != cache.folder / self.fingerprint:
            if not (cache.folder / self.fingerprint).exists() and hasattr(self, "mean_"):
                # Items without a poster need no store; `look_up` refuses the others.
                absent = {"dimension": len(self.mean_)}
                return EmbeddingStore(cache.folder / self.fingerprint, absent)
            opened = self._opened = cache.find(self.fingerprint)
        else:
            opened.refresh()
        return opened

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_opened"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({"pooling": "mean", **state})  # models of earlier versions have none

    def _embeddings(self, X: pd.DataFrame | Floats) -> Floats:
        return X if isinstance(X, np.ndarray) else self.read(X)


def _mean_of(
    embeddings: Floats, present: NDArray[np.int64], of: Callable[[Any], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Mean of a function of the rows in float64, in chunks."""
    parts = np.array_split(present, len(present) // CHUNK + 1)
    return sum(of(embeddings[part].astype(np.float64)).sum(axis=0) for part in parts) / len(present)
