"""What is told about labels that were not looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from hybrid.catalogue.label_words import ALL
from hybrid.catalogue.labels import LabelCells, split_labels
from hybrid.errors import did_you_mean
from hybrid.types import Finding
from hybrid.utils.counts import agree, counted

SHOWN = 5  # examples in a message


def listed(counts: Counter[str], plain: bool = False) -> str:
    """Some of the names, with their counts.

    Examples
    --------
    >>> listed(Counter({"Drama": 2, "War": 1}))
    "'Drama' (2), 'War' (1)"
    """
    names = [
        repr(name) if plain else f"{name!r} ({count:,})"
        for name, count in counts.most_common(SHOWN)
    ]
    return ", ".join(names) + (", …" if len(counts) > SHOWN else "")


def examples(counts: Counter[str]) -> tuple[str, ...]:
    """Some of the names, the most frequent first.

    Examples
    --------
    >>> examples(Counter({"Drama": 2, "War": 1}))
    ('Drama', 'War')
    """
    return tuple(name for name, _ in counts.most_common(2 * SHOWN))


def tell_unknown(
    found: LabelCells, column: str, separator: str, counts: Mapping[str, int]
) -> Iterator[Finding]:
    """Tell of labels that were not looked at: how many, contradictions, and what comes of it.

    Parameters
    ----------
    found : LabelCells
    column : str
        With the labels.
    separator : str
    counts : mapping of str to int
        Label → items that have it.

    Yields
    ------
    Finding
    """
    if found.truth:
        yield _of_truth(found)
    if not found.unknown:
        return
    n = found.unknown.total()
    named = Counter({"all others" if k == ALL else k: n for k, n in found.unknown.items()})
    yield Finding(
        "unknown labels",
        f"column {column!r}: {counted(n, 'label')} of items {agree(n, '{are|is}')} marked as not looked at, "
        f"neither yes nor no: {listed(named)}",
        n,
        column,
        examples(named),
    )
    yield from _of_both(found, column)
    yield from _of_strangers(found, column, counts)
    yield from _of_never_absent(found, column, separator, counts)


def _of_truth(found: LabelCells) -> Finding:
    column = found.rules.unknown or ""
    return Finding(
        "truth values",
        f"column {column!r}: truth values: {listed(found.truth)}; true says that no label but those that the "
        "item has was looked at, as * does, and false that all were",
        sum(found.truth.values()),
        column,
        examples(found.truth),
    )


def _of_both(found: LabelCells, column: str) -> Iterator[Finding]:
    if found.both:
        count = sum(found.both.values())
        labels = counted(count, "label")
        yield Finding(
            "contradictory labels",
            f"column {column!r}: {labels} of items {agree(count, '{are|is}')} both given and marked as not "
            f"looked at: {listed(found.both)}; the mark counts (take away the mark, or the label)",
            count,
            column,
            examples(found.both),
        )


def _of_strangers(found: LabelCells, column: str, counts: Mapping[str, int]) -> Iterator[Finding]:
    """Marks of what no item has as a label."""
    known = {*counts, *found.both, ALL}
    strangers = Counter({name: n for name, n in found.unknown.items() if name not in known})
    if strangers:
        n = strangers.total()
        near = did_you_mean(strangers.most_common(1)[0][0], sorted(counts))
        yield Finding(
            "marks of no label",
            f"column {column!r}: {counted(n, 'mark')} of labels that were not looked at "
            f"{agree(n, '{have|has}')} no effect, since no item has the label: {listed(strangers)}.{near}",
            n,
            column,
            examples(strangers),
        )


def _of_never_absent(
    found: LabelCells, column: str, separator: str, counts: Mapping[str, int]
) -> Iterator[Finding]:
    """Labels of which no item is known not to have them."""
    looked = 0  # items whose labels were looked at, but for those that they name
    named: Counter[str] = Counter()
    for cell, items in Counter(found.cells.tolist()).items():
        labels, unknown = split_labels(cell, separator)
        if cell and ALL not in unknown:
            looked += items
            for label in (*labels, *unknown):
                named[label] += items
    never = Counter({label: n for label, n in counts.items() if named[label] == looked})
    if never:
        yield Finding(
            "labels known only as yes",
            f"column {column!r}: of {len(never):,} label{'s' * (len(never) != 1)} no item is known not to "
            f"have it, so that nothing can be learnt: {listed(never)}; say of some items that they were "
            "looked at",
            len(never),
            column,
            examples(never),
        )
