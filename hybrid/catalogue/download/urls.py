"""Which column of a catalogue holds the URLs of posters, and which URL a cell stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from hybrid.catalogue.lists import UNIT, parse_list
from hybrid.catalogue.poster_paths import IMAGE_NAMES, poster_problem
from hybrid.errors import CatalogueError, SettingError, unknown_name
from hybrid.images.files import is_there
from hybrid.images.references import join_folder

TMDB = "https://image.tmdb.org/t/p/"
TMDB_SIZES = ("w92", "w154", "w185", "w342", "w500", "w780", "original")
# What TMDB's data have for a picture: a path that stands for one file in each size.
TMDB_PATH = re.compile(r"/[A-Za-z0-9_-]{10,}\.(?:jpe?g|png|svg|webp)", re.IGNORECASE)
# People paste URLs as browsers take them, with spaces in the path.
URL = re.compile(r"(?:https?:)?//[^\s/]+(?:/.*)?", re.IGNORECASE)
SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://.*|(data):.*", re.IGNORECASE | re.DOTALL)
_BETWEEN = re.compile(r"(?:\s*[,;]\s*|\s+)(?=https?://)", re.IGNORECASE)
_AMPERSAND = re.compile(r"&(?:amp|#0*38|#x0*26);", re.IGNORECASE)
IMAGE_URL = re.compile(r".*\.(?:jpe?g|png|webp|gif|avif|heic|bmp|tiff?)(?:[?#].*)?", re.IGNORECASE)


def split_references(
    cell: str, separator: str = "|", based: bool = False, folder: Path | None = None
) -> list[str]:
    """The URLs, or other names of posters, that a cell holds; one, maybe empty, at least.

    Parameters
    ----------
    cell : str
        One, a list as Python or JSON writes it, or several with the separator of lists, commas or spaces
        before the next ``http://`` between them. Some may be files.
    separator : str, default="|"
    based : bool, default=False
        Whether what is no URL is a part of one.
    folder : Path, optional
        Of the files that cells name.

    Returns
    -------
    list of str

    Examples
    --------
    >>> split_references("http://a.org/1.jpg|http://a.org/2.jpg")
    ['http://a.org/1.jpg', 'http://a.org/2.jpg']
    >>> split_references("['http://a.org/1.jpg']"), split_references("http://a.org/a|b.jpg")
    (['http://a.org/1.jpg'], ['http://a.org/a|b.jpg'])
    >>> split_references("http://a.org/1.jpg|posters/2.jpg")
    ['http://a.org/1.jpg', 'posters/2.jpg']
    """
    found = parse_list(cell)
    if found is None and (based or "/" in cell):
        parts = cell.split(UNIT if UNIT in cell else separator)
        filled = [part for each in parts if (part := each.strip())]
        whole = based or _are_several(cell, filled, folder)
        found = [one for part in (filled if whole else [cell]) for one in _BETWEEN.split(part)]
    clean = (part for each in found or [cell] if (part := each.strip()))
    return list(dict.fromkeys(clean)) or [""]


def _are_several(cell: str, parts: Sequence[str], folder: Path | None) -> bool:
    """Whether the parts of a cell are posters of their own; a URL or a file's name may hold the separator."""
    if len(parts) < 2 or (folder is not None and names_file(cell, folder)):
        return False
    images = all(IMAGE_URL.fullmatch(part) for part in parts)
    return images or all(
        URL.match(part) or TMDB_PATH.fullmatch(part) or (folder and names_file(part, folder))
        for part in parts
    )


def names_file(cell: str, folder: Path) -> bool:
    """Whether a cell names a file in the folder.

    Examples
    --------
    >>> names_file("http://a.org/1.jpg", Path()), names_file("no-such-file.jpg", Path())
    (False, False)
    """
    try:
        return not poster_problem(cell) and is_there(join_folder(folder, cell))
    except OSError:  # a name that is too long is none
        return False


def find_url_column(table: pd.DataFrame, name: str | None, path: Path, separator: str = "|") -> str:
    """Find the column with the URLs of the posters.

    Parameters
    ----------
    table : DataFrame of shape (n, columns)
        Every cell a str.
    name : str, optional
        Of the column; by default it is found by its cells and its name.
    path : Path
        Of the catalogue, for the messages.
    separator : str, default="|"
        Between several URLs in a cell.

    Returns
    -------
    str

    Raises
    ------
    SettingError
        If there is no column of this name.
    CatalogueError
        If none, or more than one, can be meant.

    Examples
    --------
    >>> cells = {"homepage": ["http://a.org/"], "Poster": ["http://a.org/1.jpg"]}
    >>> find_url_column(pd.DataFrame(cells), None, Path("catalogue.csv"))
    'Poster'
    """
    names = [str(each) for each in table.columns]
    if name is not None:
        if name not in names:
            raise SettingError(f"{path}: --url-column: {unknown_name('column', name, names)}")
        return name
    ranks = {
        each: rank
        for each in names
        if (rank := _rank(each, table[each], separator, path.parent)) is not None
    }
    best = [each for each, rank in ranks.items() if rank == min(ranks.values())]
    if len(best) != 1:
        found = f"{len(best)}: {', '.join(best)}" if best else f"none in {', '.join(names)}"
        raise CatalogueError(
            f"{path}: expected one column with the URLs of posters, or with TMDB's paths, found {found}. "
            "Name it with --url-column."
        )
    return best[0]


def _rank(name: str, cells: pd.Series, separator: str, folder: Path) -> int | None:
    """Rank of a column among those that may hold the URLs, 0 the best; None where it does not."""
    filled = cells[cells != ""].astype(str)
    if not len(filled):
        return None
    filled = filled.map(lambda cell: _first_url(cell, separator, folder) if "/" in cell else cell)
    said = next((i for i, part in enumerate(IMAGE_NAMES) if part in name.casefold()), None)
    urls = filled.str.fullmatch(URL.pattern, flags=re.IGNORECASE)
    if said is not None:
        paths = filled.str.fullmatch(TMDB_PATH.pattern, flags=re.IGNORECASE)
        return said if (urls | paths).mean() >= 0.5 else None
    images = urls & filled.str.fullmatch(IMAGE_URL.pattern, flags=re.IGNORECASE)
    return len(IMAGE_NAMES) if images.mean() >= 0.5 else None


def _first_url(cell: str, separator: str, folder: Path) -> str:
    """The first URL that a cell holds, or the first of what else it holds."""
    found = split_references(cell, separator, folder=folder)
    return next((one for one in found if URL.match(one)), found[0])


def cell_url(cell: str, base: str | None = None, tmdb_size: str = "w342") -> str:
    """The URL that a cell stands for; ``""`` where it stands for none.

    Parameters
    ----------
    cell : str
    base : str, optional
        URL that a cell without one of its own is appended to.
    tmdb_size : str, default="w342"
        Width of the pictures that TMDB's paths stand for where there is no `base`.

    Examples
    --------
    >>> cell_url("//a.org/1.jpg"), cell_url("/kqjL17yufvn9OVLyXYpvtyrFfak.jpg")
    ('https://a.org/1.jpg', 'https://image.tmdb.org/t/p/w342/kqjL17yufvn9OVLyXYpvtyrFfak.jpg')
    >>> cell_url("1.jpg", "http://a.org/posters"), cell_url("posters/1.jpg")
    ('http://a.org/posters/1.jpg', '')
    >>> cell_url("http://a.org/my film.jpg?x=1&amp;y=2")
    'http://a.org/my%20film.jpg?x=1&y=2'
    """
    cell = cell.strip()
    if URL.fullmatch(cell):
        return _quoted(cell if cell[:4].casefold() == "http" else f"https:{cell}")
    if base and cell and "://" not in cell:
        return _quoted(f"{base.rstrip('/')}/{cell.lstrip('/')}")
    return f"{TMDB}{tmdb_size}{cell}" if TMDB_PATH.fullmatch(cell) else ""


def _quoted(url: str) -> str:
    """A URL as a browser reads it: ``&amp;`` comes from a web page, and white space is quoted."""
    url = _AMPERSAND.sub("&", url)
    return re.sub(r"\s", lambda space: quote(space[0]), url)


def why_no_url(cell: str) -> str:
    """Say why a cell that names no file stands for no URL.

    Examples
    --------
    >>> why_no_url("ftp://a.org/1.jpg"), why_no_url("1.jpg")
    ('only http and https are fetched, found ftp', 'is neither a URL nor the path of a file')
    """
    found = SCHEME.fullmatch(cell.strip())
    if found is None:
        return "is neither a URL nor the path of a file"
    scheme = (found[1] or found[2]).lower()
    if scheme in ("http", "https"):
        return "is not a URL that can be fetched"
    return f"only http and https are fetched, found {scheme}"
