"""Leaks of a split: items and duplicates that are in two of its parts. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from itertools import combinations, islice

from hybrid.types import LEAK, PARTS, WARNING, Audit, DuplicateGroups, Leak, Split

SAME_ID = "same id"
LABEL_IN_TEXT = "label named in the text"
COLUMN_LEAKS_LABEL = "column gives a label away"
BACKBONE_TRAINED_ON_TEST = "backbone trained on test items"
RUN_TRAINED_ON_TEST = "run learnt from test items"
FITTED_ON_TEST = "preprocessing or thresholds saw test items"
MAX_PAIRS = 1000  # listed in a record; all are counted

Row = tuple[str, str]  # id, part


def audit_split(
    split: Split, duplicates: Sequence[DuplicateGroups] = (), skipped: Sequence[str] = ()
) -> Audit:
    """Find items that are in two parts of a split, or have a duplicate in another part.

    Parameters
    ----------
    split : Split
    duplicates : sequence of DuplicateGroups, default=()
        Duplicates in the catalogue, each kind once.
    skipped : sequence of str, default=()
        What could not be searched for, with the reason; passed on.

    Returns
    -------
    Audit
        The `share` of a leak is the share of the test items that have a duplicate in train or validation.

    Examples
    --------
    >>> import numpy as np
    >>> ids, parts = np.array(["a", "b", "c"]), np.array(["train", "test", "test"])
    >>> same = DuplicateGroups("same image bytes", (("a", "b"),))
    >>> (leak,) = audit_split(Split(ids, parts, ids, ""), [same]).leaks
    >>> leak.count, leak.share, leak.pairs
    (1, 0.5, (('a', 'train', 'b', 'test'),))
    """
    parts: dict[str, list[str]] = {}  # of each id; an id may be in several
    for name, part in zip(split.ids.tolist(), split.parts.tolist(), strict=True):
        parts.setdefault(name, []).append(part)
    tests = Counter({name: held.count("test") for name, held in parts.items()})
    repeated = _repeated(parts)
    in_test = {name for (name, _), (_, second) in repeated if second == "test"}
    found = [_leak(SAME_ID, len(repeated), repeated, in_test, tests)]
    found += [_find(kind, parts, tests) for kind in duplicates]
    leaks = [leak for leak in found if leak.count]
    leaks += [_untied(kind, parts, tests) for kind in duplicates if kind.untied]
    return Audit(
        (SAME_ID, *(kind.kind for kind in duplicates)),
        tuple(leak for leak in leaks if leak.severity == LEAK),
        tuple(leak for leak in leaks if leak.severity == WARNING),
        tuple(skipped),
    )


def unknown_learning(skipped: Iterable[str]) -> tuple[str, ...]:
    """What an audit could not tell of what a run or its backbones have learnt from.

    Parameters
    ----------
    skipped : iterable of str
        Of the audit.

    Returns
    -------
    tuple of str
        Those of its entries.

    Examples
    --------
    >>> unknown_learning(["same title: no column year", "run learnt from test items: no provenance"])
    ('run learnt from test items: no provenance',)
    """
    kinds = (f"{BACKBONE_TRAINED_ON_TEST}: ", f"{RUN_TRAINED_ON_TEST}: ")
    return tuple(entry for entry in skipped if entry.startswith(kinds))


def clean_in_words(unknown: bool) -> str:
    """How a split without a leak is called.

    Parameters
    ----------
    unknown : bool
        Whether it is not known what a model has learnt from.

    Returns
    -------
    str

    Examples
    --------
    >>> clean_in_words(True)
    'clean as far as can be told'
    """
    return "clean as far as can be told" if unknown else "clean"


def audit_learnt(audit: Audit, split: Split, learnt: Mapping[str, str], kind: str) -> Audit:
    """Add to an audit whether a run has learnt from test items.

    Parameters
    ----------
    audit : Audit
    split : Split
    learnt : mapping of str to str
        Id of each item that was learnt from → name of the run that did; other items do not matter.
    kind : str
        `BACKBONE_TRAINED_ON_TEST` or `RUN_TRAINED_ON_TEST`.

    Returns
    -------
    Audit

    Examples
    --------
    >>> import numpy as np
    >>> ids = np.array(["a", "b"])
    >>> split = Split(ids, np.array(["train", "test"]), ids, "")
    >>> audit_learnt(audit_split(split), split, {"b": "scratch"}, BACKBONE_TRAINED_ON_TEST).leaks[0].items
    ('b',)
    """
    how = {name: f"learnt from by {learnt[name]}" for name in _tests(split) & learnt.keys()}
    return _add_items(audit, split, how, kind)


def audit_fitted_on(
    audit: Audit, split: Split, fitted_on: Mapping[str, Sequence[str]], run: str
) -> Audit:
    """Add to an audit whether preprocessing or thresholds of a run were fitted on its test items.

    Parameters
    ----------
    audit : Audit
    split : Split
    fitted_on : mapping of str to sequence of str
        From its record: what was fitted (preprocessing, thresholds …) → on which parts.
    run : str
        Its name.

    Returns
    -------
    Audit

    Examples
    --------
    >>> import numpy as np
    >>> ids = np.array(["a", "b"])
    >>> split = Split(ids, np.array(["train", "test"]), ids, "")
    >>> audit = audit_fitted_on(audit_split(split), split, {"thresholds": ["test"]}, "svm")
    >>> [leak.kind for leak in audit.leaks]
    ['preprocessing or thresholds saw test items']
    """
    what = ", ".join(what for what, parts in fitted_on.items() if "test" in parts)
    leaked = _tests(split) if what else set()
    return _add_items(audit, split, dict.fromkeys(leaked, f"{what} of {run}"), FITTED_ON_TEST)


def add_warnings(
    audit: Audit, kind: str, found: Sequence[tuple[str, Sequence[str]]], split: Split
) -> Audit:
    """Add warnings of one kind to an audit.

    Parameters
    ----------
    audit : Audit
    kind : str
    found : sequence of (str, sequence of str)
        What was found, and the ids of the items concerned.
    split : Split
        Items that are not in it are not counted; the share is of its test items.

    Returns
    -------
    Audit

    Examples
    --------
    >>> import numpy as np
    >>> ids = np.array(["a", "b"])
    >>> split = Split(ids, np.array(["train", "test"]), ids, "")
    >>> audit = add_warnings(audit_split(split), "label named in the text", [("War", ["b"])], split)
    >>> audit.clean, audit.warnings[0].count, audit.warnings[0].share
    (True, 1, 1.0)
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
    listed = "; ".join(what for what, _ in found)
    leak = Leak(f"{kind} ({listed})", len(rows), share, pairs, WARNING, tuple(sorted(items)))
    return replace(audit, warnings=(*audit.warnings, leak))


def _tests(split: Split) -> set[str]:
    return set(split.ids[split.parts == "test"].tolist())


def _add_items(audit: Audit, split: Split, how: Mapping[str, str], kind: str) -> Audit:
    """Add a leak of test items: id → how it leaks."""
    audit = replace(audit, checks=(*audit.checks, kind))
    if not how:
        return audit
    names = tuple(sorted(how))
    pairs = tuple((name, "test", name, how[name]) for name in names[:MAX_PAIRS])
    share = len(names) / len(_tests(split))
    return replace(audit, leaks=(*audit.leaks, Leak(kind, len(names), share, pairs, LEAK, names)))


def _repeated(parts: dict[str, list[str]]) -> list[tuple[Row, Row]]:
    """Ids that are in two parts."""
    return [
        ((name, first), (name, second))
        for name, held in parts.items()
        for first, second in combinations(PARTS, 2)
        if first in held and second in held
    ]


def _find(duplicates: DuplicateGroups, parts: dict[str, list[str]], tests: Counter[str]) -> Leak:
    """Duplicates in two parts: all are counted, the first pairs listed."""
    count = 0
    pairs: list[tuple[Row, Row]] = []
    leaked: set[str] = set()
    for group in duplicates.groups:
        held = {part: [n for n in group if part in parts.get(n, ())] for part in PARTS}
        for first, second in combinations(PARTS, 2):
            if not (held[first] and held[second]):
                continue
            same = Counter(duplicates.same.get(name, name) for name in held[first])
            copies = {n: len(held[first]) - same[duplicates.same.get(n, n)] for n in held[second]}
            count += sum(copies.values())
            if second == "test":
                leaked |= {name for name, times in copies.items() if times}
            pairs += islice(_pairs(duplicates, held, first, second), MAX_PAIRS - len(pairs))
    return _leak(duplicates.kind, count, pairs, leaked, tests, duplicates.severity)


def _untied(duplicates: DuplicateGroups, parts: dict[str, list[str]], tests: Counter[str]) -> Leak:
    """A warning of the items that share what too many share to be duplicates."""
    listed = [
        (name, parts[name][0], f"one of {len(group)}", "")
        for group in duplicates.untied
        for name in group
        if name in parts
    ]
    sizes = ", ".join(str(len(group)) for group in duplicates.untied[:5])
    more = ", …" if len(duplicates.untied) > 5 else ""
    items = {name for name, *_ in listed} & {name for name, times in tests.items() if times}
    return Leak(
        f"{duplicates.kind}, but of too many items to be duplicates (of {sizes}{more})",
        len(listed),
        sum(tests[name] for name in items) / max(tests.total(), 1),
        tuple(listed[:MAX_PAIRS]),
        WARNING,
        tuple(sorted(items)),
    )


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
