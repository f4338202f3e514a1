"""The rows of a CSV file, with those that its quotes and line breaks have spoilt."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from hybrid.catalogue.readers.dialect import Dialect
from hybrid.catalogue.readers.row_shape import RowShape
from hybrid.utils.counts import counted

CHUNK = 20_000  # lines that are in memory at once, or fewer where they are long:
CHARACTERS = 1 << 22
_BLOCK = 100
_FIELD_LIMIT = 2**31 - 1  # the largest number that csv takes on all systems
_END = "\x1e\x1f end of the file \x1f\x1e"  # a line after the last one: what swallows it was not closed

_PIECES = 50  # of one row
_SWALLOWED = (
    1 << 10
)  # lines behind an open quote: they are looked at after so many, and twice as many, …
_BLANK = re.compile(r'"[ \t]+(?=\W)')  # between a closing quote and the separator


class Trouble(NamedTuple):
    """A row that was not written as it should be.

    Parameters
    ----------
    kind : {"quote", "letter", "break", "suspect", "short", "long", "header"}
        A quote that is not closed in its line, quotes that are letters, a line break within a row, a cell of
        lines of which some look like rows, too few or too many fields, the header again.
    row, line : int
        Position among the rows, and in the file, from 1.
    detail : str
    cells : tuple of str, default=()
        Of a row that is left out: its first cells, as far as they are sure to stand in their columns.
    """

    kind: str
    row: int
    line: int
    detail: str
    cells: tuple[str, ...] = ()


class _Row(NamedTuple):
    line: int
    fields: list[str]
    kind: str = ""
    detail: str = ""


@contextmanager
def long_fields() -> Iterator[None]:
    """Let fields of any length be read, such as the cast of a film, or what an open quote swallows.

    csv's limit of 128 KiB belongs to the process: the context is that of a whole command, and not of one of
    several files that are read at the same time.
    """
    before = csv.field_size_limit(_FIELD_LIMIT)
    try:
        yield
    finally:
        csv.field_size_limit(before)


@dataclass
class CsvRows:
    """Reader of the rows behind the header of a CSV file.

    Parameters
    ----------
    lines : iterator of str
        The lines behind the header.
    dialect : Dialect
    header : sequence of str
        As it is written.
    line : int
        Number of the first of `lines` in the file, from 1.
    troubles : list of Trouble, default=[]
        Filled while the rows are read. A row that is too long, or the header again, is left out, all others
        are read.
    """

    lines: Iterator[str]
    dialect: Dialect
    header: Sequence[str]
    line: int
    troubles: list[Trouble] = field(default_factory=list)
    rows: int = 0
    _shape: RowShape = field(default_factory=lambda: RowShape(0))
    _ended: bool = False
    _start: int = 0  # of the row that is mended, among the lines that were taken
    _cut: int = 0  # lines after which a quote was found to swallow rows

    @property
    def width(self) -> int:
        """Number of fields of the header."""
        return len(self.header)

    def chunks(self) -> Iterator[tuple[list[list[str]], list[int]]]:
        """Yield rows of `width` fields, and the position of each, from 1."""
        while not self._ended:
            taken, ended = self._take()
            rows, ends = self._read_strictly(taken)
            if ends and not self._shape.strong and len(rows) != len(taken):
                self._learn_shape(rows)
            if not taken or (ends and self._are_sound(taken, rows, ends)):
                if len(rows) != len(taken):
                    self._suspect(taken, rows, ends)
                rows = [row for row in rows if row]
                numbers = list(range(self.rows + 1, self.rows + len(rows) + 1))
                self.rows += len(rows)
                self._ended = ended
            else:
                if not self._shape.strong:
                    self._learn_shape(self.dialect.read(taken))
                rows, numbers = self._number(self._join(list(self._mend(taken, not ends))))
            self.line += len(taken)
            self._leave_out_header(rows, numbers)
            if rows:
                yield rows, numbers

    def take_troubles(self) -> list[Trouble]:
        """The troubles since the last call."""
        taken, self.troubles = self.troubles, []
        return taken

    def _take(self) -> tuple[list[str], bool]:
        """Take the lines of a chunk; also whether they are the last ones."""
        taken: list[str] = []
        size = 0
        while len(taken) < CHUNK and size < CHARACTERS:
            block = list(islice(self.lines, _BLOCK))
            taken += block
            if len(block) < _BLOCK:
                return taken, True
            size += sum(map(len, block))
        return taken, False

    def _leave_out_header(self, rows: list[list[str]], numbers: list[int]) -> None:
        """Leave out the header where it comes again, as where files were put one behind the other."""
        first, header = self.header[0], list(self.header)
        again = [i for i, row in enumerate(rows) if row[0].strip() == first]
        for i in reversed(again):
            if [cell.strip() for cell in rows[i]] == header:
                self.troubles.append(Trouble("header", numbers[i], 0, ""))
                del rows[i], numbers[i]

    def _learn_shape(self, rows: Iterable[list[str]]) -> None:
        whole = (self._trim(row) for row in rows if "\n" not in "".join(row))
        self._shape = RowShape.of(whole, self.width)

    def _trim(self, row: list[str]) -> list[str]:
        """Leave out empty fields behind those of the header."""
        return row if any(map(str.strip, row[self.width :])) else row[: self.width]

    def _read_strictly(self, taken: list[str]) -> tuple[list[list[str]], list[int]]:
        """Read lines with proper quotes: rows, and the number of lines up to the end of each.

        Nothing where there are other quotes, or one is open at the end.
        """
        reader, rows, ends = self.dialect.read(taken, strict=True), [], []
        try:
            for row in reader:
                rows.append(row if len(row) <= self.width else self._trim(row))
                ends.append(reader.line_num)
        except csv.Error:
            return [], []
        return rows, ends

    def _are_sound(self, taken: list[str], rows: list[list[str]], ends: list[int]) -> bool:
        """Whether all rows are as wide as they should be, and none has swallowed others."""
        if not set(map(len, rows)) <= {0, self.width}:
            return False
        if len(rows) == len(taken):
            return True
        spans = zip([0, *ends], ends, strict=False)
        return not any(end - at > 1 and self._swallowed(taken[at:end]) for at, end in spans)

    def _suspect(self, taken: list[str], rows: list[list[str]], ends: list[int]) -> None:
        """Tell of cells of several lines of which some look like rows, though not surely so."""
        number = self.rows
        for row, at, end in zip(rows, [0, *ends], ends, strict=False):
            number += bool(row)
            if row and end - at > 1 and (detail := self._row_within(taken[at:end], self.line + at)):
                self.troubles.append(Trouble("suspect", number, self.line + at, detail))

    def _row_within(self, lines: list[str], line: int) -> str:
        """Name the first line within a row that looks like a row of its own, or nothing."""
        like = [i for i in range(1, len(lines)) if self._is_row(lines[i])]
        certain = self._shape.strong or len(like) == len(lines) - 1
        return f"line {line + like[0]} looks like a row" if like and certain else ""

    def _feed(self, taken: list[str], start: int) -> Iterator[str]:
        """Yield the lines that were taken, from `start` on, then further ones, which are taken.

        A quote that swallows rows is not followed to the end of the file, which memory might not hold.
        """
        at, self._cut = start, 0
        while at < len(taken) or not self._ended:
            n = at - self._start
            if n >= _SWALLOWED and n & (n - 1) == 0 and self._swallowed(taken[self._start : at]):
                self._cut = n
                yield _END
                return
            if at == len(taken):
                line = next(self.lines, _END)
                self._ended = line is _END
                taken.append(line)
            yield taken[at]
            at += 1

    def _mend(self, taken: list[str], letters: bool) -> Iterator[_Row]:
        """Yield the rows; a quote that swallowed rows is taken as a letter, and they are read.

        `letters`: whether there may be other quotes that are letters.
        """
        reader, base, at = self.dialect.read(self._feed(taken, 0)), 0, 0
        while at < len(taken):
            self._start = at
            row = next(reader)
            end = base + reader.line_num
            if row == [_END]:
                return
            unclosed = bool(row) and row[-1].endswith(_END)
            if unclosed or (end - at > 1 and self._swallowed(taken[at:end])):
                fields = self._without_quote(taken[at]) or self._split(taken[at])
                where = f"is closed in line {self.line + end - 1}"
                if unclosed:
                    where = (
                        f"stays open for {counted(self._cut, 'line')}"
                        if self._cut
                        else "is never closed"
                    )
                yield _Row(self.line + at, fields, "quote", where)
                end = base = at + 1
                reader = self.dialect.read(self._feed(taken, base))
            elif (
                row and end - at > 1 and (detail := self._row_within(taken[at:end], self.line + at))
            ):
                yield _Row(self.line + at, row, "suspect", detail)
            elif row and letters:
                yield self._with_letters(taken[at:end], row, self.line + at)
            elif row:
                yield _Row(self.line + at, row)
            at = end

    def _with_letters(self, lines: list[str], row: list[str], line: int) -> _Row:
        """Return a row of which a field begins with a quoted word: the quotes are letters then."""
        if len(lines) == 1 and '"' in lines[0] and not self._is_strict(_BLANK.sub('"', lines[0])):
            fields = self._without_quote(lines[0], strict=True)
            if fields is not None:
                return _Row(line, fields, "letter", "a quoted word at its start")
        return _Row(line, row)

    def _is_strict(self, line: str) -> bool:
        try:
            return bool(list(self.dialect.read([line], strict=True)))
        except csv.Error:
            return False

    def _split(self, line: str) -> list[str]:
        return line.rstrip("\r\n").split(self.dialect.separator)

    def _without_quote(self, line: str, strict: bool = False) -> list[str] | None:
        """Read one line of which one quote is a letter; None where it is no row then, either.

        Of several such quotes, one is taken that leaves the others as they should be; `strict`: or none.
        """
        at, found = len(line), None
        while (at := line.rfind('"', 0, at)) >= 0:
            changed = line[:at] + _END + line[at + 1 :]
            (fields,) = self.dialect.read([changed])
            if len(fields) == self.width:
                if self._is_strict(changed):
                    return [cell.replace(_END, '"') for cell in fields]
                found = found or [cell.replace(_END, '"') for cell in fields]
        if strict:
            return None
        fields = self._split(line)
        return found or (fields if len(fields) == self.width else None)

    def _swallowed(self, lines: list[str]) -> bool:
        """Whether lines that a quote joins to one row look like rows of their own."""
        rest = [line for line in lines[1:] if line.strip()]
        like = sum(map(self._is_row, rest))
        if not like:
            return False
        first = self._without_quote(lines[0])
        if first is None or not self._shape.fits([cell.strip('"') for cell in first]):
            return False
        # Numbers are sure signs; without any, a line of a text may look like a row by chance.
        if self._shape.numbers:
            return 2 * like >= len(rest) > 0
        return 2 * like >= len(rest) > 1 if self._shape.strong else like == len(rest) > 2

    def _is_row(self, line: str) -> bool:
        if line.count(self.dialect.separator) < self.width - 1:
            return False
        plain = [cell.strip('"') for cell in self._split(line)]  # the quote may be in any of them
        return self._shape.fits(plain) or any(
            self._shape.fits(row) for row in self.dialect.read([line])
        )

    def _join(self, rows: list[_Row]) -> Iterator[_Row]:
        """Yield the rows; one that a line break without quotes has cut in pieces is joined."""
        at = 0
        while at < len(rows):
            end, missing = at + 1, self.width - len(rows[at].fields)
            stop = min(len(rows), at + _PIECES)
            while missing > 0 and end < stop and len(rows[end].fields) < self.width:
                missing -= len(rows[end].fields) - 1
                end += 1
            pieces = [row.fields for row in rows[at:end]]
            whole = list(pieces[0])
            for piece in pieces[1:]:
                whole[-1:] = [f"{whole[-1]}\n{piece[0]}", *piece[1:]]
            odd = not all(map(self._shape.begins, pieces[1:]))
            if len(pieces) > 1 and odd and self._shape.strong and self._shape.fits(whole):
                yield _Row(
                    rows[at].line, whole, "break", f"lines {rows[at].line} to {rows[end - 1].line}"
                )
                at = end
            else:
                yield rows[at]
                at += 1

    def _sure_cells(self, fields: list[str]) -> tuple[str, ...]:
        """The first field, and those behind fields that are numbers as in all rows: nothing cut them."""
        n = 0
        while (
            n in self._shape.numbers and n + 1 < self.width and self._shape.begins(fields[: n + 1])
        ):
            n += 1
        return tuple(fields[: n + 1])

    def _number(self, found: Iterator[_Row]) -> tuple[list[list[str]], list[int]]:
        """Give each row its position and as many fields as the header has."""
        rows, numbers = [], []
        for line, fields, kind, detail in found:
            self.rows += 1
            if kind:
                self.troubles.append(Trouble(kind, self.rows, line, detail))
            count = len(fields)
            while len(fields) > self.width and not fields[-1].strip():
                fields.pop()
            if len(fields) > self.width:
                cells = self._sure_cells(fields)
                self.troubles.append(
                    Trouble("long", self.rows, line, counted(count, "field"), cells)
                )
                continue
            if count < self.width:
                self.troubles.append(Trouble("short", self.rows, line, counted(count, "field")))
                fields += [""] * (self.width - count)
            rows.append(fields)
            numbers.append(self.rows)
        return rows, numbers
