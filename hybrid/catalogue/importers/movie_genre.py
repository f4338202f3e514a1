"""Movie Genre from its Poster: MovieGenre.csv, in Latin-1, with the URLs of the posters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from hybrid.catalogue.importers.delimited import Delimited, need_file
from hybrid.catalogue.importers.importer import (
    Importer,
    ImportOptions,
    Item,
    LeftOut,
    Notes,
    Source,
)
from hybrid.catalogue.importers.tmdb_film import imdb_id, plain

COLUMNS = ("id", "title", "genres", "year", "imdb_score", "poster_url")
YEAR = re.compile(r"\s*\((\d{4})(?:[-–]\d{0,4})?\)\s*$")


def _open(source: str, options: ImportOptions, scratch: Path) -> Source:
    notes = Notes()
    main = Delimited(need_file(source, "Movie Genre from its Poster", "MovieGenre.csv"), notes)
    main.need("imdbId", "Title", "Genre", "Poster")
    main.tell_unused(("imdbId", "Title", "IMDB Score", "Genre", "Poster"))
    return Source(COLUMNS, _read(main), notes, main.size, "KiB", lambda: main.read)


def _read(main: Delimited) -> Iterator[Item | LeftOut]:
    for found in main.whole_records("imdbId"):
        if isinstance(found, LeftOut):
            yield found
            continue
        row, film = found
        title, year = split_year(film["Title"])
        cells = {
            "id": plain(film["imdbId"]),
            "title": title,
            "year": year,
            "imdb_score": film.get("IMDB Score", ""),
            "poster_url": film["Poster"],
        }
        genres = tuple(part.strip() for part in film["Genre"].split("|") if part.strip())
        known = imdb_id(film["imdbId"])
        other = {"imdb_id": known} if known else {}
        yield Item(main.path.name, row, cells, genres, other_ids=other)


def split_year(title: str) -> tuple[str, str]:
    """``"Toy Story (1995)"`` → title and year; the year is empty where there is none.

    Examples
    --------
    >>> split_year("Toy Story (1995)"), split_year("Heat")
    (('Toy Story', '1995'), ('Heat', ''))
    """
    found = YEAR.search(title)
    return (title[: found.start()], found[1]) if found else (title, "")


IMPORTER = Importer(
    "movie-genre",
    "Movie Genre from its Poster: MovieGenre.csv, in Latin-1, with the URLs of the posters",
    _open,
    frozenset({"join", "posters"}),
)
