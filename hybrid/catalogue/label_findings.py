"""What is told about label cells: words for nothing, suspicions, and what options have done."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from hybrid.catalogue.cells import split_cell
from hybrid.catalogue.label_words import UNKNOWN, means_nothing, twin_key
from hybrid.catalogue.labels import LabelCells
from hybrid.catalogue.lists import UNIT
from hybrid.catalogue.unknown_findings import SHOWN, examples, listed, tell_unknown
from hybrid.errors import did_you_mean
from hybrid.types import Finding
from hybrid.utils.counts import agree, counted

# What stands between labels in the files of others; as they are typed.
SEPARATORS = (
    ";",
    ",",
    "|",
    "/",
    " - ",
    "\t",
    "\n",
    "；",
    "，",
    "、",
    "،",
    "؛",
    "·",
    "•",
    " & ",
    " and ",
    "+",
    ">",
)
_TYPED = {"\t": r"\t", "\n": r"\n"}


def tell_labels(found: LabelCells, column: str, separator: str) -> tuple[Finding, ...]:
    """Tell how the label cells of a catalogue were understood, and what looks wrong.

    Parameters
    ----------
    found : LabelCells
    column : str
    separator : str

    Returns
    -------
    tuple of Finding

    Examples
    --------
    >>> import pandas as pd
    >>> from hybrid.catalogue.labels import read_labels
    >>> from hybrid.types import LabelRules
    >>> found = read_labels(pd.Series(["Drama; War", "Drama", "War;Comedy", "N/A"]), "|", LabelRules())
    >>> [finding.kind for finding in tell_labels(found, "genres", "|")]
    ['words for nothing', 'label separator']
    """
    counts = _count(found.cells, separator)
    told = [*_of_words(found, column), *_of_map(found, column, counts)]
    told += [*tell_unknown(found, column, separator, counts), *_of_rare(found, column)]
    suspected = dict(_of_separators(found, column, separator))
    told += suspected.values()
    parts = _count(found.cells, separator, tuple(suspected)) if suspected else counts
    told += _of_twins(parts, column)
    if not suspected:
        told += _of_single(counts, column)
    return tuple(told)


def _count(cells: Iterable[str], separator: str, more: Sequence[str] = ()) -> Counter[str]:
    """Items of each label; with `more` separators, of what is between these, too."""
    counts: Counter[str] = Counter()
    for cell, items in Counter(cells).items():
        parts = split_cell(cell, separator)
        for other in more:
            parts = [
                part for entry in parts if entry[0] != UNKNOWN for part in _parts(entry, other)
            ]
        for part in dict.fromkeys(parts) if more else parts:
            counts[part] += items
    for part in [part for part in counts if part.startswith(UNKNOWN)]:
        del counts[part]
    return counts


def _parts(entry: str, separator: str) -> list[str]:
    return [part for part in split_cell(entry, separator) if not means_nothing(part)]


def _line(label: str, target: str) -> str:
    """A line of the file of `--label-map`."""
    file = io.StringIO()
    csv.writer(file, lineterminator="").writerow([label, target])
    return file.getvalue()


def _of_words(found: LabelCells, column: str) -> Iterator[Finding]:
    if not found.words:
        return
    count, (word, _) = sum(found.words.values()), found.words.most_common(1)[0]
    yield Finding(
        "words for nothing",
        f"column {column!r}: {count:,} of {counted(len(found.cells), 'item')} {agree(count, '{have|has}')} a "
        f"word for nothing, which is no label: {listed(found.words)}; a line such as {_line(word, word)} in "
        "the file of --label-map makes it one",
        count,
        column,
        examples(found.words),
    )


def _of_map(found: LabelCells, column: str, counts: Counter[str]) -> Iterator[Finding]:
    if found.renamed:
        into = Counter(
            {
                f"{label} → {found.rules.map.get(label) or 'dropped'}": count
                for label, count in found.renamed.items()
            }
        )
        yield Finding(
            "label map",
            f"column {column!r}: --label-map renames or drops {counted(len(found.renamed), 'label')}: "
            f"{listed(into)}",
            sum(found.renamed.values()),
            column,
            examples(into),
        )
    absent = [label for label in found.rules.map if label not in found.renamed]
    if absent:
        near = did_you_mean(absent[0], list(counts))
        yield Finding(
            "label map",
            f"column {column!r}: {counted(len(absent), 'label')} of --label-map in no cell: "
            f"{listed(Counter(absent), plain=True)}.{near}",
            len(absent),
            column,
            tuple(absent[: 2 * SHOWN]),
        )


def _of_rare(found: LabelCells, column: str) -> Iterator[Finding]:
    if found.rare:
        least = found.rules.min_count
        yield Finding(
            "dropped labels",
            f"column {column!r}: {counted(len(found.rare), 'label')} on fewer than {counted(least, 'item')} "
            f"left out, as --min-label-count {least} says: {listed(found.rare)}",
            len(found.rare),
            column,
            examples(found.rare),
        )


def _of_separators(found: LabelCells, column: str, separator: str) -> Iterator[tuple[str, Finding]]:
    """Suspect what stands between parts that are labels elsewhere, too: separator, what is told."""
    # The entries of a list are what they are.
    raw = Counter(cell for cell in found.raw.tolist() if UNIT not in cell)
    entries: Counter[str] = Counter()
    for cell, items in raw.items():
        for entry in {part.strip(" \r") for part in cell.split(separator)}:
            entries[entry] += items
    for entry in list(entries):
        # A list that was not understood is no label with separators.
        if entry in found.rules.map or entry[:1] in ("", "[", "{") or means_nothing(entry):
            del entries[entry]
    for other in SEPARATORS:
        if other in separator or separator in other:
            continue
        holding = [entry for entry in entries if other in entry]
        if not holding or not _separates(other, entries, holding):
            continue
        items = sum(
            n for cell, n in raw.items() if any(other in part for part in cell.split(separator))
        )
        shown, typed = max(holding, key=lambda entry: entries[entry]), _TYPED.get(other, other)
        filled = sum(count for cell, count in raw.items() if cell)
        advice = f"say --label-separator '{typed}'"
        if sum(n for cell, n in raw.items() if separator in cell) >= items:
            # Each of two separators would be told while the other is in use.
            line = _line(shown, separator.join(_parts(shown, other)))
            advice = f"too, write {line} and the like into the file of --label-map"
        told = Finding(
            "label separator",
            f"column {column!r}: {items:,} of {counted(filled, 'filled cell')} "
            f"{agree(items, '{hold|holds}')} {other!r} inside a label, such as {shown!r}, and what is "
            f"between them are labels elsewhere; if it separates labels, {advice}",
            items,
            column,
            tuple(sorted(holding, key=lambda entry: -entries[entry])[:SHOWN]),
        )
        yield other, told


def _separates(other: str, entries: Counter[str], holding: Sequence[str]) -> bool:
    """Tell whether most of the entries fall into parts that are in other entries, too."""
    seen: Counter[str] = Counter()
    split = {entry: {twin_key(part) for part in _parts(entry, other)} for entry in holding}
    alone = {twin_key(entry) for entry in entries if other not in entry}
    for parts in split.values():
        seen.update(parts)
    # A word such as "and", which titles hold, too, separates only what is a label by itself.
    strict = other in (" & ", " and ", "+", ">", "/", "·", " - ")

    def known(part: str) -> bool:
        return part in alone or (seen[part] > 1 and not strict)

    good = [entry for entry, parts in split.items() if parts and all(map(known, parts))]
    several = any(len(split[entry]) > 1 for entry in good) or len(good) > 1
    return several and 2 * len(good) >= len(holding)


def _of_twins(counts: Counter[str], column: str) -> Iterator[Finding]:
    by_key: dict[str, Counter[str]] = defaultdict(Counter)
    for label, count in counts.items():
        by_key[twin_key(label)][label] = count
    twins = sorted((c for c in by_key.values() if len(c) > 1), key=lambda c: -c.total())
    if not twins:
        return
    shown = "; ".join(" and ".join(_with_code_points(c)) for c in twins[:SHOWN])
    (most, _), *others = twins[0].most_common()
    yield Finding(
        "label twins",
        f"column {column!r}: {sum(map(len, twins)):,} labels are spellings of {len(twins):,}, by case, "
        f"spaces, hyphens or Unicode form: {shown}{'; …' if len(twins) > SHOWN else ''}; --label-map FILE "
        f"joins them, by lines such as {_line(others[0][0], most)}",
        len(twins),
        column,
        tuple(label for c in twins[: 2 * SHOWN] for label, _ in c.most_common()),
    )


def _with_code_points(spellings: Counter[str]) -> list[str]:
    """Spellings with their counts; as code points where two would look the same."""
    same = len({ascii(s) for s in spellings}) > 1 and not all(s.isascii() for s in spellings)
    return [f"{ascii(s) if same else repr(s)} ({n:,})" for s, n in spellings.most_common()]


def _of_single(counts: Counter[str], column: str) -> Iterator[Finding]:
    single = Counter({label: count for label, count in counts.items() if count == 1})
    if single:
        yield Finding(
            "rare labels",
            f"column {column!r}: {len(single):,} of {counted(len(counts), 'label')} "
            f"{agree(len(single), '{are|is}')} on one item only, and cannot be both learnt and tested: "
            f"{listed(single, plain=True)}; --min-label-count 2 leaves {agree(len(single), '{them|it}')} out",
            len(single),
            column,
            examples(single),
        )
