"""JSON values of a file, one at a time: lines of them, an array of them, or a single one."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from hybrid.errors import CatalogueError

CHUNK = 1 << 20
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
        with path.open("rb") as raw:
            packed = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if path.suffix == ".gz" else raw
            with io.TextIOWrapper(packed, encoding="utf-8-sig", errors="replace") as text:
                yield from _values(text)
    except (OSError, EOFError) as error:
        raise CatalogueError(
            f"cannot read {path}: {getattr(error, 'strerror', None) or error}."
        ) from error


def _values(text: io.TextIOWrapper) -> Iterator[Any]:
    decoder, buffer, size, inside, whole = json.JSONDecoder(), "", CHUNK, None, False
    while True:
        buffer = buffer.lstrip(" \t\r\n," if inside else " \t\r\n")
        if inside is None and buffer:
            inside = buffer[0] == "["
            buffer = buffer[1:] if inside else buffer
            continue
        if inside and buffer[:1] == "]":
            return
        if buffer:
            try:
                value, end = decoder.raw_decode(buffer)
            except (json.JSONDecodeError, RecursionError) as error:
                if whole or isinstance(error, RecursionError):
                    raise NotJson(str(error)) from None
            else:
                yield value
                buffer, size = buffer[end:], CHUNK
                continue
        elif whole:
            if inside:
                raise NotJson("the array does not end")
            return
        more = text.read(size)
        whole, buffer, size = not more, buffer + more, size * 2
