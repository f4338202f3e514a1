"""Rows of delimited text for importers: the reader of catalogues, row by row."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from hybrid.catalogue.importers.importer import LeftOut, Notes
from hybrid.catalogue.readers.csv_rows import Trouble
from hybrid.catalogue.readers.csv_start import Start, open_rows
from hybrid.catalogue.readers.dialect import Dialect
from hybrid.catalogue.readers.index_column import name_columns
from hybrid.catalogue.readers.source import bytes_read, find_encoding, is_utf8, open_source
from hybrid.catalogue.readers.told_rows import Tally, refuse_most_long
from hybrid.errors import CatalogueError
from hybrid.types import ColumnOptions

# What is wrong with a row that is not whole, by the kind of trouble.
NOT_WHOLE = {
    "short": "fields are missing; {width} expected",
    "long": "too many fields; {width} expected",
    "header": "the header again",
}


def find_file(folder: Path, *names: str) -> Path | None:
    """The first file of these names in a folder, plain or gzipped, in any case; None if there is none.

    Examples
    --------
    >>> find_file(Path("nowhere"), "movies.csv") is None
    True
    """
    if not folder.is_dir():
        return None
    there = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_file()}
    for name in names:
        for each in (name, f"{name}.gz"):
            if each.lower() in there:
                return there[each.lower()]
    return None


def need_file(source: str, what: str, *names: str) -> Path:
    """The file that SRC is, or that is in the folder SRC.

    Raises
    ------
    CatalogueError
        If there is none.
    """
    path = Path(source)
    if path.is_file():
        return path
    found = find_file(path, *names)
    if found:
        return found
    state = "no such file in it" if path.is_dir() else "no such file or folder"
    raise CatalogueError(
        f"{path}: expected {what}: a folder with {' or '.join(names)}, found {state}. "
        "Name the folder that the data set was unpacked to."
    )


class Row(NamedTuple):
    """A row of a file.

    Parameters
    ----------
    number : int
        Position among the rows, from 1.
    fields : list of str
        One for each column; of a row with too many, those that are sure to stand in their columns.
    problem, found : str, default=""
        Why the row is not whole, and what was found.
    """

    number: int
    fields: list[str]
    problem: str = ""
    found: str = ""


@dataclass
class Delimited:
    r"""A file of delimited text that is read row by row, with the repairs that a catalogue is read with.

    Parameters
    ----------
    path : Path
        Plain, or gzipped.
    notes : Notes
        Told of all that was found out and repaired.
    dialect : Dialect, optional
        Where it is known; else it is found from the first lines.
    encoding : str, optional
        By default what a byte order mark says, or UTF-8, or Latin-1 where the bytes are no UTF-8.
    header : tuple of str, optional
        The names of the columns where the file has none.
    hint : str, default=""
        What to add where an encoding was guessed.

    Examples
    --------
    >>> _ = Path("a.csv").write_text("id,title\n1,Jaws\n\n2,Heat\n")
    >>> table = Delimited(Path("a.csv"), Notes())
    >>> table.names, list(table.records())
    (('id', 'title'), [(1, {'id': '1', 'title': 'Jaws'}), (2, {'id': '2', 'title': 'Heat'})])
    """

    path: Path
    notes: Notes
    dialect: Dialect | None = None
    encoding: str | None = None
    header: tuple[str, ...] | None = None
    hint: str = ""
    names: tuple[str, ...] = field(init=False)
    read: int = field(init=False, default=0)  # KiB of the file, as it is on the disk

    def __post_init__(self) -> None:
        self._source = open_source(self.path, hashed=False)
        self._codec = self._find_codec()
        if self.header is None:
            with open_rows(self._source, self._codec, self._codec, dialect=self.dialect) as opened:
                self._start = opened.start
        else:
            self._start = Start(self.dialect or Dialect(), list(self.header))
        self.names = tuple(name_columns(self._start.header))
        for finding in self._start.findings:
            self.notes.tell(finding, self.path.name)

    def _find_codec(self) -> str:
        options = (
            ColumnOptions() if self.encoding is None else ColumnOptions(encoding=self.encoding)
        )
        codec, findings = find_encoding(self._source, options)
        for finding in findings:
            self.notes.tell(finding, self.path.name)
        if self.encoding is None and codec == "utf-8" and not is_utf8(self._source):
            message = f"{self.path.name} was read as Latin-1, since it is not UTF-8{self.hint}"
            self.notes.add("encoding", message, column=self.path.name)
            return "latin-1"
        return codec

    @property
    def size(self) -> int:
        """KiB on the disk."""
        return self.path.stat().st_size // 1024

    def chunks(
        self, listed: Collection[str] = ()
    ) -> Iterator[tuple[list[list[str]], list[int], list[Trouble]]]:
        """Rows as wide as the header, their positions, and the troubles that there were with rows.

        Parameters
        ----------
        listed : collection of str, default=()
            Kinds of troubles that the caller lists; all others are told when the rows end.

        Raises
        ------
        CatalogueError
            If the file cannot be read, is not text in its encoding, or most of its rows are too long.
        """
        tally = Tally()
        with open_rows(self._source, self._codec, self._codec, self._start) as opened:
            reader = opened.rows
            for rows, numbers in reader.chunks():
                self.read = bytes_read(opened.text) // 1024
                troubles = reader.take_troubles()
                tally.add(troubles)
                yield rows, numbers, troubles
            troubles = reader.take_troubles()
            tally.add(troubles)
            yield [], [], troubles
            refuse_most_long(self.path, tally, reader.rows, reader.width)
        for finding in tally.findings(len(self.names), listed):
            self.notes.tell(finding, self.path.name)

    def rows(self, keep_short: bool = False) -> Iterator[Row]:
        """All rows that are not blank, also those that are not whole, in their order.

        Parameters
        ----------
        keep_short : bool, default=False
            Whether rows with too few fields are taken for whole ones, and told.
        """
        listed = NOT_WHOLE.keys() - ({"short"} if keep_short else ())
        for rows, numbers, troubles in self.chunks(listed):
            bad = {one.row: self._bad_row(one) for one in troubles if one.kind in listed}
            if not bad:
                yield from map(Row, numbers, rows)
                continue
            for number, fields in zip(numbers, rows, strict=True):
                row = Row(number, fields)
                bad[number] = bad[number]._replace(fields=fields) if number in bad else row
            yield from (bad[number] for number in sorted(bad))

    def _bad_row(self, trouble: Trouble) -> Row:
        problem = NOT_WHOLE[trouble.kind].format(width=len(self.names))
        found = trouble.detail.removesuffix(" fields")
        return Row(trouble.row, list(trouble.cells), problem, found)

    def left_out(self, row: Row, key: str) -> LeftOut:
        """A row that is left out for its problem, by the cell of the column `key`, as far as it is known."""
        place = self.names.index(key) if key in self.names else len(row.fields)
        name = row.fields[place].strip() if place < len(row.fields) else ""
        return LeftOut(self.path.name, row.number, name, row.problem, row.found)

    def record(self, fields: Iterable[str]) -> dict[str, str]:
        """Stripped cells by column."""
        return dict(zip(self.names, map(str.strip, fields), strict=False))

    def records(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Position and cells of each row; what a short one lacks is empty, a longer one is told."""
        for rows, numbers, _ in self.chunks():
            yield from zip(numbers, map(self.record, rows), strict=True)

    def whole_records(
        self, key: str, keep_short: bool = False
    ) -> Iterator[tuple[int, dict[str, str]] | LeftOut]:
        """As `records`; a row that has not one field for each column is left out.

        Parameters
        ----------
        key : str
            The column that names a row which is left out.
        keep_short : bool, default=False
            As of `rows`.
        """
        for row in self.rows(keep_short):
            if row.problem:
                yield self.left_out(row, key)
            else:
                yield row.number, self.record(row.fields)

    def tell_unused(self, used: Iterable[str]) -> None:
        """Tell of the columns that are not in the catalogue."""
        if unused := [name for name in self.names if name not in set(used)]:
            message = (
                f"columns of {self.path.name} that are not in the catalogue: {', '.join(unused)}"
            )
            self.notes.add("columns left out", message, column=self.path.name)

    def need(self, *names: str) -> None:
        """Check that there are columns of these names.

        Raises
        ------
        CatalogueError
            With all that are missing.
        """
        if missing := [name for name in names if name not in self.names]:
            raise CatalogueError(
                f"{self.path}: expected the columns {', '.join(names)}, found no {', '.join(missing)} among "
                f"{', '.join(self.names) or 'none'}. Is it the file of another data set?"
            )
