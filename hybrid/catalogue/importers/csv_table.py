"""Any delimited table, with the columns named by hand."""

from __future__ import annotations

import shlex
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
from hybrid.catalogue.readers.index_column import is_unnamed
from hybrid.errors import CatalogueError


def _open(source: str, options: ImportOptions, scratch: Path) -> Source:
    path = Path(source)
    if not path.is_file():
        found = "a folder: name the file in it" if path.is_dir() else "no such file"
        raise CatalogueError(f"{path}: expected a delimited text file, found {found}.")
    notes = Notes()
    main = Delimited(path, notes, encoding=options.encoding, hint=" (--encoding)")
    names = map_columns(main.names, dict(options.mapping), path)
    names |= _leave_out_unnamed(names, options, notes)
    tell_missing(names, notes, path.name, options.posters is not None)
    rows = _read(main, names, options, notes)
    return Source(list_columns(names), rows, notes, main.size, "KiB", lambda: main.read)


def _leave_out_unnamed(
    names: Mapping[str, str], options: ImportOptions, notes: Notes
) -> dict[str, str]:
    """Columns without a name of their own, such as an index, are left out where --map names them not."""
    unnamed = [old for old, new in names.items() if old == new and is_unnamed(old)]
    unnamed = [name for name in unnamed if name not in dict(options.mapping)]
    for name in unnamed:
        advice = f"--map {shlex.quote(f'{name}=index')} keeps it"
        notes.add(
            "unnamed column", f"column {name!r} has no name: left out ({advice})", column=name
        )
    return dict.fromkeys(unnamed, "")


def _read(
    main: Delimited, names: Mapping[str, str], options: ImportOptions, notes: Notes
) -> Iterator[Item | LeftOut]:
    file, folder = main.path.name, main.path.parent
    id_column = find_id(names, notes, file)
    for found in main.whole_records(id_column or "", keep_short=True):
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
