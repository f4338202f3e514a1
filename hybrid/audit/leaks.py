"""A split, and what is alike in its catalogue → leaks and warnings: what stands in two parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from itertools import combinations, islice

from hybrid.types import LEAK, PARTS, WARNING, Audit, DuplicateGroups, Leak, Split

SAME_ID = "same id"
LABEL_IN_TEXT = "label named in the text"
COLUMN_LEAKS_LABEL = "column gives a label away"
BACKBONE_TRAINED_ON_TEST = "backbone trained on test items"
RUN_TRAINED_ON_TEST = "run learnt from test items"
FITTED_ON_TEST = "preprocessing or thresholds saw test items"
MAX_PAIRS = 1000  # kept in a run's record; the count is of all

Row = tuple[str, str]  # id, part


def audit_split(
    split: Split, duplicates: Sequence[DuplicateGroups] = (), skipped: Sequence[str] = ()
) -> Audit:
    """Search a split for items that stand in two of its parts, or have a twin there.

    Parameters
    ----------
    split : Split
    duplicates : sequence of DuplicateGroups
        What is alike in the catalogue, each kind once.
    skipped : sequence of str
        What could not be looked for, with the reason; passed on.

    Returns
    -------
    Audit
        `share` of a leak is the share of the test items that have a twin in train or validation.
    """
    parts: dict[str, list[str]] = {}
    for name, part in zip(split.ids.tolist(), split.parts.tolist(), strict=True):
        parts.setdefault(name, []).append(part)
    tests = Counter({name: held.count("test") for name, held in parts.items()})
    again = _repeated(parts)
    twice = {name for (name, _), (_, second) in again if second == "test"}
    found = [_leak(SAME_ID, len(again), again, twice, tests)]
    found += [_find(kind, parts, tests) for kind in duplicates]
    leaks = [leak for leak in found if leak.count]
    return Audit(
        (SAME_ID, *(kind.kind for kind in duplicates)),
        tuple(leak for leak in leaks if leak.severity == LEAK),
        tuple(leak for leak in leaks if leak.severity == WARNING),
        tuple(skipped),
    )


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
    return _add_seen(
        audit, split, _tests(split) - unseen, BACKBONE_TRAINED_ON_TEST, f"learnt from by {run}"
    )


def audit_run(
    audit: Audit, split: Split, learnt: Set[str], saw: dict[str, Sequence[str]], run: str
) -> Audit:
    """Add to an audit whether a run learnt from items that are test in this split.

    Parameters
    ----------
    audit : Audit
    split : Split
    learnt : set of str
        Ids of what the run counted as train or validation.
    saw : dict of str to sequence of str
        From its record: what was fitted (preprocessing, thresholds …) → on which parts.
    run : str
        Its name.
    """
    tests = _tests(split)
    audit = _add_seen(audit, split, tests & learnt, RUN_TRAINED_ON_TEST, f"learnt from by {run}")
    guilty = ", ".join(what for what, parts in saw.items() if "test" in parts)
    return _add_seen(audit, split, tests if guilty else set(), FITTED_ON_TEST, f"{guilty} of {run}")


def add_warnings(
    audit: Audit, kind: str, found: Sequence[tuple[str, Sequence[str]]], split: Split
) -> Audit:
    """Add warnings of one kind: (what it is, ids) each.

    Counted are items of the split; the share is of its test items.
    """
    part = dict(zip(split.ids.tolist(), split.parts.tolist(), strict=True))
    tests = _tests(split)
    audit = replace(audit, checks=(*audit.checks, kind))
    rows = [(name, part[name], what) for what, ids in found for name in ids if name in part]
    if not rows:
        return audit
    pairs = tuple((name, where, what, "") for name, where, what in rows[:MAX_PAIRS])
    items = tests & {name for name, _, _ in rows}
    share = len(items) / max(len(tests), 1)
    words = "; ".join(what for what, _ in found)
    leak = Leak(f"{kind} ({words})", len(rows), share, pairs, WARNING, tuple(sorted(items)))
    return replace(audit, warnings=(*audit.warnings, leak))


def _tests(split: Split) -> set[str]:
    return set(split.ids[split.parts == "test"].tolist())


def _add_seen(audit: Audit, split: Split, seen: Set[str], kind: str, how: str) -> Audit:
    """Add a leak of test items that were seen where they should not have been."""
    audit = replace(audit, checks=(*audit.checks, kind))
    if not seen:
        return audit
    names = tuple(sorted(seen))
    pairs = tuple((name, "test", name, how) for name in names[:MAX_PAIRS])
    share = len(names) / len(_tests(split))
    return replace(audit, leaks=(*audit.leaks, Leak(kind, len(names), share, pairs, LEAK, names)))


def _repeated(parts: dict[str, list[str]]) -> list[tuple[Row, Row]]:
    """Ids that stand in two parts."""
    return [
        ((name, first), (name, second))
        for name, held in parts.items()
        for first, second in combinations(PARTS, 2)
        if first in held and second in held
    ]


def _find(duplicates: DuplicateGroups, parts: dict[str, list[str]], tests: Counter[str]) -> Leak:
    """What stands in two parts: all of it counted, the first pairs listed."""
    count = 0
    pairs: list[tuple[Row, Row]] = []
    leaked: set[str] = set()
    for group in duplicates.groups:
        held = {part: [n for n in group if part in parts.get(n, ())] for part in PARTS}
        for first, second in combinations(PARTS, 2):
            if not (held[first] and held[second]):
                continue
            ours = Counter(duplicates.same.get(name, name) for name in held[first])
            twins = {n: len(held[first]) - ours[duplicates.same.get(n, n)] for n in held[second]}
            count += sum(twins.values())
            if second == "test":
                leaked |= {name for name, times in twins.items() if times}
            pairs += islice(_pairs(duplicates, held, first, second), MAX_PAIRS - len(pairs))
    return _leak(duplicates.kind, count, pairs, leaked, tests, duplicates.severity)


def _pairs(
    duplicates: DuplicateGroups, held: dict[str, list[str]], first: str, second: str
) -> Iterator[tuple[Row, Row]]:
    for a in held[first]:
        for b in held[second]:
            if duplicates.same.get(a, a) != duplicates.same.get(b, b):
                yield (a, first), (b, second)


def _leak(
    kind: str,
    count: int,
    pairs: Sequence[tuple[Row, Row]],
    leaked: Set[str],
    tests: Counter[str],
    severity: str = LEAK,
) -> Leak:
    share = sum(tests[name] for name in leaked) / max(tests.total(), 1)
    listed = tuple((*a, *b) for a, b in pairs[:MAX_PAIRS])
    return Leak(kind, count, share, listed, severity, tuple(sorted(leaked)))
