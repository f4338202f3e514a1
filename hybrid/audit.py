"""Split + catalogue + poster keys → leaks: what is in two parts of the split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Set
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
    tests = Counter(name for name, part in items if part == "test")
    leaks = (
        _leak(SAME_ID, by_id.values(), tests),
        _leak(SAME_IMAGE, [dict.fromkeys(group) for group in by_image.values()], tests),
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


def _leak(
    kind: str, groups: Iterable[Collection[tuple[str, str]]], tests: Counter[str]
) -> Leak | None:
    """What stands in two parts; `groups` holds (id, part) of what is the same."""
    pairs: list[tuple[str, str, str, str]] = []
    count = 0
    leaked: set[str] = set()
    for group in groups:
        for (a, part_a), (b, part_b) in combinations(group, 2):
            if part_a == part_b or (a == b) != (kind == SAME_ID):
                continue
            count += 1
            leaked |= {name for name, part in ((a, part_a), (b, part_b)) if part == "test"}
            if len(pairs) < MAX_PAIRS:
                pairs.append((a, part_a, b, part_b))
    if not count:
        return None
    share = sum(tests[name] for name in leaked) / max(tests.total(), 1)
    return Leak(kind, count, share, tuple(pairs))
