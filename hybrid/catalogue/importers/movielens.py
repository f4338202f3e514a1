"""MovieLens: movies.csv with links, tags and ratings; also the older movies.dat and u.item."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hybrid.catalogue.importers.delimited import Delimited, find_file, need_file
from hybrid.catalogue.importers.disk_index import DiskCounter, DiskIndex
from hybrid.catalogue.importers.importer import (
    Importer,
    ImportOptions,
    Item,
    LeftOut,
    Notes,
    Source,
)
from hybrid.catalogue.importers.movie_genre import split_year
from hybrid.catalogue.importers.tmdb_film import imdb_id, join, plain
from hybrid.catalogue.readers.dialect import Dialect

COLUMNS = ("id", "title", "genres", "year", "tags", "rating", "ratings")
NOTHING = {"", "(no genres listed)", "unknown"}
MAX_ID = 1 << 27
# u.item of MovieLens 100K has a column for each genre.
U_GENRES = (
    "unknown",
    *("Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller"),
    *("War", "Western"),
)
MOVIES, USER_FIRST = ("movieId", "title", "genres"), ("userId", "movieId", "rating", "timestamp")
# The three layouts: file of the films, delimiter, header; file of the ratings.
U_ITEM = ("movieId", "title", "release", "video", "url", *U_GENRES)
DAT, ITEM, TABS = (Dialect(separator, quoted=False) for separator in ("::", "|", "\t"))


def _open(source: str, options: ImportOptions, scratch: Path) -> Source:
    path = need_file(source, "MovieLens", "movies.csv", "movies.dat", "u.item")
    notes, name = Notes(), path.name.lower().removesuffix(".gz")
    if name.endswith(".dat"):
        main = Delimited(path, notes, DAT, header=MOVIES)
    elif name.endswith(".item"):
        main = Delimited(path, notes, ITEM, header=U_ITEM)
    else:
        main = Delimited(path, notes)
    main.need("movieId", "title")
    return Source(COLUMNS, _read(main, notes, scratch), notes, main.size, "KiB", lambda: main.read)


def _read(main: Delimited, notes: Notes, scratch: Path) -> Iterator[Item | LeftOut]:
    folder, file = main.path.parent, main.path.name
    with contextlib.ExitStack() as stack:
        links = stack.enter_context(DiskIndex(scratch, in_order=True))
        tags = stack.enter_context(DiskCounter(scratch))
        yield from _read_links(links, folder, notes)
        _read_tags(tags, folder, notes)
        sums = _Ratings(folder, notes)
        for found in main.whole_records("movieId"):
            if isinstance(found, LeftOut):
                yield found
                continue
            row, film = found
            title, year = split_year(film["title"])
            key = plain(film["movieId"])
            cells = {"id": key, "title": title, "year": year}
            cells["tags"] = join(tags.most(key), notes)
            cells["rating"], cells["ratings"] = sums.of(key)
            yield Item(file, row, cells, _genres(film), other_ids=links.get(key) or {})
        _tell_unused("tags", tags.unused, file, notes)
        _tell_unused("ratings", sums.unused, file, notes)
        for key, row in links.unused():
            yield LeftOut("links.csv", row, key, f"the id is not in {file}")


def _tell_unused(what: str, count: int, file: str, notes: Notes) -> None:
    if count > 0:
        message = f"{{count}} {what} are of films that are not in {file}"
        notes.add(f"unused {what}", message, count=count)


def _genres(film: dict[str, str]) -> tuple[str, ...]:
    if "genres" in film:
        names = [name.strip() for name in film["genres"].split("|")]
    else:
        names = [name for name in U_GENRES if film.get(name) == "1"]
    return tuple(name for name in names if name not in NOTHING)


def _read_links(links: DiskIndex, folder: Path, notes: Notes) -> Iterator[LeftOut]:
    path = find_file(folder, "links.csv")
    if path is None:
        notes.add("missing file", "no links.csv: the ids of IMDb and TMDB are not known")
        return
    table = Delimited(path, notes)
    table.need("movieId", "imdbId", "tmdbId")
    for found in table.whole_records("movieId"):
        if isinstance(found, LeftOut):
            yield found
            continue
        row, cells = found
        key = plain(cells["movieId"])
        other = {"imdb_id": imdb_id(cells["imdbId"]), "tmdb_id": plain(cells["tmdbId"])}
        known = {name: value for name, value in other.items() if value}
        if not key:
            yield LeftOut(path.name, row, key, "no id")
        elif not links.add(key, row, known):
            yield LeftOut(path.name, row, key, "the id is used by an earlier row")


def _read_tags(tags: DiskCounter, folder: Path, notes: Notes) -> None:
    path = find_file(folder, "tags.csv", "tags.dat")
    if path is None:
        notes.add("missing file", "no tags.csv: the column 'tags' is empty", column="tags")
        return
    dat = path.name.lower().startswith("tags.dat")
    header = ("userId", "movieId", "tag", "timestamp")
    table = Delimited(path, notes, DAT, header=header) if dat else Delimited(path, notes)
    table.need("movieId", "tag")
    for _, cells in table.records():
        tags.count(plain(cells["movieId"]), " ".join(cells["tag"].lower().split()))


class _Ratings:
    """Number and mean of the ratings of each film, in two arrays."""

    def __init__(self, folder: Path, notes: Notes) -> None:
        self._sums, self._counts = np.zeros(0), np.zeros(0, dtype=np.int64)
        self.unused = 0  # ratings of films that were not asked for
        path = find_file(folder, "ratings.csv", "ratings.dat", "u.data")
        if path is None:
            notes.add("missing file", "no ratings.csv: 'rating' is empty", column="rating")
            return
        name = path.name.lower()
        if name.startswith("ratings.csv"):
            table = Delimited(path, notes)
        else:
            dialect = DAT if name.startswith("ratings.dat") else TABS
            table = Delimited(path, notes, dialect, header=USER_FIRST)
        table.need("movieId", "rating")
        self._read(table, notes)

    def _read(self, table: Delimited, notes: Notes) -> None:
        place, value = table.names.index("movieId"), table.names.index("rating")
        message = f"{{count}} {{rows|row}} of {table.path.name} {{are|is}} no rating of a film"
        for rows, _, _ in table.chunks():
            films: list[int] = []
            ratings: list[float] = []
            for fields in rows:
                try:
                    film, rating = int(plain(fields[place])), float(fields[value])
                    if not (0 <= film < MAX_ID and math.isfinite(rating)):
                        raise ValueError(film)
                except ValueError:
                    notes.add("ratings not understood", message, ",".join(fields)[:60])
                else:
                    films.append(film)
                    ratings.append(rating)
            self._add(films, ratings)

    def _add(self, films: list[int], ratings: list[float]) -> None:
        if not films:
            return
        more = max(films) + 1 - len(self._sums)
        if more > 0:
            self._sums = np.concatenate([self._sums, np.zeros(more)])
            self._counts = np.concatenate([self._counts, np.zeros(more, dtype=np.int64)])
        self.unused += len(films)
        size = len(self._sums)
        self._sums += np.bincount(films, weights=ratings, minlength=size)
        self._counts += np.bincount(films, minlength=size)

    def of(self, film: str) -> tuple[str, str]:
        """Mean and number, as cells."""
        place = int(film) if film.isdecimal() else -1
        if not 0 <= place < len(self._counts) or not self._counts[place]:
            return "", ""
        count = int(self._counts[place])
        self.unused -= count
        return f"{self._sums[place] / count:.3f}", str(count)


IMPORTER = Importer(
    "movielens",
    "MovieLens: movies.csv with links.csv, tags.csv and ratings.csv; also movies.dat and u.item",
    _open,
    frozenset({"join", "posters"}),
    id_kind="movielens_id",
)
