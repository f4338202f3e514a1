"""Answers of TMDB's API, saved as JSON: films or series, pages of lists, lines of a daily export."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hybrid.catalogue.importers.importer import (
    Importer,
    ImportOptions,
    Item,
    LeftOut,
    Notes,
    Source,
)
from hybrid.catalogue.importers.json_files import NotJson, json_files, read_values
from hybrid.catalogue.importers.tmdb_film import (
    FILM_COLUMNS,
    film_cells,
    film_genres,
    film_people,
    imdb_id,
)
from hybrid.errors import CatalogueError
from hybrid.utils.strict_json import find_repeated

_TWICE = "{count} {films have|film has} a key twice in an object: the last value was read"


def _open(source: str, options: ImportOptions, scratch: Path) -> Source:
    path = Path(source)
    files = json_files(path) if path.exists() else []
    if not files:
        raise CatalogueError(
            f"{path}: expected answers of TMDB's API as .json or .jsonl files (or .gz of these), found none. "
            "Name the file, or the folder that they are in."
        )
    notes, read = Notes(), [0]
    rows = _read(path, files, notes, read)
    return Source(FILM_COLUMNS, rows, notes, len(files), "files", lambda: read[0], many_files=True)


def _read(
    source: Path, files: list[Path], notes: Notes, read: list[int]
) -> Iterator[Item | LeftOut]:
    for path in files:
        name = path.name if path == source else path.relative_to(source).as_posix()
        row = 0
        try:
            for value in read_values(path):
                for film in _films(value):
                    row += 1
                    if keys := find_repeated(film):
                        notes.add("repeated keys", _TWICE, f"{name}, row {row}: {keys[0]!r}")
                    yield _item(film, name, row, notes)
        except NotJson as error:
            yield LeftOut(
                name, row + 1, "", "not JSON; the rest of the file was not read", str(error)
            )
        read[0] += 1


def _films(value: Any) -> list[Any]:
    """The films of an answer: one, or those of a page."""
    if isinstance(value, dict) and isinstance(value.get("results"), list) and "page" in value:
        return list(value["results"])
    return value if isinstance(value, list) else [value]


def _item(film: Any, file: str, row: int, notes: Notes) -> Item | LeftOut:
    if not isinstance(film, dict):
        return LeftOut(file, row, "", "no film: not a JSON object", str(film)[:60])
    if film.get("success") is False or "status_message" in film:
        return LeftOut(file, row, "", "an error of TMDB's API", str(film.get("status_message")))
    if film.get("id") is None or not any(film.get(k) for k in ("title", "original_title", "name")):
        return LeftOut(file, row, str(film.get("id") or ""), "no film: it has no id or no title")
    credits = _object(film.get("credits"))
    people = film_people(credits.get("cast"), credits.get("crew"), notes)
    imdb = imdb_id(film.get("imdb_id") or _object(film.get("external_ids")).get("imdb_id"))
    other = {"imdb_id": imdb} if imdb else {}
    cells = film_cells(film, notes) | people
    return Item(file, row, cells, film_genres(film, notes), other_ids=other)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


IMPORTER = Importer(
    "tmdb",
    "answers of TMDB's API as JSON or JSON Lines: films, pages of films, daily exports",
    _open,
    frozenset({"join", "posters"}),
    id_kind="tmdb_id",
)
