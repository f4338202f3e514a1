"""A film as TMDB describes it, in its API and in the data sets made from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hybrid.catalogue.importers.genre_names import TMDB_IDS
from hybrid.catalogue.importers.importer import Notes
from hybrid.catalogue.importers.records import names_of, parse_objects

POSTERS = "https://image.tmdb.org/t/p/w500"
SEPARATOR = "|"
TEXT = ("title", "original_title", "overview", "tagline")
PLAIN = ("release_date", "original_language", "popularity", "vote_average", "vote_count", "status")
UNKNOWN_IF_ZERO = ("runtime", "budget", "revenue")
LISTS = ("production_companies", "production_countries", "spoken_languages", "keywords")
PEOPLE = ("cast", "directors")
# What is read of a film, by its names in TMDB.
FILM_FIELDS = (
    *("id", "genres", "adult", "belongs_to_collection", "poster_path"),
    *(*TEXT, *PLAIN, *UNKNOWN_IF_ZERO, *LISTS),
)
FILM_COLUMNS = (
    *("id", "title", "original_title", "overview", "tagline", "genres", "year", "release_date"),
    *("runtime", "original_language", "budget", "revenue", "popularity", "vote_average"),
    *("vote_count", "status", "adult", "collection", *LISTS, *PEOPLE, "poster_url"),
)


def film_cells(film: Mapping[str, Any], notes: Notes) -> dict[str, str]:
    """The cells of a film, but for its genres and people.

    TMDB writes 0 for a runtime or a sum that it does not know: the cell is empty.

    Parameters
    ----------
    film : mapping
        Its lists can be parsed, or text in Python or JSON.
    notes : Notes

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> film = {"id": 862, "title": "Toy Story", "runtime": 81.0, "budget": "0", "poster_path": "/a.jpg"}
    >>> cells = film_cells(film, Notes())
    >>> cells["id"], cells["runtime"], cells["budget"], cells["poster_url"]
    ('862', '81', '', 'https://image.tmdb.org/t/p/w500/a.jpg')
    """
    cells = {name: plain(film.get(name)) for name in ("id", *TEXT, *PLAIN, *UNKNOWN_IF_ZERO)}
    for name in UNKNOWN_IF_ZERO:
        cells[name] = "" if cells[name] == "0" else cells[name]
    cells["title"] = cells["title"] or cells["original_title"] or plain(film.get("name"))
    cells["release_date"] = cells["release_date"] or plain(film.get("first_air_date"))
    cells["year"] = cells["release_date"][:4] if cells["release_date"][:4].isdecimal() else ""
    cells["adult"] = {"true": "yes", "false": "no"}.get(plain(film.get("adult")).lower(), "")
    cells["collection"] = SEPARATOR.join(
        names_of(parse_objects(film.get("belongs_to_collection"), notes, "belongs_to_collection"))
    )
    for name in LISTS:
        value = film.get(name)
        if isinstance(value, dict):  # of the API: {"keywords": [...]}, or {"results": [...]}
            value = next((part for part in value.values() if isinstance(part, list)), None)
        cells[name] = join(names_of(parse_objects(value, notes, name)), notes)
    path = plain(film.get("poster_path"))
    cells["poster_url"] = f"{POSTERS}/{path.lstrip('/')}" if path and "://" not in path else path
    return cells


def film_genres(film: Mapping[str, Any], notes: Notes) -> tuple[str, ...]:
    """The genres of a film: their names, or the names of their ids by the table of TMDB.

    Examples
    --------
    >>> film_genres({"genre_ids": [18, 878]}, Notes())
    ('Drama', 'Science Fiction')
    """
    genres = film.get("genres")
    if genres not in (None, ""):
        return names_of(parse_objects(genres, notes, "genres"))
    names = []
    ids = film.get("genre_ids") or []
    for each in ids if isinstance(ids, list) else [ids]:
        number = plain(each)
        if number.isdecimal() and int(number) in TMDB_IDS:
            names.append(TMDB_IDS[int(number)])
        else:
            notes.add(
                "unknown genre ids",
                "{count} genre {ids are|id is} not in TMDB's table and {were|was} left out",
                str(each),
                "genre_ids",
            )
    return tuple(dict.fromkeys(names))


def film_people(cast: Any, crew: Any, notes: Notes) -> dict[str, str]:
    """Cast, in the order of the billing, and directors."""
    directors = [
        each for each in parse_objects(crew, notes, "crew") if each.get("job") == "Director"
    ]
    return {
        "cast": join(names_of(parse_objects(cast, notes, "cast")), notes),
        "directors": join(names_of(directors), notes),
    }


def plain(value: Any) -> str:
    """A value as a cell: whole numbers without ``.0``.

    Examples
    --------
    >>> plain(81.0), plain("81.0"), plain(None), plain(" a "), plain(True)
    ('81', '81', '', 'a', 'true')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return "" if value != value else str(int(value)) if value == value // 1 else str(value)
    text = str(value).strip()
    head, point, tail = text.partition(".")
    return head if point and head.isdecimal() and tail.strip("0") == "" else text


def imdb_id(value: Any) -> str:
    """The id of IMDb, of its number, which other programs may have written without its first zeros.

    Examples
    --------
    >>> imdb_id("0114709"), imdb_id("114709.0"), imdb_id("tt0114700"), imdb_id("0")
    ('tt0114709', 'tt0114709', 'tt0114700', '')
    """
    text = plain(value)
    if not text.isdecimal():
        return text
    return f"tt{int(text):07}" if int(text) else ""


def join(names: Iterable[str], notes: Notes) -> str:
    """Names as a list cell; a separator inside a name is written as a slash, and counted.

    Examples
    --------
    >>> join(["Drama", "Stop|Go"], Notes())
    'Drama|Stop/Go'
    """
    parts = []
    for name in names:
        if SEPARATOR in name:
            notes.add(
                "separator in a name",
                f"{{count}} {{names hold|name holds}} {SEPARATOR!r}, which separates names; it was written "
                "as '/'",
                name,
            )
            name = name.replace(SEPARATOR, "/")
        parts.append(" ".join(name.split()))
    return SEPARATOR.join(parts)
