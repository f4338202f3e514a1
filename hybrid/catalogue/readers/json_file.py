"""JSON Lines files, and JSON arrays of objects, as a table of strings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from hybrid.catalogue.readers.source import Source, find_encoding, open_text
from hybrid.catalogue.readers.table import ParsedTable
from hybrid.catalogue.readers.values import RecordTable
from hybrid.errors import CatalogueError
from hybrid.types import BadRow, ColumnOptions, Finding

# What json.loads makes half of a pair of.
_ESCAPE = "\\ud"


def parse_json(source: Source, options: ColumnOptions) -> ParsedTable:
    """Parse JSON Lines, a JSON array of objects, or an object that holds one.

    Parameters
    ----------
    source : Source
    options : ColumnOptions
        Its encoding and its separator are used.

    Returns
    -------
    ParsedTable
        Lines that are no JSON object are among its bad rows.

    Raises
    ------
    CatalogueError
        If the bytes are no text, or a ``.json`` file holds no array of objects.
    SettingError
        If the encoding has no known name, or is not that of the file's byte order mark.
    """
    codec, findings = find_encoding(source, options)
    with open_text(source, codec, options.encoding) as text:
        if source.suffix in (".jsonl", ".ndjson") and not _is_array(text):
            return _parse_lines(text, options, findings)
        content = text.read().removeprefix("\ufeff")
    return _parse_whole(source, content, options, findings)


def _is_array(text: Any) -> bool:
    """Whether the text begins with a JSON array of objects; the text is left at its start."""
    start = text.read(4096).removeprefix("\ufeff").lstrip()
    text.seek(0)
    return bool(start[:1] == "[" and start[1:].lstrip()[:1] in ("{", ""))


def _parse_lines(
    lines: Iterator[str], options: ColumnOptions, findings: list[Finding]
) -> ParsedTable:
    records, rows, bad = RecordTable(options.label_separator), [], []
    row = 0
    for line in lines:
        line = line.removeprefix("\ufeff") if not row else line
        if not line.strip():
            continue
        row += 1
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            bad.append(BadRow(row, "", "", f"not JSON ({error}); the row is left out"))
            continue
        if not isinstance(record, dict):
            bad.append(BadRow(row, "", "", "not a JSON object; the row is left out"))
            continue
        records.add(record, _ESCAPE in line.lower() if "\\" in line else False)
        rows.append(row)
    return _parsed(records, rows, bad, findings)


def _parse_whole(
    source: Source, content: str, options: ColumnOptions, findings: list[Finding]
) -> ParsedTable:
    if not content.strip():
        raise CatalogueError(f"{source.path}: expected JSON objects, found an empty file.")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        lines = [line for line in content.splitlines() if line.strip()]
        if len(lines) > 1 and lines[0].strip().startswith("{") and _is_json(lines[0]):
            return _parse_lines(iter(content.split("\n")), options, findings)
        raise CatalogueError(
            f"{source.path}: expected an array of JSON objects or one object a line, found: {error}."
        ) from None
    records = RecordTable(options.label_separator)
    found, where = _find_records(value)
    if found is None:
        raise CatalogueError(
            f"{source.path}: expected an array of JSON objects or one object a line, found "
            f"{type(value).__name__ if not isinstance(value, dict) else 'an object without one'}."
        )
    if where:
        findings = [*findings, Finding("format", f"the items were read from {where}", len(found))]
    rows, bad = [], []
    for row, record in enumerate(found, start=1):
        if isinstance(record, dict):
            records.add(record)
            rows.append(row)
        else:
            bad.append(BadRow(row, "", "", "not a JSON object; the row is left out"))
    return _parsed(records, rows, bad, findings)


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _find_records(value: Any) -> tuple[list[Any] | None, str]:
    """Find the records of a JSON document, and say where they are."""
    if isinstance(value, list):
        return (
            (value, "") if any(isinstance(one, dict) for one in value) or not value else (None, "")
        )
    if not isinstance(value, dict):
        return None, ""
    if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):
        names = value["columns"]  # pandas, orient="split"
        rows = [
            dict(zip(names, row, strict=False)) if isinstance(row, list) else row
            for row in value["data"]
        ]
        return rows, "'data', whose columns are named in 'columns'"
    arrays = [
        key
        for key, one in value.items()
        if isinstance(one, list) and one and all(isinstance(item, dict) for item in one)
    ]
    if len(arrays) == 1 and "id" not in value:
        return value[arrays[0]], f"the array {arrays[0]!r}"
    if len(value) > 1 and all(isinstance(one, dict) for one in value.values()):
        return _of_objects(value)
    return [value], ""


def _of_objects(value: dict[str, dict[str, Any]]) -> tuple[list[Any], str]:
    """Read what pandas writes without orient="records": columns of cells, or rows by their number."""
    inner = dict.fromkeys(key for one in value.values() for key in one)
    if all(key.isdigit() for key in inner):
        rows = [{name: cells.get(key) for name, cells in value.items()} for key in inner]
        return rows, "columns, as pandas writes them"
    return list(value.values()), "the objects in the object; their keys are not read"


def _parsed(
    records: RecordTable, rows: list[int], bad: list[BadRow], findings: list[Finding]
) -> ParsedTable:
    table, unstripped = records.table()
    findings = [*findings, *records.findings()]
    numbers = np.array(rows, dtype=np.int64)
    return ParsedTable(table, numbers, bad, findings, unstripped=unstripped)
