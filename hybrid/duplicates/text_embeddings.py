"""Near-same texts by the cosine of their embeddings, where their words do not tell already. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from hybrid.duplicates.kinds import NEAR_TEXT_EMBEDDING
from hybrid.duplicates.sharing import Members
from hybrid.duplicates.similarity import (
    connected_components,
    group_equal,
    near_duplicates_by_cosine,
)
from hybrid.types import MAX_SHARED, WARNING, DuplicateGroups

# docs/splits.md has the data that it was chosen on.
MIN_TEXT_COSINE = 0.85  # of two embeddings of texts, each dimension standardised
# Of the greatest standard deviation of a dimension; one that is smaller is rounding of a constant.
MIN_SPREAD = 1e-3

Known = dict[str, set[int]]  # id → numbers of the groups that it is in


def near_text_duplicates(
    members: Members, rows: NDArray[np.float32], told: Iterable[DuplicateGroups] = ()
) -> DuplicateGroups:
    """Near-same texts: a cosine similarity of at least 0.85, each dimension of the embeddings standardised.

    The search is exact. Pairs that other kinds have are left out.

    Parameters
    ----------
    members : mapping of bytes to sequence of str
        Key of a text → ids of the items that have it.
    rows : ndarray of shape (n, D), float32
        The embedding of each key, in the order of `members`. Changed in place.
    told : iterable of DuplicateGroups, default=()
        Kinds whose pairs are known: items of one of their groups, or that share what too many share.

    Returns
    -------
    DuplicateGroups
        Their severity is ``"warning"``. Items are connected components, of which only pairs are left where
        another kind has some.

    Examples
    --------
    >>> rows = np.array([[0, 9], [0.1, 9], [9, 0], [8, 1]], dtype=np.float32)
    >>> members = {b"a": ["f1"], b"b": ["f2"], b"c": ["f3"], b"d": ["f4"]}
    >>> near_text_duplicates(members, rows).groups
    (('f1', 'f2'), ('f3', 'f4'))
    >>> rows = np.array([[0, 9], [0.1, 9], [9, 0], [8, 1]], dtype=np.float32)
    >>> words = DuplicateGroups("near-same overview", (("f1", "f2"),))
    >>> near_text_duplicates(members, rows, [words]).groups
    (('f3', 'f4'),)
    """
    standardise_rows(rows)
    names = list(members.values())
    known = _number_groups(told)
    links = [pair for group in names for pair in combinations(group, 2)]
    for i, j in near_duplicates_by_cosine(rows, MIN_TEXT_COSINE).tolist():
        links += [(a, b) for a in names[i] for b in names[j]]
    links = [(a, b) for a, b in links if a != b and not _told(a, b, known)]
    ids = list(dict.fromkeys(name for pair in links for name in pair))
    place = {name: i for i, name in enumerate(ids)}
    parts = connected_components(len(ids), [(place[a], place[b]) for a, b in links])
    found = [tuple(ids[i] for i in group) for group in group_equal(parts.tolist())]
    tied = [group for items in found if len(items) <= MAX_SHARED for group in _untold(items, known)]
    untied = tuple(items for items in found if len(items) > MAX_SHARED)
    return DuplicateGroups(NEAR_TEXT_EMBEDDING, tuple(tied), WARNING, untied=untied)


def standardise_rows(rows: NDArray[np.float32]) -> None:
    """Standardise each dimension in place, and scale each row to unit length.

    A dimension that hardly varies is rounding of a constant, and counts for nothing.

    Examples
    --------
    >>> rows = np.array([[1, 5, 3], [3, 5, 3.0000002]], dtype=np.float32)
    >>> standardise_rows(rows)
    >>> rows.round(3).tolist()
    [[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """
    if not len(rows):
        return
    rows -= rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    spread = np.sqrt(np.einsum("ij,ij->j", rows, rows) / len(rows))
    varies = spread > MIN_SPREAD * spread.max()
    rows *= np.where(varies, 1 / np.where(varies, spread, 1), 0).astype(np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    rows /= np.where(lengths > 0, lengths, 1)


def _number_groups(told: Iterable[DuplicateGroups]) -> Known:
    """In which groups of other kinds each item is."""
    known: Known = {}
    groups: list[Sequence[str]] = [group for kind in told for group in (*kind.groups, *kind.untied)]
    for number, group in enumerate(groups):
        for name in group:
            known.setdefault(name, set()).add(number)
    return known


def _told(a: str, b: str, known: Known) -> bool:
    return not known.get(a, set()).isdisjoint(known.get(b, ()))


def _untold(items: tuple[str, ...], known: Known) -> Collection[tuple[str, ...]]:
    """The items as one group, or their pairs but for those that other kinds have."""
    pairs = list(combinations(items, 2))
    left = [pair for pair in pairs if not _told(*pair, known)]
    return [items] if len(left) == len(pairs) else left
