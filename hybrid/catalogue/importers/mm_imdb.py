"""MM-IMDb (Arevalo et al., 2017): the folder of JSON and JPEG files, or its HDF5 file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hybrid.catalogue.importers import mm_imdb_hdf5
from hybrid.catalogue.importers.importer import (
    PARTS,
    Importer,
    ImportOptions,
    Item,
    LeftOut,
    Notes,
    Source,
)
from hybrid.catalogue.importers.records import names_of, parse_objects
from hybrid.catalogue.importers.tmdb_film import join, plain
from hybrid.errors import CatalogueError
from hybrid.utils.reading import TEXT, read_json

COLUMNS = (
    *("id", "title", "overview", "genres", "year", "runtime", "languages", "countries"),
    *("directors", "cast", "poster"),
)
# The labels of the published experiments, the most frequent first; News, Adult, Talk-Show and Reality-TV
# are in the files, too.
GENRES = (
    *("Drama", "Comedy", "Romance", "Thriller", "Crime", "Action", "Adventure", "Horror"),
    *("Documentary", "Mystery", "Sci-Fi", "Fantasy", "Family", "Biography", "War", "History"),
    *("Music", "Animation", "Musical", "Western", "Sport", "Short", "Film-Noir"),
)


def _open(source: str, options: ImportOptions, scratch: Path) -> Source:
    path = Path(source)
    films = path / "dataset" if (path / "dataset").is_dir() else path
    files = _film_files(films) if films.is_dir() else []
    if path.is_file() or (not files and (path / mm_imdb_hdf5.NAME).exists()):
        return mm_imdb_hdf5.open_hdf5(path if path.is_file() else path / mm_imdb_hdf5.NAME)
    if not files:
        raise CatalogueError(
            f"{path}: expected MM-IMDb: the folder with dataset/*.json, *.jpeg and split.json, or "
            f"{mm_imdb_hdf5.NAME}, found neither."
        )
    notes, read = Notes(), [0]
    split = _read_split([path / "split.json", films.parent / "split.json"], notes)
    rows = _read(files, split, notes, read)
    return Source(COLUMNS, rows, notes, len(files), "films", lambda: read[0], many_files=True)


def _film_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.json") if path.stem.isdecimal())


def _read_split(places: list[Path], notes: Notes) -> dict[str, str]:
    """Id → part of the published split."""
    path = next((path for path in places if path.is_file()), None)
    if path is None:
        notes.add("missing file", "no split.json: make a split with hybrid split")
        return {}
    try:
        found: Mapping[str, list[str]] = read_json(path, TEXT)
        parts = [(str(key), PARTS[name]) for name, keys in found.items() for key in keys]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CatalogueError(
            f"{path}: expected the ids of train, dev and test as JSON, found: {error!r}."
        ) from error
    split: dict[str, str] = {}
    for key, part in parts:
        if split.setdefault(key, part) != part:
            message = "{count} films are in several parts of split.json; the first of them counts"
            notes.add("several parts", message, key)
    return split


def _read(
    files: list[Path], split: dict[str, str], notes: Notes, read: list[int]
) -> Iterator[Item | LeftOut]:
    there = set()
    for row, path in enumerate(files, start=1):
        read[0], key = row, path.stem
        there.add(key)
        if split and key not in split:
            yield LeftOut(path.name, row, key, "not in the published split")
            continue
        try:
            film = read_json(path, TEXT)
            cells, genres = _cells(film, notes), _genres(film, notes)
        except (OSError, ValueError, AttributeError, TypeError) as error:
            yield LeftOut(path.name, row, key, "not the JSON of a film", str(error)[:80])
            continue
        poster = next(
            (p for end in (".jpeg", ".jpg") if (p := path.with_suffix(end)).exists()), None
        )
        if poster is None:
            notes.add(
                "missing posters",
                "{count} {films have|film has} no JPEG file beside {their|its} JSON",
                key,
            )
        other = {"imdb_id": f"tt{key}"}
        yield Item(path.name, row, {"id": key, **cells}, genres, poster, split.get(key, ""), other)
    for row, key in enumerate(split, start=1):
        if key not in there:
            yield LeftOut("split.json", row, key, "no JSON file of this film")


def _cells(film: Mapping[str, Any], notes: Notes) -> dict[str, str]:
    plots = film.get("plot") or []
    plots = [plots] if isinstance(plots, str) else plots
    # The longest plot, as in the published experiments; "::" begins the name of its author.
    overview = max(plots, key=len).partition("::")[0] if plots else plain(film.get("plot outline"))
    return {
        "title": plain(film.get("title")),
        "overview": overview.strip(),
        "year": plain(film.get("year")),
        "runtime": _runtime(film.get("runtimes")),
        "languages": join(map(str, film.get("languages") or ()), notes),
        "countries": join(map(str, film.get("countries") or ()), notes),
        "directors": join(names_of(parse_objects(film.get("director"), notes, "director")), notes),
        "cast": join(names_of(parse_objects(film.get("cast"), notes, "cast")), notes),
    }


def _runtime(runtimes: Any) -> str:
    """IMDb writes ``["98"]``, and ``["USA:98"]``."""
    first = str(runtimes[0]) if isinstance(runtimes, list) and runtimes else ""
    minutes = [part.strip() for part in first.split(":") if part.strip().isdecimal()]
    return minutes[0] if minutes else ""


def _genres(film: Mapping[str, Any], notes: Notes) -> tuple[str, ...]:
    for name in film.get("genres") or ():
        if name not in GENRES:
            message = "{count} {genres are|genre is} none of the 23 of the published experiments; left out"
            notes.add("other genres", message, str(name))
    return tuple(name for name in film.get("genres") or () if name in GENRES)


IMPORTER = Importer(
    "mm-imdb",
    f"MM-IMDb: the folder with dataset/ and split.json, or {mm_imdb_hdf5.NAME}",
    _open,
    frozenset({"join", "posters"}),
)
