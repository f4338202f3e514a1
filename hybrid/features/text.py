"""The block `text`: title and overview → TF-IDF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.utils.validation import check_is_fitted

from hybrid.errors import SettingError
from hybrid.features.frames import take_columns


class TextFeatures(TransformerMixin, BaseEstimator):
    """TF-IDF of the text columns, read as one text.

    Parameters
    ----------
    columns : sequence of str
        Text columns of the frame.
    max_ngram : int
        Word n-grams from 1 to this length.
    min_df : int
        Terms found in fewer items are left out.
    max_features : int or None
        Keep only the most frequent terms.
    sublinear_tf : bool
        Use ``1 + log(tf)`` for the term frequency.

    Attributes
    ----------
    vectorizer_ : TfidfVectorizer
    """

    def __init__(
        self,
        columns: Sequence[str] = ("title", "overview"),
        max_ngram: int = 2,
        min_df: int = 2,
        max_features: int | None = None,
        sublinear_tf: bool = True,
    ) -> None:
        self.columns = columns
        self.max_ngram = max_ngram
        self.min_df = min_df
        self.max_features = max_features
        self.sublinear_tf = sublinear_tf

    def fit(self, X: pd.DataFrame, y: Any = None) -> TextFeatures:
        """Learn the terms and their weights.

        Raises
        ------
        SettingError
            If a setting is wrong or no term is frequent enough.
        """
        if not self.columns or self.max_ngram < 1:
            raise SettingError(
                f"block text: expected at least one column and max_ngram of 1 or more, found "
                f"{list(self.columns)} and {self.max_ngram}."
            )
        vectorizer = TfidfVectorizer(
            strip_accents="unicode",
            ngram_range=(1, self.max_ngram),
            min_df=self.min_df,
            max_features=self.max_features,
            sublinear_tf=self.sublinear_tf,
            dtype=np.float32,
        )
        try:
            self.vectorizer_ = vectorizer.fit(self._join(X))
        except ValueError as error:
            raise SettingError(
                f"block text: expected words that {self.min_df} or more items share, in the columns "
                f"{', '.join(self.columns)}; found: {error} Lower --min-df, or leave the block out "
                "with --blocks."
            ) from error
        return self

    def transform(self, X: pd.DataFrame) -> sparse.csr_matrix:
        """Weigh the known terms of each item: CSR of shape (n, terms), float32, rows of length 1."""
        check_is_fitted(self)
        return self.vectorizer_.transform(self._join(X))

    def missing(self, X: pd.DataFrame) -> NDArray[np.bool_]:
        """Whether each item is without any text, shape (n,)."""
        return np.array([not text.strip() for text in self._join(X)], dtype=bool)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """The terms."""
        check_is_fitted(self)
        return self.vectorizer_.get_feature_names_out()

    def _join(self, X: pd.DataFrame) -> list[str]:
        cells = take_columns(X, self.columns, "text").to_numpy(dtype=object)
        return ["\n".join(row) for row in cells]
