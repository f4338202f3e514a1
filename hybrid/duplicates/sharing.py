"""Items that share a value, as groups; what too many share, such as a placeholder, ties nobody. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from hybrid.duplicates.members import Members
from hybrid.duplicates.similarity import Pairs, connected_components, group_equal
from hybrid.types import LEAK, MAX_SHARED, DuplicateGroups

Ids = tuple[tuple[str, ...], ...]
Describe = Callable[[str], Collection[Hashable]]  # id → what else tells that two items are the same


def say_nothing(_: str) -> Collection[Hashable]:
    """Describe no item.

    Examples
    --------
    >>> say_nothing("f1")
    ()
    """
    return ()


def group_equal_values(kind: str, members: Members, severity: str = LEAK) -> DuplicateGroups:
    """Group the items of equal value; what too many share ties nobody.

    Parameters
    ----------
    kind : str
    members : Members of length m
    severity : str, default="leak"

    Returns
    -------
    DuplicateGroups

    Examples
    --------
    >>> many = [f"f{i}" for i in range(20)]
    >>> found = group_equal_values("same overview", Members.of([many, ["g1", "g2"]]))
    >>> found.groups, len(found.untied[0])
    ((('g1', 'g2'),), 20)
    """
    groups = list(members.shared())
    tied = tuple(group for group in groups if len(group) <= MAX_SHARED)
    untied = tuple(group for group in groups if len(group) > MAX_SHARED)
    return DuplicateGroups(kind, tied, severity, untied=untied)


def group_near_values(
    kind: str, members: Members, pairs: Pairs, severity: str = LEAK
) -> DuplicateGroups:
    """Connected components of near-duplicate values, as groups of the ids that have them.

    A component of too many items ties nobody.

    Parameters
    ----------
    kind : str
    members : Members of length m
    pairs : ndarray of shape (m, 2), int64
        Positions in `members`.
    severity : str, default="leak"

    Returns
    -------
    DuplicateGroups

    Examples
    --------
    >>> members = Members.of([["f1", "f2"], ["f3"], ["f4"]])
    >>> group_near_values("near-same overview", members, np.array([[0, 2]])).groups
    (('f1', 'f2', 'f4'),)
    """
    components = _components(members, pairs)
    same: dict[str, Hashable] = {
        name: value for values, _ in components for value in values for name in members[value]
    }
    # An item with several images may be in a group twice, or alone.
    found = [items for _, items in components if len(items) > 1]
    tied = tuple(items for items in found if len(items) <= MAX_SHARED)
    untied = tuple(items for items in found if len(items) > MAX_SHARED)
    return DuplicateGroups(kind, tied, severity, same, untied)


def _components(members: Members, pairs: Pairs) -> list[tuple[tuple[int, ...], tuple[str, ...]]]:
    """Values that are near to each other, and the ids of the items that have one of them."""
    component = connected_components(len(members), pairs)
    values = np.flatnonzero(np.bincount(component, minlength=1)[component] > 1)
    groups = [
        tuple(values[list(group)].tolist()) for group in group_equal(component[values].tolist())
    ]
    return [(g, tuple(dict.fromkeys(name for i in g for name in members[i]))) for g in groups]


def same_and_near(
    kinds: tuple[str, str], members: Members, pairs: Pairs, describe: Describe
) -> list[DuplicateGroups]:
    """Items of equal and of near-duplicate values.

    Of values that too many items share with their near-duplicates, such as a placeholder that was saved in
    several ways, the equal ones tie only items that are described alike.

    Parameters
    ----------
    kinds : tuple of 2 str
    members : Members of length m
    pairs : ndarray of shape (m, 2), int64
        Positions in `members` of near-duplicates.
    describe : callable
        Id → what else is known about the item.

    Returns
    -------
    list of 2 DuplicateGroups

    Examples
    --------
    >>> lots = Members.of([f"{k}{i}" for i in range(5)] for k in "xyz")
    >>> pairs = np.array([[0, 1], [1, 2]])
    >>> same, near = same_and_near(("same", "near"), lots, pairs, say_nothing)
    >>> same.groups, near.groups, len(near.untied[0])
    ((), (), 15)
    """
    alike: dict[int, list[tuple[str, ...]]] = {}  # of the values that too many share
    for values, items in _components(members, pairs):
        if len(items) > MAX_SHARED:
            traits = _traits(items, describe)
            alike |= {value: _group_alike(members[value], traits) for value in values}
    same = group_equal_values(kinds[0], members)
    tied = [
        group
        for value in np.flatnonzero((members.sizes > 1) & (members.sizes <= MAX_SHARED)).tolist()
        for group in alike.get(value, [members[value]])
    ]
    return [replace(same, groups=tuple(tied)), group_near_values(kinds[1], members, pairs)]


def _traits(ids: Sequence[str], describe: Describe) -> dict[str, list[Hashable]]:
    """What is said about each item, without what too many of them have in common."""
    said = {name: describe(name) for name in ids}
    count = Counter(trait for traits in said.values() for trait in traits)
    return {n: [t for t in traits if count[t] <= MAX_SHARED] for n, traits in said.items()}


def _group_alike(
    ids: Sequence[str], traits: Mapping[str, Sequence[Hashable]]
) -> list[tuple[str, ...]]:
    """Groups of the items that have a trait in common."""
    places: dict[Hashable, list[int]] = {}
    for i, name in enumerate(ids):
        for trait in traits[name]:
            places.setdefault(trait, []).append(i)
    groups = group_equal(connected_components(len(ids), places.values()).tolist())
    return [tuple(ids[i] for i in group) for group in groups]
