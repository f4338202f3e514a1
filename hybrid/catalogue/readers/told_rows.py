"""What is told of the rows of a CSV file that are not written as they should be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hybrid.catalogue.readers.csv_rows import Trouble
from hybrid.errors import CatalogueError
from hybrid.types import BadRow, Finding
from hybrid.utils.counts import counted

_SHOWN = 5
# Where more of the rows than this are short, the file is written so: they are counted, not listed.
_USUAL = 0.05

_REASONS: dict[str, Callable[[Trouble, int], str]] = {
    "quote": lambda one, width: (
        f"line {one.line}: a quote opens here that {one.detail}; it was taken as a "
        "letter, and each line as a row"
    ),
    "break": lambda one, width: (
        f"line {one.line}: a line break without quotes cuts the row; {one.detail} were joined"
    ),
    "short": lambda one, width: (
        f"line {one.line} has {one.detail}, the header {width}; the missing ones are empty"
    ),
    "long": lambda one, width: (
        f"line {one.line} has {one.detail}, the header {width} (a field that holds "
        "the separator must be quoted); the row is left out"
    ),
    "header": lambda one, width: "the header again; the row is left out",
}
_MESSAGES = {
    "letter": "{n} {rows} with a cell that begins with a quote and goes on behind the closing one: the "
    "quotes were taken as letters",
    "quote": "{n} {rows} with a quote that is not closed where it should be, so that it would swallow rows "
    "behind it: the quote was taken as a letter, and each line as a row; close or double it in the file",
    "break": "{n} {rows} that a line break without quotes cuts: the pieces were joined; put quotes around "
    "the cell",
    "suspect": "{n} {rows} with a cell of several lines of which some look like rows: read as one cell, as "
    "its quotes say; if a quote is missing or too many there, rows are lost in it",
    "short": "{n} {rows} with fewer fields than the header's {width}: the missing ones are empty",
    "long": "{n} {rows} with more fields than the header's {width}: left out; a field that holds the "
    "separator must be quoted",
    "header": "{n} {rows} with the header again, as where files were put one behind the other: left out",
}
_KINDS = {
    "letter": "quotes within cells",
    "header": "repeated header",
    "quote": "unclosed quotes",
    "break": "broken rows",
    "suspect": "suspected rows",
    "short": "short rows",
    "long": "long rows",
}


@dataclass
class Tally:
    """Counts troubles by their kind, and keeps the first of each.

    Examples
    --------
    >>> tally = Tally()
    >>> tally.add(Trouble("short", row, row + 1, "1 fields") for row in (2, 7))
    >>> tally.findings(3)[0].message
    "2 rows with fewer fields than the header's 3: the missing ones are empty (lines 3, 8)"
    """

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, list[Trouble]] = field(default_factory=dict)

    def add(self, troubles: Iterable[Trouble]) -> None:
        """Count troubles."""
        for trouble in troubles:
            self.counts[trouble.kind] += 1
            kept = self.first.setdefault(trouble.kind, [])
            if len(kept) < _SHOWN:
                kept.append(trouble)

    def findings(self, width: int, listed: Collection[str] = ()) -> list[Finding]:
        """One finding for each kind, with the lines of the first rows.

        Parameters
        ----------
        width : int
            Number of columns.
        listed : collection of str, default=()
            Kinds that are told elsewhere.
        """
        kinds = [kind for kind in _MESSAGES if self.counts[kind] and kind not in listed]
        return [self._finding(kind, width) for kind in kinds]

    def _finding(self, kind: str, width: int) -> Finding:
        count, first = self.counts[kind], self.first[kind]
        what = "line" if first[0].line else "row"
        numbers = [one.line or one.row for one in first]
        shown = ", ".join(map(str, numbers)) + (", …" if count > len(first) else "")
        text = _MESSAGES[kind].format(n=count, rows="row" if count == 1 else "rows", width=width)
        places = f"{what}{'' if count == 1 else 's'} {shown}"
        examples = tuple(
            f"{what} {n}: {one.detail}".rstrip(": ") for n, one in zip(numbers, first, strict=True)
        )
        return Finding(_KINDS[kind], f"{text} ({places})", count, "", examples)


def list_bad_rows(troubles: list[Trouble], width: int, rows: int) -> list[BadRow]:
    """List the rows that are not written as they should be, in the order of the file.

    Parameters
    ----------
    troubles : list of Trouble
    width : int
        Number of columns.
    rows : int
        Number of all rows.
    """
    bad = []
    for kind, reason in _REASONS.items():
        found = [trouble for trouble in troubles if trouble.kind == kind]
        if kind != "short" or len(found) <= max(_SHOWN, _USUAL * rows):
            bad += [BadRow(one.row, "", "", reason(one, width)) for one in found]
    return sorted(bad, key=lambda one: one.row)


def refuse_most_long(path: Path, tally: Tally, rows: int, width: int) -> None:
    """Refuse a file of which most rows have more fields than the header.

    Raises
    ------
    CatalogueError
    """
    count = tally.counts["long"]
    if 2 * count > rows:
        first = tally.first["long"][0]
        raise CatalogueError(
            f"{path}: expected the same number of fields in every line, found {count:,} of "
            f"{counted(rows, 'row')} with more than the {width} that the header names, such as line "
            f"{first.line} with {first.detail}. A field that holds the separator or a quote must be quoted."
        )
