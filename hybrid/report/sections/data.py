"""The data behind the figures: items, genres, gaps, bad rows and posters."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.report.comparison import Comparison
from hybrid.types import PARTS, BadRow

SHOWN = 20  # bad rows
RARE = 10  # test items: fewer say little about a genre


@dataclass(frozen=True)
class Column:
    """A column of the catalogue: its role, and the share of the items that lack it."""

    name: str
    role: str
    missing: float


@dataclass(frozen=True)
class CatalogueData:
    """What the section shows.

    Parameters
    ----------
    items, labelled : int
    parts : dict of str to int
        Items of each part, as far as the runs' predictions say.
    genres : tuple of (str, dict of str to int)
        Items of each genre in each part, the most frequent first.
    rare : tuple of str
        Genres with so few test items that their figures say little.
    columns : tuple of Column
    bad : tuple of BadRow
        Some of the bad rows and of the posters that are not there.
    reasons : tuple of (str, int)
        All of them, by reason.
    """

    items: int
    labelled: int
    parts: dict[str, int]
    genres: tuple[tuple[str, dict[str, int]], ...]
    rare: tuple[str, ...]
    columns: tuple[Column, ...]
    bad: tuple[BadRow, ...]
    reasons: tuple[tuple[str, int], ...]


def make(comparison: Comparison) -> CatalogueData:
    """Count what the catalogue and the runs say."""
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
        items=len(catalogue),
        labelled=int(catalogue.labelled.sum()),
        parts={part: len(found) for part, found in counts.items()},
        genres=genres,
        rare=tuple(name for name, found in genres if found["test"] < RARE),
        columns=_columns(comparison),
        bad=bad[:SHOWN],
        reasons=tuple(Counter(row.reason for row in bad).most_common()),
    )


def _parts(comparison: Comparison) -> dict[str, str]:
    """The part of each item that any run says something of."""
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
    roles += [("category", columns.categorical), ("list", columns.list)]
    return tuple(
        Column(name, role, float((catalogue.table[name] == "").mean()))
        for role, names in roles
        for name in names
        if name is not None
    )


def _absent_posters(comparison: Comparison) -> list[BadRow]:
    """Posters that cannot be named or are not there; whether the others can be read, hybrid check knows."""
    catalogue = comparison.catalogue
    if catalogue.columns.poster is None:
        return []
    problems = catalogue.poster_problems
    return [
        catalogue.bad_row(i, problems.get(i, "file not found"))
        for i, path in enumerate(catalogue.poster_paths)
        if not path or not Path(path).is_file()
    ]
