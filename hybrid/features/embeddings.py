"""Base class of the blocks of cached embeddings: standardised and scaled to unit length."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from hybrid.cache import EmbeddingCache, EmbeddingStore
from hybrid.errors import ExtractionError, SettingError
from hybrid.extraction.key_sets import KeySets
from hybrid.features.frames import FrameTransformer
from hybrid.features.lazy_block import ComputedBlock, spans
from hybrid.utils.key_index import PackedKeys

Floats = NDArray[np.float32]
Moments = tuple[NDArray[np.float64], NDArray[np.float64]]
ROUNDING = 1e-6  # share of the largest standard deviation; float16 has three digits
CHUNK = 256  # rows that are brought to another scale or precision at a time


class StoredRows:
    """Lazy embeddings of n items in a store: ``[rows]``, a slice or numbers, reads some as float32.

    It is thread-safe.

    Parameters
    ----------
    keys : sequence of n
        What `read` takes for each item.
    read : callable
        Some of the keys → their embeddings, NaN where an item has none.

    Examples
    --------
    >>> rows = StoredRows([3, 1, 2], lambda keys: np.array(keys, np.float32)[:, None])
    >>> len(rows), rows[1:].tolist()
    (3, [[1.0], [2.0]])
    """

    def __init__(
        self,
        keys: Sequence[Any],
        read: Callable[[Sequence[Any]], Floats],
        reading: Lock | None = None,
    ) -> None:
        self.keys, self._read, self._reading = keys, read, reading or Lock()

    def __iter__(self) -> Iterator[Floats]:
        """All rows, some thousand at a time."""
        for rows in spans(len(self)):
            yield self[rows]

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Floats:
        some = self._take(rows)
        with self._reading:
            return self._read(some)

    def select(self, rows: NDArray[np.int64]) -> StoredRows:
        """Some of the items; nothing is read.

        Examples
        --------
        >>> rows = StoredRows([3, 1, 2], lambda keys: np.array(keys, np.float32)[:, None])
        >>> rows.select(np.array([2, 0]))[:].tolist()
        [[2.0], [3.0]]
        """
        return StoredRows(self._take(rows), self._read, self._reading)

    def _take(self, rows: slice | NDArray[np.int64]) -> Sequence[Any]:
        packed = isinstance(self.keys, PackedKeys | KeySets)
        if packed or isinstance(rows, slice):
            some: Sequence[Any] = self.keys[rows]  # type: ignore[index]
            return some
        return [self.keys[i] for i in rows]


class EmbeddingFeatures(FrameTransformer):
    """Base class of the blocks of cached embeddings; subclasses say where those of a frame are.

    They define `keys` and `look_up`. Where `unit_length` is false, rows keep their lengths, whose mean square
    is then about 1: of scores, the length tells how sure they are.

    Attributes
    ----------
    mean_, scale_ : ndarray of shape (D,), float32
        Mean and standard deviation of the training embeddings.
    """

    block = "embeddings"  # the name in messages
    source = "items"  # what is embedded

    cache: str
    fingerprint: str
    unit_length: bool = True

    @abstractmethod
    def keys(self, X: pd.DataFrame) -> Sequence[list[bytes]]:
        """Keys in the cache of what each of n items has to embed; an empty list for an item without any."""

    @abstractmethod
    def look_up(self, X: pd.DataFrame) -> StoredRows:
        """Find the embeddings of n items in the cache, and read them lazily; NaN where an item has none.

        Raises
        ------
        ExtractionError
            If one that should be there is not in the cache.
        """

    def storage_order(self, X: pd.DataFrame | StoredRows) -> NDArray[np.int64]:
        """Order of n items in which their embeddings lie in the cache; those without one come last.

        Of an item that has several posters, the first one counts.

        Parameters
        ----------
        X : DataFrame of n items, or what `look_up` returned for them
        """
        keys = X.keys if isinstance(X, StoredRows) else self.keys(X)
        if not isinstance(keys, PackedKeys):
            firsts = (
                each if isinstance(each, bytes) else each[0] if each else None for each in keys
            )
            keys = PackedKeys.collect(firsts)
        return self._open().storage_order(keys)

    def read(self, X: pd.DataFrame) -> Floats:
        """Read the embeddings of n items from the cache; only this and `look_up` use the disk.

        Returns
        -------
        ndarray of shape (n, D), float32
            Output of the encoder; rows of NaN where an item has none.

        Raises
        ------
        ExtractionError
            As for `look_up`.
        """
        return self.look_up(X)[:]

    def fit(self, X: pd.DataFrame | Floats | StoredRows, y: Any = None) -> EmbeddingFeatures:
        """Compute mean and scale of each dimension over the items that have an embedding.

        Parameters
        ----------
        X : DataFrame of n items, or what `read` or `look_up` returned for them
            What `look_up` returned is read some thousand rows at a time.
        y : ignored
        """
        self._record_features(X)
        embeddings = self._embeddings(X)
        found = (_stream_moments if isinstance(embeddings, StoredRows) else _moments)(embeddings)
        if found is None:
            raise ExtractionError(
                f"block {self.block}: expected {self.source} to learn from, found none usable."
            )
        mean, scale = found
        self.mean_ = mean.astype(np.float32)
        # Divided by its own size, the rounding error of a constant dimension would count as the others do.
        self.scale_ = np.where(scale > ROUNDING * scale.max(), scale, 1.0).astype(np.float32)
        return self

    def transform(self, X: pd.DataFrame | Floats) -> Floats:
        """Standardise, and scale each row to unit length, or all by one number where `unit_length` is false.

        Returns
        -------
        ndarray of shape (n, D), float32
            Rows of NaN where an item has no embedding.
        """
        check_is_fitted(self)
        embeddings = self._embeddings(X)
        found = np.empty(embeddings.shape, dtype=np.float32)
        usual = np.float32(np.sqrt(len(self.mean_)))
        for start in range(0, len(found), CHUNK):  # so few that they stay in the processor's cache
            rows = (embeddings[start : start + CHUNK] - self.mean_) / self.scale_
            length: Any = usual
            if self.unit_length:
                own = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
                length = np.where(own > 0, own, 1)
            np.divide(rows, length, out=found[start : start + CHUNK])
        return found

    def lazy_block(self, X: pd.DataFrame | StoredRows) -> ComputedBlock:
        """The block of a fusion, with its indicator column, but read and standardised row by row when needed.

        Parameters
        ----------
        X : DataFrame of n items, or what `look_up` returned for them

        Returns
        -------
        ComputedBlock of shape (n, D + 1), float32

        Examples
        --------
        >>> from hybrid.features import PosterFeatures
        >>> stored = StoredRows([1.0, 3.0, np.nan], lambda keys: np.array(keys, np.float32)[:, None])
        >>> block = PosterFeatures().fit(stored).lazy_block(stored)
        >>> block[1:].tolist()
        [[1.0, 0.0], [0.0, 1.0]]
        """
        check_is_fitted(self)
        stored = X if isinstance(X, StoredRows) else self.look_up(X)

        def read(rows: NDArray[np.int64]) -> Floats:
            from hybrid.features.embedding_loops import standardise

            found = np.empty((len(rows), len(self.mean_) + 1), dtype=np.float32)
            standardise(stored[rows], self.mean_, self.scale_, self.unit_length, found)
            return found

        return ComputedBlock(len(stored), len(self.mean_) + 1, read)

    def missing(self, X: pd.DataFrame | Floats) -> NDArray[np.bool_]:
        """Which items have no embedding: shape (n,), bool."""
        return np.isnan(self._embeddings(X)[:, 0])

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Numbers of the embedding's dimensions, shape (D,)."""
        check_is_fitted(self)
        return np.array([str(i) for i in range(len(self.mean_))], dtype=object)

    def _open(self) -> EmbeddingStore:
        """The store, opened and verified once a process."""
        if not self.fingerprint:
            raise SettingError(
                f"block {self.block}: expected the fingerprint of a store, found none."
            )
        cache = EmbeddingCache(self.cache)
        opened: EmbeddingStore | None = getattr(self, "_opened", None)
        if opened is None or opened.folder != cache.folder / self.fingerprint:
            if not (cache.folder / self.fingerprint).exists() and hasattr(self, "mean_"):
                # Items without anything to embed need no store; `look_up` refuses the others.
                absent = {"dimension": len(self.mean_)}
                return EmbeddingStore(cache.folder / self.fingerprint, absent)
            opened = self._opened = cache.find(self.fingerprint)
        else:
            opened.refresh()
        return opened

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "_opened"}

    def _embeddings(self, X: Any) -> Any:
        return X if isinstance(X, np.ndarray | StoredRows) else self.read(X)


def _moments(embeddings: Floats) -> Moments | None:
    """Mean and standard deviation of each dimension, of the rows that are there."""
    present = np.flatnonzero(~np.isnan(embeddings[:, 0]))
    if not len(present):
        return None
    mean = _mean_of(embeddings, present, lambda rows: rows)
    return mean, np.sqrt(_mean_of(embeddings, present, lambda rows: (rows - mean) ** 2))


def _mean_of(
    embeddings: Floats, present: NDArray[np.int64], of: Callable[[Any], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Mean of a function of the rows in float64, in chunks."""
    parts = np.array_split(present, len(present) // CHUNK + 1)
    return sum(of(embeddings[part].astype(np.float64)).sum(axis=0) for part in parts) / len(present)


def _stream_moments(embeddings: StoredRows) -> Moments | None:
    """As `_moments`, up to rounding, with a single look at rows that are read some at a time.

    Squares are summed around the mean of the first rows, since around 0 digits would be lost.
    """
    count, total, squares, centre = 0, 0.0, 0.0, None
    for rows in embeddings:
        for part in (rows[some] for some in spans(len(rows), CHUNK)):
            there = part[~np.isnan(part[:, 0])].astype(np.float64)
            if not len(there):
                continue
            if centre is None:
                centre = there.mean(axis=0)
            there -= centre
            count += len(there)
            total = total + there.sum(axis=0)
            squares = squares + np.einsum("ij,ij->j", there, there)
    if centre is None:
        return None
    shift = total / count
    return centre + shift, np.sqrt(np.maximum(squares / count - shift**2, 0))
