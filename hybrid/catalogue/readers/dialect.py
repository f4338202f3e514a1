"""How a CSV file is written: its separator and its quotes, found from its first lines."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars", "^": "carets",
              "~": "tildes", "\x01": "the character U+0001"}  # fmt: skip
# What a file of this suffix is expected to have.
USUAL = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
_NEARLY_ALL = 0.95
_MARK = "\x1d"  # in place of a separator of several characters


@dataclass(frozen=True)
class Dialect:
    r"""How the fields of a line are parted and quoted.

    Parameters
    ----------
    separator : str, default=","
        Several characters can be one, such as MovieLens' ``::``.
    spaces : bool, default=False
        Whether a quote after the spaces that follow a separator opens a quoted field.
    backslash : bool, default=False
        Whether a quote within a quoted field is written ``\"``, not ``""``.
    quoted : bool, default=True
        Whether quotes are more than letters.

    Examples
    --------
    >>> next(Dialect(";").read(["1;'a';\"b;c\"\n"]))
    ['1', "'a'", 'b;c']
    >>> next(Dialect("::", quoted=False).read(['1::"Jaws" again\n']))
    ['1', '"Jaws" again']
    """

    separator: str = ","
    spaces: bool = False
    backslash: bool = False
    quoted: bool = True

    def read(self, lines: Iterable[str], strict: bool = False) -> Any:
        """Make a `csv.reader` of lines; a strict one raises an error where a quote is not as it should be."""
        if self.backslash:
            lines = (line.replace('\\"', '""') if "\\" in line else line for line in lines)
        separator = self.separator
        if len(separator) > 1:
            lines, separator = (line.replace(self.separator, _MARK) for line in lines), _MARK
        return csv.reader(
            lines,
            delimiter=separator,
            skipinitialspace=self.spaces,
            strict=strict,
            quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
        )


def named_separator(line: str) -> str | None:
    r"""Find the separator that a first line ``sep=;`` names, as Excel writes it; None where it names none.

    Examples
    --------
    >>> named_separator("sep=;\n"), named_separator("id,title\n")
    (';', None)
    """
    text = line.rstrip("\r\n").strip('"')
    if text[:4].lower() == "sep=" and len(text) == 5:
        return text[4]
    return "\t" if text.lower() in ("sep=\\t", "sep=") else None


def find_dialect(lines: Sequence[str], suffix: str, separator: str | None = None) -> Dialect:
    r"""Find the dialect in which the header names most columns and the rows have as many fields.

    Parameters
    ----------
    lines : sequence of str
        The first lines of the file, from the header on.
    suffix : str
        Of the file's name, such as ``".tsv"``: where several separators serve, its usual one.
    separator : str, optional
        Where it is known.

    Returns
    -------
    Dialect

    Examples
    --------
    >>> find_dialect(["id;title, year\n", "1;Jaws, 1975\n"], ".csv").separator
    ';'
    """
    usual = USUAL.get(suffix, ",")
    if separator is None:
        order = [usual, *(one for one in SEPARATORS if one != usual)]
        counted = [(_agreement(lines, Dialect(one)), one) for one in order]
        best = max(share for (share, _), _ in counted)
        # Of those that serve as well, the one with most columns; then one with no space behind it, as a
        # comma in prose has; then the usual one.
        serve = [
            (width, one) for (share, width), one in counted if width > 1 and share > best - 0.1
        ]
        separator = (
            max(serve, key=lambda pair: (pair[0], f"{pair[1]} " not in lines[0]))[1]
            if serve and best > 0
            else usual
        )
    plain = Dialect(separator)
    if _agreement(lines, plain)[0] == 1:
        return plain
    others = [Dialect(separator, spaces=True), Dialect(separator, backslash=True)]
    others.append(Dialect(separator, spaces=True, backslash=True))
    return next((one for one in others if _agreement(lines, one)[0] == 1), plain)


def count_named(header: Sequence[str]) -> int:
    """Number of fields of a header up to the last one that holds something.

    Examples
    --------
    >>> count_named(["", "title", "", " "])
    2
    """
    return max((j + 1 for j, name in enumerate(header) if name.strip()), default=0)


def ends_with_separators(width: int, rows: Sequence[Sequence[str]]) -> bool:
    """Whether rows end with separators that the header lacks: what is behind its fields is empty.

    A few rows may hold something there, such as those with a separator in a cell that is not quoted.

    Parameters
    ----------
    width : int
        Number of fields of the header.
    rows : sequence of sequence of str

    Examples
    --------
    >>> ends_with_separators(2, [["0", "Jaws", ""], ["1", "Heat", ""]])
    True
    >>> ends_with_separators(2, [["0", "1", "Jaws"], ["1", "2", ""]])
    False
    """
    longer = [row for row in rows if len(row) > width]
    empty = sum(not any(cell.strip() for cell in row[width:]) for row in longer)
    return bool(longer) and empty >= _NEARLY_ALL * len(longer) and 2 * len(longer) > len(rows)


def _agreement(lines: Sequence[str], dialect: Dialect) -> tuple[float, int]:
    """Share of the rows that have as many fields as the header, and its number of fields.

    Empty fields at the end count for nothing: a separator may be there in the header or the rows alone.
    """
    try:
        rows = [row for row in dialect.read(lines) if row]
    except csv.Error:
        return 0.0, 0
    if len(rows) > 2:
        rows.pop()  # it may be cut off where the sample ends
    if not rows or len(rows[0]) < 2:
        return 0.0, len(rows[0]) if rows else 0
    width, named = len(rows[0]), count_named(rows[0])
    fits = sum(
        len(row) == width or (len(row) >= named and not any(map(str.strip, row[width:])))
        for row in rows[1:]
    )
    return (fits / (len(rows) - 1) if len(rows) > 1 else 1.0), width
