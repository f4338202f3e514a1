"""Sequences of whole numbers, numbered and counted: a word is one of characters, an n-gram one of words.

Apart from `hybrid.features.terms`, and imported only when a text is read: it imports numba.
"""

from __future__ import annotations

import sys
from functools import cache
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from hybrid.features import kernels
from hybrid.features.kernels import SPACE, WORD

Ints = NDArray[np.int32]
Places = NDArray[np.int64]
Slices = tuple[Ints, Places, Places]
UNKNOWN = -1


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
        if learn:
            self._make_room(len(starts), int((ends - starts).sum()))
        numbers = np.empty(len(starts), dtype=np.int32)
        table = (self._slots, self._pool, self._bounds)
        self._size = kernels.number(symbols, starts, ends, self._size, learn, *table, numbers)
        return numbers

    def take(self, chosen: NDArray[np.integer[Any]]) -> Sequences:
        """Only some of them, in this order."""
        taken = Sequences()
        taken.number(self._pool, self._bounds[:-1][chosen], self._bounds[1:][chosen], learn=True)
        return taken

    def parts(self) -> tuple[Ints, Places]:
        """All sequences one after the other, and where each begins, with the end of the last one."""
        bounds = self._bounds[: self._size + 1]
        return self._pool[: bounds[-1]], bounds

    def _make_room(self, more: int, length: int) -> None:
        """For so many new sequences, of so many numbers together."""
        used = int(self._bounds[self._size])
        self._pool = _grown(self._pool, used + length)
        self._bounds = _grown(self._bounds, self._size + more + 1)
        if len(self._slots) < 2 * (self._size + more):
            power = int(2 * (self._size + more)).bit_length()
            self._slots = np.full(2 ** (power + 1), UNKNOWN, dtype=np.int32)
            kernels.place(self._pool, self._bounds, self._size, self._slots)

    def __getstate__(self) -> dict[str, Any]:
        pool, bounds = self.parts()
        return self.__dict__ | {"_pool": pool.copy(), "_bounds": bounds.copy()}


def _grown(array: NDArray[Any], needed: int) -> NDArray[Any]:
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


def split_texts(characters: Ints, bounds: Places, kind: np.uint8) -> tuple[Places, Places, Places]:
    """Cut texts, as `join_texts` gives them, into words.

    Parameters
    ----------
    characters, bounds : ndarray
    kind : {WORD, SPACE}
        A word is two or more characters of `re`'s class w, or all between two spaces.

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
    found = kernels.split(characters, bounds, _classes(), kind, starts, ends, by_text)
    return starts[:found], ends[:found], by_text


def slice_words(words: Sequences, shortest: int, longest: int) -> tuple[Slices, Places]:
    """The n-grams of characters within words, with a space before and after each word.

    A word that is shorter, with its spaces, than `shortest` is one n-gram.

    Returns
    -------
    slices : characters, int32, and where each n-gram starts and ends among them, int64
        As `Sequences.number` takes them.
    by_word : ndarray of int64
        Which n-grams are of each word, as bounds.
    """
    characters, bounds = words.parts()
    n = len(words)
    padded = np.full(len(characters) + 2 * n, ord(" "), dtype=np.int32)
    places = np.arange(len(characters)) + np.repeat(2 * np.arange(n) + 1, np.diff(bounds))
    padded[places] = characters
    starts, ends = np.empty((2, len(padded) * (longest - shortest + 1)), dtype=np.int64)
    by_word = np.zeros(n + 1, dtype=np.int64)
    padded_bounds = bounds + 2 * np.arange(n + 1)
    found = kernels.slice_words(padded_bounds, shortest, longest, starts, ends, by_word)
    return (padded, starts[:found], ends[:found]), by_word


def count_texts(
    bounds: Places, order: Ints, lists: Ints, list_bounds: Places, width: int
) -> tuple[Places, Places]:
    """How many texts have each term, and how often it occurs in all.

    Parameters
    ----------
    bounds : ndarray of int64
        Which entries of `order` are of each text.
    order : ndarray of int32
        Numbers of lists.
    lists : ndarray of int32
        Terms, -1 for what is none, one list after the other.
    list_bounds : ndarray of int64
        Where each list begins, with the end of the last one.
    width : int
        Terms there are.
    """
    texts, totals = np.zeros((2, width), dtype=np.int64)
    kernels.count_texts(bounds, order, lists, list_bounds, np.full(width, -1), texts, totals)
    return texts, totals


def count_rows(
    bounds: Places, order: Ints, lists: Ints, list_bounds: Places, width: int
) -> sparse.csr_matrix:
    """How often each text has each term: CSR of shape (texts, width), float32, in canonical format.

    The parameters are those of `count_texts`.
    """
    room = int(np.diff(list_bounds)[order].sum())
    columns, counts = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.float32)
    rows = np.zeros(len(bounds), dtype=np.int64)
    scratch = np.zeros(width, dtype=np.int32)
    found = kernels.count_rows(bounds, order, lists, list_bounds, scratch, columns, counts, rows)
    return canonical(counts[:found], columns[:found], rows, width)


def canonical(
    values: NDArray[np.float32], columns: Ints, rows: Places, width: int
) -> sparse.csr_matrix:
    """A CSR whose columns are known to be in order and different; scipy would look for itself."""
    if len(values) < 2**31:
        rows = rows.astype(np.int32)
    matrix = sparse.csr_matrix((values, columns, rows), shape=(len(rows) - 1, width))
    matrix.has_canonical_format = True
    return matrix


def weigh_rows(
    counts: sparse.csr_matrix,
    idf: NDArray[np.float32],
    sublinear: bool,
    places: Places,
    weights: NDArray[np.float32],
    columns: Ints,
    shift: int,
) -> None:
    """TF-IDF of the counts of terms, each row of length 1, written to where its row begins.

    Parameters
    ----------
    counts : CSR of shape (n, terms)
    idf : ndarray of shape (terms,)
    sublinear : bool
        1 + log(count) instead of the count.
    places : ndarray of int64, shape (n,)
        Where each row begins in `weights` and `columns`, which are filled.
    weights, columns : ndarray
    shift : int
        Added to the columns.
    """
    heights = np.arange(int(counts.data.max(initial=0)) + 1, dtype=np.float64)
    if sublinear:
        heights[1:] = 1 + np.log(heights[1:])
    matrix = (counts.data, counts.indices, counts.indptr)
    kernels.weigh(*matrix, heights, idf, places, shift, weights, columns)


@cache
def _classes() -> NDArray[np.uint8]:
    """What each character is, by Python's own rules: letters, digits and ``_`` make a word."""
    every = [chr(code) for code in range(sys.maxunicode + 1)]
    word = np.fromiter(map(str.isalnum, every), np.uint8, len(every)) * WORD
    word[ord("_")] = WORD
    return word | np.fromiter(map(str.isspace, every), np.uint8, len(every)) * SPACE
