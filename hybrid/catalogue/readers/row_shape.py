"""What the rows of a table look like, so that a line of prose can be told from a row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

_ROWS = 2000
_ALMOST_ALL = 0.95
_NUMBER = re.compile(r"[-+]?\d[\d.,]*")
_SPACE = re.compile(r"\s")


@dataclass(frozen=True)
class RowShape:
    """Shape of the good rows: the columns that hold numbers, and those without white space.

    Parameters
    ----------
    width : int
        Number of columns.
    numbers, words, filled : tuple of int, default=()
        Columns whose filled cells are numbers, or hold no white space; columns that are never empty.

    Examples
    --------
    >>> shape = RowShape.of([["1", "Jaws, a film"], ["2", "Heat and light"]], 2)
    >>> shape.numbers, shape.fits(["3", "Alien"]), shape.fits(["she said", "no"])
    ((0,), True, False)
    """

    width: int
    numbers: tuple[int, ...] = ()
    words: tuple[int, ...] = ()
    filled: tuple[int, ...] = ()

    @property
    def strong(self) -> bool:
        """Whether a line of prose can be told from a row."""
        return bool(self.numbers or self.words)

    @classmethod
    def of(cls, rows: Iterable[Sequence[str]], width: int) -> RowShape:
        """Learn the shape from rows; those of another width are not looked at."""
        good = list(islice((row for row in rows if len(row) == width), _ROWS))
        numbers, words, always = [], [], []
        for j, cells in enumerate(zip(*good, strict=True)):
            filled = [stripped for cell in cells if (stripped := cell.strip())]
            if len(filled) < 2:
                continue
            if len(filled) == len(cells):
                always.append(j)
            if sum(map(bool, map(_NUMBER.fullmatch, filled))) >= _ALMOST_ALL * len(filled):
                numbers.append(j)
            elif sum(map(bool, map(_SPACE.search, filled))) <= (1 - _ALMOST_ALL) * len(filled):
                words.append(j)
        return cls(width, tuple(numbers), tuple(words), tuple(always))

    def begins(self, fields: Sequence[str]) -> bool:
        """Whether fields look like the first ones of a row."""
        cells, n = [cell.strip() for cell in fields], len(fields)
        if not all(cells[j] for j in self.filled if j < n):
            return False
        numbers = all(not cells[j] or _NUMBER.fullmatch(cells[j]) for j in self.numbers if j < n)
        return numbers and not any(_SPACE.search(cells[j]) for j in self.words if j < n)

    def fits(self, fields: Sequence[str]) -> bool:
        """Whether fields look like a row; without numbers and words: no field begins with a space."""
        if len(fields) != self.width or self.width < 2:
            return False
        return self.begins(fields) if self.strong else not any(f.startswith(" ") for f in fields)
