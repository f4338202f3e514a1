"""Column roles of a catalogue: id, poster, labels, text, metadata."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from hybrid.catalogue.cells import NOT_A_NUMBER, to_numbers
from hybrid.errors import CatalogueError, SettingError, unknown_name
from hybrid.types import ColumnOptions, Columns

POSTER = "poster"


def _is_numeric(cells: pd.Series) -> bool:
    """Tell whether every cell that is not missing is a number, and at least one is."""
    filled = cells[~cells.str.lower().isin(NOT_A_NUMBER)]
    return len(filled) > 0 and bool(np.isfinite(to_numbers(filled)).all())


def find_columns(table: pd.DataFrame, options: ColumnOptions, path: Path) -> Columns:
    """Find the role of every column; what `options` sets comes first.

    Parameters
    ----------
    table : DataFrame of shape (n, columns)
        Every cell a str, ``""`` where it is missing.
    options : ColumnOptions
    path : Path
        Of the catalogue, for the messages.

    Returns
    -------
    Columns

    Raises
    ------
    CatalogueError
        If there is no id column.
    SettingError
        If a column is named that is not there, or one has two roles.

    Examples
    --------
    >>> table = pd.DataFrame({"id": ["1"], "genres": ["War"], "year": ["1979"], "cast": ["A|B"]})
    >>> columns = find_columns(table, ColumnOptions(), Path("catalogue.csv"))
    >>> columns.label, columns.numeric, columns.list
    ('genres', ('year',), ('cast',))
    """
    names = [str(name) for name in table.columns]
    _check_named(names, options, path)
    identifier = options.id or _find_id(names, path)
    left = [name for name in names if name not in options.drop]
    label = options.label or ("genres" if "genres" in left else None)
    by_hand = options.text + options.numeric + options.categorical + options.list + options.drop
    taken = {identifier, label, POSTER, *by_hand}
    text = options.text or tuple(
        name for name in ("title", "overview") if name in names and name not in taken
    )
    numeric, categorical, lists = [], [], []
    for name in names:
        if name in taken or name in text or not (table[name] != "").any():
            continue
        if _is_numeric(table[name]):
            numeric.append(name)
        elif table[name].str.contains(options.label_separator, regex=False).any():
            lists.append(name)
        else:
            categorical.append(name)
    return Columns(
        id=identifier,
        poster=POSTER if POSTER in left else None,
        label=label,
        label_separator=options.label_separator,
        text=text,
        numeric=(*options.numeric, *numeric),
        categorical=(*options.categorical, *categorical),
        list=(*options.list, *lists),
    )


def _find_id(names: list[str], path: Path) -> str:
    if "id" in names:
        return "id"
    for name in names:
        if name.endswith("_id"):
            return name
    raise CatalogueError(
        f"{path}: expected a column 'id' or one that ends in '_id', found {', '.join(names)}. "
        "Name it with --id-column."
    )


def _check_named(names: list[str], options: ColumnOptions, path: Path) -> None:
    """Report every column that was named by hand and is not there, or is named twice."""
    named: list[tuple[str, str | None]] = [
        ("--id-column", options.id),
        ("--label-column", options.label),
    ]
    for role in ("text", "numeric", "categorical", "list", "drop"):
        named += [(f"--{role}", name) for name in getattr(options, role)]
    problems, option_of = [], dict[str, str]()
    for option, name in named:
        if name is None:
            continue
        if name not in names:
            problems.append(f"{option}: {unknown_name('column', name, names)}")
        elif name == POSTER and option != "--drop":
            problems.append(
                f"{option}: column 'poster' names the image files and can be nothing else."
            )
        elif name in option_of:
            problems.append(f"column {name!r} is named by both {option_of[name]} and {option}.")
        option_of[name] = option
    if not options.label_separator:
        problems.append("--label-separator: expected at least one character, found none.")
    if problems:
        raise SettingError(f"{path}: " + "\n".join(problems))
