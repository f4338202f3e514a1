"""Label cells → labels: words for nothing, renamed and rare labels, and labels that were not looked at."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.cells import join_list, split_cell
from hybrid.catalogue.label_map import LabelMap, read_label_map
from hybrid.catalogue.label_words import ALL, UNKNOWN, means_nothing
from hybrid.catalogue.unknown_column import add_unknown
from hybrid.errors import SettingError
from hybrid.types import ColumnOptions, Columns, LabelRules


@dataclass(frozen=True)
class LabelCells:
    """The label cells of a catalogue, as they are understood.

    Parameters
    ----------
    raw : ndarray of shape (n,), str
        As they are in the file.
    cells : ndarray of shape (n,), str
        Labels between separators; one that was not looked at is marked with ``?``, and ``?*`` marks
        every label that the item does not have.
    rules : LabelRules
        How they were understood.
    words : Counter of str
        Word for nothing → items.
    renamed : Counter of str
        Label of the map → items.
    rare : Counter of str
        Dropped label → items.
    unknown : Counter of str
        Label → items where it was not looked at.
    both : Counter of str
        Label → items that have it and say that it was not looked at: it counts as not looked at.
    truth : Counter of str
        Truth value in the column of unknown labels → items.
    """

    raw: NDArray[np.object_]
    cells: NDArray[np.object_]
    rules: LabelRules
    words: Counter[str] = field(default_factory=Counter)
    renamed: Counter[str] = field(default_factory=Counter)
    rare: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    both: Counter[str] = field(default_factory=Counter)
    truth: Counter[str] = field(default_factory=Counter)


def typed_separator(options: ColumnOptions) -> ColumnOptions:
    r"""Options with a tab or a line break for a separator that is typed as ``\t`` or ``\n``.

    Examples
    --------
    >>> typed_separator(ColumnOptions(label_separator="\\t")).label_separator
    '\t'
    """
    separator = options.label_separator.replace("\\t", "\t").replace("\\n", "\n")
    return replace(options, label_separator=separator)


def find_rules(options: ColumnOptions, like: Columns | None = None) -> LabelRules:
    """Find how label cells are read: what `options` say comes before what a run recorded.

    Parameters
    ----------
    options : ColumnOptions
    like : Columns, optional
        Of a run.

    Returns
    -------
    LabelRules

    Raises
    ------
    SettingError
        If the file of the label map cannot be read, or the least count is below 1.

    Examples
    --------
    >>> find_rules(ColumnOptions(min_label_count=3)).min_count
    3
    """
    if options.min_label_count < 1:
        raise SettingError(
            f"--min-label-count: expected 1 or more, found {options.min_label_count}."
        )
    recorded = (like.rules if like else None) or LabelRules()
    if options.label_map is not None:
        recorded = replace(recorded, map=read_label_map(options.label_map))
    if options.min_label_count != 1:
        recorded = replace(recorded, min_count=options.min_label_count, dropped=())
    return replace(recorded, unknown=options.unknown or recorded.unknown)


def read_labels(
    cells: pd.Series,
    separator: str,
    rules: LabelRules,
    unknown: pd.Series | None = None,
    broken: frozenset[str] = frozenset(),
) -> LabelCells:
    """Find the labels of each cell.

    Parameters
    ----------
    cells : Series of n str
    separator : str
    rules : LabelRules
        Without `dropped`, labels on fewer than `min_count` items are dropped.
    unknown : Series of n str, optional
        The labels of each item that were not looked at, ``*``, or a truth value.
    broken : frozenset of str, default=frozenset()
        Cells that hold no label unless the map names them.

    Returns
    -------
    LabelCells
        Its `rules` name the labels that were dropped.

    Examples
    --------
    >>> cells = pd.Series(["Drama|comedy", "N/A", "Comedy|?War"])
    >>> read_labels(cells, "|", LabelRules({"comedy": "Comedy"})).cells.tolist()
    ['Drama|Comedy', '', 'Comedy|?War']
    """
    raw = cells.to_numpy(dtype=object)
    unread = raw
    if broken:  # each is one entry, also where it holds the separator
        whole = {cell: join_list([cell], separator) for cell in broken}
        unread = np.array([whole.get(cell, cell) for cell in raw], dtype=object)
    truth = Counter[str]()
    if unknown is not None:
        unread, truth = add_unknown(unread, unknown.to_numpy(dtype=object), separator)
    codes, distinct = pd.factorize(unread)
    items = np.bincount(codes, minlength=len(distinct)).tolist()
    found = LabelCells(raw, raw, rules, truth=truth)
    reader = _Reader(separator, LabelMap(rules.map), found, broken)
    entries = [
        reader.read(cell, count) for cell, count in zip(distinct.tolist(), items, strict=True)
    ]
    dropped = rules.dropped
    if rules.min_count > 1 and not dropped:
        dropped = _too_rare(entries, items, rules.min_count)
    if dropped:
        entries = _without(entries, items, frozenset(dropped), found.rare)
    joined = np.array([join_list(one, separator) for one in entries], dtype=object)
    return replace(found, cells=joined[codes], rules=replace(rules, dropped=dropped))


def split_labels(cell: str, separator: str) -> tuple[list[str], list[str]]:
    """Split an understood label cell into labels, and labels that were not looked at.

    Examples
    --------
    >>> split_labels("Drama|?War", "|")
    (['Drama'], ['War'])
    """
    labels: list[str] = []
    unknown: list[str] = []
    for entry in split_cell(cell, separator):
        marked = entry.startswith(UNKNOWN) and len(entry) > 1
        (unknown if marked else labels).append(entry[1:] if marked else entry)
    return labels, unknown


class _Reader:
    """Reads one distinct cell after the other, and counts what it finds."""

    def __init__(
        self, separator: str, renamed: LabelMap, found: LabelCells, broken: frozenset[str]
    ) -> None:
        self.separator, self.map, self.found = separator, renamed, found
        self.broken = {" ".join(cell.split()) for cell in broken}
        self.plain: set[str] = set()  # entries that are labels as they are

    def read(self, cell: str, items: int) -> tuple[str, ...]:
        """The entries of a cell that `items` items have: labels, then those that were not looked at."""
        entries = split_cell(cell, self.separator)
        if self.plain.issuperset(entries):
            return tuple(entries)
        labels, unknown = dict[str, None](), dict[str, None]()
        for entry in entries:
            marked = entry.startswith(UNKNOWN) and len(entry) > 1 and self.map.find(entry) is None
            name = entry[1:].strip() if marked else entry
            if marked and name == ALL:
                unknown[ALL] = None
                self.found.unknown[ALL] += items
                continue
            for label in self._labels(name, entry, items):
                (unknown if marked else labels)[label] = None
                if marked:
                    self.found.unknown[label] += items
        for label in labels.keys() & unknown.keys():
            self.found.both[label] += items
        known = (label for label in labels if label not in unknown)
        return (*known, *(UNKNOWN + label for label in unknown))

    def _labels(self, name: str, entry: str, items: int) -> list[str]:
        """What an entry is renamed to; itself, or nothing where it is a word for that."""
        target = self.map.find(name)
        if target is not None:
            self.found.renamed[name] += items
            return split_cell(target, self.separator)
        if name in self.broken:
            return []
        if means_nothing(name):
            self.found.words[entry] += items
            return []
        if name == entry:
            self.plain.add(name)
        return [name]


def _too_rare(entries: list[tuple[str, ...]], items: list[int], at_least: int) -> tuple[str, ...]:
    counts: Counter[str] = Counter()
    for labels, count in zip(entries, items, strict=True):
        for label in labels:
            counts[label] += 0 if label.startswith(UNKNOWN) else count
    return tuple(
        sorted(
            label
            for label, count in counts.items()
            if count < at_least and not label.startswith(UNKNOWN)
        )
    )


def _without(
    entries: list[tuple[str, ...]],
    items: list[int],
    dropped: frozenset[str],
    counts: Counter[str],
) -> list[tuple[str, ...]]:
    """The entries without dropped labels, known or unknown."""
    left = []
    for labels, count in zip(entries, items, strict=True):
        for label in labels:
            if label in dropped:
                counts[label] += count
        left.append(tuple(label for label in labels if label.removeprefix(UNKNOWN) not in dropped))
    return left
