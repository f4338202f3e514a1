"""The label column of a table: its cells replaced by what they mean, and the rows without labels listed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybrid.catalogue.label_findings import tell_labels
from hybrid.catalogue.labels import read_labels
from hybrid.errors import SettingError, unknown_name
from hybrid.types import BadRow, ColumnOptions, Columns, Finding, LabelRules

LONGEST = 200  # characters of a cell in a message


@dataclass(frozen=True)
class LabelColumn:
    """A table with understood labels, the columns with their rules, and what is told."""

    table: pd.DataFrame
    columns: Columns
    bad_rows: list[BadRow]
    findings: tuple[Finding, ...]


def check_unknown(
    table: pd.DataFrame, options: ColumnOptions, rules: LabelRules, path: Path
) -> tuple[str, ...]:
    """Check the column of labels that were not looked at; return the columns that are no metadata.

    Raises
    ------
    SettingError
        If it is named by hand and is not there.
    """
    names = [str(name) for name in table.columns]
    if options.unknown is not None and options.unknown not in names:
        problem = unknown_name("column", options.unknown, names)
        raise SettingError(f"{path}: --unknown-column: {problem}")
    return (rules.unknown,) if rules.unknown in names else ()


def read_label_column(
    table: pd.DataFrame,
    rows: NDArray[np.int64],
    columns: Columns,
    rules: LabelRules,
    tells: bool = True,
    broken: frozenset[str] = frozenset(),
) -> LabelColumn:
    """Replace the label cells of a table by what they mean.

    Parameters
    ----------
    table : DataFrame of shape (n, columns)
    rows : ndarray of shape (n,), int
        Positions in the file.
    columns : Columns
    rules : LabelRules
    tells : bool, default=True
        Whether suspicions are looked for.
    broken : frozenset of str, default=frozenset()
        Cells that hold no label unless the label map names them.

    Returns
    -------
    LabelColumn

    Examples
    --------
    >>> table = pd.DataFrame({"id": ["1", "2"], "genres": ["War", "N/A"]})
    >>> columns = Columns("id", None, "genres", "|", (), (), (), ())
    >>> read_label_column(table, np.array([1, 2]), columns, LabelRules()).bad_rows[0].reason
    "'N/A' is no label; the row can be predicted but not learnt from"
    """
    if columns.label is None:
        return LabelColumn(table, columns, [], ())
    unknown = table[rules.unknown] if rules.unknown in table.columns else None
    found = read_labels(table[columns.label], columns.label_separator, rules, unknown, broken)
    told = tell_labels(found, columns.label, columns.label_separator) if tells else ()
    if found.rules != LabelRules():
        columns = replace(columns, rules=found.rules)
    without = found.cells == ""
    ids = table[columns.id][without].tolist()
    posters = table[columns.poster][without].tolist() if columns.poster else [""] * len(ids)
    bad = []
    each = zip(rows[without].tolist(), ids, posters, found.raw[without], strict=True)
    for row, name, poster, cell in each:
        if len(cell) > LONGEST:  # the file has it whole
            cell = cell[: LONGEST - 1] + "…"
        said = f"{cell!r} is no label" if cell else f"no {columns.label}"
        reason = f"{said}; the row can be predicted but not learnt from"
        bad.append(BadRow(row, name, poster, reason))
    cells = pd.Series(found.cells, index=table.index, dtype=object, copy=False)
    table = table.assign(**{str(columns.label): cells})
    return LabelColumn(table, columns, bad, told)


def tell_no_labels(items: int, column: str) -> Finding:
    """Tell once that no item has a label.

    Examples
    --------
    >>> tell_no_labels(3, "genres").message
    "column 'genres': none of 3 items has a label; they can be predicted but not learnt from"
    """
    message = (
        f"column {column!r}: none of {items:,} items has a label; they can be predicted but not "
        "learnt from"
    )
    return Finding("no labels", message, items, column)
