"""TMDB 5000 Movie Dataset: tmdb_5000_movies.csv and tmdb_5000_credits.csv."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hybrid.catalogue.importers.delimited import Delimited, find_file, need_file
from hybrid.catalogue.importers.disk_index import DiskIndex
from hybrid.catalogue.importers.importer import (
    Importer,
    ImportOptions,
    Item,
    LeftOut,
    Notes,
    Source,
)
from hybrid.catalogue.importers.tmdb_film import (
    FILM_COLUMNS,
    FILM_FIELDS,
    film_cells,
    film_genres,
    film_people,
    plain,
)

MOVIES, CREDITS = "tmdb_5000_movies.csv", "tmdb_5000_credits.csv"
ABSENT = ("collection", "adult", "poster_url")  # the data set has none


def _open(source: str, options: ImportOptions, scratch: Path) -> Source:
    notes = Notes()
    main = Delimited(need_file(source, "the TMDB 5000 Movie Dataset", MOVIES), notes)
    main.need("id", "title", "overview", "genres")
    main.tell_unused(FILM_FIELDS)
    columns = tuple(name for name in FILM_COLUMNS if name not in ABSENT)
    return Source(columns, _read(main, notes, scratch), notes, main.size, "KiB", lambda: main.read)


def _read(main: Delimited, notes: Notes, scratch: Path) -> Iterator[Item | LeftOut]:
    file = main.path.name
    with DiskIndex(scratch, in_order=True) as credits:
        yield from _fill(credits, main.path.parent, notes)
        for found in main.whole_records("id"):
            if isinstance(found, LeftOut):
                yield found
                continue
            row, film = found
            cells = film_cells(film, notes)
            cells |= credits.get(cells["id"]) or {}
            yield Item(file, row, cells, film_genres(film, notes))
        for key, row in credits.unused():
            yield LeftOut(CREDITS, row, key, f"the id is not in {file}")


def _fill(credits: DiskIndex, folder: Path, notes: Notes) -> Iterator[LeftOut]:
    path = find_file(folder, CREDITS)
    if path is None:
        notes.add("missing file", f"no {CREDITS} beside {MOVIES}: cast and directors are empty")
        return
    table = Delimited(path, notes)
    table.need("movie_id", "cast", "crew")
    for found in table.whole_records("movie_id"):
        if isinstance(found, LeftOut):
            yield found
            continue
        row, cells = found
        key, people = plain(cells["movie_id"]), film_people(cells["cast"], cells["crew"], notes)
        if not key:
            yield LeftOut(path.name, row, key, "no id")
        elif not credits.add(key, row, people):
            yield LeftOut(path.name, row, key, "the id is used by an earlier row")


IMPORTER = Importer(
    "tmdb-5000",
    f"TMDB 5000 Movie Dataset: {MOVIES}, with {CREDITS} beside it",
    _open,
    frozenset({"join", "posters"}),
    id_kind="tmdb_id",
)
