"""Parse a catalogue file of any format: its content, and the suffix of its name, tell which."""

from __future__ import annotations

from collections.abc import Callable

from hybrid.catalogue.readers.csv_file import parse_csv
from hybrid.catalogue.readers.excel import parse_excel
from hybrid.catalogue.readers.index_column import leave_out_index
from hybrid.catalogue.readers.json_file import parse_json
from hybrid.catalogue.readers.parquet import parse_parquet
from hybrid.catalogue.readers.source import Source
from hybrid.catalogue.readers.table import ParsedTable
from hybrid.errors import CatalogueError, SettingError
from hybrid.types import ColumnOptions, Finding
from hybrid.utils.options import given_options

Reader = Callable[[Source, ColumnOptions], ParsedTable]
_OF_SUFFIX: dict[str, tuple[str, Reader]] = {
    **dict.fromkeys((".csv", ".tsv", ".tab", ".txt", ".psv"), ("separated text", parse_csv)),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), ("JSON", parse_json)),
    **dict.fromkeys((".parquet", ".pq"), ("Parquet", parse_parquet)),
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), ("Excel", parse_excel)),
}
# First bytes of files that are no text.
_MAGIC: tuple[tuple[bytes, str, Reader], ...] = (
    (b"PAR1", "Parquet", parse_parquet),
    (b"PK\x03\x04", "Excel", parse_excel),
    (b"\xd0\xcf\x11\xe0", "Excel", parse_excel),
)


def parse_table(source: Source, options: ColumnOptions) -> ParsedTable:
    r"""Parse a catalogue of any format.

    Parameters
    ----------
    source : Source
    options : ColumnOptions
        Its encoding and its separator are used; a column without a name stays where it names it.

    Returns
    -------
    ParsedTable

    Raises
    ------
    CatalogueError
        If it is not what its suffix says.
    SettingError
        If the encoding has no known name, or one is given for a file that is no text.
    MissingExtraError
        If the library that reads its format is not installed.

    Examples
    --------
    >>> from pathlib import Path
    >>> from hybrid.catalogue.readers import open_source
    >>> _ = Path("c.tsv").write_text("\tid\ttitle\n0\t1\t Jaws \n")
    >>> parsed = parse_table(open_source(Path("c.tsv")), ColumnOptions())
    >>> parsed.table.to_dict("records"), parsed.rows.tolist(), [found.kind for found in parsed.findings]
    ([{'id': '1', 'title': 'Jaws'}], [1], ['index column'])
    """
    if source.suffix not in _OF_SUFFIX:
        raise CatalogueError(
            f"{source.path}: expected a .csv, .tsv, .txt, .jsonl, .json, .parquet or .xlsx file, or one of "
            f"them with .gz, found {source.suffix!r}."
        )
    name, reader = _OF_SUFFIX[source.suffix]
    told = []
    for magic, true_name, true_reader in _MAGIC:
        if source.head.startswith(magic) and true_name != name:
            message = f"read as {true_name}, which the content is, though the suffix says {name}"
            name, reader = true_name, true_reader
            told.append(Finding("format", message, 1))
            break
    if name in ("Parquet", "Excel"):
        _refuse_encoding(source, options, name)
    parsed = leave_out_index(reader(source, options), options)
    parsed.findings[:0] = told
    return parsed


def _refuse_encoding(source: Source, options: ColumnOptions, name: str) -> None:
    if given_options({"encoding": (options.encoding, ColumnOptions().encoding)}):
        raise SettingError(
            f"--encoding {options.encoding}: expected none, since the text of {name} files such as "
            f"{source.path} is Unicode; it would have no effect."
        )
