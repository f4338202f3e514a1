"""The kinds of data sets that can be imported."""

from __future__ import annotations

from hybrid.catalogue.importers import (
    csv_table,
    folder,
    huggingface,
    imdb,
    mm_imdb,
    movie_genre,
    movielens,
    movies_metadata,
    tmdb,
    tmdb_5000,
)
from hybrid.catalogue.importers.importer import Importer
from hybrid.errors import unknown_name

IMPORTERS: dict[str, Importer] = {
    module.IMPORTER.kind: module.IMPORTER
    for module in (
        *(movies_metadata, tmdb_5000, tmdb, movie_genre, mm_imdb, movielens, imdb),
        *(huggingface, folder, csv_table),
    )
}


def get_importer(kind: str) -> Importer:
    """Find an importer by its name.

    Raises
    ------
    SettingError
        If there is none; the message lists close matches.

    Examples
    --------
    >>> get_importer("movie-genre").kind
    'movie-genre'
    """
    if kind not in IMPORTERS:
        raise unknown_name("kind of data set", kind, IMPORTERS)
    return IMPORTERS[kind]
