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
from hybrid.catalogue.download.ledger import Entry, Failed, Fetched
from hybrid.catalogue.download.urls import names_file, why_no_url
from hybrid.catalogue.lists import join_list
from hybrid.catalogue.poster_paths import POSTER, POSTERS, poster_problem
from hybrid.types import BadRow, Finding
from hybrid.utils.counts import counted
from hybrid.utils.csv_text import escape_row
from hybrid.utils.outputs import write_output

FETCHED, FAILED = "catalogue of fetched posters", "posters that were not fetched"
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
    """Find each poster that is named.

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
    if names_file(cell, folder):
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


def mixed_cells(named: Sequence[Sequence[str]], urls: Sequence[str]) -> tuple[Finding, ...]:
    """Tell of cells that name both URLs and files.

    Parameters
    ----------
    named : sequence of n sequences of str
        What each cell names.
    urls : sequence of str
        The URL of each of these, in the same order; ``""`` where it has none.

    Examples
    --------
    >>> mixed_cells([["http://a.org/1.jpg", "2.jpg"]], ["http://a.org/1.jpg", ""])[0].examples
    ('http://a.org/1.jpg, 2.jpg',)
    """
    each = iter(urls)
    found = [(cells, {bool(next(each)) for _ in cells}) for cells in named]
    mixed = [", ".join(cells) for cells, kinds in found if len(kinds) > 1]
    said = counted(len(mixed), "cell names", "cells name")
    message = f"{said} URLs and files: the URLs are fetched, the files stay as they are"
    return (Finding("URLs and files", message, len(mixed), examples=(mixed[0],)),) if mixed else ()


def several_posters(count: int) -> tuple[Finding, ...]:
    """Tell of items that name several posters.

    Examples
    --------
    >>> several_posters(0)
    ()
    """
    items = counted(count, "item names", "items name")
    message = f"{items} several posters: the files are in the column {POSTERS!r}"
    return (Finding("several posters", message, count, POSTERS),) if count else ()


def write_failures(path: Path, failed: Iterable[BadRow]) -> None:
    """Write the table of items without a poster: row, id, cell and reason."""
    rows = [escape_row((bad.row, bad.id, bad.poster, bad.reason)) for bad in failed]
    write_output(path, _csv([("row", "id", "cell", "reason"), *rows]), FAILED)


def gather_files(
    places: Sequence[Place], items: Sequence[int], count: int
) -> list[tuple[str, ...]]:
    """The files of each item.

    Parameters
    ----------
    places : sequence of n Place
    items : sequence of n int
        Position of the item that names each.
    count : int
        Number of items.

    Examples
    --------
    >>> gather_files([Place("1.jpg"), Place(reason="HTTP 404"), Place("2.jpg")], [0, 1, 0], 2)
    [('1.jpg', '2.jpg'), ()]
    """
    found: list[list[str]] = [[] for _ in range(count)]
    for i, place in zip(items, places, strict=True):
        if place.file and place.file not in found[i]:
            found[i].append(place.file)
    return [tuple(each) for each in found]


def write_catalogue(
    path: Path,
    table: pd.DataFrame,
    column: str,
    files: Sequence[Sequence[str]],
    separator: str = "|",
    target: str = POSTER,
) -> None:
    """Write a catalogue with the files in its column ``poster``, or ``posters`` if there may be several.

    Parameters
    ----------
    path : Path
    table : DataFrame of shape (n, columns)
    column : str
        That holds the URLs. If its name is that of the files, whatever its case, it becomes
        ``poster_url`` or ``posters_url``.
    files : sequence of n sequence of str
        Empty where there is none; then a file that the table names for the item stays.
    separator : str, default="|"
        Between several.
    target : {"poster", "posters"}, default="poster"
        Column of the files.
    """
    names = [str(name) for name in table.columns]
    cells = [join_list(each, separator) for each in files]
    # A column ``poster`` would be read before ``posters``: its files move there.
    own = [name for name in names if name.casefold() in {POSTER, target}]
    for name in own:
        if name != column:
            given = table[name].astype(str)
            cells = [
                cell or ("" if poster_problem(one) else one)
                for cell, one in zip(cells, given, strict=True)
            ]
    kept = [name for name in names if name not in own or name == column]
    columns = [table[name].astype(str).tolist() for name in kept]
    url_name = _free_name(names, column.casefold()) if column in own else column
    header = [*(url_name if name == column else name for name in kept), target]
    write_output(path, _csv([header, *zip(*columns, cells, strict=True)]), FETCHED)


def _free_name(names: Sequence[str], column: str) -> str:
    name = f"{column}_url"
    while name in names:
        name += "_"
    return name


def _csv(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode(errors="replace")
