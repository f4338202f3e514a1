"""Columns that are named by hand, and cells of labels."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hybrid.catalogue.importers.importer import Notes
from hybrid.catalogue.lists import entries_of, parse_list
from hybrid.catalogue.poster_paths import IMAGE_NAMES, poster_problem
from hybrid.errors import SettingError, unknown_name

# Roles of a catalogue, and the columns that are taken for them where none is mapped.
ROLES = {
    "id": ("id",),
    "title": ("title", "name"),
    "overview": ("overview", "description", "summary", "plot", "synopsis", "text"),
    "genres": ("genres", "genre", "labels", "label", "categories", "category", "tags", "tag"),
    "poster": IMAGE_NAMES,
    "poster_url": tuple(f"{name}{end}" for name in IMAGE_NAMES for end in ("_url", "url", " url")),
}
# What a catalogue should have, by roles of which one is enough.
EXPECTED = {
    "labels": ("genres",),
    "text": ("title", "overview"),
    "posters": ("poster", "poster_url"),
}
PREFIX = 3  # letters that a column's name must share with a usual one to be suggested


def map_columns(columns: Sequence[str], mapping: Mapping[str, str], path: Path) -> dict[str, str]:
    """What each column is called in the catalogue; ``""`` for one that is left out.

    Parameters
    ----------
    columns : sequence of str
    mapping : mapping of str to str
        Column → role or name, as ``--map`` has it. ``drop`` and the empty name leave a column out.
    path : Path
        For the messages.

    Raises
    ------
    SettingError
        If there is no such column, or two columns would have one name; with all problems.

    Examples
    --------
    >>> map_columns(["ID", "Genre", "Year"], {"Year": "year"}, Path("t.csv"))
    {'ID': 'id', 'Genre': 'genres', 'Year': 'year'}
    """
    problems = [
        str(unknown_name("column", name, columns)) for name in mapping if name not in columns
    ]
    names = {old: "" if new == "drop" else new for old, new in mapping.items()}
    for role, known in ROLES.items():
        if role in names.values():
            continue
        free = {name.lower(): name for name in reversed(columns) if name not in names}
        found = next((free[name] for name in known if name in free), None)
        if found:
            names[found] = role
    names = {old: names.get(old, old) for old in columns}
    taken: dict[str, str] = {}
    for old, new in names.items():
        if new and new in taken:
            problems.append(f"columns {taken[new]!r} and {old!r} would both be {new!r}")
        taken[new] = old
    if problems:
        raise SettingError(f"{path}: --map: " + "\n".join(problems))
    return names


def tell_missing(names: Mapping[str, str], notes: Notes, file: str, has_posters: bool) -> None:
    """Tell which parts of a catalogue no column was found for, and how to name one.

    Parameters
    ----------
    names : mapping of str to str
        Column → what it is called in the catalogue.
    notes : Notes
    file : str
    has_posters : bool
        Whether the posters come from elsewhere.

    Examples
    --------
    >>> notes = Notes()
    >>> tell_missing({"id": "id", "Title": "title", "Cat": "Cat"}, notes, "t.csv", has_posters=True)
    >>> print(notes.findings()[0].message)
    no column of labels was found in t.csv; columns: id, Title, Cat; name it with --map Cat=genres
    """
    found = set(names.values())
    missing = [
        what
        for what, roles in EXPECTED.items()
        if found.isdisjoint(roles) and not (what == "posters" and has_posters)
    ]
    if not missing:
        return
    free = [old for old, new in names.items() if new == old and old not in ROLES]
    advice = []
    for what in missing:
        column = _suggest(EXPECTED[what][0], free)
        free = [name for name in free if name != column]
        advice.append(f"--map {shlex.quote(f'{column}={EXPECTED[what][0]}')}")
    notes.add(
        "columns not found",
        f"no column of {', '.join(missing)} was found in {file}; columns: {', '.join(names)}; "
        f"name {'it' if len(missing) == 1 else 'them'} with {' '.join(advice)}",
        count=len(missing),
    )


def _suggest(role: str, free: Sequence[str]) -> str:
    """A column whose name begins as a usual one, or holds it; ``COLUMN`` where there is none."""
    for name in free:
        plain = name.casefold()
        if any(
            known in plain or (len(plain) >= PREFIX and known.startswith(plain))
            for known in ROLES[role]
        ):
            return name
    return "COLUMN"


def find_id(names: Mapping[str, str], notes: Notes, file: str) -> str | None:
    """The column of the ids; None where there is none, which is told."""
    column = next((old for old, new in names.items() if new == "id"), None)
    if column is None:
        near = next((old for old in names if old.casefold().endswith("id")), "COLUMN")
        notes.add(
            "no ids",
            f"{file} has no column 'id': rows are named by their position; "
            f"--map {shlex.quote(f'{near}=id')} takes the ids of a column",
        )
    return column


def list_columns(names: Mapping[str, str]) -> tuple[str, ...]:
    """The columns of the catalogue: a poster may be a URL.

    Examples
    --------
    >>> list_columns({"Nr": "id", "Cover": "poster", "Shelf": ""})
    ('id', 'poster', 'poster_url')
    """
    columns = ["id", *(name for name in names.values() if name not in ("", "id"))]
    return (
        *columns,
        *(["poster_url"] if "poster" in columns and "poster_url" not in columns else []),
    )


def find_poster(
    cells: dict[str, str], folder: Path, allowed: Path | None, notes: Notes
) -> Path | None:
    """The image file that the cell ``poster`` names; a URL is for `hybrid fetch-posters`.

    Parameters
    ----------
    cells : dict of str to str
        A URL is moved to ``poster_url``.
    folder : Path
        Of the data set; paths are relative to it.
    allowed : Path or None
        Folder that absolute paths may lie in (``--posters``).
    notes : Notes
        Told which posters were not copied.
    """
    name = cells.get("poster", "")
    if not name:
        return None
    if name.startswith(("http://", "https://")):
        cells["poster_url"] = name
        return None
    path = Path(name)
    if allowed and path.is_absolute() and path.resolve().is_relative_to(allowed.resolve()):
        return path
    if problem := poster_problem(name):
        message = (
            f"{{count}} {{posters were|poster was}} not copied: {problem} (--posters names a "
            "folder for {them|it})"
        )
        notes.add("poster paths", message, name)
        return None
    return folder / name


def split_labels(value: Any, separator: str | None, notes: Notes) -> tuple[str, ...]:
    """The labels of a cell: a list, the text of one in Python or JSON, or words and separators.

    Examples
    --------
    >>> split_labels("Drama, War", ",", Notes()), split_labels("['Drama', 'War']", None, Notes())
    (('Drama', 'War'), ('Drama', 'War'))
    """
    found = parse_list(value) if isinstance(value, str) else entries_of(value)
    if found is None and not isinstance(value, str):
        notes.add(
            "labels not understood",
            "{count} {cells|cell} of labels {are objects|is an object} without a name",
            str(value),
        )
    parts = (
        str(value).split(separator or "|") if found is None and isinstance(value, str) else found
    )
    clean = (" ".join(part.split()) for part in parts or ())
    return tuple(dict.fromkeys(part for part in clean if part))
