"""Terms of texts, as those of scikit-learn's CountVectorizer, many times as fast.

Texts repeat their words, and a vectorizer that works on strings does all its work again for each. Here each
word becomes a number as soon as it is found, and n-grams are sequences of numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hybrid.features.tfidf import CHARACTERS, CODE_POINTS
from hybrid.utils.scripts import close_up, has_unspaced_script

if TYPE_CHECKING:
    from hybrid.features.tfidf.vocabulary import Ints, Occurrences, Places, Sequences

Names = NDArray[np.object_]
CHUNK = 8192  # texts that are cut into words at a time: their words are cut into n-grams once
UNKNOWN = -1


class Terms:
    """Base class: the vocabulary of some texts, and its occurrences in other texts.

    Parameters
    ----------
    min_df : int
        Texts that a term must be in.
    max_features : int or None
        Keep so many terms, those that are counted most.

    Attributes
    ----------
    names_ : ndarray of str
        The terms in alphabetical order, as the columns are.
    texts_ : ndarray of int64
        How many texts have each.
    """

    names_: Names
    texts_: NDArray[np.int64]

    reading = CODE_POINTS  # of a model that was fitted before there were others

    def __init__(self, min_df: int, max_features: int | None = None) -> None:
        self.min_df, self.max_features = min_df, max_features
        self.reading = CHARACTERS

    def fit(self, texts: Sequence[str]) -> Terms:
        """Learn the terms of plain texts; there may be none that enough of them have."""
        raise NotImplementedError

    def find(self, characters: Ints, bounds: Places) -> Occurrences:
        """The terms that plain texts, joined by `join_texts`, have, as often as they have them."""
        raise NotImplementedError

    def _choose(self, names: Names, texts: Places, totals: Places) -> Ints:
        """Keep the most frequent terms and name them; the column of each, -1 of those left out."""
        order = np.argsort(names)
        if self.max_features is not None:
            # As in scikit-learn, down to the order of equal counts.
            first = (-totals[order].astype(np.float32)).argsort()[: self.max_features]
            order = order[np.sort(first)]
        self.names_, self.texts_ = names[order], texts[order]
        return _places(order, len(names))


class WordTerms(Terms):
    """N-grams of 1 to `longest` words, or of characters that texts were spaced out into."""

    spaced_out = True  # of a model that was fitted before there was a choice

    def __init__(
        self, longest: int, min_df: int, max_features: int | None = None, *, spaced_out: bool = True
    ) -> None:
        super().__init__(min_df, max_features)
        self.longest, self.spaced_out = longest, spaced_out

    def fit(self, texts: Sequence[str]) -> WordTerms:
        """See `Terms.fit`."""
        from hybrid.features.tfidf.counting import WORD
        from hybrid.features.tfidf.vocabulary import Sequences

        words = Sequences()
        numbers, bounds = _cut_all(texts, WORD, words, self.reading)
        grams, self.grams_ = numbers, [words]
        names: list[Names] = []
        counts: list[NDArray[np.int64]] = []
        for length in range(1, self.longest + 1):
            if length > 1:
                self.grams_.append(Sequences())
                grams = _join(grams, numbers, bounds, length, self.grams_[-1], learn=True)
            size = len(self.grams_[-1])
            frequent, counted = self._frequent(grams, bounds, size)
            known = self.grams_[-1] = self.grams_[-1].take(frequent)
            # A frequent n-gram consists of frequent ones: those of one word fewer, and its last word.
            grams = _places(frequent, size)[grams]
            numbers = grams if length == 1 else numbers
            names.append(_words(known) if length == 1 else self._phrases(known, names[0], length))
            counts.append(counted)
        texts_with, totals = np.concatenate(counts, axis=1)
        self.columns_ = self._choose(np.concatenate(names), texts_with, totals)
        return self

    def find(self, characters: Ints, bounds: Places) -> Occurrences:
        """See `Terms.find`."""
        from hybrid.features.tfidf.counting import WORD

        numbers, bounds = _cut(characters, bounds, WORD, self.grams_[0], self.reading, learn=False)
        grams, found, start = numbers, [numbers], len(self.grams_[0])
        for length, known in enumerate(self.grams_[1:], start=2):
            grams = _join(grams, numbers, bounds, length, known, learn=False)
            found.append(np.where(grams == UNKNOWN, UNKNOWN, grams + np.int32(start)))
            start += len(known)
        return _at_each_word(bounds, self.columns_[np.stack(found, axis=1)])

    def _phrases(self, grams: Sequences, words: Names, length: int) -> Names:
        """The n-grams that sequences of words are."""
        parts = words[grams.parts()[0].reshape(-1, length)]
        phrases = [" ".join(row) for row in parts.tolist()]
        if self.spaced_out and any(map(has_unspaced_script, words)):
            phrases = [close_up(phrase) for phrase in phrases]
        return _objects(phrases)

    def _frequent(self, grams: Ints, bounds: Places, size: int) -> tuple[Places, Places]:
        """The n-grams that enough texts have; how many have each and how often it occurs, shape (2, n)."""
        from hybrid.features.tfidf.vocabulary import count_texts

        counts = np.stack(count_texts(_at_each_word(bounds, grams[:, None]), size))
        frequent = np.flatnonzero(counts[0] >= self.min_df)
        return frequent, counts[:, frequent]


class CharTerms(Terms):
    """N-grams of `shortest` to `longest` characters within words, a space before and after each word."""

    def __init__(
        self, shortest: int, longest: int, min_df: int, max_features: int | None = None
    ) -> None:
        super().__init__(min_df, max_features)
        self.shortest, self.longest = shortest, longest

    def fit(self, texts: Sequence[str]) -> CharTerms:
        """See `Terms.fit`."""
        from hybrid.features.tfidf.counting import SPACE
        from hybrid.features.tfidf.vocabulary import (
            Occurrences,
            Sequences,
            count_texts,
            slice_words,
        )

        words, grams = Sequences(), Sequences()
        numbers, bounds = _cut_all(texts, SPACE, words, self.reading)
        slices, by_word = slice_words(words, self.shortest, self.longest, self.reading)
        lists = grams.number(*slices, learn=True)
        found = Occurrences(bounds, numbers, lists, by_word)
        texts_with, totals = count_texts(found, len(grams))
        frequent = np.flatnonzero(texts_with >= self.min_df)
        self.grams_ = grams.take(frequent)
        self.columns_ = self._choose(_words(self.grams_), texts_with[frequent], totals[frequent])
        return self

    def find(self, characters: Ints, bounds: Places) -> Occurrences:
        """See `Terms.find`."""
        from hybrid.features.tfidf.counting import SPACE
        from hybrid.features.tfidf.vocabulary import Occurrences, Sequences, slice_words

        words = Sequences()
        numbers, bounds = _cut(characters, bounds, SPACE, words, self.reading, learn=True)
        slices, by_word = slice_words(words, self.shortest, self.longest, self.reading)
        terms = self.columns_[self.grams_.number(*slices, learn=False)]
        return Occurrences(bounds, numbers, terms, by_word)


def _cut_all(
    texts: Sequence[str], kind: np.uint8, words: Sequences, reading: int
) -> tuple[Ints, Places]:
    """As `_cut`, of new words, too, some texts at a time."""
    from hybrid.features.tfidf.vocabulary import join_texts

    parts = [_cut(*join_texts(part), kind, words, reading, learn=True) for part in in_chunks(texts)]
    lengths = [np.diff(by_text) for _, by_text in parts]
    numbers = np.concatenate([np.empty(0, np.int32), *(found for found, _ in parts)])
    return numbers, np.cumsum(np.concatenate([[0], *lengths]))


def _cut(
    characters: Ints,
    bounds: Places,
    kind: np.uint8,
    words: Sequences,
    reading: int,
    *,
    learn: bool,
) -> tuple[Ints, Places]:
    """The number of each word, one text after the other, and which of them are of each text, as bounds."""
    from hybrid.features.tfidf.vocabulary import split_texts

    starts, ends, by_text = split_texts(characters, bounds, kind, reading)
    return words.number(characters, starts, ends, learn=learn), by_text


def in_chunks(texts: Sequence[str]) -> Iterator[list[str]]:
    """Some texts at a time."""
    for start in range(0, len(texts), CHUNK):
        yield list(texts[start : start + CHUNK])


def _at_each_word(bounds: Places, terms: Ints) -> Occurrences:
    """Terms of shape (words, n): up to n that each word of the texts has, one word after the other."""
    from hybrid.features.tfidf.vocabulary import Occurrences

    words, n = terms.shape
    order = np.arange(words, dtype=np.int32)
    return Occurrences(bounds, order, terms.ravel(), np.arange(words + 1) * n)


def _join(
    grams: Ints, numbers: Ints, bounds: Places, length: int, known: Sequences, *, learn: bool
) -> Ints:
    """The number of the n-gram of `length` words that begins at each word; -1 where there is none.

    `grams` is that of the n-gram of one word fewer.
    """
    ends = np.repeat(bounds[1:], np.diff(bounds))
    starts = np.flatnonzero((grams != UNKNOWN) & (np.arange(length, len(ends) + length) <= ends))
    starts = starts[numbers[starts + length - 1] != UNKNOWN]
    joined = np.full(len(grams), UNKNOWN, dtype=np.int32)
    joined[starts] = known.number(numbers, starts, starts + length, learn=learn)
    return joined


def _places(chosen: Places, size: int) -> Ints:
    """Where each of so many numbers is among the chosen ones; -1 for the others, and for -1."""
    places = np.full(size + 1, UNKNOWN, dtype=np.int32)
    places[chosen] = np.arange(len(chosen))
    return places


def _words(words: Sequences) -> Names:
    """The strings that sequences of characters are."""
    from hybrid.features.tfidf.vocabulary import decode

    characters, bounds = words.parts()
    text = decode(characters)
    places: list[Any] = bounds.tolist()
    return _objects([text[a:b] for a, b in pairwise(places)])


def _objects(strings: list[str]) -> Names:
    return np.array(strings, dtype=object)
