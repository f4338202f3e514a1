"""Data: items and genres of each part, missing values, bad rows and missing posters."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from shlex import quote
from typing import Any

from hybrid.catalogue import Catalogue
from hybrid.images.files import is_there
from hybrid.remote.address import remote_url
from hybrid.remote.objects import Listings
from hybrid.report.comparison import Comparison
from hybrid.types import PARTS, BadRow

SHOWN = 20  # bad rows
RARE = 10  # fewer test items make the figures of a genre unreliable


@dataclass(frozen=True)
class Column:
    """One column of the catalogue.

    Parameters
    ----------
    name, role : str
    missing : float
        Share of empty cells, in [0, 1].

    Examples
    --------
    >>> Column("year", "number", 0.1).role
    'number'
    """

    name: str
    role: str
    missing: float


@dataclass(frozen=True)
class CatalogueData:
    """Counts of the catalogue and the split.

    Parameters
    ----------
    items, labelled : int
        Of the whole file.
    selected : int
        Of these, the items that have a label of the task.
    parts : dict of str to int
        Items of each part of the split, as far as the predictions of the runs show.
    genres : tuple of (str, dict of str to int)
        Items of each genre in each part, most frequent first.
    rare : tuple of str
        Genres with fewer than 10 test items.
    columns : tuple of Column
    bad : tuple of BadRow
        The first bad rows and missing posters.
    n_bad : int
        How many bad rows and missing posters there are.
    reasons : tuple of (str, int)
        Number of bad rows and missing posters for each reason.
    check : str
        The command that lists all of them.

    Examples
    --------
    See `make`.
    """

    items: int
    labelled: int
    selected: int
    parts: dict[str, int]
    genres: tuple[tuple[str, dict[str, int]], ...]
    rare: tuple[str, ...]
    columns: tuple[Column, ...]
    bad: tuple[BadRow, ...]
    n_bad: int
    reasons: tuple[tuple[str, int], ...]
    check: str


def make(comparison: Comparison) -> CatalogueData:
    """Counts of the catalogue and the split.

    Parameters
    ----------
    comparison : Comparison

    Returns
    -------
    CatalogueData

    Examples
    --------
    >>> make(comparison).parts  # doctest: +SKIP
    {'train': 56, 'validation': 8, 'test': 16}
    """
    catalogue = comparison.catalogue
    part_of = _parts(comparison)
    counts = {
        part: catalogue.label_matrix(comparison.genres)[
            [part_of.get(i) == part for i in catalogue.ids]
        ]
        for part in PARTS
    }
    genres = tuple(
        (comparison.genres[j], {part: int(found[:, j].sum()) for part, found in counts.items()})
        for j in comparison.genres_by_support
    )
    bad = (*catalogue.bad_rows, *_absent_posters(comparison))
    return CatalogueData(
        items=len(comparison.whole),
        labelled=int(comparison.whole.labelled.sum()),
        selected=int(catalogue.labelled.sum()),
        parts={part: len(found) for part, found in counts.items()},
        genres=genres,
        rare=tuple(name for name, found in genres if found["test"] < RARE),
        columns=_columns(comparison),
        bad=bad[:SHOWN],
        n_bad=len(bad),
        reasons=tuple(Counter(row.reason for row in bad).most_common()),
        check=_check_command(catalogue),
    )


def _check_command(catalogue: Catalogue) -> str:
    """What lists every bad row of the catalogue, read as the runs read it."""
    columns = catalogue.columns
    options = {
        "catalogue": catalogue.path,
        "id-column": columns.id if columns.id != "id" else None,
        "label-column": columns.label if columns.label != "genres" else None,
        "poster-column": columns.poster if columns.poster != "poster" else None,
        "posters": catalogue.posters_folder,
    }
    named = ((name, remote_url(value) or str(value)) for name, value in options.items() if value)
    given = [f"--{name} {quote(value)}" for name, value in named]
    return " ".join(["hybrid check", *given, "--json"])


def _parts(comparison: Comparison) -> dict[str, str]:
    """Part of the split of each item that any run has predictions for."""
    found: dict[str, str] = {}
    for run in comparison.runs:
        pairs = zip(run.predictions.ids.tolist(), run.predictions.splits.tolist(), strict=True)
        found |= {name: part for name, part in pairs if part}
    return found


def _columns(comparison: Comparison) -> tuple[Column, ...]:
    catalogue = comparison.catalogue
    columns = catalogue.columns
    roles: list[tuple[str, Any]] = [("poster", [columns.poster]), ("labels", [columns.label])]
    roles += [("text", columns.text), ("number", columns.numeric)]
    roles += [("category", columns.categorical), ("list", columns.list), ("date", columns.date)]
    return tuple(
        Column(name, role, float((catalogue.table[name] == "").mean()))
        for role, names in roles
        for name in names
        if name is not None
    )


def _absent_posters(comparison: Comparison) -> list[BadRow]:
    """Items whose poster has no name or no file. `hybrid check` also tests whether files can be decoded."""
    catalogue = comparison.catalogue
    if catalogue.columns.poster is None:
        return []
    problems, listings = catalogue.poster_problems, Listings()
    return [
        catalogue.bad_row(i, problems.get(i, "file not found"))
        for i in range(len(catalogue))
        if not any(is_there(file, listings) for file in catalogue.poster_files(i))
    ]
