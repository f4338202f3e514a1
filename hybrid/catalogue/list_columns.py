"""Columns whose cells are lists and objects as Python or JSON writes them: read as lists, and told."""

from __future__ import annotations

from shlex import quote

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.cells import find_different
from hybrid.catalogue.columns import fold_name
from hybrid.catalogue.lists import UNIT, join_list, parse_quoted, read_list
from hybrid.catalogue.packed import chunks
from hybrid.types import ColumnOptions, Finding
from hybrid.utils.counts import counted, first_few

# A column is one of lists where this share of its filled cells are.
_ALMOST_ALL, _HALF = 0.95, 0.5
_BRACKETS = ("[", "{", "(", "array(", '"[', '"{')
# Such cells are lists whatever the others of the column are.
_CERTAIN = ("[{", "['", '["', "{'", '{"', "array(", '"[', '"{')
_SHOWN = 60


def read_lists(
    table: pd.DataFrame, options: ColumnOptions, rows: NDArray[np.int64] | None = None
) -> tuple[pd.DataFrame, list[Finding], frozenset[str]]:
    """Write the lists in cells as lists with the separator.

    Parameters
    ----------
    table : DataFrame of shape (n, columns)
    options : ColumnOptions
        Its separator and its label column are used; id, text and dropped columns are left as they are. In
        the label column half of the cells, or one in quotes, are enough; in others nearly all must be lists.
    rows : ndarray of shape (n,), optional
        Positions in the file, for what is told; by default from 1.

    Returns
    -------
    table : DataFrame of shape (n, columns)
    findings : list of Finding
    broken : frozenset of str
        Cells of the label column that are pieces of lists, such as one that was cut off: no labels.

    Examples
    --------
    >>> table = pd.DataFrame({"id": ["1"], "genres": ["[{'id': 18, 'name': 'Drama'}]"]})
    >>> read_lists(table, ColumnOptions())[0]["genres"].tolist()
    ['Drama']
    """
    given, findings, broken = table, list[Finding](), frozenset[str]()
    separator = options.label_separator
    text = {options.id, *(options.text or ("title", "overview")), *options.drop}
    for name in table.columns:
        if name in text:
            continue
        label = _holds_labels(name, options)
        column = table[name]
        if not any(_has_list(part) for part in chunks(column)):
            continue
        like = [c for part in chunks(column) for c in part if c.startswith(_BRACKETS)]
        filled = int((column != "").sum())
        certain = label and any(cell.startswith(_CERTAIN) for cell in like)
        enough = (_HALF if label else _ALMOST_ALL) * filled
        if not (certain or len(like) >= enough):
            continue
        cells = column.to_numpy(dtype=object)
        parsed = {cell: read_list(cell) for cell in dict.fromkeys(like)}
        entries = {cell: found for cell, (found, _) in parsed.items()}
        understood = [cell for cell in like if entries[cell] is not None]
        if any(entries[cell] for cell in understood) and (certain or len(understood) >= enough):
            joined = {
                cell: join_list(of, separator) for cell, of in entries.items() if of is not None
            }
            if table is given:
                table = table.copy()
            table[name] = pd.Series([joined.get(cell, cell) for cell in cells], dtype=object)
            findings.append(_tell(name, understood, entries))
            if repeated := {cell: keys for cell, (_, keys) in parsed.items() if keys}:
                at = np.flatnonzero([cell in repeated for cell in cells])
                findings.append(
                    _tell_repeated(name, repeated, at + 1 if rows is None else rows[at])
                )
        not_understood = [
            cell for cell in like if entries[cell] is None and cell.lstrip('"')[0] in "[{"
        ]
        if not_understood and label:
            broken = frozenset(not_understood)
            at = np.flatnonzero([cell in broken for cell in cells])
            findings.append(
                _tell_broken(name, not_understood, at + 1 if rows is None else rows[at])
            )
        elif not_understood:
            findings.append(_tell_rest(name, not_understood))
    label_columns = [n for n in table.columns if n not in text and _holds_labels(n, options)]
    for name in label_columns:
        table, told = _read_quoted(table, name, separator, copied=table is not given)
        findings += told
    return table, findings, broken


def _has_list(cells: pd.Series) -> bool:
    return any(cell.startswith(_BRACKETS) for cell in find_different(cells)[0])


def _holds_labels(name: str, options: ColumnOptions) -> bool:
    return name == options.label or (options.label is None and fold_name(name) == "genres")


def _read_quoted(
    table: pd.DataFrame, name: str, separator: str, copied: bool
) -> tuple[pd.DataFrame, list[Finding]]:
    """Leave out the quotes around labels; a separator between them is part of the label."""
    cells = table[name].to_numpy(dtype=object)
    quoted = {
        cell: found
        for cell in dict.fromkeys(cells)
        if UNIT not in cell
        and not cell.startswith(_BRACKETS)
        and (found := parse_quoted(cell, separator)) is not None
    }
    if not quoted:
        return table, []
    joined = {cell: join_list(found, separator) for cell, found in quoted.items()}
    table = table if copied else table.copy()
    table[name] = pd.Series([joined.get(cell, cell) for cell in cells], dtype=object)
    count, shown = sum(cell in quoted for cell in cells), next(iter(quoted))
    message = (
        f"column {name!r}: quotes around labels were left out in {counted(count, 'cell')}: {_short(shown)} "
        "is "
        f"{' and '.join(map(repr, quoted[shown]))}"
    )
    return table, [Finding("quoted labels", message, count, name, _examples(list(quoted)))]


def _tell(name: str, cells: list[str], entries: dict[str, list[str] | None]) -> Finding:
    shown = next((cell for cell in cells if entries[cell]), cells[0])
    objects = ", by the names of their objects" if "{" in shown and ":" in shown else ""
    empty = sum(not entries[cell] for cell in cells)
    none = f"; {counted(empty, 'cell')} of them without entries" if empty else ""
    message = (
        f"column {name!r}: lists as programs write them were read as lists in "
        f"{counted(len(cells), 'cell')}{objects}: {_short(shown)} is {', '.join(entries[shown] or [])}{none}"
    )
    return Finding("lists", message, len(cells), name, _examples(cells))


def _tell_repeated(
    name: str, cells: dict[str, tuple[str, ...]], rows: NDArray[np.int64]
) -> Finding:
    cell, keys = next(iter(cells.items()))
    shown = first_few(rows.tolist())
    have = counted(len(rows), "cell has", "cells have")
    message = (
        f"column {name!r}: {have} an object with a key twice ({keys[0]!r}): the last value was read, such as "
        f"in {_short(cell)} (row{'' if len(rows) == 1 else 's'} {shown})"
    )
    return Finding("repeated keys", message, len(rows), name, _examples(list(cells)))


def _tell_rest(name: str, cells: list[str]) -> Finding:
    message = (
        f"column {name!r}: what looks like lists or objects in {counted(len(cells), 'cell')} names nothing "
        f"that could be an entry, such as {_short(cells[0])}: kept as text (--drop {quote(name)} leaves the "
        "column out)"
    )
    return Finding("objects", message, len(cells), name, _examples(cells))


def _tell_broken(name: str, cells: list[str], rows: NDArray[np.int64]) -> Finding:
    shown = first_few(rows.tolist())
    no_list = "is no list" if len(cells) == 1 else "are no lists"
    message = (
        f"column {name!r}: {counted(len(cells), 'cell')} {no_list} that can be read, such as "
        f"{_short(cells[0])} (row {shown}): no label is taken from there; mend the file, or say what is "
        "meant by a line of --label-map"
    )
    return Finding(
        "broken lists",
        message,
        len(cells),
        name,
        _examples(cells),
    )


def _short(cell: str) -> str:
    return cell if len(cell) <= _SHOWN else cell[: _SHOWN - 1] + "…"


def _examples(cells: list[str]) -> tuple[str, ...]:
    return tuple(map(_short, list(dict.fromkeys(cells))[:3]))
