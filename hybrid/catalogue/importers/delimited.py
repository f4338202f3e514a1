"""Rows of delimited text, one at a time, from plain or gzipped files."""

from __future__ import annotations

import codecs
import contextlib
import csv
import gzip
import io
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from hybrid.catalogue.importers.importer import LeftOut, Notes
from hybrid.errors import CatalogueError, SettingError

CHUNK = 1 << 20
FIELD_LIMIT = 1 << 30  # the cast of a film can be longer than csv's own limit of 128 KiB


@contextlib.contextmanager
def long_fields() -> Iterator[None]:
    """Let fields be as long as they are inside a ``with`` block; csv's limit belongs to the process."""
    before = csv.field_size_limit(FIELD_LIMIT)
    try:
        yield
    finally:
        csv.field_size_limit(before)


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


@dataclass
class Delimited:
    r"""A delimited text file that is read row by row.

    Parameters
    ----------
    path : Path
        Plain, or gzipped if its name ends in ``.gz``.
    delimiter : str, default=","
    quoted : bool, default=True
        Whether ``"`` quotes a field; IMDb's files quote nothing.
    encoding : str or None, default=None
        None: UTF-8, or Latin-1 where the bytes are no UTF-8.
    header : tuple of str or None, default=None
        The names of the columns where the file has none.
    skip : int, default=0
        Lines before the header.

    Examples
    --------
    >>> _ = Path("a.csv").write_text("id,title\n1,Jaws\n\n2,Heat\n")
    >>> list(Delimited(Path("a.csv")).rows())
    [(1, ['1', 'Jaws']), (2, ['2', 'Heat'])]
    """

    path: Path
    delimiter: str = ","
    quoted: bool = True
    encoding: str | None = None
    header: tuple[str, ...] | None = None
    skip: int = 0
    names: tuple[str, ...] = field(init=False)
    read: int = field(init=False, default=0)  # KiB of the file, as it is on the disk

    def __post_init__(self) -> None:
        if self.encoding is None:
            self.encoding = "utf-8-sig" if _is_utf8(self.path) else "latin-1"
        self.names = self.header or ()
        if self.header is None:
            with self._lines() as (lines, _):
                self.names = tuple(name.strip() for name in next(self._parse(lines), []))

    @property
    def size(self) -> int:
        """KiB on the disk."""
        return self.path.stat().st_size // 1024

    def first_lines(self, count: int) -> list[str]:
        """The first lines of the file, as they stand; fewer where it has fewer."""
        with self._lines() as (lines, _):
            return list(itertools.islice(lines, count))

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Position and fields of each row that is not blank; the header is not a row.

        Raises
        ------
        CatalogueError
            If the file cannot be read, or is not text in its encoding.
        """
        with self._lines() as (lines, raw):
            rows = (fields for fields in self._parse(lines) if fields)
            if self.header is None:
                next(rows, None)
            for row, fields in enumerate(rows, start=1):
                if row % 500 == 0:
                    self.read = raw.tell() // 1024
                yield row, fields

    def records(self) -> Iterator[tuple[int, dict[str, str]]]:
        """As `rows`, each a stripped str by column; what a short row lacks is empty."""
        for row, fields in self.rows():
            fields = [each.strip() for each in fields]
            fields += [""] * (len(self.names) - len(fields))
            yield row, dict(zip(self.names, fields, strict=False))

    def whole_records(
        self, short: Notes | None = None
    ) -> Iterator[tuple[int, dict[str, str]] | LeftOut]:
        """As `records`; a row that has not one field for each column is left out.

        Parameters
        ----------
        short : Notes, optional
            Told of rows with too few fields, which then are kept, as where a catalogue is read.
        """
        width = len(self.names)
        for row, fields in self.rows():
            cells = [each.strip() for each in fields]
            if len(cells) < width and short is not None:
                message = (
                    f"{{count}} rows of {self.path.name} have fewer fields than the header's {width}: "
                    "the missing ones are empty"
                )
                short.add("short rows", message, f"row {row}")
                cells += [""] * (width - len(cells))
            if problem := width_problem(len(cells), width):
                yield LeftOut(self.path.name, row, cells[0], problem, str(len(cells)))
            else:
                yield row, dict(zip(self.names, cells, strict=True))

    def tell_unused(self, used: Iterable[str], notes: Notes) -> None:
        """Tell of the columns that are not in the catalogue."""
        if unused := [name for name in self.names if name not in set(used)]:
            message = (
                f"columns of {self.path.name} that are not in the catalogue: {', '.join(unused)}"
            )
            notes.add("columns left out", message, column=self.path.name)

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

    def _parse(self, lines: io.TextIOWrapper) -> Iterator[list[str]]:
        if len(self.delimiter) > 1:  # MovieLens: "::", never quoted
            for line in lines:
                yield line.rstrip("\r\n").split(self.delimiter) if line.strip() else []
            return
        try:
            if self.quoted:
                yield from csv.reader(lines, delimiter=self.delimiter)
            else:
                yield from csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE)
        except csv.Error as error:
            raise CatalogueError(f"{self.path}: expected delimited text, found: {error}.") from None

    @contextlib.contextmanager
    def _lines(self) -> Iterator[tuple[io.TextIOWrapper, BinaryIO]]:
        try:
            with self.path.open("rb") as raw:
                packed = _unpacked(raw, self.path)
                with io.TextIOWrapper(packed, encoding=self.encoding, newline="") as lines:
                    for _ in range(self.skip):
                        lines.readline()
                    yield lines, raw
        except UnicodeDecodeError as error:
            raise CatalogueError(
                f"{self.path}: expected text in {self.encoding}, found bytes that are not ({error.reason}). "
                "Name its encoding with --encoding, if it has another."
            ) from None
        except LookupError:
            raise SettingError(
                f"--encoding: expected the name of a text encoding, found {self.encoding!r}."
            ) from None
        except (OSError, EOFError) as error:
            raise CatalogueError(
                f"cannot read {self.path}: {getattr(error, 'strerror', None) or error}."
            ) from error


def width_problem(count: int, width: int) -> str:
    """Why a row has not the fields that it should have; ``""`` where it has.

    Examples
    --------
    >>> width_problem(2, 3), width_problem(4, 3), width_problem(3, 3)
    ('fields are missing; 3 expected', 'too many fields; 3 expected', '')
    """
    if count == width:
        return ""
    return f"{'fields are missing' if count < width else 'too many fields'}; {width} expected"


def _unpacked(raw: BinaryIO, path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if path.suffix.lower() == ".gz" else raw


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as raw:
            packed = _unpacked(raw, path)
            while data := packed.read(CHUNK):
                decoder.decode(data)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    except (OSError, EOFError) as error:
        raise CatalogueError(
            f"cannot read {path}: {getattr(error, 'strerror', None) or error}."
        ) from error
    return True
