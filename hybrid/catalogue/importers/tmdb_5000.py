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
)

MOVIES, CREDITS = "tmdb_5000_movies.csv", "tmdb_5000_credits.csv"
ABSENT = ("collection", "adult", "poster_url")  # the data set has none


def _open(source: str, options: ImportOptions, scratch: Path) -> Source:
    main = Delimited(need_file(source, "the TMDB 5000 Movie Dataset", MOVIES))
    main.need("id", "title", "overview", "genres")
    notes = Notes()
    main.tell_unused(FILM_FIELDS, notes)
    columns = tuple(name for name in FILM_COLUMNS if name not in ABSENT)
    return Source(columns, _read(main, notes, scratch), notes, main.size, "KiB", lambda: main.read)


def _read(main: Delimited, notes: Notes, scratch: Path) -> Iterator[Item | LeftOut]:
    file = main.path.name
    with DiskIndex(scratch) as credits:
        yield from _fill(credits, main.path.parent, notes)
        for found in main.whole_records():
            if isinstance(found, LeftOut):
                yield found
                continue
            row, film = found
            cells = film_cells(film, notes) | (credits.get(film["id"]) or {})
            yield Item(file, row, cells, film_genres(film, notes))
        for key, row in credits.unused():
            yield LeftOut(CREDITS, row, key, f"the id is not in {file}")


def _fill(credits: DiskIndex, folder: Path, notes: Notes) -> Iterator[LeftOut]:
    path = find_file(folder, CREDITS)
    if path is None:
        notes.add("missing file", f"no {CREDITS} beside {MOVIES}: cast and directors are empty")
        return
    table = Delimited(path)
    table.need("movie_id", "cast", "crew")
    for row, cells in table.records():
        people = film_people(cells["cast"], cells["crew"], notes)
        if not credits.add(cells["movie_id"], row, people):
            reason = "the id is used by an earlier row" if cells["movie_id"] else "no id"
            yield LeftOut(path.name, row, cells["movie_id"], reason)


IMPORTER = Importer(
    "tmdb-5000",
    f"TMDB 5000 Movie Dataset: {MOVIES}, with {CREDITS} beside it",
    _open,
    frozenset({"join", "posters"}),
    id_kind="tmdb_id",
)
