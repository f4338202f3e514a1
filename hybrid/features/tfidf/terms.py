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
from hybrid.features.tfidf.tokens import TokenRuns
from hybrid.utils.scripts import close_up, has_unspaced_script

if TYPE_CHECKING:
    from hybrid.features.tfidf.vocabulary import Ints, Occurrences, Places, Sequences, Slices

Names = NDArray[np.object_]
CHUNK = 8192  # texts that are cut into words at a time: their words are cut into n-grams once
AT_ONCE = 2**23  # phrases that are counted at a time
FACTOR = np.uint64(0x9E3779B97F4A7C15)
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
        from hybrid.features.tfidf.vocabulary import join_texts

        for rows in in_chunks(len(texts)):
            self.learn(*join_texts(list(texts[rows])))
        self.choose()
        return self

    def learn(self, characters: Ints, bounds: Places) -> None:
        """Read some of the plain texts, joined by `join_texts`; `choose` ends it."""
        raise NotImplementedError

    def choose(self) -> None:
        """Choose the terms of all texts that were read."""
        raise NotImplementedError

    def find(self, characters: Ints, bounds: Places) -> Occurrences:
        """The terms that plain texts, joined by `join_texts`, have, as often as they have them."""
        raise NotImplementedError

    def _keep(self, names: Names, texts: Places, totals: Places) -> Ints:
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
    _read: _WordsRead | None = None  # between `learn` and `choose`

    def __init__(
        self, longest: int, min_df: int, max_features: int | None = None, *, spaced_out: bool = True
    ) -> None:
        super().__init__(min_df, max_features)
        self.longest, self.spaced_out = longest, spaced_out

    def learn(self, characters: Ints, bounds: Places) -> None:
        """See `Terms.learn`; words are counted as they come."""
        from hybrid.features.tfidf.counting import WORD

        self._read = self._read or _WordsRead()
        read = self._read
        numbers, bounds = _cut(characters, bounds, WORD, read.words, self.reading, learn=True)
        read.counts.add(_at_each_word(bounds, numbers[:, None]), len(read.words))
        if self.longest > 1:
            read.runs.add(numbers, bounds)

    def choose(self) -> None:
        """See `Terms.choose`."""
        read = self._read or _WordsRead()
        self._read = None
        frequent, counted = read.counts.frequent(self.min_df)
        self.grams_, counts = [read.words.take(frequent)], [counted]
        names = [_words(self.grams_[0])]
        places = _places(frequent, len(read.words))
        for length in range(2, self.longest + 1):
            known, counted = self._count_phrases(length, read.runs, places)
            names.append(self._phrases(known, names[0], length))
            self.grams_.append(known)
            counts.append(counted)
        texts_with, totals = np.concatenate(counts, axis=1)
        self.columns_ = self._keep(np.concatenate(names), texts_with, totals)

    def _count_phrases(
        self, length: int, runs: TokenRuns, places: Ints
    ) -> tuple[Sequences, Places]:
        """The n-grams of `length` words that enough texts have, and their counts, shape (2, n).

        Some of them are counted at a time, and only the frequent ones of these are kept. A frequent n-gram
        consists of frequent ones: those of one word fewer, and its last word; `places` has those of words.
        """
        from hybrid.features.tfidf.vocabulary import Sequences, TextCounts

        known, counts = Sequences(), []
        parts = max(1, -(-runs.total // AT_ONCE))
        for part in range(parts):
            some, counter = Sequences(), TextCounts()
            for words, bounds in runs:
                numbers = places[words]
                *_, grams = self._grams(numbers, bounds)
                starts = _starts(grams, numbers, bounds, length)
                if parts > 1:
                    starts = starts[_hash(numbers, starts, length) % parts == part]
                grams = _number(numbers, starts, length, some, learn=True)
                counter.add(_at_each_word(bounds, grams[:, None]), len(some))
            frequent, counted = counter.frequent(self.min_df)
            symbols, ends = some.parts()
            known.number(symbols, ends[:-1][frequent], ends[1:][frequent], learn=True)
            counts.append(counted)
        return known, np.concatenate(counts, axis=1)

    def _grams(self, numbers: Ints, bounds: Places) -> Iterator[Ints]:
        """The number of the n-gram that begins at each word, -1 where none is known, by length."""
        grams = numbers
        yield grams
        for length, known in enumerate(self.grams_[1:], start=2):
            starts = _starts(grams, numbers, bounds, length)
            grams = _number(numbers, starts, length, known, learn=False)
            yield grams

    def find(self, characters: Ints, bounds: Places) -> Occurrences:
        """See `Terms.find`."""
        from hybrid.features.tfidf.counting import WORD

        numbers, bounds = _cut(characters, bounds, WORD, self.grams_[0], self.reading, learn=False)
        found: list[Ints] = []
        start = 0
        for grams, known in zip(self._grams(numbers, bounds), self.grams_, strict=True):
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


class CharTerms(Terms):
    """N-grams of `shortest` to `longest` characters within words, a space before and after each word."""

    _read: _GramsRead | None = None  # between `learn` and `choose`

    def __init__(
        self, shortest: int, longest: int, min_df: int, max_features: int | None = None
    ) -> None:
        super().__init__(min_df, max_features)
        self.shortest, self.longest = shortest, longest

    def learn(self, characters: Ints, bounds: Places) -> None:
        """See `Terms.learn`; each word is cut into n-grams when it first comes."""
        from hybrid.features.tfidf.counting import SPACE
        from hybrid.features.tfidf.vocabulary import Occurrences

        self._read = self._read or _GramsRead()
        read, before = self._read, len(self._read.words)
        numbers, bounds = _cut(characters, bounds, SPACE, read.words, self.reading, learn=True)
        read.add(*self._slices(*read.words.parts(before)))
        read.counts.add(Occurrences(bounds, numbers, *read.lists()), len(read.grams))

    def choose(self) -> None:
        """See `Terms.choose`."""
        read = self._read or _GramsRead()
        self._read = None
        frequent, counts = read.counts.frequent(self.min_df)
        self.grams_ = read.grams.take(frequent)
        self.columns_ = self._keep(_words(self.grams_), *counts)

    def find(self, characters: Ints, bounds: Places) -> Occurrences:
        """See `Terms.find`."""
        from hybrid.features.tfidf.counting import SPACE
        from hybrid.features.tfidf.vocabulary import Occurrences, Sequences

        words = Sequences()
        numbers, bounds = _cut(characters, bounds, SPACE, words, self.reading, learn=True)
        slices, by_word = self._slices(*words.parts())
        terms = self.columns_[self.grams_.number(*slices, learn=False)]
        return Occurrences(bounds, numbers, terms, by_word)

    def _slices(self, characters: Ints, bounds: Places) -> tuple[Slices, Places]:
        from hybrid.features.tfidf.vocabulary import slice_words

        return slice_words(characters, bounds, self.shortest, self.longest, self.reading)


class _WordsRead:
    """What is known of the words of the texts that were read."""

    def __init__(self) -> None:
        from hybrid.features.tfidf.vocabulary import Sequences, TextCounts

        self.words, self.counts, self.runs = Sequences(), TextCounts(), TokenRuns()


class _GramsRead:
    """Words of the texts that were read, and the n-grams of each, one list a word."""

    def __init__(self) -> None:
        from hybrid.features.tfidf.vocabulary import Sequences, TextCounts

        self.words, self.grams, self.counts = Sequences(), Sequences(), TextCounts()
        self._lists, self._bounds = np.empty(0, np.int32), np.zeros(1, np.int64)
        self._cut = 0

    def add(self, slices: Slices, by_word: Places) -> None:
        """Number the n-grams of further words."""
        from hybrid.features.tfidf.vocabulary import grown

        new, start = self.grams.number(*slices, learn=True), int(self._bounds[self._cut])
        self._lists = grown(self._lists, start + len(new))
        self._lists[start : start + len(new)] = new
        self._bounds = grown(self._bounds, self._cut + len(by_word))
        self._bounds[self._cut : self._cut + len(by_word)] = by_word + start
        self._cut += len(by_word) - 1

    def lists(self) -> tuple[Ints, Places]:
        """The n-grams of all words, and where those of each begin, with the end of the last one."""
        bounds = self._bounds[: self._cut + 1]
        return self._lists[: bounds[-1]], bounds


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


def in_chunks(n: int) -> Iterator[slice]:
    """Rows of some texts at a time."""
    return (slice(start, start + CHUNK) for start in range(0, n, CHUNK))


def _at_each_word(bounds: Places, terms: Ints) -> Occurrences:
    """Terms of shape (words, n): up to n that each word of the texts has, one word after the other."""
    from hybrid.features.tfidf.vocabulary import Occurrences

    words, n = terms.shape
    order = np.arange(words, dtype=np.int32)
    return Occurrences(bounds, order, terms.ravel(), np.arange(words + 1) * n)


def _starts(grams: Ints, numbers: Ints, bounds: Places, length: int) -> Places:
    """Words that an n-gram of `length` may begin at: there is one of one word fewer, and a further word.

    `grams` is that of one word fewer at each word, -1 where there is none.
    """
    ends = np.repeat(bounds[1:], np.diff(bounds))
    starts = np.flatnonzero((grams != UNKNOWN) & (np.arange(length, len(ends) + length) <= ends))
    return starts[numbers[starts + length - 1] != UNKNOWN]


def _number(numbers: Ints, starts: Places, length: int, known: Sequences, *, learn: bool) -> Ints:
    """The number of the n-gram that begins at each word; -1 where there is none."""
    grams = np.full(len(numbers), UNKNOWN, dtype=np.int32)
    grams[starts] = known.number(numbers, starts, starts + length, learn=learn)
    return grams


def _hash(numbers: Ints, starts: Places, length: int) -> NDArray[np.uint64]:
    """Equal n-grams have equal ones."""
    mixed = np.zeros(len(starts), dtype=np.uint64)
    for step in range(length):
        mixed = (mixed ^ numbers[starts + step].astype(np.uint64)) * FACTOR
        mixed ^= mixed >> np.uint64(32)
    return mixed


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
