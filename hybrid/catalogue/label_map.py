"""The file of `--label-map`: labels to rename or to drop."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from hybrid.errors import SettingError
from hybrid.utils.counts import counted
from hybrid.utils.reading import TEXT, open_text

COLUMNS = ("from", "to")


def read_label_map(path: str | Path) -> dict[str, str]:
    r"""Read labels to rename, or to drop, from a CSV file with the columns ``from`` and ``to``.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict of str to str
        Label → label, or labels between separators; ``""`` drops it.

    Raises
    ------
    SettingError
        If the file cannot be read, lacks a column, or maps a label to two.

    Examples
    --------
    >>> _ = Path("map.csv").write_text("from,to\ncomedy,Comedy\nN/A,\n")
    >>> read_label_map("map.csv")
    {'comedy': 'Comedy', 'N/A': ''}
    """
    expected = f"--label-map {path}: expected a CSV file with the columns from,to"
    try:
        with open_text(path, TEXT, "utf-8-sig", newline="") as file:
            rows = list(csv.reader(file, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise SettingError(f"{expected}, found: {error}.") from None
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if not set(COLUMNS) <= set(header):
        raise SettingError(f"{expected} in its first line, found {rows[0] if rows else 'no line'}.")
    one, other = (header.index(name) for name in COLUMNS)
    found, problems = dict[str, str](), []
    for number, row in enumerate(rows[1:], 2):
        if not any(row):
            continue
        if len(row) <= max(one, other):
            problems.append(f"line {number} has {len(row)} of {counted(len(header), 'field')}")
            continue
        label, target = (" ".join(row[place].split()) for place in (one, other))
        if not label:
            problems.append(f"line {number} names no label in its column from")
        elif found.setdefault(label, target) != target:
            problems.append(
                f"line {number} maps {label!r} to {target!r}, an earlier one to {found[label]!r}"
            )
    if problems:
        raise SettingError(f"{expected}, one line a label, found: {'; '.join(problems)}.")
    return found


class LabelMap:
    r"""Looks labels up as they are spelt, or in another Unicode form.

    Parameters
    ----------
    pairs : mapping of str to str
        As `read_label_map` returns it.

    Attributes
    ----------
    used : set of str
        Labels of the map that were looked up.

    Examples
    --------
    >>> labels = LabelMap({"Comédie": "Comedy"})
    >>> labels.find("Come\u0301die"), labels.find("Drama"), labels.used
    ('Comedy', None, {'Comédie'})
    """

    def __init__(self, pairs: Mapping[str, str]) -> None:
        self.pairs = dict(pairs)
        self.used: set[str] = set()
        self._normal = {unicodedata.normalize("NFC", label): label for label in pairs}

    def find(self, label: str) -> str | None:
        """What a label becomes; None where the map does not name it."""
        known = (
            label if label in self.pairs else self._normal.get(unicodedata.normalize("NFC", label))
        )
        if known is None:
            return None
        self.used.add(known)
        return self.pairs[known]
