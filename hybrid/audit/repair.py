"""What the repair of a split did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from hybrid.types import PARTS, Audit, Split


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
