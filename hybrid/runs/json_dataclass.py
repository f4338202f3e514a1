"""Frozen dataclasses to and from JSON, checked key by key: the serialisation of run.json."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from hybrid.errors import RunError, SettingError
from hybrid.types import as_plain

T = TypeVar("T")

KEY = "key"
# Metadata of a field: it has its default where the file lacks it, and is not written then;
OPTIONAL: dict[str, Any] = {"optional": True}
# its own keys stand beside those of the object that holds it;
FLATTEN: dict[str, Any] = {"flatten": True}
# it is not in the file.
INTERNAL: dict[str, Any] = {"internal": True}
SHOWN = 60  # characters of a value in a message
NAMES = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    type(None): "null",
}


def key(name: str) -> dict[str, Any]:
    """Metadata of a field whose key in the file is not its name in Python."""
    return {KEY: name}


def to_json(value: Any) -> Any:
    """Turn a dataclass, and all that it holds, into what `json.dumps` takes.

    Examples
    --------
    >>> from hybrid.types import Interval
    >>> to_json({"f1": Interval(0.5, 0.4, 0.6)})
    {'f1': {'value': 0.5, 'low': 0.4, 'high': 0.6}}
    """
    if is_dataclass(value) and not isinstance(value, type):
        found: dict[str, Any] = {}
        for each in fields(value):
            part = getattr(value, each.name)
            if "flatten" in each.metadata:
                found |= {} if part is None else to_json(part)
            elif "internal" not in each.metadata and (
                "optional" not in each.metadata or part != _default(each)
            ):
                found[_key(each)] = to_json(part)
        return found
    if isinstance(value, Mapping):
        return {str(name): to_json(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(part) for part in value]
    return str(value) if isinstance(value, Path) else value


def from_json(
    cls: type[T],
    data: object,
    source: str,
    *,
    complete: bool = True,
    remedy: str = "fit the run again",
) -> T:
    """Turn parsed JSON into a dataclass; keys that it does not know are ignored.

    Parameters
    ----------
    cls : type
        A dataclass of strings, numbers, tuples, mappings and dataclasses.
    data : object
        As `json.loads` gives it.
    source : str
        File that it comes from, for the messages.
    complete : bool, default=True
        Whether a missing key is an error unless it is declared `OPTIONAL`. If False, a key that is
        missing or null has its default.
    remedy : str, default="fit the run again"
        What to do where the file is damaged, for the message.

    Raises
    ------
    RunError
        If a key is missing or a value has the wrong type; names the file, the key, what was expected and
        what was found.

    Examples
    --------
    >>> from hybrid.types import Interval
    >>> from_json(Interval, {"value": 0.5, "low": 0.4, "high": 0.6}, "run.json")
    Interval(value=0.5, low=0.4, high=0.6)
    >>> from_json(Interval, {"value": 0.5, "low": 0.4, "high": "?"}, "run.json")
    Traceback (most recent call last):
    hybrid.errors.RunError: run.json: expected a number at high, found '?'. The record is damaged: fit the \
run again.
    """
    found: T = _Reader(source, complete, remedy).dataclass(cls, data, "")
    return found


def convert(cls: type[T], value: Any) -> T:
    """Turn a result into the part of the record with the same keys.

    Parameters
    ----------
    cls : type
        A dataclass of the record.
    value : dataclass or mapping
        NaN in it becomes None.

    Raises
    ------
    RunError
        If a key is missing, or a value has another type.
    TypeError
        If it has a key that `cls` lacks, which would be lost.

    Examples
    --------
    >>> from hybrid.types import Interval
    >>> convert(Interval, {"value": 0.5, "low": 0.4, "high": 0.6})
    Interval(value=0.5, low=0.4, high=0.6)
    """
    plain = as_plain(value)
    found = from_json(cls, plain, f"result for {cls.__name__}")
    if to_json(found) != plain:
        raise TypeError(f"expected the keys of {cls.__name__}, found {', '.join(plain)}.")
    return found


class _Reader:
    """Checks values against types; knows the file that they come from."""

    def __init__(self, source: str, complete: bool, remedy: str) -> None:
        self.source, self.complete, self.remedy = source, complete, remedy

    def dataclass(self, cls: Any, data: object, path: str) -> Any:
        if not isinstance(data, dict):
            self._wrong("an object", data, path)
        hints, values = _hints(cls), {}
        for each in fields(cls):
            hint = hints[each.name]
            if "internal" in each.metadata:
                continue
            if "flatten" in each.metadata:
                group: Any = next(t for t in (*get_args(hint), hint) if is_dataclass(t))
                if any(data.get(name) is not None for name in _keys(group)):
                    values[each.name] = self.dataclass(group, data, path)
                continue
            name = _key(each)
            place = f"{path}.{name}" if path else name
            if name not in data or (data[name] is None and not self.complete):
                if _has_default(each) and (not self.complete or "optional" in each.metadata):
                    continue
                if name not in data:
                    self._wrong(_describe(hint), "no such key", place)
            values[each.name] = self.value(hint, data[name], place)
        try:
            return cls(**values)
        except SettingError as error:  # a value of the right type that the class refuses
            raise RunError(
                f"{self.source}: at {path}: {error} The record is damaged: {self.remedy}."
            ) from error

    def value(self, hint: Any, data: object, path: str) -> Any:
        origin, arguments = get_origin(hint), get_args(hint)
        if hint is Any:
            return data
        if origin in (Union, types.UnionType):
            return self._one_of(hint, data, path)
        if isinstance(hint, type) and is_dataclass(hint):
            return self.dataclass(hint, data, path)
        if origin is tuple:
            return self._tuple(hint, data, path)
        if origin is Mapping:
            if not isinstance(data, dict):
                self._wrong("an object", data, path)
            return {k: self.value(arguments[1], v, f"{path}.{k}") for k, v in data.items()}
        allowed = (int, float) if hint is float else hint
        if not isinstance(data, allowed) or (isinstance(data, bool) and hint is not bool):
            self._wrong(NAMES[hint], data, path)
        return data

    def _one_of(self, hint: Any, data: object, path: str) -> Any:
        kinds = [t for t in get_args(hint) if t is not type(None)]
        if data is None:
            return None if len(kinds) < len(get_args(hint)) else self.value(kinds[0], data, path)
        if len(kinds) > 1 and isinstance(data, dict):
            kinds.sort(key=lambda kind: -len(_keys(kind) & data.keys()))
        return self.value(kinds[0], data, path)

    def _tuple(self, hint: Any, data: object, path: str) -> Any:
        kinds = get_args(hint)
        endless = kinds[-1] is Ellipsis
        if not isinstance(data, list) or (not endless and len(data) != len(kinds)):
            self._wrong(_describe(hint), data, path)
        kinds = (kinds[0],) * len(data) if endless else kinds
        pairs = enumerate(zip(kinds, data, strict=True))
        return tuple(self.value(kind, part, f"{path}[{i}]") for i, (kind, part) in pairs)

    def _wrong(self, expected: str, found: object, path: str) -> NoReturn:
        said = found if found == "no such key" else repr(found)
        said = f"{str(said)[:SHOWN]} …" if len(str(said)) > SHOWN else said
        where = f"at {path}, " if path else ""
        raise RunError(
            f"{self.source}: expected {expected} {where}found {said}. The record is damaged: {self.remedy}."
        )


def _describe(hint: Any) -> str:
    if hint in NAMES:
        return NAMES[hint]
    kinds = [t for t in get_args(hint) if t is not type(None)]
    if get_origin(hint) in (Union, types.UnionType):
        return _describe(kinds[0])
    if get_origin(hint) is tuple:
        return "a list" if kinds[-1] is Ellipsis else f"a list of {len(kinds)}"
    return "a value" if hint is Any else "an object"


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


@cache
def _keys(cls: type) -> frozenset[str]:
    return frozenset(_key(each) for each in fields(cls))


def _key(each: Field[Any]) -> str:
    return str(each.metadata.get(KEY, each.name))


def _default(each: Field[Any]) -> Any:
    return each.default if each.default_factory is MISSING else each.default_factory()


def _has_default(each: Field[Any]) -> bool:
    return each.default is not MISSING or each.default_factory is not MISSING
