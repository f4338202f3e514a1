"""Text features: TF-IDF of words, and of characters within words."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from hybrid.catalogue.packed import take_table
from hybrid.errors import SettingError
from hybrid.features.frames import FrameTransformer, check_columns, take_columns
from hybrid.features.tfidf import CODE_POINTS
from hybrid.features.tfidf.terms import CharTerms, Terms, WordTerms, in_chunks
from hybrid.utils.dictionary_words import split_by_dictionary
from hybrid.utils.scripts import fold_text, has_unspaced_script, isolate_unspaced, space_out
from hybrid.utils.threads import map_ahead

if TYPE_CHECKING:
    from hybrid.features.tfidf.vocabulary import Ints, Places

    Joined = tuple[Ints, Places]

SHORTEST = 3  # characters; shorter ones are not informative
CHARACTERS, ICU = SEGMENTERS = ("characters", "icu")
SAMPLE = 1024  # items that tell how many terms an item has
CHARS = "'{}'"  # how an n-gram of characters is named, so that its spaces show


class TextFeatures(FrameTransformer):
    """Text features: TF-IDF of word n-grams and of character n-grams within words.

    The text columns are joined to one text. Both parts are scaled to unit length. Character n-grams cover
    words that are too rare themselves: endings, compounds, names. A word is two or more letters, digits and
    marks, in lower case and without accents. Scripts without spaces between words (Chinese, Japanese, Thai,
    Lao, Khmer, Burmese) have characters instead: their word n-grams are n-grams of 1 to `max_ngram`
    characters, and their n-grams of characters are single ones. A character is what a reader takes for one,
    a letter with its marks.

    Parameters
    ----------
    columns : sequence of str, default=("title", "overview")
        Text columns of the frame.
    max_ngram : int, default=2
        Word n-grams from 1 to this length.
    max_chars : int, default=5
        Character n-grams from 3 to this length, not across words but with the space before and after
        one; 0 for none. They take about 8 times as much memory as the words.
    min_df : int, default=2
        Terms found in fewer items are left out.
    max_features : int or None, default=None
        Keep only the most frequent terms, so many of words and so many of characters.
    sublinear_tf : bool, default=True
        Use ``1 + log(tf)`` for the term frequency.
    segmenter : {"characters", "icu"}, default="characters"
        What is a word in a script without spaces: each character, or what the dictionaries of ICU know as
        one (extra `icu`; a model that was fitted with it needs it to predict, too).
    n_jobs : int or None, default=None
        Threads that count terms.

    Attributes
    ----------
    terms_ : list of Terms
        Of words and, if `max_chars` is not 0, of characters.
    idf_ : list of ndarray, float32
        The weight of each term, ``1 + log((1 + n) / (1 + texts that have it))``, as scikit-learn's.

    Examples
    --------
    >>> films = pd.DataFrame({"overview": ["A ghost story", "The ghost ship"]})
    >>> features = TextFeatures(["overview"], max_chars=0).fit(films)
    >>> features.get_feature_names_out().tolist(), features.transform(films).toarray().tolist()
    (['ghost'], [[1.0], [1.0]])
    """

    segmenter: str = CHARACTERS  # of a model that was fitted before there were others

    def __init__(
        self,
        columns: Sequence[str] = ("title", "overview"),
        max_ngram: int = 2,
        max_chars: int = 5,
        min_df: int = 2,
        max_features: int | None = None,
        sublinear_tf: bool = True,
        segmenter: str = CHARACTERS,
        n_jobs: int | None = None,
    ) -> None:
        self.columns = columns
        self.max_ngram = max_ngram
        self.max_chars = max_chars
        self.min_df = min_df
        self.max_features = max_features
        self.sublinear_tf = sublinear_tf
        self.segmenter = segmenter
        self.n_jobs = n_jobs

    def fit(self, X: pd.DataFrame, y: Any = None) -> TextFeatures:
        """Learn the terms and their weights.

        Raises
        ------
        SettingError
            If a setting is wrong or no term is frequent enough.
        """
        self._check()
        check_columns(X, self.columns, "text")
        self._record_features(X)
        self.terms_: list[Terms] = [
            WordTerms(
                self.max_ngram, self.min_df, self.max_features, spaced_out=self.segmenter != ICU
            )
        ]
        if self.max_chars:
            chars = CharTerms(SHORTEST, self.max_chars, self.min_df, self.max_features)
            self.terms_.append(chars)
        for texts in self._texts(X):
            for terms, read in zip(self.terms_, self._read(texts), strict=False):
                terms.learn(*read)
        for terms in self.terms_:
            terms.choose()
        if not any(len(terms.names_) for terms in self.terms_):
            raise SettingError(
                f"block text: expected words that {self.min_df} or more items share, in the columns "
                f"{', '.join(self.columns)}; found none. Lower --min-df, or leave the block out "
                "with --blocks."
            )
        self.idf_ = [_idf(terms.texts_, len(X)) for terms in self.terms_]
        return self

    def transform(self, X: pd.DataFrame) -> sparse.csr_matrix:
        """TF-IDF of each item's terms: CSR of shape (n, terms), float32."""
        check_is_fitted(self)
        check_columns(X, self.columns, "text")
        texts = self._texts(X)
        first = next(texts, [])
        if len(first) == len(X):  # threads would take longer to start than one item does
            return self._weigh(first)
        from hybrid.features.tfidf.vocabulary import stack

        workers = effective_n_jobs(self.n_jobs)
        with ThreadPoolExecutor(workers) as pool:
            found = map_ahead(pool, self._weigh, chain([first], texts), 2 * workers)
            return stack([matrix for _, matrix in found], pool.map)

    def _weigh(self, texts: list[str]) -> sparse.csr_matrix:
        """Words and characters side by side."""
        from hybrid.features.tfidf.vocabulary import weigh_texts

        read = zip(self.terms_, self._read(texts), strict=False)
        found = [terms.find(*joined) for terms, joined in read]
        return weigh_texts(found, self.idf_, sublinear=self.sublinear_tf)

    def _read(self, texts: list[str]) -> tuple[Joined, Joined]:
        """Texts, joined, as words are cut from them, and as n-grams of characters are."""
        from hybrid.features.tfidf.vocabulary import join_texts, replace_texts

        fold = fold_before if self.terms_[0].reading == CODE_POINTS else fold_text
        words, characters = self._readings([fold(text) for text in texts])
        joined = join_texts(characters)
        return replace_texts(*joined, characters, words), joined

    def _readings(self, texts: list[str]) -> tuple[list[str], list[str]]:
        """Folded texts as words are cut from them, and as n-grams of characters are."""
        if self.terms_[0].reading == CODE_POINTS:
            return texts, texts
        foreign = [i for i, text in enumerate(texts) if not text.isascii()]
        unspaced = [i for i in foreign if has_unspaced_script(texts[i])]
        if not unspaced:
            return texts, texts
        split = split_by_dictionary if self.segmenter == ICU else None
        words, characters = texts.copy(), texts.copy()
        for i in unspaced:
            words[i], characters[i] = space_out(texts[i], split), isolate_unspaced(texts[i])
        return words, characters

    def entries_a_row(self, X: pd.DataFrame) -> float:
        """About how many terms an item has, by the texts of some of them; at most so many after a fit.

        Examples
        --------
        >>> films = pd.DataFrame({"overview": ["A ghost story", "The ghost ship"]})
        >>> TextFeatures(["overview"], max_chars=0).entries_a_row(films)
        4.0
        """
        some = take_table(X, np.unique(np.linspace(0, len(X) - 1, SAMPLE).astype(np.int64)))
        every = clone(self).set_params(min_df=1, max_features=None)
        try:
            return float(every.fit(some).transform(some).nnz / len(some))
        except SettingError:  # there are no words; the fit of all says so
            return 0.0

    def missing(self, X: pd.DataFrame) -> NDArray[np.bool_]:
        """Which items have no text: shape (n,), bool."""
        texts = chain.from_iterable(self._texts(X))
        return np.fromiter((not text.strip() for text in texts), bool, len(X))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """The words, then the n-grams of characters in quotes."""
        check_is_fitted(self)
        words, *chars = (terms.names_ for terms in self.terms_)
        return np.array([*words, *(CHARS.format(gram) for part in chars for gram in part)], object)

    def _check(self) -> None:
        problems = []
        if not self.columns:
            problems.append("expected at least one column, found none.")
        if self.max_ngram < 1:
            problems.append(f"max_ngram: expected 1 or more, found {self.max_ngram}.")
        if self.max_chars and self.max_chars < SHORTEST:
            problems.append(
                f"max_chars: expected 0, or {SHORTEST} or more, found {self.max_chars}."
            )
        if self.segmenter not in SEGMENTERS:
            problems.append(
                f"segmenter: expected {' or '.join(SEGMENTERS)}, found {self.segmenter!r}."
            )
        if problems:
            raise SettingError("block text: " + "\n".join(problems))

    def _texts(self, X: pd.DataFrame) -> Iterator[list[str]]:
        """The texts of some items at a time."""
        for rows in in_chunks(len(X)):
            cells = take_columns(X.iloc[rows], self.columns, "text").values()
            columns = [column.tolist() for column in cells]
            yield ["\n".join(row) for row in zip(*columns, strict=True)]


def _idf(texts_with: NDArray[np.int64], texts: int) -> NDArray[np.float32]:
    return (1 + np.log((1 + texts) / (1 + texts_with))).astype(np.float32)


def fold_before(text: str) -> str:
    """As models read texts that were fitted before marks could be letters."""
    parts = unicodedata.normalize("NFKD", text.lower())
    return "".join(sign for sign in parts if not unicodedata.combining(sign))
