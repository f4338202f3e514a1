"""Equal values, connected components, and the words of a text. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from hybrid.utils.scripts import has_unspaced_script, split_words, strip_points, unify_letters

Pairs = NDArray[np.int64]
Groups = list[tuple[int, ...]]


def group_equal(values: Iterable[Hashable | None]) -> Groups:
    """Group the positions of equal values.

    Parameters
    ----------
    values : iterable of hashable or None
        None equals nothing.

    Returns
    -------
    list of tuple of int
        Positions, ascending; groups of two or more, by their first position.

    Examples
    --------
    >>> group_equal(["a", None, "b", "a", None])
    [(0, 3)]
    """
    found: dict[Hashable, list[int]] = {}
    for i, value in enumerate(values):
        if value is not None:
            found.setdefault(value, []).append(i)
    return [tuple(group) for group in found.values() if len(group) > 1]


def connected_components(n: int, groups: Iterable[Sequence[int]] | Pairs) -> NDArray[np.int64]:
    """Find the connected components of n items, where the items of a group are connected.

    Parameters
    ----------
    n : int
        Number of items.
    groups : iterable of sequence of int, or ndarray of shape (m, 2)
        Positions, from 0 to ``n - 1``; an array has pairs.

    Returns
    -------
    ndarray of shape (n,), int64
        The component of each item: the smallest position in it.

    Examples
    --------
    >>> connected_components(5, [(0, 3), (3, 4)]).tolist()
    [0, 1, 2, 0, 0]
    """
    if not isinstance(groups, np.ndarray):
        links = [(group[0], other) for group in groups for other in group[1:]]
        groups = np.array(links, dtype=np.int64).reshape(-1, 2)
    first, second = groups.T
    graph = sp.coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(n, n))
    count, member = sp.csgraph.connected_components(graph, directed=False)
    smallest = np.full(count, n, dtype=np.int64)
    np.minimum.at(smallest, member, np.arange(n))
    return smallest[member]


def tokenize(text: str) -> list[str]:
    """Split a text into its words, in lower case and without punctuation.

    In a script without spaces between words each character is a word. Forms of one character that Unicode
    calls compatible are the same: NFC and NFD, full and half width. So are words of Hebrew and Arabic with
    and without vowel points or tatweel.

    Examples
    --------
    >>> tokenize("L'Été: a Film!"), tokenize("ＮＢＡ比赛。"), tokenize("हिन्दी")
    (['l', 'été', 'a', 'film'], ['nba', '比', '赛'], ['हिन्दी'])
    """
    return split_words(unify_letters(strip_points(unicodedata.normalize("NFKC", text).casefold())))


def count_words(tokens: Sequence[str]) -> float:
    """How many words a text has; a character of a script without spaces between words is half a word.

    Parameters
    ----------
    tokens : sequence of str
        As `tokenize` gives them.

    Examples
    --------
    >>> count_words(["nba", "比", "赛"])
    2.0
    """
    return len(tokens) - 0.5 * count_characters(tokens)


def count_characters(tokens: Sequence[str]) -> int:
    """How many tokens are characters of a script without spaces.

    Examples
    --------
    >>> count_characters(["nba", "比", "赛"])
    2
    """
    if "".join(tokens).isascii():
        return 0
    return sum(map(has_unspaced_script, tokens))
