"""JSON in which each object has each key once: Python's parser would silently keep the last one."""

from __future__ import annotations

import json
from typing import Any

# Python parses JSON that is nested more deeply, but cannot always write or show it.
MAX_DEPTH = 100
_TOO_DEEP = f"it is nested too deeply (more than {MAX_DEPTH} levels)"
# Of the pairs of an object; JSON has no other order.
_Pairs = list[tuple[str, Any]]


class RepeatedKeys(dict[str, Any]):
    """An object that was written with a key twice; the last value of each is in it.

    Parameters
    ----------
    pairs : list of (str, object)
        As they were written.

    Examples
    --------
    >>> RepeatedKeys([("title", "Jaws"), ("title", "Heat")]).repeated
    ('title',)
    """

    def __init__(self, pairs: _Pairs) -> None:
        super().__init__(pairs)
        seen: set[str] = set()
        twice = (key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        self.repeated: tuple[str, ...] = tuple(dict.fromkeys(twice))


def _marked(pairs: _Pairs) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else RepeatedKeys(pairs)


def _refused(pairs: _Pairs) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = ", ".join(map(repr, RepeatedKeys(pairs).repeated))
        raise ValueError(f"each key is expected once in an object, found twice: {names}")
    return found


# Of values that stand in a longer text, for which there is `raw_decode`.
MARKING = json.JSONDecoder(object_pairs_hook=_marked)
_REFUSING = json.JSONDecoder(object_pairs_hook=_refused)


def load_json(text: str | bytes) -> Any:
    """Parse JSON that a program wrote, such as a record; a key that is twice in an object is an error.

    Parameters
    ----------
    text : str or bytes
        Bytes are UTF-8.

    Returns
    -------
    object

    Raises
    ------
    ValueError
        If it is no JSON, nested too deeply, or has a key twice in an object.

    Examples
    --------
    >>> load_json('{"seed": 1, "seed": 2}')
    Traceback (most recent call last):
    ValueError: each key is expected once in an object, found twice: 'seed'
    """
    return _decode(_REFUSING, text.decode("utf-8") if isinstance(text, bytes) else text)


def load_marked(text: str) -> Any:
    """Parse JSON that somebody wrote; an object with a key twice is a `RepeatedKeys`.

    Parameters
    ----------
    text : str

    Returns
    -------
    object

    Raises
    ------
    ValueError
        If it is no JSON, or nested too deeply.

    Examples
    --------
    >>> find_repeated(load_marked('{"genres": [{"name": "War", "name": "Drama"}]}'))
    ('name',)
    """
    return _decode(MARKING, text)


def _decode(decoder: json.JSONDecoder, text: str) -> Any:
    try:
        value = decoder.decode(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_deeper(value):
        raise ValueError(_TOO_DEEP)
    return value


def _is_deeper(value: Any) -> bool:
    """Whether a value is nested more than `MAX_DEPTH` deep."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def find_repeated(value: Any) -> tuple[str, ...]:
    """Find the keys that are twice in an object, in a value of `load_marked` or anything in it.

    Parameters
    ----------
    value : object

    Returns
    -------
    tuple of str
        Each name once.
    """
    found: dict[str, None] = {}
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if isinstance(one, RepeatedKeys):
                found.update(dict.fromkeys(one.repeated))
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return tuple(found)
