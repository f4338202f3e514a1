"""The repair of a split: duplicates in one group, and what that did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybrid.catalogue import Catalogue
from hybrid.splitting.findings import check_parts
from hybrid.splitting.methods import check_group_sizes, connected_groups
from hybrid.splitting.splits import make_split
from hybrid.types import PARTS, Audit, Split
from hybrid.utils.unknown_labels import as_no


@dataclass(frozen=True)
class Repair:
    """What the repair of a split did.

    Parameters
    ----------
    path : Path
        File of the new split.
    sha256 : str
        Hash of what the new split says.
    groups : int
        Groups of more than one item.
    tied : int
        Items in these groups.
    moved : int
        Items that changed their part.
    added : int
        Items that were in no part, or in several.
    audit : Audit
        Of the new split.
    rewritten : bool
        False where there was nothing to repair: the split is the old one.
    """

    path: Path
    sha256: str
    groups: int
    tied: int
    moved: int
    added: int
    audit: Audit
    rewritten: bool


def describe_repair(old: Split, new: Split, audit: Audit, path: Path) -> Repair:
    """Count what a repair did to a split, from the old one and the new."""
    before: dict[str, set[str]] = {}
    for name, part in zip(old.ids.tolist(), old.parts.tolist(), strict=True):
        before.setdefault(name, set()).add(part)
    found = [before.get(name, set()) & set(PARTS) for name in new.ids.tolist()]
    sizes = [size for size in Counter(new.groups.tolist()).values() if size > 1]
    return Repair(
        path=path,
        sha256=new.sha256,
        groups=len(sizes),
        tied=sum(sizes),
        moved=sum(len(f) == 1 and p not in f for f, p in zip(found, new.parts, strict=True)),
        added=sum(len(parts) != 1 for parts in found),
        audit=audit,
        rewritten=new is not old,
    )


def regroup(
    catalogue: Catalogue, split: Split, duplicates: Sequence[Sequence[str]], seed: int
) -> Split:
    """Assign all labelled items anew, in the shares of a split, with duplicates in one group.

    Parameters
    ----------
    catalogue : Catalogue
    split : Split
        Its groups stay together.
    duplicates : sequence of sequences of str
        Ids of items that must stay together.
    seed : int

    Returns
    -------
    Split
        The same one where there is nothing to repair.

    Raises
    ------
    SplitError
        If a group is too large for any part.
    """
    known: dict[str, list[str]] = {}
    for name, group in zip(split.ids.tolist(), split.groups.tolist(), strict=True):
        known.setdefault(group, []).append(name)
    rows = np.flatnonzero(catalogue.labelled)
    ids = catalogue.ids[rows]
    groups = connected_groups(ids, [*duplicates, *known.values()])
    if _is_repaired(split, ids, groups):
        return split
    counts = np.array([(split.parts == part).sum() for part in PARTS])
    shares = (counts / max(counts.sum(), 1)).tolist()
    check_group_sizes(groups, shares)
    new = make_split(ids, as_no(catalogue.labels)[rows], groups=groups, shares=shares, seed=seed)
    check_parts(new, shares)
    return new


def _is_repaired(split: Split, ids: NDArray[np.str_], groups: NDArray[np.str_]) -> bool:
    """Tell whether a split has each of the items in one part, and knows all that must stay together."""
    order, wanted = np.argsort(split.ids), np.argsort(ids)
    if not np.array_equal(split.ids[order], ids[wanted]) or not np.isin(split.parts, PARTS).all():
        return False
    merged = groups[wanted].tolist()
    known, parts = split.groups[order].tolist(), split.parts[order].tolist()
    return len({*merged}) == len({*known}) == len({*zip(merged, parts, strict=True)})
