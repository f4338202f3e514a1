"""Split + catalogue + poster keys → leaks: what is in two parts of the split."""

from __future__ import annotations

from collections.abc import Sequence, Set
from itertools import combinations
from typing import Any

from hybrid.records import Audit, Leak, Split

SAME_ID = "same id"
SAME_IMAGE = "same image bytes"
TRAINED_ON = "backbone trained on test items"
MAX_PAIRS = 1000  # kept in a run's record; the count is of all


def audit_split(split: Split, keys: dict[str, bytes]) -> Audit:
    """Search a split for items that stand in two of its parts.

    Parameters
    ----------
    split : Split
    keys : dict of id to bytes
        SHA-256 of each item's poster; items without one are left out.

    Returns
    -------
    Audit
        `share` of a leak is the share of the test items that have a twin in train or validation.
    """
    items = list(zip(split.ids.tolist(), split.parts.tolist(), strict=True))
    by_id: dict[Any, list[tuple[str, str]]] = {}
    by_image: dict[Any, list[tuple[str, str]]] = {}
    for name, part in items:
        by_id.setdefault(name, []).append((name, part))
        if name in keys:
            by_image.setdefault(keys[name], []).append((name, part))
    tests = max(sum(part == "test" for _, part in items), 1)
    leaks = (
        _leak(SAME_ID, list(by_id.values()), tests),
        _leak(SAME_IMAGE, [_each_id_once(group) for group in by_image.values()], tests),
    )
    return Audit((SAME_ID, SAME_IMAGE), tuple(leak for leak in leaks if leak))


def audit_backbone(audit: Audit, split: Split, unseen: Set[str], run: str) -> Audit:
    """Add to an audit whether the run that trained the backbone saw test items.

    Parameters
    ----------
    audit : Audit
    split : Split
    unseen : set of str
        Ids of the test items of that run: all that it surely did not learn from.
    run : str
        Its name.
    """
    tests = set(split.ids[split.parts == "test"].tolist())
    seen = sorted(tests - unseen)
    checks = (*audit.checks, TRAINED_ON)
    if not seen:
        return Audit(checks, audit.leaks)
    pairs = tuple((name, "test", name, f"learnt from by {run}") for name in seen[:MAX_PAIRS])
    leak = Leak(TRAINED_ON, len(seen), len(seen) / len(tests), pairs)
    return Audit(checks, (*audit.leaks, leak))


def _each_id_once(group: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """One row an id: an id that is in two parts is a leak of its own kind."""
    return list({name: (name, part) for name, part in group}.values())


def _leak(kind: str, groups: Sequence[Sequence[tuple[str, str]]], tests: int) -> Leak | None:
    pairs: list[tuple[str, str, str, str]] = []
    count = leaked = 0
    for group in groups:
        if len({part for _, part in group}) < 2:
            continue
        leaked += sum(part == "test" for _, part in group)
        for (a, part_a), (b, part_b) in combinations(group, 2):
            if part_a != part_b:
                count += 1
                if len(pairs) < MAX_PAIRS:
                    pairs.append((a, part_a, b, part_b))
    return Leak(kind, count, leaked / tests, tuple(pairs)) if count else None
