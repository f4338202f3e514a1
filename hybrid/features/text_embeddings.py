"""Text embeddings: those of a text encoder in the cache, standardised and scaled to unit length."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from hybrid.errors import ExtractionError
from hybrid.extraction.texts import frame_text_keys
from hybrid.features.embeddings import EmbeddingFeatures, StoredRows
from hybrid.features.frames import take_columns
from hybrid.utils.counts import agree, counted
from hybrid.utils.key_index import PackedKeys


class TextEmbeddingFeatures(EmbeddingFeatures):
    """Text embeddings: those of a text encoder in the cache, standardised and scaled to unit length.

    Parameters
    ----------
    cache : str, default=".hybrid-cache"
        Folder of the embedding cache.
    fingerprint : str, default=""
        Fingerprint of one of its stores; see `hybrid.extraction.text_lookup.find_text_store`.
    columns : sequence of str, default=("title", "overview")
        Text columns of the frame; the text of an item is all of them, joined.
    prefix : str, default=""
        What the encoder gets before each text.
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
    >>> features = TextEmbeddingFeatures().fit(embeddings)
    >>> features.transform(embeddings).tolist(), features.missing(embeddings).tolist()
    ([[-1.0, 0.0], [1.0, 0.0], [nan, nan]], [False, False, True])
    """

    block, source = "text-embedding", "texts"

    def __init__(
        self,
        cache: str = ".hybrid-cache",
        fingerprint: str = "",
        columns: Sequence[str] = ("title", "overview"),
        prefix: str = "",
        unit_length: bool = True,
    ) -> None:
        self.cache = cache
        self.fingerprint = fingerprint
        self.columns = columns
        self.prefix = prefix
        self.unit_length = unit_length

    def keys(self, X: pd.DataFrame) -> list[list[bytes]]:
        """The key of each of n items' text; an empty list for an item without a text.

        Parameters
        ----------
        X : DataFrame of n items
            With the text columns.

        Returns
        -------
        list of n lists of bytes

        Examples
        --------
        >>> films = pd.DataFrame({"title": ["Alien", ""]})
        >>> [len(each) for each in TextEmbeddingFeatures(columns=["title"]).keys(films)]
        [1, 0]
        """
        return [[] if key is None else [key] for key in self._text_keys(X)]

    def _text_keys(self, X: pd.DataFrame) -> PackedKeys:
        take_columns(X[:0], self.columns, self.block)
        return frame_text_keys(X, self.columns, self.prefix)

    def look_up(self, X: pd.DataFrame) -> StoredRows:
        """Find the texts' embeddings in the cache, and read them lazily.

        Parameters
        ----------
        X : DataFrame of n items
            With the text columns.

        Raises
        ------
        ExtractionError
            If a text is not in the cache.
        """
        store = self._open()
        keys = self._text_keys(X)
        texts, absent = int(keys.named.sum()), int((keys.named & ~store.has(keys)).sum())
        if absent:
            raise ExtractionError(
                f"{absent:,} of {counted(texts, 'text')} {agree(absent, '{have|has}')} no embedding in "
                f"{self.cache}. Run hybrid extract --text-encoder for this catalogue with the same encoder."
            )
        return StoredRows(keys, store.read)
