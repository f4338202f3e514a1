"""CSV that a spreadsheet shows as text: cells that it would compute are escaped, and read back unchanged.

A cell of text that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line break is written with an
apostrophe before it, as spreadsheets have it; so is one that begins so after apostrophes. Reading takes that
one off.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from numpy.typing import NDArray

# With the full-width signs, which a spreadsheet of an East Asian locale takes for the others.
_WRITTEN = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_READ = re.compile(r"'+[=+\-@\t\r\n＝＋－＠]")
_ROWS = 2**16  # that are formatted at a time


def escape_formula(cell: str) -> str:
    """Escape text that a spreadsheet would read as a formula.

    Parameters
    ----------
    cell : str

    Returns
    -------
    str
        As it is, or with an apostrophe before it.

    Examples
    --------
    >>> escape_formula("=1+1"), escape_formula("svm"), escape_formula("'=1"), escape_formula("'90s")
    ("'=1+1", 'svm', "''=1", "'90s")
    """
    return f"'{cell}" if _WRITTEN.match(cell) else cell


def unescape_formula(cell: str) -> str:
    """Read text as it was before `escape_formula`.

    Parameters
    ----------
    cell : str

    Returns
    -------
    str

    Examples
    --------
    >>> unescape_formula("'=1+1"), unescape_formula("=1+1"), unescape_formula("'90s")
    ('=1+1', '=1+1', "'90s")
    """
    return cell[1:] if _READ.match(cell) else cell


def csv_text(table: pd.DataFrame, float_format: str | None = None) -> str:
    """Format a table as CSV; text that a spreadsheet would compute is escaped, names of columns, too.

    Parameters
    ----------
    table : DataFrame
        Its index is left out.
    float_format : str, optional
        As for `pandas.DataFrame.to_csv`.

    Returns
    -------
    str

    Examples
    --------
    >>> print(csv_text(pd.DataFrame({"id": ["a", "-b"], "x": [1.0, -1.0]})), end="")
    id,x
    a,1.0
    '-b,-1.0
    """
    texts = [table[name].astype(str) for name in _text_columns(table)]
    quoted = any(text.str.contains("\r", regex=False).any() for text in texts)
    return _format(table, quoted, header=True, float_format=float_format)


def csv_blocks(columns: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    r"""Format columns of text as CSV, some rows at a time; joined, it is the text of `csv_text`.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n,), str

    Yields
    ------
    str
        Whole lines; the first block begins with the names of the columns.

    Examples
    --------
    >>> import numpy as np
    >>> list(csv_blocks({"id": np.array(["a", "-b"]), "split": np.array(["train", "test"])}))
    ["id,split\na,train\n'-b,test\n"]
    """
    starts = range(0, max(len(next(iter(columns.values()))), 1), _ROWS)
    tables = (
        pd.DataFrame({name: cells[at : at + _ROWS] for name, cells in columns.items()})
        for at in starts
    )
    return csv_pieces(tables, any(map(holds_return, columns.values())))


def csv_pieces(
    tables: Iterable[pd.DataFrame], quoted: bool = False, float_format: str | None = None
) -> Iterator[str]:
    r"""Format parts of a table as CSV as they come; joined, they are the text of `csv_text`.

    Parameters
    ----------
    tables : iterable of DataFrame
        Of the same columns.
    quoted : bool, default=False
        Whether a cell of text may hold a carriage return: then all text is quoted.
    float_format : str, optional
        As for `pandas.DataFrame.to_csv`.

    Yields
    ------
    str
        Whole lines; the first piece begins with the names of the columns.

    Examples
    --------
    >>> list(csv_pieces([pd.DataFrame({"id": ["a"]}), pd.DataFrame({"id": ["-b"]})]))
    ['id\na\n', "'-b\n"]
    """
    for i, table in enumerate(tables):
        yield _format(table, quoted, i == 0, float_format)


def holds_return(cells: NDArray[Any] | Sequence[str]) -> bool:
    r"""Tell whether a carriage return is in one of some cells.

    Examples
    --------
    >>> holds_return(["a", "b\rc"])
    True
    """
    starts = range(0, len(cells), _ROWS)
    return any("\r" in "".join(cells[at : at + _ROWS]) for at in starts)


def _text_columns(table: pd.DataFrame) -> list[str]:
    kinds = table.dtypes.items()
    return [str(name) for name, kind in kinds if not pd.api.types.is_numeric_dtype(kind)]


def _format(table: pd.DataFrame, quoted: bool, header: bool, float_format: str | None) -> str:
    """Format a table; `quoted`: there may be a carriage return in one of its cells."""
    escaped = table.rename(columns=_escape)
    for name in _text_columns(table):
        escaped[_escape(name)] = table[name].map(_escape)
    # The csv module puts no quotes around a carriage return, which would end the row of many readers.
    text = escaped.to_csv(
        index=False,
        header=header,
        float_format=float_format,
        lineterminator="\n",
        quoting=csv.QUOTE_NONNUMERIC if quoted else csv.QUOTE_MINIMAL,
    )
    return str(text)


def unescape_columns(table: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Read columns of text as they were before `csv_text`.

    Parameters
    ----------
    table : DataFrame of str
    names : iterable of str
        Of columns; those that the table lacks are skipped.

    Returns
    -------
    DataFrame of str

    Examples
    --------
    >>> unescape_columns(pd.DataFrame({"id": ["a", "'-b"]}), ["id", "group"])["id"].tolist()
    ['a', '-b']
    """
    there = [name for name in names if name in table.columns]
    return table.assign(**{name: table[name].map(unescape_formula) for name in there})


def escape_row(row: Iterable[Any]) -> list[Any]:
    """Escape the text in a row for `csv.writer`.

    Examples
    --------
    >>> escape_row([-1, "-a", "b"])
    [-1, "'-a", 'b']
    """
    return [_escape(cell) for cell in row]


def _escape(cell: Any) -> Any:
    return escape_formula(cell) if isinstance(cell, str) else cell
