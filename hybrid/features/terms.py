"""Texts → counts of terms: what scikit-learn's CountVectorizer counts, many times as fast.

Texts repeat their words, and a vectorizer that works on strings does all its work again for each. Here each
distinct word is looked at once, and what follows is arithmetic on numbers: an n-gram of words is a
number made of the numbers of its parts, and n-grams of characters within words are the product of two
sparse matrices, words of each text and n-grams of each word.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence
from itertools import repeat

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import strip_accents_unicode

Numbers = NDArray[np.int64]
Names = NDArray[np.object_]
WORD = re.compile(r"\b\w\w+\b")  # scikit-learn's token_pattern
CHUNK = 4096  # texts whose n-grams of characters are counted at a time, the rare ones included
UNKNOWN = -1


class Terms:
    """Terms of texts that were seen, and how often other texts have them.

    Parameters
    ----------
    min_df : int
        Texts that a term must be in.
    max_features : int or None
        Keep so many terms, those that are counted most.

    Attributes
    ----------
    names_ : ndarray of str
        The terms in alphabetical order, as the columns of the counts are.
    """

    names_: Names

    def __init__(self, min_df: int, max_features: int | None = None) -> None:
        self.min_df, self.max_features = min_df, max_features

    def fit(self, texts: Sequence[str]) -> Terms:
        """Learn the terms of plain texts.

        Raises
        ------
        ValueError
            If none is in enough of them.
        """
        raise NotImplementedError

    def count(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """CSR of shape (n, terms), float32."""
        raise NotImplementedError

    def _choose(self, names: Names, totals: Numbers) -> Numbers:
        """Keep the most frequent terms and name them; the column of each, -1 of those left out."""
        if not len(names):
            raise ValueError(f"no term is in {self.min_df} texts.")
        order = np.argsort(names)
        if self.max_features is not None:
            # As in scikit-learn, down to the order of equal counts.
            first = (-totals[order].astype(np.float32)).argsort()[: self.max_features]
            order = order[np.sort(first)]
        self.names_ = names[order]
        columns = np.full(len(names), UNKNOWN)
        columns[order] = np.arange(len(order))
        return columns


class WordTerms(Terms):
    """N-grams of 1 to `longest` words."""

    def __init__(self, longest: int, min_df: int, max_features: int | None = None) -> None:
        super().__init__(min_df, max_features)
        self.longest = longest

    def fit(self, texts: Sequence[str]) -> WordTerms:
        """See `Terms.fit`."""
        all_words: dict[str, int] = {}
        numbers, text = _number(map(WORD.findall, texts), all_words, learn=True)
        frequent, totals = _frequent(numbers, text, self.min_df)
        words = np.array(list(all_words), dtype=object)[frequent]
        self.words_ = {word: i for i, word in enumerate(words.tolist())}
        numbers = _find(numbers, frequent)
        # A frequent n-gram consists of frequent ones: those of one word fewer, and its last word.
        self.codes_: list[Numbers] = []
        names, grams, counted = [words], numbers, [totals]
        for length in range(2, self.longest + 1):
            codes = self._join(grams, numbers, text, length)
            kept, totals = _frequent(codes, text, self.min_df)
            before, last = np.divmod(kept, len(words))
            pairs = zip(names[-1][before].tolist(), words[last].tolist(), strict=True)
            names.append(np.array([f"{a} {b}" for a, b in pairs], dtype=object))
            self.codes_.append(kept)
            counted.append(totals)
            grams = _find(codes, kept)
        self.columns_ = self._choose(np.concatenate(names), np.concatenate(counted))
        return self

    def count(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """See `Terms.count`."""
        numbers, text = _number(map(WORD.findall, texts), self.words_, learn=False)
        grams, found, start = numbers, [numbers], len(self.words_)
        for length, kept in enumerate(self.codes_, start=2):
            grams = _find(self._join(grams, numbers, text, length), kept)
            found.append(np.where(grams == UNKNOWN, UNKNOWN, grams + start))
            start += len(kept)
        terms = np.concatenate(found)
        columns = np.where(terms == UNKNOWN, UNKNOWN, self.columns_[terms])
        known = columns != UNKNOWN
        rows = np.tile(text, len(found))[known]
        return _counts(rows, columns[known], (len(texts), len(self.names_)))

    def _join(self, grams: Numbers, numbers: Numbers, text: Numbers, length: int) -> Numbers:
        """The code of the n-gram of `length` words that begins at each word; -1 where there is none."""
        codes, shift = np.full(len(numbers), UNKNOWN), length - 1
        first, last = grams[: len(grams) - shift], numbers[shift:]
        known = (first != UNKNOWN) & (last != UNKNOWN) & (text[shift:] == text[: len(first)])
        codes[: len(first)][known] = first[known] * len(self.words_) + last[known]
        return codes


class CharTerms(Terms):
    """N-grams of `shortest` to `longest` characters within words, a space before and after each word."""

    def __init__(
        self, shortest: int, longest: int, min_df: int, max_features: int | None = None
    ) -> None:
        super().__init__(min_df, max_features)
        self.shortest, self.longest = shortest, longest

    def fit(self, texts: Sequence[str]) -> CharTerms:
        """See `Terms.fit`."""
        words, by_text = _words_of(texts)
        all_grams: dict[str, int] = {}
        by_word = self._grams_of(words, all_grams, learn=True)
        found = np.zeros(len(all_grams), dtype=np.int64)
        for start in range(0, len(texts), CHUNK):
            counts = by_text[start : start + CHUNK] @ by_word
            found += np.bincount(counts.indices, minlength=len(found))
        frequent = np.flatnonzero(found >= self.min_df)
        names = np.array(list(all_grams), dtype=object)[frequent]
        totals = np.asarray(by_text.sum(axis=0, dtype=np.int64)).ravel() @ by_word.astype(np.int64)
        self._choose(names, totals[frequent])
        self.grams_ = {name: i for i, name in enumerate(self.names_.tolist())}
        return self

    def count(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """See `Terms.count`."""
        words, by_text = _words_of(texts)
        counts = sparse.csr_matrix(by_text @ self._grams_of(words, self.grams_, learn=False))
        counts.sort_indices()
        return counts

    def _grams_of(
        self, words: Sequence[str], grams: dict[str, int], learn: bool
    ) -> sparse.csr_matrix:
        """How often each word has each n-gram: CSR of shape (words, n-grams), float32."""
        numbers, word = _number(map(self._split, words), grams, learn=learn)
        known = numbers != UNKNOWN
        return _counts(word[known], numbers[known], (len(words), len(grams)))

    def _split(self, word: str) -> list[str]:
        padded, found = f" {word} ", []
        for length in range(self.shortest, self.longest + 1):
            found += [padded[i : i + length] for i in range(len(padded) - length + 1)] or [padded]
            if len(padded) <= length:
                break  # a short word is counted once
        return found


def plain_text(text: str) -> str:
    """In small letters, without accents."""
    plain: str = strip_accents_unicode(text.lower())
    return plain


def _words_of(texts: Sequence[str]) -> tuple[list[str], sparse.csr_matrix]:
    """The distinct words between spaces, and how often each text has them."""
    words: dict[str, int] = {}
    numbers, text = _number(map(str.split, texts), words, learn=True)
    return list(words), _counts(text, numbers, (len(texts), len(words)))


def _number(
    lists: Iterable[list[str]], known: dict[str, int], *, learn: bool
) -> tuple[Numbers, Numbers]:
    """The number of each string in each list, and of the list it is in; new ones are added, or are -1."""
    numbers, lengths = array("q"), array("q")
    for strings in lists:
        numbers.extend(
            [known.setdefault(s, len(known)) for s in strings]
            if learn
            else map(known.get, strings, repeat(UNKNOWN))
        )
        lengths.append(len(strings))
    found = np.array(numbers, dtype=np.int64)
    return found, np.repeat(np.arange(len(lengths)), np.array(lengths, dtype=np.int64))


def _frequent(codes: Numbers, text: Numbers, min_df: int) -> tuple[Numbers, Numbers]:
    """The codes that are in enough texts, in order, and how often each occurs in all."""
    known = codes != UNKNOWN
    kept, place, totals = np.unique(codes[known], return_inverse=True, return_counts=True)
    texts = int(text[-1]) + 1 if len(text) else 0
    pairs = np.unique(place * texts + text[known])
    enough = np.bincount(pairs // max(texts, 1), minlength=len(kept)) >= min_df
    return kept[enough], totals[enough]


def _find(codes: Numbers, kept: Numbers) -> Numbers:
    """The place of each code among the kept ones, which are in order; -1 where it is not there."""
    if not len(kept):
        return np.full(len(codes), UNKNOWN)
    place = np.searchsorted(kept, codes).clip(max=len(kept) - 1)
    return np.where(kept[place] == codes, place, UNKNOWN)


def _counts(rows: Numbers, columns: Numbers, shape: tuple[int, int]) -> sparse.csr_matrix:
    """How often each pair of row and column occurs."""
    ones = np.ones(len(rows), dtype=np.float32)
    return sparse.csr_matrix(sparse.coo_matrix((ones, (rows, columns)), shape=shape))
