"""Column roles of a catalogue (id, poster, labels, text, metadata), and how cells are parsed."""

from __future__ import annotations

import warnings
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.errors import CatalogueError, SettingError, unknown_name
from hybrid.types import ColumnOptions, Columns

POSTER = "poster"
# What spreadsheets and databases write for "nothing" in a column of numbers.
NOT_A_NUMBER = frozenset({"", "na", "n/a", "nan", "null", "none", "-"})


def split_cell(cell: str, separator: str) -> list[str]:
    """Split a list cell into its entries.

    Parameters
    ----------
    cell, separator : str

    Returns
    -------
    list of str
        Stripped, with single spaces; empty entries are left out, repeated ones are in it once.

    Examples
    --------
    >>> split_cell("Drama| Science  Fiction ||Drama", "|")
    ['Drama', 'Science Fiction']
    """
    return list(
        dict.fromkeys(part for raw in cell.split(separator) if (part := " ".join(raw.split())))
    )


def poster_problem(cell: str) -> str:
    """Say why a poster cell cannot name a file inside the catalogue's folder; ``""`` if it can.

    Examples
    --------
    >>> poster_problem("posters/1.jpg"), poster_problem("../1.jpg")
    ('', "the path leaves the catalogue's folder")
    """
    if not cell:
        return "no poster named"
    if "\0" in cell:
        return "the path holds a NUL character"
    if "://" in cell:
        return "is a URL; a path relative to the catalogue's folder is expected"
    if PurePosixPath(cell).is_absolute() or PureWindowsPath(cell).anchor:
        return "the path is absolute; it must be relative to the catalogue's folder"
    if ".." in PurePosixPath(cell).parts or ".." in PureWindowsPath(cell).parts:
        return "the path leaves the catalogue's folder"
    return ""


def to_numbers(cells: pd.Series) -> NDArray[np.float64]:
    """Parse cells as numbers.

    Parameters
    ----------
    cells : Series of n str

    Returns
    -------
    ndarray of shape (n,), float64
        NaN where there is no finite number.

    Examples
    --------
    >>> to_numbers(pd.Series(["1.5", "", "inf", "1e3"])).tolist()
    [1.5, nan, nan, 1000.0]
    """
    numbers = pd.to_numeric(cells.astype(object), errors="coerce").to_numpy(dtype=np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def warn_of_words(name: str, cells: pd.Series, numbers: NDArray[np.float64], path: Path) -> None:
    """Warn of the cells of a numeric column that are neither missing nor a number: they count as missing.

    Parameters
    ----------
    name : str
        Of the column.
    cells : Series of n str
    numbers : ndarray of shape (n,)
        What `to_numbers` made of them.
    path : Path
        Of the catalogue.
    """
    words = cells[np.isnan(numbers)]
    words = words[~words.str.lower().isin(NOT_A_NUMBER)]
    if len(words):
        warnings.warn(
            f"{path}: expected numbers in the numeric column {name!r}, found others in {len(words)} of "
            f"{len(cells)} items, such as {words.iloc[0]!r}; they count as missing.",
            stacklevel=3,
        )


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
