"""What is told of the rows of a CSV file that are not written as they should be."""

from __future__ import annotations

from collections.abc import Callable

from hybrid.catalogue.readers.csv_rows import Trouble
from hybrid.types import BadRow, Finding

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
    "short": "short rows",
    "long": "long rows",
}


def tell_rows(troubles: list[Trouble], width: int, rows: int) -> tuple[list[BadRow], list[Finding]]:
    """Tell of the rows that are not written as they should be.

    Parameters
    ----------
    troubles : list of Trouble
    width : int
        Number of columns.
    rows : int
        Number of all rows.

    Returns
    -------
    bad_rows : list of BadRow
        In the order of the file.
    findings : list of Finding
        One for each kind, with the lines of the first ones.
    """
    bad, findings = [], []
    for kind, message in _MESSAGES.items():
        found = [trouble for trouble in troubles if trouble.kind == kind]
        if not found:
            continue
        if kind in _REASONS and (kind != "short" or len(found) <= max(_SHOWN, _USUAL * rows)):
            bad += [BadRow(one.row, "", "", _REASONS[kind](one, width)) for one in found]
        what = "line" if found[0].line else "row"
        numbers = [one.line or one.row for one in found[:_SHOWN]]
        shown = ", ".join(map(str, numbers)) + (", …" if len(found) > _SHOWN else "")
        text = message.format(n=len(found), rows="row" if len(found) == 1 else "rows", width=width)
        places = f"{what}{'' if len(found) == 1 else 's'} {shown}"
        examples = tuple(
            f"{what} {n}: {one.detail}".rstrip(": ") for n, one in zip(numbers, found, strict=False)
        )
        findings.append(Finding(_KINDS[kind], f"{text} ({places})", len(found), "", examples))
    return sorted(bad, key=lambda one: one.row), findings
