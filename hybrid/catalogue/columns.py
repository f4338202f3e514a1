"""Column roles of a catalogue: id, poster, labels, text, metadata."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from shlex import quote

import pandas as pd

from hybrid.catalogue.cells import says_something
from hybrid.catalogue.poster_paths import POSTER as POSTER
from hybrid.catalogue.poster_paths import POSTERS
from hybrid.catalogue.roles import ROLES, date_role, find_role, numeric_role
from hybrid.errors import CatalogueError, SettingError, unknown_name
from hybrid.remote.address import remote_url
from hybrid.remote.objects import is_folder
from hybrid.types import CellFormat, ColumnOptions, ColumnRole, Columns
from hybrid.utils.options import Rule, list_unused

LABEL = "genres"
TEXT = ("title", "overview")
_NAMED = ("id", "label", "poster")
_BY_HAND = (*ROLES, "drop")


def find_columns(
    table: pd.DataFrame,
    options: ColumnOptions,
    path: Path,
    like: Columns | None = None,
    hint: str = "",
) -> tuple[Columns, tuple[ColumnRole, ...]]:
    """Find the role of every column; what `options` sets comes first.

    Parameters
    ----------
    table : DataFrame of shape (n, columns)
        Every cell a str, ``""`` where it is missing.
    options : ColumnOptions
    path : Path
        Of the catalogue, for the messages.
    like : Columns, optional
        Of a run: its columns keep their roles and formats.
    hint : str, default=""
        What more to say where there is no id column.

    Returns
    -------
    columns : Columns
    roles : tuple of ColumnRole
        In the order of the table.

    Raises
    ------
    CatalogueError
        If there is no id column.
    SettingError
        If a column is named that is not there, or one has two roles.

    Examples
    --------
    >>> table = pd.DataFrame({"ID": ["1"], "genres": ["War"], "year": ["1979"], "cast": ["A|B"]})
    >>> columns, roles = find_columns(table, ColumnOptions(), Path("catalogue.csv"))
    >>> columns.id, columns.label, columns.numeric, columns.list
    ('ID', 'genres', ('year',), ('cast',))
    >>> roles[2].reason
    '100% numbers'
    """
    names = [str(name) for name in table.columns]
    options = _as_spelled(options, names)
    _check_named(names, options, path)
    given = {name: role for role in _BY_HAND for name in getattr(options, role)}
    options = _with_recorded(options, like, given, names)
    if options.id is None and _find_id(names) is None:
        raise CatalogueError(_without_id(table, options, path) + hint)
    fixed = _find_fixed(names, options, given)
    formats = {find_name(names, n) or n: f for n, f in like.formats.items()} if like else {}
    roles = tuple(_find_one(name, table[name], fixed.get(name), options, formats) for name in names)
    columns = _as_columns(roles, options)
    if problems := _without_effect(columns, options):
        raise SettingError(f"{path}: " + "\n".join(problems))
    return columns, roles


def find_name(names: Iterable[str], wanted: str) -> str | None:
    """Find a column whatever its case and Unicode form; None where there is none.

    Examples
    --------
    >>> find_name(["ID", "Title"], "title"), find_name(["Title", "title"], "title")
    ('Title', 'title')
    """
    names = list(names)
    if wanted in names:
        return wanted
    return next((name for name in names if fold_name(name) == fold_name(wanted)), None)


@lru_cache(maxsize=10_000)
def fold_name(name: str) -> str:
    r"""A column's name without case, Unicode form and characters that nobody sees.

    Examples
    --------
    >>> fold_name("\u200bGenres"), fold_name("Ｉｄ")
    ('genres', 'id')
    """
    if name.isascii():
        return name.casefold()
    seen = "".join(c for c in name if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold()).strip()


def _as_spelled(options: ColumnOptions, names: list[str]) -> ColumnOptions:
    """The columns that are named by hand, in the case that they have in the file."""
    changes: dict[str, str | tuple[str, ...]] = {}
    for role in _NAMED:
        if (name := getattr(options, role)) is not None:
            changes[role] = find_name(names, name) or name
    for role in _BY_HAND:
        changes[role] = tuple(find_name(names, name) or name for name in getattr(options, role))
    return replace(options, **changes)  # type: ignore[arg-type]


def _with_recorded(
    options: ColumnOptions, like: Columns | None, given: dict[str, str], names: list[str]
) -> ColumnOptions:
    """Options with the recorded roles of the columns that are here and have no role by hand."""
    if like is None:
        return options
    taken = {getattr(options, role) for role in _NAMED} | given.keys()
    changes: dict[str, tuple[str, ...]] = {}
    for role in ROLES:
        recorded = [find_name(names, name) for name in getattr(like, role)]
        kept = tuple(name for name in recorded if name is not None and name not in taken)
        changes[role] = (*getattr(options, role), *kept)
    return replace(options, **changes)  # type: ignore[arg-type]


def _find_fixed(
    names: list[str], options: ColumnOptions, given: dict[str, str]
) -> dict[str, tuple[str, str]]:
    """Columns whose role does not depend on their cells: column → role, reason."""
    identifier = options.id or _find_id(names) or names[0]
    fixed = {identifier: ("id", "--id-column" if options.id else "by its name")}
    label = options.label or find_name([name for name in names if name not in given], LABEL)
    if label is not None:
        fixed[label] = ("labels", "--label-column" if options.label else "by its name")
    left = [name for name in names if name not in given and name not in fixed]
    poster = options.poster or find_name(left, POSTER) or find_name(left, POSTERS)
    if poster is not None:
        pooled = (
            "" if poster.casefold() == POSTER else "; the embeddings of several posters are pooled"
        )
        fixed[poster] = (POSTER, ("--poster-column" if options.poster else "by its name") + pooled)
    for role in _BY_HAND:
        for name in getattr(options, role):
            recorded = "" if name in given else "recorded: "
            option = f"{recorded}--{role}"
            fixed.setdefault(name, ("not used" if role == "drop" else role, option))
    if not options.text:
        for wanted in TEXT:
            if (name := find_name(left, wanted)) and name not in fixed:
                fixed[name] = ("text", "by its name")
    if POSTER in names and POSTER not in fixed:
        fixed[POSTER] = ("not used", f"the posters are in {poster}")
    return fixed


def _find_one(
    name: str,
    cells: pd.Series,
    fixed: tuple[str, str] | None,
    options: ColumnOptions,
    formats: Mapping[str, CellFormat],
) -> ColumnRole:
    if fixed is None:
        return find_role(name, cells, options)
    role, reason = fixed
    if role in ("numeric", "date"):
        describe = numeric_role if role == "numeric" else date_role
        found = describe(name, cells, options, formats.get(name))
        return replace(found, reason=f"{reason}; {found.reason}")
    return ColumnRole(name, role, reason, int(says_something(cells).sum()))


def _as_columns(roles: tuple[ColumnRole, ...], options: ColumnOptions) -> Columns:
    found: dict[str, list[str]] = {}
    for one in roles:
        found.setdefault(one.role, []).append(one.column)
    # Those that are named by hand come first, in the order of the options.
    ordered = {
        role: tuple(dict.fromkeys([*getattr(options, role), *found.get(role, [])]))
        for role in ROLES
    }
    if not options.text:
        by_name = found.get("text", [])
        ordered["text"] = tuple(sorted(by_name, key=lambda name: TEXT.index(name.casefold())))
    plain = CellFormat()
    return Columns(
        id=found["id"][0],
        poster=next(iter(found.get(POSTER, ())), None),
        label=next(iter(found.get("labels", ())), None),
        label_separator=options.label_separator,
        **ordered,
        formats={one.column: one.format for one in roles if one.format != plain},
        rules=None,  # hybrid.catalogue.label_column finds them
    )


def _without_effect(columns: Columns, options: ColumnOptions) -> list[str]:
    """One message for each option that there is no column for."""
    rules = (
        Rule(("posters",), columns.poster is not None, "no column names posters (--poster-column)"),
        Rule(("decimal",), bool(columns.numeric), "no column holds numbers"),
        Rule(("date-order",), bool(columns.date), "no column holds dates"),
    )
    values = {
        "posters": options.posters,
        "decimal": options.decimal,
        "date-order": options.date_order,
    }
    return list_unused(rules, [name for name, value in values.items() if value])


def _find_id(names: list[str]) -> str | None:
    if (name := find_name(names, "id")) is not None:
        return name
    return next((name for name in names if name.casefold().endswith("_id")), None)


def _without_id(table: pd.DataFrame, options: ColumnOptions, path: Path) -> str:
    """Say that there is no id column, and which column can be one."""
    names = [str(name) for name in table.columns]
    said = f"{path}: expected a column 'id' or one that ends in '_id', found {', '.join(names)}. "
    label = options.label or find_name(names, LABEL)
    close = [name for name in names if name.casefold().endswith("id") and name != label]
    taken = {label, *close, *(name for role in _BY_HAND for name in getattr(options, role))}
    others = [name for name in names if name not in taken]
    for name in (*close, *others):
        cells = table[name]
        if len(cells) and not (cells == "").any() and cells.is_unique:
            every = "" if name in close else ", in which every row has another cell"
            return f"{said}Name it with --id-column {quote(name)}{every}."
    if close:
        return f"{said}Name it with --id-column {quote(close[0])}."
    if not len(table):
        return f"{said}Name it with --id-column COLUMN."
    return f"{said}In none of them has every row another cell: add a column 'id' to the file."


def _check_named(names: list[str], options: ColumnOptions, path: Path) -> None:
    """Report every column that was named by hand and is not there, or is named twice."""
    named: list[tuple[str, str | None]] = [
        (f"--{role}-column", getattr(options, role)) for role in _NAMED
    ]
    for role in _BY_HAND:
        named += [(f"--{role}", name) for name in getattr(options, role)]
    problems, option_of = [], dict[str, str]()
    for option, name in named:
        if name is None:
            continue
        if name not in names:
            problems.append(f"{option}: {unknown_name('column', name, names)}")
        elif name == POSTER and option not in ("--drop", "--poster-column"):
            problems.append(
                f"{option}: column 'poster' names the image files and can be nothing else."
            )
        elif name in option_of:
            problems.append(f"column {name!r} is named by both {option_of[name]} and {option}.")
        option_of[name] = option
    if options.posters is not None and not _is_folder(options.posters):
        problems.append(f"--posters: expected a folder, found none at {options.posters}.")
    if not options.label_separator:
        problems.append("--label-separator: expected at least one character, found none.")
    if options.decimal not in ("", ".", ","):
        problems.append(f"--decimal: expected '.' or ',', found {options.decimal!r}.")
    if options.date_order not in ("", "day", "month"):
        problems.append(f"--date-order: expected day or month, found {options.date_order!r}.")
    if problems:
        raise SettingError(f"{path}: " + "\n".join(problems))


def _is_folder(path: Path) -> bool:
    url = remote_url(path)
    return is_folder(url) if url else path.is_dir()
