"""Split + catalogue + poster keys → leaks: what is in two parts of the split."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from hybrid.records import Audit, Leak, Split

SAME_ID = "same id"
SAME_IMAGE = "same image bytes"
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
