"""Cells that hold a list: between separators, or as Python, JSON, NumPy and databases write it."""

from __future__ import annotations

import ast
import csv
import json
import math
import re
import warnings
from collections.abc import Iterable
from typing import Any

from hybrid.utils.strict_json import find_repeated, load_marked

# Between the entries of a cell whose entries hold the separator: a character that no text holds.
UNIT = "\x1f"
# The entry of an object is the value of the first of these keys that it has.
NAME_KEYS = ("name", "title", "label", "genre", "keyword", "tag", "value", "text")

_PLURALS = frozenset((*(f"{name}s" for name in NAME_KEYS), "items", "results", "data", "list"))
_BRACKETS = {"[": "]", "{": "}", "(": ")"}
_TOKEN = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[A-Za-z_][\w.]*|[^'"A-Za-z_]+""", re.DOTALL
)
_WORDS = {"None": "null", "nan": "null", "NaN": "null", "null": "null", "NULL": "null",
          "True": "true", "False": "false", "true": "true", "false": "false"}  # fmt: skip
_ARRAY = re.compile(r"array\((.*?)(?:,\s*dtype=[^()]*)?\)", re.DOTALL)
_NUMBERS = re.compile(r"-?\d[\d.eE+-]*(?:\s+-?\d[\d.eE+-]*)+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_TYPOGRAPHIC = "\u201c\u201d\u201e\u2018\u2019"  # quotes, as word processors set them
_FAILED: Any = object()


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
    parts = cell.split(UNIT if UNIT in cell else separator)
    return list(dict.fromkeys(part for raw in parts if (part := " ".join(raw.split()))))


def join_list(entries: Iterable[str], separator: str) -> str:
    r"""Join entries into a cell that `split_cell` splits into just these, also where one holds the separator.

    Parameters
    ----------
    entries : iterable of str
    separator : str

    Returns
    -------
    str

    Examples
    --------
    >>> join_list(["Drama", "War"], "|")
    'Drama|War'
    >>> split_cell(join_list(["Sci-Fi, Fantasy"], ","), ",")
    ['Sci-Fi, Fantasy']
    """
    entries = list(entries)
    if any(separator in entry for entry in entries):
        return UNIT + UNIT.join(entries)
    return separator.join(entries)


def replace_surrogates(text: str) -> str:
    r"""Replace each half of a surrogate pair, which no file can hold, by U+FFFD.

    Examples
    --------
    >>> replace_surrogates("half an emoji: \ud83d")
    'half an emoji: \ufffd'
    """
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def parse_list(cell: str) -> list[str] | None:
    """Parse a cell that holds a list or an object as Python, JSON, NumPy or a database writes it.

    Parameters
    ----------
    cell : str

    Returns
    -------
    list of str or None
        The entries. That of an object is its ``name``, ``title`` or ``label`` (see `NAME_KEYS`), or the only
        string in it; those of an object of ids to names are the names. Missing values are left out. None
        where the cell is no list, or has objects without a name.

    Examples
    --------
    >>> parse_list("[{'id': 18, 'name': 'Drama'}, {'id': 53, 'name': None}]")
    ['Drama']
    >>> parse_list('["Drama", "Science Fiction"]'), parse_list("['Drama' 'War']"), parse_list("[]")
    (['Drama', 'Science Fiction'], ['Drama', 'War'], [])
    >>> parse_list("Drama|War"), parse_list("(no genres listed)")
    (None, None)
    """
    return read_list(cell)[0]


def read_list(cell: str) -> tuple[list[str] | None, tuple[str, ...]]:
    """Parse a cell as `parse_list` does; also name the keys that stand twice in an object of it.

    Examples
    --------
    >>> read_list('[{"name": "War", "name": "Drama"}]')
    (['Drama'], ('name',))
    """
    text = _unquoted(cell.strip())
    if text.startswith("array(") and (inside := _ARRAY.fullmatch(text)):
        text = inside[1].strip()
    if len(text) < 2 or _BRACKETS.get(text[0]) != text[-1]:
        return None, ()
    value = _parse(text)
    found = entries_of(value) if value is not _FAILED else _bare_words(text)
    if found is None:
        return None, ()
    return [replace_surrogates(entry) for entry in found], find_repeated(value)


def _unquoted(text: str) -> str:
    """The list in a string of JSON, as a list that was written twice is; else the text itself."""
    if not text.startswith(('"[', '"{')) or text[-1] != '"':
        return text
    try:
        inside = json.loads(text)
    except ValueError:
        return text
    return inside.strip() if isinstance(inside, str) else text


def parse_quoted(cell: str, separator: str) -> list[str] | None:
    """Parse a cell some of whose entries are in double quotes; None where no entry is.

    Parameters
    ----------
    cell, separator : str

    Returns
    -------
    list of str or None

    Examples
    --------
    >>> parse_quoted('"War, Epic", Drama', ","), parse_quoted('"Weird Al" Story', ",")
    (['War, Epic', 'Drama'], None)
    """
    if '"' not in cell or len(separator) != 1 or separator in '"\r\n ':
        return None
    try:
        (parts,) = csv.reader([cell], delimiter=separator, skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):
        return None
    found = [part.strip() for part in parts if part.strip()]
    return None if not found or found == split_cell(cell, separator) else found


def entries_of(value: Any) -> list[str] | None:
    """Find the entries of a list or an object of JSON or Parquet; None where an object has no name.

    Parameters
    ----------
    value : object

    Returns
    -------
    list of str or None

    Examples
    --------
    >>> entries_of([{"id": 18, "name": "Drama"}, "War", 7, None])
    ['Drama', 'War', '7']
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return []
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, dict):
        return _entries_of_object(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        found: list[str] = []
        for one in sorted(value, key=str) if isinstance(value, (set, frozenset)) else value:
            entries = entries_of(one)
            if entries is None:
                return None
            found += entries
        return found
    return [str(value)]


def _entries_of_object(value: dict[Any, Any]) -> list[str] | None:
    keys = {str(key).lower(): key for key in value}
    for name in NAME_KEYS:
        if name in keys and not isinstance(value[keys[name]], (dict, list)):
            return entries_of(value[keys[name]])
    if not value:
        return []
    if all(isinstance(one, bool) for one in value.values()):  # {"Drama": true, "War": false}
        return [str(key) for key, one in value.items() if one]
    strings = [one for one in value.values() if isinstance(one, str)]
    if len(strings) == 1:
        return strings
    if len(strings) == len(value) and all(re.search(r"\d", str(key)) for key in value):
        return strings  # {"/m/07s9rl0": "Drama", "/m/06ppq": "Silent film"}
    if (
        len(value) == 1
        and isinstance(value.get(key := next(iter(value))), list)
        and key in _PLURALS
    ):
        return entries_of(value[key])  # {"genres": ["Drama"]}
    if len(value) == 1 and "id" in keys and isinstance(value[keys["id"]], int):
        return [str(value[keys["id"]])]
    return None


def _parse(text: str) -> Any:
    """Parse a literal of JSON, Python or NumPy."""
    try:
        return load_marked(text)
    except ValueError:
        pass
    try:
        return load_marked(_as_json(text))
    except (ValueError, RecursionError):
        pass
    if "'" not in text and '"' not in text and _WORDS.keys().isdisjoint(re.findall(r"\w+", text)):
        return _FAILED
    try:  # sets, and objects whose keys are numbers
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return _FAILED
    return value if isinstance(value, (list, dict, tuple, set)) else _FAILED


def _as_json(text: str) -> str:
    """Write a Python literal as JSON; strings that only a space parts, as NumPy writes them, get a comma."""
    if '"' not in text and "\\" not in text:
        parts = text.split("'")
        if len(parts) % 2 == 0:
            raise ValueError("a quote is not closed")
        if any(not part.strip() for part in parts[2:-1:2]):
            parts[2:-1:2] = [part if part.strip() else "," for part in parts[2:-1:2]]
        parts[::2] = [_json_between(part) for part in parts[::2]]
        parts[1::2] = [json.dumps(part, ensure_ascii=False)[1:-1] for part in parts[1::2]]
        return '"'.join(parts)
    written, quoted, at = [], False, 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        if match.start() != at:
            raise ValueError("a quote is not closed")
        at = match.end()
        if token[0] in "'\"":
            string = _unescape(token) if "\\" in token else token[1:-1]
            written.append("," * quoted + json.dumps(string))
            quoted = True
        elif token.strip():
            written.append(_json_between(token))
            quoted = False
    if at != len(text):
        raise ValueError("a quote is not closed")
    return "".join(written)


def _unescape(token: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python does not know
            return str(ast.literal_eval(token.replace("\n", "\\n").replace("\r", "\\r")))
    except SyntaxError as error:
        raise ValueError(str(error)) from None


def _json_between(text: str) -> str:
    """Write what is between the strings of a Python literal as JSON."""
    text = re.sub(
        r"[A-Za-z_]\w*", lambda word: _WORDS[word[0]] if word[0] in _WORDS else word[0], text
    )
    text = text.replace("(", "[").replace(")", "]")
    return re.sub(r",(\s*[\]}])", r"\1", text)


def _bare_words(text: str) -> list[str] | None:
    """Parse ``[Drama, War]`` and ``{Drama,"Science Fiction"}``, whose words have no quotes or some."""
    inside = text[1:-1].strip()
    if text[0] == "(" or re.search(r"[\[\]{}]|\.\.\.", inside) or "'" in inside:
        return None
    if text[0] == "{" and ":" in inside:
        return None
    if _NUMBERS.fullmatch(inside):
        return inside.split()
    try:
        (parts,) = csv.reader([inside], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):
        return None
    bare = (part.strip().strip(_TYPOGRAPHIC) for part in parts)
    return [part for part in bare if part and part not in ("NULL", "None")]
