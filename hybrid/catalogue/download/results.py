"""What became of each item's poster: its file, or the reason; the catalogue and the table of failures."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from hybrid.catalogue.cells import NOTHING
from hybrid.catalogue.columns import POSTER
from hybrid.catalogue.download.ledger import Entry, Failed, Fetched
from hybrid.catalogue.download.urls import why_no_url
from hybrid.catalogue.poster_paths import poster_problem
from hybrid.types import BadRow, Finding
from hybrid.utils.files import write_atomically

SHARED = 5  # different URLs with one picture: told, since it may say "no image"


class Place(NamedTuple):
    """Where an item's poster is: its file, or why there is none; neither where none is named."""

    file: str = ""
    reason: str = ""


def place_items(
    cells: Sequence[str],
    urls: Sequence[str],
    entries: Mapping[str, Entry],
    folder: Path,
    max_shared: int | None = None,
) -> list[Place]:
    """Find the poster of each item.

    Parameters
    ----------
    cells, urls : sequence of n str
        What the catalogue says, and the URLs that this stands for (``""``: none).
    entries : mapping of str to Entry
        By URL.
    folder : Path
        Of the catalogue; cells without a URL may name files in it.
    max_shared : int, optional
        A picture that more URLs give is no poster.

    Returns
    -------
    list of n Place

    Examples
    --------
    >>> entries = {"http://a.org/1": Failed("http://a.org/1", "HTTP 404 (Not Found)")}
    >>> place_items(["http://a.org/1", "N/A"], ["http://a.org/1", ""], entries, Path("."))
    [Place(file='', reason='HTTP 404 (Not Found)'), Place(file='', reason='')]
    """
    counts = {file: len(each) for file, each in _urls_of_files(urls, entries).items()}
    return [
        _place_url(cell, entries[url], counts, max_shared) if url else _place_cell(cell, folder)
        for cell, url in zip(cells, urls, strict=True)
    ]


def _place_url(cell: str, entry: Entry, counts: Mapping[str, int], max_shared: int | None) -> Place:
    if isinstance(entry, Failed):
        bare = cell.strip().startswith("//")  # as web pages have it
        return Place(reason=f"{entry.reason}{' (tried with https)' if bare else ''}")
    if max_shared is not None and counts[entry.file] > max_shared:
        return Place(reason=f"the picture of {counts[entry.file]} URLs, taken for a placeholder")
    return Place(entry.file)


def _place_cell(cell: str, folder: Path) -> Place:
    if cell.strip().casefold() in NOTHING:
        return Place()
    if not poster_problem(cell) and (folder / cell).is_file():
        return Place(cell)
    return Place(reason=why_no_url(cell))


def shared_pictures(urls: Iterable[str], entries: Mapping[str, Entry]) -> tuple[Finding, ...]:
    """Tell of pictures that many different URLs give.

    Parameters
    ----------
    urls : iterable of str
    entries : mapping of str to Entry

    Returns
    -------
    tuple of Finding
        The most frequent first.

    Examples
    --------
    >>> entries = {f"u{i}": Fetched(f"u{i}", "posters/0a.jpg", 9) for i in range(6)}
    >>> [finding.count for finding in shared_pictures(entries, entries)]
    [6]
    """
    found = _urls_of_files(urls, entries)
    most = sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(
        Finding(
            "shared picture",
            f"{len(each)} different URLs give the same picture, {file}: a placeholder? "
            f"--max-shared {SHARED - 1} leaves such pictures out.",
            len(each),
            examples=tuple(each[:3]),
        )
        for file, each in most
        if len(each) >= SHARED
    )


def _urls_of_files(urls: Iterable[str], entries: Mapping[str, Entry]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for url in dict.fromkeys(filter(None, urls)):
        entry = entries.get(url)
        if isinstance(entry, Fetched):
            found[entry.file].append(url)
    return found


def write_failures(path: Path, failed: Iterable[BadRow]) -> None:
    """Write the table of items without a poster: row, id, cell and reason."""
    rows = [(bad.row, bad.id, bad.poster, bad.reason) for bad in failed]
    write_atomically(path, _csv([("row", "id", "cell", "reason"), *rows]))


def write_catalogue(path: Path, table: pd.DataFrame, column: str, files: Sequence[str]) -> None:
    """Write a catalogue with the files in its column ``poster``.

    Parameters
    ----------
    path : Path
    table : DataFrame of shape (n, columns)
    column : str
        That holds the URLs. If its name is ``poster``, whatever its case, it becomes ``poster_url``.
    files : sequence of n str
        ``""`` where there is none; then a file that the table names for the item stays.
    """
    names = [str(name) for name in table.columns]
    poster = next((name for name in names if name.casefold() == POSTER), None)
    if poster is not None and poster != column:
        cells = table[poster].astype(str).tolist()
        files = [
            file or ("" if poster_problem(cell) else cell)
            for file, cell in zip(files, cells, strict=True)
        ]
    renamed = {name: name for name in names}
    if poster == column:
        renamed[column] = _free_name(names)
    kept = [name for name in names if name != poster or name == column]
    columns = [table[name].astype(str).tolist() for name in kept]
    header = [*(renamed[name] for name in kept), POSTER]
    write_atomically(path, _csv([header, *zip(*columns, files, strict=True)]))


def _free_name(names: Sequence[str]) -> str:
    name = f"{POSTER}_url"
    while name in names:
        name += "_"
    return name


def _csv(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode(errors="replace")
