"""JSON values of a file, one at a time: lines of them, an array of them, or a single one."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hybrid.errors import CatalogueError
from hybrid.utils.reading import DATA_SET, open_file
from hybrid.utils.strict_json import MARKING
from hybrid.utils.unpacking import unpack

CHUNK = 1 << 20
_SPACE, _INSIDE = re.compile(r"[ \t\r\n]*"), re.compile(r"[ \t\r\n,]*")
SUFFIXES = (".json", ".jsonl", ".ndjson")


class NotJson(Exception):
    """What follows is not JSON."""


def json_files(source: Path) -> list[Path]:
    """The JSON files that a path is, or that are below it, sorted; hidden ones are passed over."""
    if source.is_file():
        return [source]
    found = (path for path in source.rglob("*") if path.is_file())
    return sorted(
        path
        for path in found
        if path.name.removesuffix(".gz").lower().endswith(SUFFIXES)
        and not any(part.startswith(".") for part in path.relative_to(source).parts)
    )


def read_values(path: Path) -> Iterator[Any]:
    r"""Read the JSON values of a file, plain or gzipped; those of an array one by one.

    An object with a key twice is a `RepeatedKeys`.

    Raises
    ------
    NotJson
        Where it is not JSON; the values before it were given.
    CatalogueError
        If the file cannot be read.

    Examples
    --------
    >>> _ = Path("a.json").write_text('{"id": 1}\n{"id": 2}\n')
    >>> _ = Path("b.json").write_text('[{"id": 1}, {"id": 2}]')
    >>> list(read_values(Path("a.json"))) == list(read_values(Path("b.json")))
    True
    """
    try:
        with open_file(path, DATA_SET) as raw:
            content: Any = unpack(raw, path) if path.suffix == ".gz" else raw
            with io.TextIOWrapper(content, encoding="utf-8-sig", errors="replace") as text:
                yield from _values(text)
    except (OSError, EOFError) as error:
        raise CatalogueError(
            f"cannot read {path}: {getattr(error, 'strerror', None) or error}."
        ) from error


def _values(text: io.TextIOWrapper) -> Iterator[Any]:
    decoder, buffer, at, size, inside, whole = MARKING, "", 0, CHUNK, None, False
    while True:
        at = _skip(buffer, at, bool(inside))
        if inside is None and at < len(buffer):
            inside = buffer[at] == "["
            at += inside
            continue
        if inside and buffer[at : at + 1] == "]":
            return
        if at < len(buffer):
            try:
                value, at = decoder.raw_decode(buffer, at)
            except (json.JSONDecodeError, RecursionError) as error:
                if whole or isinstance(error, RecursionError):
                    raise NotJson(str(error)) from None
            else:
                yield value
                size = CHUNK
                continue
        elif whole:
            if inside:
                raise NotJson("the array does not end")
            return
        more = text.read(size)
        whole, buffer, at, size = not more, buffer[at:] + more, 0, size * 2


def _skip(buffer: str, at: int, inside: bool) -> int:
    """The place of the next character that is no space, nor a comma inside an array."""
    found = (_INSIDE if inside else _SPACE).match(buffer, at)
    return found.end() if found else at
