"""JSON Lines files, and JSON arrays of objects, as a table of strings."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hybrid.catalogue.readers.source import Source, find_encoding, open_text
from hybrid.catalogue.readers.table import ParsedTable
from hybrid.catalogue.readers.values import RecordTable
from hybrid.errors import CatalogueError
from hybrid.types import BadRow, ColumnOptions, Finding
from hybrid.utils.counts import counted, first_few
from hybrid.utils.strict_json import RepeatedKeys, find_repeated, load_marked

# What json.loads makes half of a pair of.
_ESCAPE = "\\ud"
_SHOWN = 5
_READ = "the last value was read"


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
        Lines that are no JSON object are among its bad rows, and so are objects with a key twice, whose
        last value is read.

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
    records, rows, bad = RecordTable(options.label_separator), array("q"), list[BadRow]()
    row = 0
    for line in lines:
        line = line.removeprefix("\ufeff") if not row else line
        if not line.strip():
            continue
        row += 1
        try:
            record = load_marked(line)
        except ValueError as error:
            bad.append(BadRow(row, "", "", f"not JSON ({error}); the row is left out"))
            continue
        if not isinstance(record, dict):
            bad.append(BadRow(row, "", "", "not a JSON object; the row is left out"))
            continue
        records.add(record, _ESCAPE in line.lower() if "\\" in line else False)
        rows.append(row)
        bad += _list_problems(row, record)
    return _parsed(records, rows, bad, findings)


def _parse_whole(
    source: Source, content: str, options: ColumnOptions, findings: list[Finding]
) -> ParsedTable:
    if not content.strip():
        raise CatalogueError(f"{source.path}: expected JSON objects, found an empty file.")
    try:
        value = load_marked(content)
    except ValueError as error:
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
    if lost := _lost_keys(value, found):
        findings = [*findings, _tell_lost(lost)]
    rows, bad = array("q"), list[BadRow]()
    for row, record in enumerate(found, start=1):
        if isinstance(record, dict):
            records.add(record)
            rows.append(row)
            bad += _list_problems(row, record)
        else:
            bad.append(BadRow(row, "", "", "not a JSON object; the row is left out"))
    return _parsed(records, rows, bad, findings)


def _is_json(line: str) -> bool:
    try:
        load_marked(line)
    except ValueError:
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
        rows = [_of_split(names, row) if isinstance(row, list) else row for row in value["data"]]
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


def _of_split(names: list[Any], values: list[Any]) -> dict[str, Any]:
    if len(names) != len(values):
        return _OddRow(names, values)
    return dict(zip(names, values, strict=True))


class _OddRow(dict[str, Any]):
    """Values that are more or fewer than the names of the columns, by those names."""

    def __init__(self, names: list[Any], values: list[Any]) -> None:
        super().__init__((str(name), one) for name, one in zip(names, values, strict=False))
        what = "missing ones are empty" if len(values) < len(names) else "others were left out"
        count = counted(len(values), "value")
        self.reason = f"{count}, where 'columns' names {len(names)}; the {what}"


def _list_problems(row: int, record: dict[str, Any]) -> list[BadRow]:
    """List what was lost of a record that was read."""
    names = find_repeated(record)
    reasons = [f"{_twice(names)}; {_READ}"] if names else []
    reasons += [record.reason] if isinstance(record, _OddRow) else []
    return [BadRow(row, "", "", reason) for reason in reasons]


def _lost_keys(value: Any, found: list[Any]) -> tuple[str, ...]:
    """Keys that stand twice in the objects of the document around its records."""
    if not isinstance(value, dict):
        return ()
    records = set(map(id, found))
    around = [one for one in (value, *value.values()) if id(one) not in records]
    twice = [name for one in around if isinstance(one, RepeatedKeys) for name in one.repeated]
    return tuple(dict.fromkeys(twice))


def _twice(names: Sequence[str]) -> str:
    shown = first_few(list(map(repr, names)), _SHOWN)
    return f"has the key{'' if len(names) == 1 else 's'} {shown} twice"


def _tell_lost(names: Sequence[str]) -> Finding:
    """Tell of keys of the document itself: what stood behind each but the last is lost."""
    message = (
        f"the object that holds the items {_twice(names)}: what stands behind the last one was read, the "
        "rest was left out; give each a name of its own"
    )
    return Finding("repeated keys", message, len(names), "", tuple(names[:_SHOWN]))


def _tell_repeated(bad: list[BadRow]) -> list[Finding]:
    """Tell of rows with a key twice, which are listed."""
    found = [one for one in bad if one.reason.endswith(_READ)]
    if not found:
        return []
    shown = first_few([one.row for one in found], _SHOWN)
    rows = counted(len(found), "row has", "rows have")
    message = (
        f"{rows} a key twice: the last value was read (row{'' if len(found) == 1 else 's'} {shown})"
    )
    examples = tuple(f"row {one.row}: {one.reason}" for one in found[:3])
    return [Finding("repeated keys", message, len(found), "", examples)]


def _parsed(
    records: RecordTable, rows: array[int], bad: list[BadRow], findings: list[Finding]
) -> ParsedTable:
    table, unstripped = records.table()
    findings = [*findings, *records.findings(), *_tell_repeated(bad)]
    numbers = np.array(rows, dtype=np.int64)
    return ParsedTable(table, numbers, bad, findings, unstripped=unstripped)
