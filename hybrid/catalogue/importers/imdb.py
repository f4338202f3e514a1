"""IMDb's non-commercial data sets: title.basics.tsv, with ratings, crew, principals and names."""

from __future__ import annotations

import contextlib
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
from hybrid.catalogue.importers.tmdb_film import join
from hybrid.catalogue.readers.dialect import Dialect

COLUMNS = (
    *("id", "title", "original_title", "genres", "year", "runtime", "title_type", "adult"),
    *("rating", "votes", "directors", "cast"),
)
USED = (
    *("tconst", "titleType", "primaryTitle", "originalTitle", "isAdult", "startYear"),
    *("runtimeMinutes", "genres"),
)
MOVIE = ("movie",)
CAST = {"actor", "actress", "self"}
NOTHING = "\\N"


# IMDb quotes nothing: a title may begin with a quotation mark.
TABS = Dialect("\t", quoted=False)


def _open(source: str, options: ImportOptions, scratch: Path) -> Source:
    notes, types = Notes(), options.title_types or MOVIE
    path = need_file(source, "IMDb's data sets", "title.basics.tsv")
    main = Delimited(path, notes, TABS, encoding="utf-8")
    main.need("tconst", "titleType", "primaryTitle", "genres")
    main.tell_unused(USED)
    rows = _read(main, types, notes, scratch)
    return Source(COLUMNS, rows, notes, main.size, "KiB", lambda: main.read)


def _read(
    main: Delimited, types: tuple[str, ...], notes: Notes, scratch: Path
) -> Iterator[Item | LeftOut]:
    file, folder = main.path.name, main.path.parent
    with contextlib.ExitStack() as stack:
        titles, ratings, directors, cast, people = (
            stack.enter_context(DiskIndex(scratch)) for _ in range(5)
        )
        for found in main.whole_records("tconst"):
            if not isinstance(found, LeftOut) and found[1]["titleType"] in types:
                titles.add(found[1]["tconst"], found[0])
        _read_ratings(titles, ratings, folder, notes)
        _read_directors(titles, directors, people, folder, notes)
        _read_cast(titles, cast, people, folder, notes)
        _read_names(people, folder, notes)
        for found in main.whole_records("tconst"):
            if isinstance(found, LeftOut):
                yield found
                continue
            row, film = found
            key, kind = film["tconst"], film["titleType"]
            if kind not in types:
                yield LeftOut(file, row, key, "another type of title (--title-type)", kind)
                continue
            cells = _cells(film)
            cells["rating"], cells["votes"] = ratings.get(key) or ("", "")
            cells["directors"] = join(_names(directors.get(key), people), notes)
            cells["cast"] = join(_names(cast.get(key), people), notes)
            genres = _known(film["genres"]).split(",")
            yield Item(file, row, cells, tuple(g.strip() for g in genres if g.strip()))


def _known(cell: str) -> str:
    return "" if cell == NOTHING else cell


def _cells(film: dict[str, str]) -> dict[str, str]:
    return {
        "id": film["tconst"],
        "title": _known(film["primaryTitle"]),
        "original_title": _known(film.get("originalTitle", "")),
        "year": _known(film.get("startYear", "")),
        "runtime": _known(film.get("runtimeMinutes", "")),
        "title_type": film["titleType"],
        "adult": {"0": "no", "1": "yes"}.get(film.get("isAdult", ""), ""),
    }


def _names(keys: list[str] | None, people: DiskIndex) -> list[str]:
    return [name for key in keys or () if (name := people.get(key))]


def _find(folder: Path, name: str, what: str, notes: Notes, *columns: str) -> Delimited | None:
    path = find_file(folder, name)
    if path is None:
        notes.add("missing file", f"no {name} beside title.basics.tsv: {what} empty", column=name)
        return None
    table = Delimited(path, notes, TABS, encoding="utf-8")
    table.need(*columns)
    return table


def _read_ratings(titles: DiskIndex, ratings: DiskIndex, folder: Path, notes: Notes) -> None:
    columns = ("tconst", "averageRating", "numVotes")
    table = _find(folder, "title.ratings.tsv", "'rating' and 'votes' are", notes, *columns)
    for row, cells in table.records() if table else ():
        if cells["tconst"] in titles:
            ratings.add(cells["tconst"], row, [cells["averageRating"], cells["numVotes"]])


def _read_directors(
    titles: DiskIndex, directors: DiskIndex, people: DiskIndex, folder: Path, notes: Notes
) -> None:
    columns = ("tconst", "directors")
    table = _find(folder, "title.crew.tsv", "'directors' is", notes, *columns)
    for row, cells in table.records() if table else ():
        keys = [key for key in _known(cells["directors"]).split(",") if key]
        if keys and cells["tconst"] in titles:
            directors.add(cells["tconst"], row, keys)
            for key in keys:
                people.add(key, row)


def _read_cast(
    titles: DiskIndex, cast: DiskIndex, people: DiskIndex, folder: Path, notes: Notes
) -> None:
    """The rows of a title follow each other; where they do not, the later ones are added."""
    columns = ("tconst", "nconst", "category")
    table = _find(folder, "title.principals.tsv", "'cast' is", notes, *columns)
    title, keys = "", list[str]()
    for row, cells in table.records() if table else ():
        if cells["category"] not in CAST or cells["tconst"] not in titles:
            continue
        if cells["tconst"] != title:
            _add_cast(cast, title, keys)
            title, keys = cells["tconst"], []
        keys.append(cells["nconst"])
        people.add(cells["nconst"], row)
    _add_cast(cast, title, keys)


def _add_cast(cast: DiskIndex, title: str, keys: list[str]) -> None:
    if keys:
        cast.put(title, 0, list(dict.fromkeys([*(cast.get(title) or ()), *keys])))


def _read_names(people: DiskIndex, folder: Path, notes: Notes) -> None:
    what, columns = "the names of directors and cast are", ("nconst", "primaryName")
    table = _find(folder, "name.basics.tsv", what, notes, *columns)
    for row, cells in table.records() if table else ():
        if cells["nconst"] in people:
            people.put(cells["nconst"], row, _known(cells["primaryName"]))


IMPORTER = Importer(
    "imdb",
    "IMDb's data sets: title.basics.tsv with ratings, crew, principals and names beside it",
    _open,
    frozenset({"join", "posters", "title-type"}),
    id_kind="imdb_id",
)
