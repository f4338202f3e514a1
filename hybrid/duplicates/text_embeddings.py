"""Near-same texts by the cosine of their embeddings, where their words do not tell already. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import combinations

from hybrid.duplicates.cosine import search_by_cosine
from hybrid.duplicates.cross_polytope import Rows
from hybrid.duplicates.kinds import NEAR_TEXT_EMBEDDING
from hybrid.duplicates.members import Members
from hybrid.duplicates.similarity import connected_components, group_equal
from hybrid.duplicates.standardised_rows import StandardisedRows
from hybrid.types import MAX_SHARED, WARNING, DuplicateGroups

# docs/splits.md has the data that it was chosen on.
MIN_TEXT_COSINE = 0.85  # of two embeddings of texts, each dimension standardised
# Of the greatest standard deviation of a dimension; one that is smaller is rounding of a constant.
MIN_SPREAD = 1e-3

Known = dict[str, set[int]]  # id → numbers of the groups that it is in


def near_text_duplicates(
    members: Members, rows: Rows, told: Iterable[DuplicateGroups] = ()
) -> DuplicateGroups:
    """Near-same texts: a cosine similarity of at least 0.85, each dimension of the embeddings standardised.

    A dimension that hardly varies is rounding of a constant, and counts for nothing. Pairs that other kinds
    have are left out.

    Parameters
    ----------
    members : Members of length n
        The items that have each text.
    rows : Rows
        The embedding of each text, of shape (n, D): an array, or what reads one.
    told : iterable of DuplicateGroups, default=()
        Kinds whose pairs are known: items of one of their groups, or that share what too many share.

    Returns
    -------
    DuplicateGroups
        Their severity is ``"warning"``. Items are connected components, of which only pairs are left where
        another kind has some.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[0, 9], [0.1, 9], [9, 0], [8, 1]], dtype=np.float32)
    >>> members = Members.of([["f1"], ["f2"], ["f3"], ["f4"]])
    >>> near_text_duplicates(members, rows).groups
    (('f1', 'f2'), ('f3', 'f4'))
    >>> words = DuplicateGroups("near-same overview", (("f1", "f2"),))
    >>> near_text_duplicates(members, rows, [words]).groups
    (('f3', 'f4'),)
    """
    near = search_by_cosine(StandardisedRows(rows, MIN_SPREAD), MIN_TEXT_COSINE)
    known = _number_groups(told)
    links = [pair for group in members.shared() for pair in combinations(group, 2)]
    for i, j in near.pairs.tolist():
        links += [(a, b) for a in members[i] for b in members[j]]
    links = [(a, b) for a, b in links if a != b and not _told(a, b, known)]
    ids = list(dict.fromkeys(name for pair in links for name in pair))
    place = {name: i for i, name in enumerate(ids)}
    parts = connected_components(len(ids), [(place[a], place[b]) for a, b in links])
    found = [tuple(ids[i] for i in group) for group in group_equal(parts.tolist())]
    tied = [group for items in found if len(items) <= MAX_SHARED for group in _untold(items, known)]
    untied = tuple(items for items in found if len(items) > MAX_SHARED)
    return DuplicateGroups(NEAR_TEXT_EMBEDDING, tuple(tied), WARNING, untied=untied, note=near.note)


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
