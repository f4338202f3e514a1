"""The names of genres in TMDB, IMDb and MovieLens, and which of them mean the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hybrid.catalogue.importers.importer import PUBLISHED, Notes
from hybrid.errors import unknown_name

# Ids of TMDB's genres: films, then series.
TMDB_IDS = {
    28: "Action",
    12: "Adventure",
    16: "Animation",
    35: "Comedy",
    80: "Crime",
    99: "Documentary",
    18: "Drama",
    10751: "Family",
    14: "Fantasy",
    36: "History",
    27: "Horror",
    10402: "Music",
    9648: "Mystery",
    10749: "Romance",
    878: "Science Fiction",
    10769: "Foreign",
    10770: "TV Movie",
    53: "Thriller",
    10752: "War",
    37: "Western",
    10759: "Action & Adventure",
    10762: "Kids",
    10763: "News",
    10764: "Reality",
    10765: "Sci-Fi & Fantasy",
    10766: "Soap",
    10767: "Talk",
    10768: "War & Politics",
}

# Names that are not the same in TMDB, IMDb and MovieLens: name → its names in TMDB, and in IMDb.
# What is not here has the same name everywhere, or no counterpart, and is kept as it is.
SAME = {
    "Science Fiction": (("Science Fiction",), ("Sci-Fi",)),
    "Sci-Fi": (("Science Fiction",), ("Sci-Fi",)),
    "Children": (("Family",), ("Family",)),
    "Children's": (("Family",), ("Family",)),
    "Kids": (("Family",), ("Family",)),
    "Musical": (("Music",), ("Musical",)),
    "Reality": (("Reality",), ("Reality-TV",)),
    "Reality-TV": (("Reality",), ("Reality-TV",)),
    "Talk": (("Talk",), ("Talk-Show",)),
    "Talk-Show": (("Talk",), ("Talk-Show",)),
    "Action & Adventure": (("Action", "Adventure"), ("Action", "Adventure")),
    "Sci-Fi & Fantasy": (("Science Fiction", "Fantasy"), ("Sci-Fi", "Fantasy")),
    "War & Politics": (("War",), ("War",)),
}
NAMES = (PUBLISHED, "tmdb", "imdb")


def namer(names: str, notes: Notes) -> Callable[[Iterable[str]], tuple[str, ...]]:
    """Make the function that renames the genres of an item.

    Parameters
    ----------
    names : {"published", "tmdb", "imdb"}
    notes : Notes
        Told which genres were renamed.

    Raises
    ------
    SettingError
        If there are no such names.

    Examples
    --------
    >>> namer("tmdb", Notes())(["Sci-Fi", "Children's", "Film-Noir"])
    ('Science Fiction', 'Family', 'Film-Noir')
    """
    if names not in NAMES:
        raise unknown_name("kind of genre names", names, NAMES)
    side = NAMES.index(names) - 1

    def rename(genres: Iterable[str]) -> tuple[str, ...]:
        if side < 0:
            return tuple(dict.fromkeys(genres))
        renamed: dict[str, None] = {}
        for genre in genres:
            others = SAME[genre][side] if genre in SAME else (genre,)
            if others != (genre,):
                notes.add(
                    "genre names",
                    f"{{count}} {{genres|genre}} {genre!r} {{are|is}} named "
                    f"{' and '.join(map(repr, others))} (--genre-names)",
                    column=genre,
                )
            renamed.update(dict.fromkeys(others))
        return tuple(renamed)

    return rename
