"""Vocabulary as a hash table of integer sequences: words are sequences of characters, n-grams of words.

Apart from `hybrid.features.tfidf.terms`, and imported only when a text is read: it imports numba.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hybrid.features.tfidf import CHARACTERS, CODE_POINTS
from hybrid.features.tfidf import counting as kernels
from hybrid.features.tfidf.counting import MARK, SINGLE, SPACE, UNSPACED, WORD
from hybrid.utils.scripts import has_unspaced_script, split_characters

Ints = NDArray[np.int32]
Places = NDArray[np.int64]
Slices = tuple[Ints, Places, Places]
UNKNOWN = -1
PLANES = 0x40000  # of Unicode, that have letters
SARA_AM = [
    0x0E33,
    0x0EB3,
]  # vowels of Thai and Lao, letters that belong to the character before them
HANGUL = slice(0xAC00, 0xD7A4)  # syllables: "밤" is a word


class Occurrences(NamedTuple):
    """The terms that each text has, as often as it has them: those of its words, one list a word.

    Attributes
    ----------
    bounds : ndarray of int64
        Which entries of `order` are of each text.
    order : ndarray of int32
        Numbers of lists.
    lists : ndarray of int32
        Terms, -1 for what is none, one list after the other.
    list_bounds : ndarray of int64
        Where each list begins, with the end of the last one.
    """

    bounds: Places
    order: Ints
    lists: Ints
    list_bounds: Places


class Sequences:
    """Distinct sequences, numbered as they come.

    An open hash table; sequences are compared in full, so that no two are ever taken for one.
    """

    def __init__(self) -> None:
        self._slots = np.full(8, UNKNOWN, dtype=np.int32)
        self._pool = np.empty(0, dtype=np.int32)
        self._bounds = np.zeros(1, dtype=np.int64)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def number(self, symbols: Ints, starts: Places, ends: Places, *, learn: bool) -> Ints:
        """The number of each slice of `symbols`.

        Parameters
        ----------
        symbols : ndarray of int32
        starts, ends : ndarray of int64, shape (m,)
        learn : bool
            Add those that are new; else they are -1.

        Returns
        -------
        ndarray of int32, shape (m,)
        """
        if (
            not self._pool.flags.writeable
        ):  # loaded memory-mapped: the loop is compiled for one type
            self._slots, self._pool = self._slots.copy(), self._pool.copy()
            self._bounds = self._bounds.copy()
        numbers, slices, done = np.empty(len(starts), dtype=np.int32), (symbols, starts, ends), 0
        while done < len(starts):
            table = (self._slots, self._pool, self._bounds)
            done, self._size = kernels.number(*slices, done, self._size, learn, *table, numbers)
            if done < len(starts):
                self._make_room(int(ends[done] - starts[done]))
        return numbers

    def take(self, chosen: NDArray[np.integer[Any]]) -> Sequences:
        """Only some of them, in this order."""
        taken = Sequences()
        taken.number(self._pool, self._bounds[:-1][chosen], self._bounds[1:][chosen], learn=True)
        return taken

    @classmethod
    def of(cls, pool: Ints, bounds: Places) -> Sequences:
        """Those that `parts` returned, numbered as they were."""
        made, size = cls(), len(bounds) - 1
        made._pool, made._bounds, made._size = pool, bounds, size
        slots = 8
        while slots < 2 * (size + 1):
            slots *= 4
        made._slots = np.full(slots, UNKNOWN, dtype=np.int32)
        kernels.place(made._pool, made._bounds, size, made._slots)
        return made

    def parts(self, first: int = 0) -> tuple[Ints, Places]:
        """Those from `first` on, one after the other, and where each begins, with the end of the last one."""
        bounds = self._bounds[first : self._size + 1]
        return self._pool[bounds[0] : bounds[-1]], bounds - bounds[0]

    def _make_room(self, length: int) -> None:
        """For a sequence of so many numbers, and for as many again as there are."""
        self._pool = grown(self._pool, int(self._bounds[self._size]) + length)
        self._bounds = grown(self._bounds, self._size + 2)
        if 2 * (self._size + 1) > len(self._slots):
            self._slots = np.full(4 * len(self._slots), UNKNOWN, dtype=np.int32)
            kernels.place(self._pool, self._bounds, self._size, self._slots)

    def __getstate__(self) -> dict[str, Any]:
        pool, bounds = self.parts()
        return self.__dict__ | {"_pool": pool.copy(), "_bounds": bounds.copy()}


def grown(array: NDArray[Any], needed: int) -> NDArray[Any]:
    """The array, or a longer one that begins as it does and ends with zeros, with room to grow."""
    if needed <= len(array):
        return array
    longer = np.zeros(max(needed, 2 * len(array)), dtype=array.dtype)
    longer[: len(array)] = array
    return longer


def join_texts(texts: list[str]) -> tuple[Ints, Places]:
    """The characters of all texts, and where each text begins, with the end of the last one."""
    characters = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.int32)
    bounds = np.fromiter(accumulate(map(len, texts), initial=0), np.int64, len(texts) + 1)
    return characters, bounds


def replace_texts(
    characters: Ints, bounds: Places, joined: list[str], texts: list[str]
) -> tuple[Ints, Places]:
    """As `join_texts`, of texts of which most are the very strings that were joined before."""
    changed = [i for i, text in enumerate(texts) if text is not joined[i]]
    if not changed:
        return characters, bounds
    if 2 * len(changed) > len(texts):
        return join_texts(texts)
    lengths, parts, start = np.diff(bounds), list[Ints](), 0
    for i in changed:
        lengths[i] = len(texts[i])
        parts += [characters[start : bounds[i]], join_texts([texts[i]])[0]]
        start = int(bounds[i + 1])
    return np.concatenate([*parts, characters[start:]]), np.append(0, np.cumsum(lengths))


def split_texts(
    characters: Ints, bounds: Places, kind: np.uint8, reading: int = CHARACTERS
) -> tuple[Places, Places, Places]:
    """Cut texts, as `join_texts` gives them, into words.

    Parameters
    ----------
    characters, bounds : ndarray
    kind : {WORD, SPACE}
        A word is two or more letters, digits and marks, or all between two spaces. One alone is a word in
        Korean and in scripts without spaces.
    reading : {CODE_POINTS, CHARACTERS}
        See `hybrid.features.tfidf`.

    Returns
    -------
    starts, ends : ndarray of int64
        Of each word among the characters.
    by_text : ndarray of int64
        Which words are of each text, as bounds.
    """
    room = len(characters) // 2 + len(bounds)
    starts, ends = np.empty((2, room), dtype=np.int64)
    by_text = np.zeros(len(bounds), dtype=np.int64)
    found = kernels.split(characters, bounds, _classes(reading), kind, starts, ends, by_text)
    return starts[:found], ends[:found], by_text


def slice_words(
    characters: Ints, bounds: Places, shortest: int, longest: int, reading: int = CHARACTERS
) -> tuple[Slices, Places]:
    """The n-grams of characters within words, with a space before and after each word.

    Words are sequences of characters, as `Sequences.parts` gives them.

    A character has its marks with it. A word that is shorter, with its spaces, than `shortest` is one n-gram.
    Words of scripts without spaces are cut into single characters: their words are n-grams already.

    Returns
    -------
    slices : characters, int32, and where each n-gram starts and ends among them, int64
        As `Sequences.number` takes them.
    by_word : ndarray of int64
        Which n-grams are of each word, as bounds.
    """
    n = len(bounds) - 1
    padded = np.full(len(characters) + 2 * n, ord(" "), dtype=np.int32)
    places = np.arange(len(characters)) + np.repeat(2 * np.arange(n) + 1, np.diff(bounds))
    padded[places] = characters
    padded_bounds = bounds + 2 * np.arange(n + 1)
    cuts = np.arange(len(padded) + 1)
    if reading != CODE_POINTS and len(inside := _inside(characters, bounds)):
        cuts = np.delete(cuts, places[inside])
        padded_bounds = np.searchsorted(cuts, padded_bounds)
    unspaced = np.zeros(n, dtype=np.bool_)
    if reading != CODE_POINTS and n:
        unspaced = (_classes(reading)[characters[bounds[:-1]]] & UNSPACED) != 0
    starts, ends = np.empty((2, len(padded) * (longest - shortest + 1)), dtype=np.int64)
    by_word = np.zeros(n + 1, dtype=np.int64)
    sizes = shortest, longest
    found = kernels.slice_words(padded_bounds, cuts, unspaced, *sizes, starts, ends, by_word)
    return (padded, starts[:found], ends[:found]), by_word


def _inside(characters: Ints, bounds: Places) -> Places:
    """Which code points are inside a character of their word, not its beginning."""
    marks = np.flatnonzero(_classes(CHARACTERS)[characters] & MARK)
    inside: list[int] = []
    if len(marks):
        text = decode(characters)
        for word in np.unique(np.searchsorted(bounds, marks, side="right") - 1).tolist():
            at = int(bounds[word])
            for character in split_characters(text[at : bounds[word + 1]]):
                inside += range(at + 1, at + len(character))
                at += len(character)
    return np.array(inside, dtype=np.int64)


def decode(characters: Ints) -> str:
    """The string that characters are."""
    return characters.tobytes().decode("utf-32-le", "surrogatepass")


class TextCounts:
    """Counts how many texts have each term, and how often it occurs, some texts at a time."""

    def __init__(self) -> None:
        self._read = self._width = 0
        self._last, self._texts, self._totals = (np.zeros(0, dtype=np.int64) for _ in range(3))

    def add(self, found: Occurrences, width: int) -> None:
        """Count further texts; there are `width` terms by now."""
        self._width = width
        self._last, self._texts = grown(self._last, width), grown(self._texts, width)
        self._totals = grown(self._totals, width)
        kernels.count_texts(*found, self._read, self._last, self._texts, self._totals)
        self._read += len(found.bounds) - 1

    def frequent(self, least: int) -> tuple[Places, Places]:
        """The terms that so many texts have; how many have each and how often it occurs, shape (2, n)."""
        counts = np.stack([self._texts[: self._width], self._totals[: self._width]])
        frequent = np.flatnonzero(counts[0] >= least)
        return frequent, counts[:, frequent]


def weigh_texts(
    found: Sequence[Occurrences], idf: Sequence[NDArray[np.float32]], *, sublinear: bool
) -> sparse.csr_matrix:
    """TF-IDF of the terms of n texts, those of several kinds side by side.

    Parameters
    ----------
    found : sequence of Occurrences
        For each kind.
    idf : sequence of ndarray of shape (terms,)
        For each kind.
    sublinear : bool
        1 + log(count) instead of the count.

    Returns
    -------
    CSR of shape (n, all terms), float32
        In canonical format; each row of length 1 for each kind that the text has a term of.
    """
    together = _side_by_side(found)
    lengths = np.diff(together.list_bounds)[together.order]
    before = np.append(0, np.cumsum(lengths))[together.bounds]
    most, room = int(np.diff(before).max(initial=0)), int(lengths.sum())
    heights = np.arange(most + 1, dtype=np.float64)
    if sublinear:
        heights[1:] = 1 + np.log(heights[1:])
    columns, weights = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.float32)
    rows = np.zeros(together.bounds.shape[1], dtype=np.int64)
    edges = np.cumsum([0, *map(len, idf)])
    size = kernels.weigh(*together, heights, np.concatenate(idf), edges, columns, weights, rows)
    return _canonical(weights[:size], columns[:size], rows, int(edges[-1]))


def _side_by_side(found: Sequence[Occurrences]) -> Occurrences:
    """All kinds one after the other; the bounds of shape (kinds, texts + 1)."""
    words = np.cumsum([0, *(len(each.order) for each in found)])
    lists = np.cumsum([0, *(len(each.list_bounds) - 1 for each in found)], dtype=np.int32)
    entries = np.cumsum([0, *(len(each.lists) for each in found)])
    starts = [each.list_bounds[:-1] + entries[i] for i, each in enumerate(found)]
    return Occurrences(
        np.stack([each.bounds + words[i] for i, each in enumerate(found)]),
        np.concatenate([each.order + lists[i] for i, each in enumerate(found)]),
        np.concatenate([each.lists for each in found]),
        np.concatenate([*starts, entries[-1:]]),
    )


def stack(
    parts: list[sparse.csr_matrix], mapping: Callable[..., Iterable[None]]
) -> sparse.csr_matrix:
    """One CSR under the other, all in canonical format; `mapping` copies each, as `map` would."""
    ends = np.cumsum([part.nnz for part in parts])
    weights, columns = np.empty(ends[-1], np.float32), np.empty(ends[-1], np.int32)

    def copy(part: sparse.csr_matrix, end: int) -> None:
        weights[end - part.nnz : end] = part.data
        columns[end - part.nnz : end] = part.indices

    list(mapping(copy, parts, ends.tolist()))
    lengths = [np.diff(part.indptr) for part in parts]
    rows = np.append(0, np.cumsum(np.concatenate(lengths), dtype=np.int64))
    return _canonical(weights, columns, rows, parts[0].shape[1])


def _canonical(
    weights: NDArray[np.float32], columns: Ints, rows: Places, width: int
) -> sparse.csr_matrix:
    """A CSR whose columns are known to be in order and different; scipy would look for itself."""
    if len(weights) < 2**31:
        rows = rows.astype(np.int32)
    matrix = sparse.csr_matrix((weights, columns, rows), shape=(len(rows) - 1, width))
    matrix.has_canonical_format = True
    return matrix


@cache
def _classes(reading: int) -> NDArray[np.uint8]:
    """What each character is, by Python's own rules: letters, digits and ``_`` make a word."""
    every = [chr(code) for code in range(PLANES)]
    classes = np.zeros(sys.maxunicode + 1, dtype=np.uint8)
    classes[:PLANES] = np.fromiter(map(str.isalnum, every), np.uint8, PLANES) * WORD
    classes[ord("_")] = WORD
    classes[:PLANES] |= np.fromiter(map(str.isspace, every), np.uint8, PLANES) * SPACE
    if reading != CODE_POINTS:
        kinds = map(unicodedata.category, every)
        marks = np.fromiter((kind[0] == "M" for kind in kinds), np.uint8, PLANES)
        classes[:PLANES] |= marks * (WORD | MARK)
        unspaced = np.fromiter(map(has_unspaced_script, every), np.uint8, PLANES)
        classes[:PLANES] |= unspaced * (SINGLE | UNSPACED)
        classes[HANGUL] |= SINGLE
        classes[SARA_AM] |= MARK
    return classes
