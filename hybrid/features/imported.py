"""Imported features: embeddings that were made elsewhere, standardised and scaled to unit length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.columns import POSTER
from hybrid.extraction.imported_stores import frame_keys
from hybrid.features.embeddings import EmbeddingFeatures, StoredRows
from hybrid.features.frames import take_columns
from hybrid.utils.key_index import PackedKeys
from hybrid.utils.resources import default_workers


class ImportedFeatures(EmbeddingFeatures):
    """Imported features: embeddings that were made elsewhere, standardised and scaled to unit length.

    What is not in the cache is missing: nothing here can compute it.

    Parameters
    ----------
    cache : str, default=".hybrid-cache"
        Folder of the embedding cache.
    fingerprint : str, default=""
        Fingerprint of one of its stores; see `hybrid.extraction.imported_stores.find_imported_store`.
    of : {"item", "poster", "text"}, default="item"
        What an embedding belongs to: the index of the frame, the content of the poster, or the text.
    columns : sequence of str, default=()
        Text columns of the frame, where embeddings belong to texts.
    workers : int or None, default=None
        Threads that hash the posters; by default one a core.

    Attributes
    ----------
    mean_, scale_ : ndarray of shape (D,), float32
        Mean and standard deviation of the training embeddings.

    Examples
    --------
    >>> from hybrid import Context, import_embeddings
    >>> vectors = pd.DataFrame([[1.0, 4.0], [3.0, 4.0]], index=["a", "b"])
    >>> made = import_embeddings(vectors, block="clip", context=Context(cache="imported-block"))
    >>> features = ImportedFeatures("imported-block", made.fingerprint)
    >>> films = pd.DataFrame({"title": ["A", "B", "C"]}, index=["a", "b", "c"])
    >>> features.fit_transform(films).tolist(), features.missing(films).tolist()
    ([[-1.0, 0.0], [1.0, 0.0], [nan, nan]], [False, False, True])
    """

    block, source = "imported embeddings", "embeddings of items"

    def __init__(
        self,
        cache: str = ".hybrid-cache",
        fingerprint: str = "",
        of: str = "item",
        columns: Sequence[str] = (),
        workers: int | None = None,
    ) -> None:
        self.cache = cache
        self.fingerprint = fingerprint
        self.of = of
        self.columns = columns
        self.workers = workers

    def keys(self, X: pd.DataFrame) -> list[list[bytes]]:
        """The key of each of n items, whether its embedding is in the cache or not.

        Parameters
        ----------
        X : DataFrame of n items
            Indexed by id; with the poster column or the text columns where embeddings belong to these.

        Returns
        -------
        list of n lists of bytes
            Empty for an item without an id, a readable poster or a text.

        Examples
        --------
        >>> films = pd.DataFrame({"title": ["Alien"]}, index=["7"])
        >>> [len(each) for each in ImportedFeatures().keys(films)]
        [1]
        """
        return [[] if key is None else [key] for key in self._item_keys(X)]

    def _item_keys(self, X: pd.DataFrame) -> PackedKeys:
        needed = {"text": self.columns, "poster": (POSTER,)}.get(self.of, ())
        take_columns(X[:0], needed, self.block)
        workers = self.workers or default_workers()
        return frame_keys(X, self.of, self.columns, self.cache, workers)

    def present(self, X: pd.DataFrame) -> NDArray[np.bool_]:
        """Which of n items have an embedding in the cache; none of them is read.

        Returns
        -------
        ndarray of shape (n,), bool
        """
        return self._open().has(self._item_keys(X))

    def look_up(self, X: pd.DataFrame) -> StoredRows:
        """Find the items' embeddings in the cache, and read them lazily; NaN where an item has none.

        Parameters
        ----------
        X : DataFrame of n items
            As for `keys`.
        """
        return StoredRows(self._item_keys(X), self._open().read)
