"""Any delimited table, with the columns named by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from hybrid.catalogue.importers.delimited import Delimited
from hybrid.catalogue.importers.importer import (
    Importer,
    ImportOptions,
    Item,
    LeftOut,
    Notes,
    Source,
)
from hybrid.catalogue.importers.mapping import (
    find_id,
    find_poster,
    list_columns,
    map_columns,
    split_labels,
    tell_missing,
)
from hybrid.catalogue.readers.dialect import find_dialect, named_separator
from hybrid.catalogue.readers.table import name_repeated
from hybrid.errors import CatalogueError

LOOK = 20  # rows that the delimiter is found by


def _open(source: str, options: ImportOptions, scratch: Path) -> Source:
    path = Path(source)
    if not path.is_file():
        raise CatalogueError(f"{path}: expected a delimited text file, found no such file.")
    notes = Notes()
    main = _sniff(path, options.encoding)
    if main.delimiter != ",":
        notes.add("separator", f"the fields of {path.name} are separated by {main.delimiter!r}")
    if main.encoding == "latin-1" and options.encoding is None:
        notes.add(
            "encoding", f"{path.name} was read as Latin-1, since it is not UTF-8 (--encoding)"
        )
    if twice := name_repeated(main.names):
        raise CatalogueError(f"{path}: expected each column once, found twice: {twice}.")
    names = map_columns(main.names, dict(options.mapping), path)
    tell_missing(names, notes, path.name, options.posters is not None)
    rows = _read(main, names, options, notes)
    return Source(list_columns(names), rows, notes, main.size, "KiB", lambda: main.read)


def _sniff(path: Path, encoding: str | None) -> Delimited:
    """The table, with the separator that its first line names, or that a catalogue is read with."""
    table = Delimited(path, encoding=encoding)
    lines = table.first_lines(LOOK)
    named = named_separator(lines[0]) if lines else None
    skip = int(named is not None)  # a line for spreadsheets
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    separator = find_dialect(lines[skip:], suffix, named).separator
    return Delimited(path, separator, encoding=table.encoding, skip=skip)


def _read(
    main: Delimited, names: Mapping[str, str], options: ImportOptions, notes: Notes
) -> Iterator[Item | LeftOut]:
    file, folder = main.path.name, main.path.parent
    id_column = find_id(names, notes, file)
    for found in main.whole_records(notes):
        if isinstance(found, LeftOut):
            yield found
            continue
        row, given = found
        cells = {new: given[old] for old, new in names.items() if new}
        cells["id"] = given[id_column] if id_column else str(row)
        labels = split_labels(cells.pop("genres", ""), options.label_separator, notes)
        yield Item(file, row, cells, labels, find_poster(cells, folder, options.posters, notes))


IMPORTER = Importer(
    "csv",
    "any delimited table; --map COLUMN=ROLE says what its columns are",
    _open,
    frozenset({"posters", "map", "label-separator", "encoding"}),
)
