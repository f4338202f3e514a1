"""Cells that hold a list of objects, as Python or JSON writes it."""

from __future__ import annotations

import ast
import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any

from hybrid.catalogue.importers.importer import Notes

_SHORT = 300  # characters of a cell that is kept once it was parsed


def parse_objects(value: Any, notes: Notes, column: str) -> list[dict[str, Any]]:
    """The objects of a cell: a list of them, or its text in Python or JSON; what is neither is counted.

    Parameters
    ----------
    value : str or list or dict or None
    notes : Notes
    column : str
        For the note.

    Returns
    -------
    list of dict

    Examples
    --------
    >>> parse_objects("[{'id': 18, 'name': 'Drama'}]", Notes(), "genres")
    [{'id': 18, 'name': 'Drama'}]
    >>> parse_objects('[{"id": 18, "name": "Drama"}]', Notes(), "genres")
    [{'id': 18, 'name': 'Drama'}]
    """
    if isinstance(value, str):
        # Most cells of genres, countries and languages come again and again.
        found = _parse_again(value) if len(value) <= _SHORT else parse_literal(value)
    else:
        found = value
    if found is None or found == "":
        return []
    entries = found if isinstance(found, list) else [found]
    objects = [each for each in entries if isinstance(each, dict)]
    if len(objects) < len(entries):
        notes.add(
            "cells not understood",
            f"{{count}} {{cells|cell}} of {column!r} {{are|is}} no list of objects and {{count|counts}} as "
            "empty",
            str(value)[:60],
            column,
        )
        return []
    return objects


def parse_literal(text: str) -> Any:
    """The value of a text in JSON or Python; the text itself where it is neither, None where it is empty.

    Examples
    --------
    >>> parse_literal("['a', None]"), parse_literal('["a", null]'), parse_literal("[a")
    (['a', None], ['a', None], '[a')
    """
    text = text.strip()
    if text in ("", "[]", "{}", "nan", "null", "None"):
        return None
    for written in (text, _as_json(text)):
        try:
            return json.loads(written)
        except (ValueError, RecursionError):
            pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _as_json(text: str) -> str:
    """A value in Python as JSON, which is parsed many times faster; not where quotes are in strings.

    Examples
    --------
    >>> _as_json("[{'name': 'None', 'path': None}]")
    '[{"name": "None", "path": null}]'
    """
    if '"' in text or "\\" in text:
        return ""
    parts = text.split("'")
    for i in range(0, len(parts), 2):  # those outside of strings
        if "e" in parts[i]:
            for word, other in (("None", "null"), ("True", "true"), ("False", "false")):
                parts[i] = parts[i].replace(word, other)
    return '"'.join(parts)


_parse_again = functools.lru_cache(maxsize=4096)(parse_literal)


def names_of(objects: Iterable[Mapping[str, Any]], key: str = "name") -> tuple[str, ...]:
    """The names of objects, each once, without the empty ones.

    Examples
    --------
    >>> names_of([{"name": "Drama "}, {"name": "Drama"}, {"id": 3}])
    ('Drama',)
    """
    names = (str(each.get(key) or "").strip() for each in objects)
    return tuple(dict.fromkeys(name for name in names if name))
