"""MovieLens: movies.csv with links, tags and ratings; also the older movies.dat and u.item."""

from __future__ import annotations

import contextlib
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
from hybrid.catalogue.importers.tmdb_film import join

COLUMNS = ("id", "title", "genres", "year", "tags", "rating", "ratings")
NOTHING = {"", "(no genres listed)", "unknown"}
MAX_ID = 1 << 27
MANY = 1 << 18  # ratings that are added up at once
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


def _open(source: str, options: ImportOptions, scratch: Path) -> Source:
    path = need_file(source, "MovieLens", "movies.csv", "movies.dat", "u.item")
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".dat"):
        main = Delimited(path, "::", header=MOVIES)
    elif name.endswith(".item"):
        main = Delimited(path, "|", quoted=False, header=U_ITEM)
    else:
        main = Delimited(path)
    main.need("movieId", "title")
    notes = Notes()
    return Source(COLUMNS, _read(main, notes, scratch), notes, main.size, "KiB", lambda: main.read)


def _read(main: Delimited, notes: Notes, scratch: Path) -> Iterator[Item | LeftOut]:
    folder, file = main.path.parent, main.path.name
    with contextlib.ExitStack() as stack:
        links = stack.enter_context(DiskIndex(scratch))
        tags = stack.enter_context(DiskCounter(scratch))
        yield from _read_links(links, folder, notes)
        _read_tags(tags, folder, notes)
        sums = _Ratings(folder, notes)
        for found in main.whole_records():
            if isinstance(found, LeftOut):
                yield found
                continue
            row, film = found
            title, year = split_year(film["title"])
            cells = {"id": film["movieId"], "title": title, "year": year}
            cells["tags"] = join(tags.most(film["movieId"]), notes)
            cells["rating"], cells["ratings"] = sums.of(film["movieId"])
            other = links.get(film["movieId"]) or {}
            yield Item(file, row, cells, _genres(film), other_ids=other)
        for key, row in links.unused():
            yield LeftOut("links.csv", row, key, f"the id is not in {file}")


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
    for row, cells in Delimited(path).records():
        imdb, tmdb = cells.get("imdbId", ""), cells.get("tmdbId", "").removesuffix(".0")
        other = {"imdb_id": f"tt{imdb}" if imdb else "", "tmdb_id": tmdb}
        known = {name: value for name, value in other.items() if value}
        if not links.add(cells["movieId"], row, known):
            yield LeftOut(path.name, row, cells["movieId"], "the id is used by an earlier row")


def _read_tags(tags: DiskCounter, folder: Path, notes: Notes) -> None:
    path = find_file(folder, "tags.csv", "tags.dat")
    if path is None:
        notes.add("missing file", "no tags.csv: the column 'tags' is empty", column="tags")
        return
    dat = path.name.lower().startswith("tags.dat")
    header = ("userId", "movieId", "tag", "timestamp")
    table = Delimited(path, "::", header=header) if dat else Delimited(path)
    table.need("movieId", "tag")
    for _, cells in table.records():
        tags.count(cells["movieId"], " ".join(cells["tag"].lower().split()))


class _Ratings:
    """Number and mean of the ratings of each film, in two arrays."""

    def __init__(self, folder: Path, notes: Notes) -> None:
        self._sums, self._counts = np.zeros(0), np.zeros(0, dtype=np.int64)
        path = find_file(folder, "ratings.csv", "ratings.dat", "u.data")
        if path is None:
            notes.add("missing file", "no ratings.csv: 'rating' is empty", column="rating")
            return
        name = path.name.lower()
        if name.startswith("ratings.csv"):
            table = Delimited(path)
        else:
            delimiter = "::" if name.startswith("ratings.dat") else "\t"
            table = Delimited(path, delimiter, quoted=False, header=USER_FIRST)
        table.need("movieId", "rating")
        self._read(table, notes)

    def _read(self, table: Delimited, notes: Notes) -> None:
        place, value = table.names.index("movieId"), table.names.index("rating")
        films: list[int] = []
        ratings: list[float] = []
        for _, fields in table.rows():
            try:
                film, rating = int(fields[place]), float(fields[value])
                if not 0 <= film < MAX_ID:
                    raise ValueError(film)
            except (ValueError, IndexError):
                message = f"{{count}} rows of {table.path.name} are no rating of a film"
                notes.add("ratings not understood", message, ",".join(fields)[:60])
                continue
            films.append(film)
            ratings.append(rating)
            if len(films) == MANY:
                self._add(films, ratings)
                films, ratings = [], []
        self._add(films, ratings)

    def _add(self, films: list[int], ratings: list[float]) -> None:
        if not films:
            return
        more = max(films) + 1 - len(self._sums)
        if more > 0:
            self._sums = np.concatenate([self._sums, np.zeros(more)])
            self._counts = np.concatenate([self._counts, np.zeros(more, dtype=np.int64)])
        size = len(self._sums)
        self._sums += np.bincount(films, weights=ratings, minlength=size)
        self._counts += np.bincount(films, minlength=size)

    def of(self, film: str) -> tuple[str, str]:
        """Mean and number, as cells."""
        place = int(film) if film.isdecimal() else -1
        if not 0 <= place < len(self._counts) or not self._counts[place]:
            return "", ""
        count = int(self._counts[place])
        return f"{self._sums[place] / count:.3f}", str(count)


IMPORTER = Importer(
    "movielens",
    "MovieLens: movies.csv with links.csv, tags.csv and ratings.csv; also movies.dat and u.item",
    _open,
    frozenset({"join", "posters"}),
    id_kind="movielens_id",
)
