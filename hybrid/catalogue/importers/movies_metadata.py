"""The Movies Dataset: movies_metadata.csv, credits.csv, keywords.csv and links.csv."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from hybrid.catalogue.importers.delimited import Delimited, find_file, need_file, width_problem
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
    join,
)

NAME = "movies_metadata.csv"
JOINED = ("credits.csv", "keywords.csv", "links.csv")
Row = tuple[int, list[str]]


def _open(source: str, options: ImportOptions, scratch: Path) -> Source:
    main = Delimited(need_file(source, "The Movies Dataset", NAME))
    main.need("id", "title", "overview", "genres", "release_date")
    notes = Notes()
    main.tell_unused((*FILM_FIELDS, "imdb_id"), notes)
    return Source(
        FILM_COLUMNS, _read(main, notes, scratch), notes, main.size, "KiB", lambda: main.read
    )


def _read(main: Delimited, notes: Notes, scratch: Path) -> Iterator[Item | LeftOut]:
    file = main.path.name
    with contextlib.ExitStack() as stack:
        indexes = {name: stack.enter_context(DiskIndex(scratch)) for name in JOINED}
        for name, index in indexes.items():
            yield from _fill(index, main.path.parent, name, notes)
        credits, keywords, links = (indexes[name] for name in JOINED)
        for found in mend_rows(main.rows(), main.names, file, notes):
            if isinstance(found, LeftOut):
                yield found
                continue
            row, fields = found
            film = dict(zip(main.names, fields, strict=True))
            cells = film_cells(film, notes) | (credits.get(film["id"]) or {})
            cells["keywords"] = keywords.get(film["id"]) or ""
            other = {"imdb_id": film.get("imdb_id", ""), "movielens_id": links.get(film["id"])}
            yield Item(
                file,
                row,
                cells,
                film_genres(film, notes),
                other_ids={name: value for name, value in other.items() if value},
            )
        for name, index in indexes.items():
            for key, row in index.unused():
                yield LeftOut(name, row, key, f"the id is not in {file}")


def _fill(index: DiskIndex, folder: Path, name: str, notes: Notes) -> Iterator[LeftOut]:
    """Read a joined file into its index."""
    path = find_file(folder, name)
    if path is None:
        notes.add("missing file", f"no {name} beside {NAME}: what it adds is empty", column=name)
        return
    table = Delimited(path)
    table.need("tmdbId" if name == "links.csv" else "id")
    for row, cells in table.records():
        key, value = _joined(name, cells, notes)
        if not key:
            yield LeftOut(path.name, row, key, "no id")
        elif not index.add(key, row, value):
            yield LeftOut(path.name, row, key, "the id is used by an earlier row")


def _joined(name: str, cells: dict[str, str], notes: Notes) -> tuple[str, object]:
    if name == "credits.csv":
        return cells["id"], film_people(cells.get("cast"), cells.get("crew"), notes)
    if name == "keywords.csv":
        objects = parse_objects(cells.get("keywords"), notes, "keywords")
        return cells["id"], join(names_of(objects), notes)
    return cells["tmdbId"].removesuffix(".0"), cells.get("movieId", "")


def mend_rows(
    rows: Iterable[Row], names: tuple[str, ...], file: str, notes: Notes
) -> Iterator[Row | LeftOut]:
    """Put together rows that a line break in a field has cut in two; what cannot be a row is left out.

    The file has three such films: the first half ends within the overview, and the second half begins in the
    first column, so that its release date is in the column of the id.

    Parameters
    ----------
    rows : iterable of (int, list of str)
    names : tuple of str
        The columns.
    file : str
    notes : Notes

    Yields
    ------
    (int, list of str) or LeftOut
    """
    held: Row | None = None
    for row, fields in rows:
        if held is not None:
            whole = None if _is_whole(fields, names) else _put_together(held[1], fields, names)
            if whole:
                notes.add(
                    "mended rows",
                    f"{{count}} rows of {file} were cut in two by a line break, and were put together",
                    whole[names.index("id")],
                )
                yield held[0], whole
                held = None
                continue
            yield _checked(held, names, file)
        held = (row, fields)
    if held is not None:
        yield _checked(held, names, file)


def _is_whole(fields: list[str], names: tuple[str, ...]) -> bool:
    return len(fields) == len(names) and fields[names.index("id")].strip().isdecimal()


def _put_together(first: list[str], second: list[str], names: tuple[str, ...]) -> list[str] | None:
    """One row of two halves; None if they do not make one."""
    start, end = _without_tail(first), _without_tail(second)
    if len(start) + len(end) != len(names) + 1:
        return None
    whole = [*start[:-1], f"{start[-1].rstrip()} {end[0].strip()}", *end[1:]]
    date = whole[names.index("release_date")].strip()
    is_date = not date or (len(date) == 10 and date[:4].isdecimal() and date[4] == "-")
    return whole if _is_whole(whole, names) and is_date else None


def _without_tail(fields: list[str]) -> list[str]:
    last = max((i for i, each in enumerate(fields) if each.strip()), default=-1)
    return fields[: last + 1]


def _checked(held: Row, names: tuple[str, ...], file: str) -> Row | LeftOut:
    row, fields = held
    place = names.index("id")
    key = fields[place].strip() if len(fields) > place else ""
    if problem := width_problem(len(fields), len(names)):
        return LeftOut(file, row, key, problem, str(len(fields)))
    if not key.isdecimal():
        return LeftOut(file, row, key, "the id is not a number: the fields have slipped", key)
    return row, fields


IMPORTER = Importer(
    "movies-metadata",
    "The Movies Dataset: movies_metadata.csv, with credits.csv, keywords.csv and links.csv beside it",
    _open,
    frozenset({"join", "posters"}),
    id_kind="tmdb_id",
)
