"""The Movies Dataset: movies_metadata.csv, credits.csv, keywords.csv and links.csv."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from hybrid.catalogue.importers.delimited import Delimited, Row, find_file, need_file
from hybrid.catalogue.importers.disk_index import DiskIndex
from hybrid.catalogue.importers.importer import (
    Importer,
    ImportOptions,
    Item,
    LeftOut,
    Notes,
    Source,
)
from hybrid.catalogue.importers.records import names_of, parse_objects
from hybrid.catalogue.importers.tmdb_film import (
    FILM_COLUMNS,
    FILM_FIELDS,
    film_cells,
    film_genres,
    film_people,
    imdb_id,
    join,
    plain,
)

NAME = "movies_metadata.csv"
JOINED = ("credits.csv", "keywords.csv", "links.csv")


def _open(source: str, options: ImportOptions, scratch: Path) -> Source:
    notes = Notes()
    main = Delimited(need_file(source, "The Movies Dataset", NAME), notes)
    main.need("id", "title", "overview", "genres", "release_date")
    main.tell_unused((*FILM_FIELDS, "imdb_id"))
    return Source(
        FILM_COLUMNS, _read(main, notes, scratch), notes, main.size, "KiB", lambda: main.read
    )


def _read(main: Delimited, notes: Notes, scratch: Path) -> Iterator[Item | LeftOut]:
    file = main.path.name
    with contextlib.ExitStack() as stack:
        indexes = {name: stack.enter_context(DiskIndex(scratch, in_order=True)) for name in JOINED}
        for name, index in indexes.items():
            yield from _fill(index, main.path.parent, name, notes)
        credits, keywords, links = (indexes[name] for name in JOINED)
        for row in mend_rows(main.rows(), main.names, file, notes):
            if row.problem:
                yield main.left_out(row, "id")
                continue
            film = main.record(row.fields)
            cells = film_cells(film, notes)
            key = cells["id"]
            cells |= credits.get(key) or {}
            cells["keywords"] = keywords.get(key) or ""
            other = {"imdb_id": imdb_id(film.get("imdb_id")), "movielens_id": links.get(key)}
            known = {name: value for name, value in other.items() if value}
            yield Item(file, row.number, cells, film_genres(film, notes), other_ids=known)
        for name, index in indexes.items():
            for key, number in index.unused():
                yield LeftOut(name, number, key, f"the id is not in {file}")


def _fill(index: DiskIndex, folder: Path, name: str, notes: Notes) -> Iterator[LeftOut]:
    """Read a joined file into its index."""
    path = find_file(folder, name)
    if path is None:
        notes.add("missing file", f"no {name} beside {NAME}: what it adds is empty", column=name)
        return
    table, id_column = Delimited(path, notes), "tmdbId" if name == "links.csv" else "id"
    table.need(id_column)
    for found in table.whole_records(id_column):
        if isinstance(found, LeftOut):
            yield found
            continue
        row, cells = found
        key, value = plain(cells[id_column]), _joined(name, cells, notes)
        if not key:
            yield LeftOut(path.name, row, key, "no id")
        elif not index.add(key, row, value):
            yield LeftOut(path.name, row, key, "the id is used by an earlier row")


def _joined(name: str, cells: dict[str, str], notes: Notes) -> object:
    """What a row of a joined file adds to its film."""
    if name == "credits.csv":
        return film_people(cells.get("cast"), cells.get("crew"), notes)
    if name == "keywords.csv":
        return join(names_of(parse_objects(cells.get("keywords"), notes, "keywords")), notes)
    return plain(cells.get("movieId"))


def mend_rows(
    rows: Iterable[Row], names: tuple[str, ...], file: str, notes: Notes
) -> Iterator[Row]:
    """Put together rows that a line break in a field has cut in two, as pandas writes them again.

    The file has three such films: the first half ends within the overview, and the second half begins in the
    first column, so that its release date is in the column of the id. The reader of rows joins them. Where
    another program has filled them up with empty cells, each is a whole row, and they are joined here.

    Parameters
    ----------
    rows : iterable of Row
    names : tuple of str
        The columns.
    file : str
    notes : Notes

    Yields
    ------
    Row
        With a problem where it cannot be a film's.
    """
    held: Row | None = None
    for row in rows:
        if held is not None:
            whole = None if _is_whole(row, names) else _put_together(held, row, names)
            if whole:
                notes.add(
                    "mended rows",
                    f"{{count}} {{rows|row}} of {file} {{were|was}} cut in two by a line break, and "
                    f"{{were|was}} put together",
                    whole.fields[names.index("id")],
                )
                yield whole
                held = None
                continue
            yield _checked(held, names)
        held = row
    if held is not None:
        yield _checked(held, names)


def _id(row: Row, names: tuple[str, ...]) -> str:
    place = names.index("id")
    return plain(row.fields[place]) if place < len(row.fields) else ""


def _is_whole(row: Row, names: tuple[str, ...]) -> bool:
    return not row.problem and _id(row, names).isdecimal()


def _put_together(first: Row, second: Row, names: tuple[str, ...]) -> Row | None:
    """One row of two halves; None if they do not make one."""
    start, end = _without_tail(first.fields), _without_tail(second.fields)
    if len(start) + len(end) != len(names) + 1:
        return None
    row = Row(first.number, [*start[:-1], f"{start[-1]}\n{end[0]}", *end[1:]])
    date = row.fields[names.index("release_date")].strip()
    is_date = not date or (len(date) == 10 and date[:4].isdecimal() and date[4] == "-")
    return row if _is_whole(row, names) and is_date else None


def _without_tail(fields: list[str]) -> list[str]:
    last = max((i for i, each in enumerate(fields) if each.strip()), default=-1)
    return fields[: last + 1]


def _checked(row: Row, names: tuple[str, ...]) -> Row:
    key = _id(row, names)
    if row.problem or key.isdecimal():
        return row
    return row._replace(problem="the id is not a number: the fields have slipped", found=key)


IMPORTER = Importer(
    "movies-metadata",
    "The Movies Dataset: movies_metadata.csv, with credits.csv, keywords.csv and links.csv beside it",
    _open,
    frozenset({"join", "posters"}),
    id_kind="tmdb_id",
)
