"""Columns that nobody named and that look like what is missing: the labels, the text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from shlex import quote

import pandas as pd

from hybrid.catalogue.cells import filled_cells
from hybrid.catalogue.columns import fold_name
from hybrid.catalogue.packed import chunks
from hybrid.catalogue_types import ColumnRole, Columns, Finding
from hybrid.utils.counts import counted, first_few

NO_LABEL = "no label column"
NO_TEXT = "no text column"
SAME_NAME = "columns of one name"
# Names of label columns, in the singular and the plural of several languages; "genre" may be within a name.
_LABELS = frozenset(
    (
        "category", "categories", "label", "labels", "tag", "tags", "class", "classes", "subject", "subjects",
        "topic", "topics", "genero", "generos", "generi", "kategorie", "kategorien", "gattung", "gattungen",
        "gatunek", "gatunki", "жанр", "жанры", "категория", "категории", "类型", "類型", "ジャンル", "장르",
    )
)  # fmt: skip
_TITLES = frozenset(
    (
        "name", "names", "titel", "titre", "titulo", "titolo", "tytul", "название", "标题", "タイトル",
        "제목",
        "plot", "synopsis", "summary", "description", "storyline", "beschreibung", "handlung", "sinopsis",
    )
)  # fmt: skip
_ONE_HOT = {"0", "1", "0.0", "1.0", "true", "false"}
_LEAST = 3  # columns of 0 and 1 that together look like labels
EXAMPLES = 5


def tell_absent(
    table: pd.DataFrame, columns: Columns, roles: tuple[ColumnRole, ...]
) -> tuple[Finding, ...]:
    """Tell which columns may hold the labels or the text, where none was found.

    Parameters
    ----------
    table : DataFrame of shape (n, columns)
        Every cell a str.
    columns : Columns
    roles : tuple of ColumnRole

    Returns
    -------
    tuple of Finding

    Examples
    --------
    >>> from pathlib import Path
    >>> from hybrid.catalogue.columns import find_columns
    >>> from hybrid.types import ColumnOptions
    >>> table = pd.DataFrame({"id": ["1", "2"], "title": ["a", "b"], "Genre(s)": ["War", "Drama"]})
    >>> found = find_columns(table, ColumnOptions(), Path("c.csv"))
    >>> print(tell_absent(table, *found)[0].message)
    no column 'genres' was found; column 'Genre(s)' may hold the labels (--label-column 'Genre(s)')
    """
    left = [role for role in roles if role.filled and not role.reason.startswith("--")]
    told: list[Finding] = []
    if columns.label is None:
        told += _of_labels(table, left)
    if not columns.text:
        told += _of_text(left)
    return (*told, *_of_same_names(roles))


def _of_same_names(roles: tuple[ColumnRole, ...]) -> Iterator[Finding]:
    """Of columns whose names differ in case only from one that was found by its name."""
    found = {fold_name(role.column): role for role in roles if role.reason == "by its name"}
    for role in roles:
        taken = found.get(fold_name(role.column))
        if taken is None or taken is role or role.reason.startswith("--") or not role.filled:
            continue
        yield Finding(
            SAME_NAME,
            f"columns {taken.column!r} and {role.column!r} have one name: {taken.column!r} was taken as "
            f"{taken.role}, {role.column!r} as {role.role} (--drop {quote(role.column)} leaves it out)",
            role.filled,
            role.column,
        )


def _of_labels(table: pd.DataFrame, roles: list[ColumnRole]) -> Iterator[Finding]:
    words = [role for role in roles if role.role in ("list", "categorical")]
    near = [role for role in words if "genre" in _plain(role.column)]
    near += [role for role in words if not _LABELS.isdisjoint(_words(role.column))]
    if near:
        role = near[0]
        yield Finding(
            NO_LABEL,
            f"no column 'genres' was found; column {role.column!r} may hold the labels "
            f"(--label-column {quote(role.column)})",
            role.filled,
            role.column,
        )
        return
    one_hot = [role.column for role in roles if _is_one_hot(role, table[role.column])]
    if len(one_hot) >= _LEAST:
        shown = first_few(list(map(repr, one_hot)), EXAMPLES)
        yield Finding(
            NO_LABEL,
            f"no column 'genres' was found; {counted(len(one_hot), 'column holds', 'columns hold')} only 0 "
            f"and 1: {shown}. If these are the labels, write them into one column, their names with | "
            "between them, and leave these out",
            len(one_hot),
            "",
            tuple(one_hot[:EXAMPLES]),
        )


def _of_text(roles: list[ColumnRole]) -> Iterator[Finding]:
    near = [
        role
        for role in roles
        if role.role == "categorical"
        and (_plain(role.column) in _TITLES or "title" in _plain(role.column))
    ]
    if near:
        names = [role.column for role in near]
        options = " ".join(f"--text {quote(name)}" for name in names)
        yield Finding(
            NO_TEXT,
            f"no columns 'title' and 'overview' were found; {', '.join(map(repr, names))} may be text "
            f"({options})",
            near[0].filled,
            names[0],
        )


def _is_one_hot(role: ColumnRole, cells: pd.Series) -> bool:
    if role.role not in ("numeric", "categorical"):
        return False
    distinct = set[str]()
    for part in chunks(filled_cells(cells)):
        distinct |= {cell.lower() for cell in set(part)}
        if len(distinct) > 2:
            return False
    return len(distinct) == 2 and _ONE_HOT.issuperset(distinct)


def _words(name: str) -> set[str]:
    """The words of a name, and all its letters together."""
    return {_plain(name), *map(_plain, re.split(r"[\W_]+", name))}


def _plain(name: str) -> str:
    """The letters of a name, without case and accents."""
    folded = unicodedata.normalize("NFD", name.casefold())
    letters = "".join(c for c in folded if not unicodedata.combining(c) or c in "\u3099\u309a")
    return "".join(c for c in unicodedata.normalize("NFC", letters) if c.isalpha() or c == "ー")
