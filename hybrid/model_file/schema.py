"""Schemas of classes: which parameters and fitted attributes an object is written with, and rebuilt from."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from hybrid.errors import SettingError
from hybrid.model_file.arrays import ArrayWriter
from hybrid.model_file.kinds import Array, Flag, Kind, Real, Row, Whole, Word
from hybrid.model_file.place import Place, shown

CLASS, PARAMETERS, FITTED = "class", "parameters", "fitted"


@dataclass(frozen=True)
class Schema:
    """How objects of one class are written and read.

    Parameters
    ----------
    cls : type
    parameters : mapping of str to Kind or None
        Those of the constructor. None, for classes of scikit-learn: those of ``get_params`` that differ from
        the defaults, as plain values. Defaults change, and some are not valid in later versions.
    fitted : mapping of str to Kind, optional
        Attributes that fitting sets, in the order in which they are read.
    optional : sequence of str, default=()
        Those of `fitted` that an object may lack, and parameters that were added after the format was
        published: they have their defaults.
    earlier : mapping of str to Kind, optional
        Attributes that earlier formats have, though predictions do not need them: they are not written.
    forced : mapping of str to tuple, optional
        Parameters that have to have one of these values: fitted attributes are checked for them alone.
    finish : callable, optional
        Object and place → None: checks what the schema cannot say, and sets what follows from the rest.
    name : str, optional
        In the file; by default that of the class.
    """

    cls: type
    parameters: Mapping[str, Kind] | None = None
    fitted: Mapping[str, Kind] = field(default_factory=dict)
    optional: Sequence[str] = ()
    earlier: Mapping[str, Kind] = field(default_factory=dict)
    forced: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    finish: Callable[[Any, Place], None] | None = None
    name: str = ""

    @property
    def known_as(self) -> str:
        """Name in the file."""
        return self.name or self.cls.__name__

    def write(self, value: Any, out: ArrayWriter) -> dict[str, Any]:
        """Write an object; what is not fitted has no fitted attributes."""
        if self.parameters is None:
            usual = _defaults(self.cls)
            given = value.get_params(deep=False).items()
            changed = {name: part for name, part in given if repr(part) != repr(usual[name])}
            plain = PLAIN.write_parts(changed, out)
        else:
            plain = {n: k.write(getattr(value, n), out) for n, k in self.parameters.items()}
        known = {n: k for n, k in self.fitted.items() if hasattr(value, n)}
        fitted = {n: kind.write(getattr(value, n), out) for n, kind in known.items()}
        found = {CLASS: self.known_as, PARAMETERS: plain}
        return {**found, FITTED: fitted} if fitted else found

    def read(self, plain: dict[str, Any], at: Place) -> Any:
        """Check everything, then make the object."""
        extra = sorted(set(plain) - {CLASS, PARAMETERS, FITTED})
        if extra:
            at.refuse(f"{CLASS}, {PARAMETERS} and {FITTED}", shown(dict.fromkeys(extra, 0)))
        if self.fitted and at.fitted and FITTED not in plain:
            at.refuse(f"a fitted {self.known_as}", "one that is not")
        # An estimator among the parameters of an estimator is not fitted.
        unfitted = replace(at, fitted=at.fitted and not self.fitted)
        parameters = self._read_parameters(plain.get(PARAMETERS), unfitted)
        fitted = self._read_fitted(plain[FITTED], at) if FITTED in plain else {}
        try:
            made = self.cls(**parameters)
            if isinstance(made, BaseEstimator) and self.parameters is None:
                made._validate_params()
            for name, value in fitted.items():
                with contextlib.suppress(AttributeError):  # a property, in another version
                    setattr(made, name, value)
            if self.finish and (fitted or not self.fitted):
                self.finish(made, at)
        except (TypeError, ValueError, AttributeError, LookupError, OverflowError) as error:
            at.refuse(f"a {self.known_as}", str(error).replace("\n", " "))
        return made

    def _read_parameters(self, plain: Any, at: Place) -> dict[str, Any]:
        if not isinstance(plain, dict):
            at.refuse(f"the {PARAMETERS} of {self.known_as}", shown(plain))
        if self.parameters is not None:
            missing = [name for name in self.optional if name not in plain]
            kinds = {n: k for n, k in self.parameters.items() if n not in missing}
            return _read_all(kinds, plain, at)
        known = _defaults(self.cls) if plain else {}
        found = {
            name: PLAIN.read(part, at.inside(name)) for name, part in plain.items() if name in known
        }
        for name, wanted in self.forced.items():
            if found.get(name, known.get(name)) not in wanted:
                at.inside(name).refuse(" or ".join(map(repr, wanted)), shown(plain.get(name)))
        return found

    def _read_fitted(self, plain: Any, at: Place) -> dict[str, Any]:
        if not isinstance(plain, dict):
            at.refuse(f"the fitted attributes of {self.known_as}", shown(plain))
        missing = [name for name in (*self.optional, *self.earlier) if name not in plain]
        kinds = {**self.fitted, **self.earlier}
        return _read_all({n: k for n, k in kinds.items() if n not in missing}, plain, at)


@cache
def _defaults(cls: type) -> Mapping[str, Any]:
    """Parameters of an estimator that was made without any."""
    return MappingProxyType(cls().get_params(deep=False))


def _read_all(kinds: Mapping[str, Kind], plain: dict[str, Any], at: Place) -> dict[str, Any]:
    if set(plain) != set(kinds):
        odd = sorted(set(plain) ^ set(kinds))
        at.refuse(f"{', '.join(kinds)}", f"{', '.join(odd)[:80]} only in one of both")
    return {name: kind.read(plain[name], at.inside(name)) for name, kind in kinds.items()}


# The closed registry: nothing else is ever made, and no module is imported by a name in a file.
_BY_NAME: dict[str, Schema] = {}
_BY_CLASS: dict[type, Schema] = {}


def register(*schemas: Schema) -> None:
    """Add schemas to the registry."""
    for schema in schemas:
        _BY_NAME[schema.known_as] = _BY_CLASS[schema.cls] = schema


def registered() -> tuple[Schema, ...]:
    """All schemas."""
    return tuple(_BY_NAME.values())


@dataclass(frozen=True)
class Object:
    """An object of one of some registered classes; of any, without names.

    Parameters
    ----------
    names : tuple of str, default=()
    shared : tuple of str, default=()
        Named sizes that it has in common with the object that it is a part of.
    """

    names: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()

    def write(self, value: Any, out: ArrayWriter) -> dict[str, Any]:
        """See `Kind`."""
        schema = _BY_CLASS.get(type(value))
        if schema is None or (self.names and schema.known_as not in self.names):
            known = ", ".join(sorted(self.names or _BY_NAME))
            raise SettingError(
                f"a model with {type(value).__name__} cannot be saved in a run: expected one of {known}."
            )
        return schema.write(value, out)

    def read(self, plain: Any, at: Place) -> Any:
        """See `Kind`."""
        if not isinstance(plain, dict) or CLASS not in plain:
            at.refuse(f"an object with {CLASS}", shown(plain))
        names = self.names or tuple(_BY_NAME)
        schema = _BY_NAME[Word(names).read(plain[CLASS], at.inside(CLASS))]
        inner = at.of_object()
        made = schema.read(plain, inner)
        for size in self.shared:
            if size in inner.sizes:
                at.bind(size, inner.sizes[size])
        return made


class Plain:
    """A value of a parameter: None, truth values, numbers, words, lists, tuples, dicts, arrays, objects."""

    def write(self, value: Any, out: ArrayWriter) -> Any:
        """See `Kind`."""
        value = value.item() if isinstance(value, np.generic) else value
        if isinstance(value, float):
            plain = Real().write(value, out)
            return {"number": plain} if isinstance(plain, str) else plain
        if value is None or isinstance(value, bool | int | str):
            return value
        if isinstance(value, list | tuple):
            parts = [self.write(part, out) for part in value]
            return {"tuple": parts} if isinstance(value, tuple) else parts
        if isinstance(value, Mapping):
            return {"dict": [[self.write(k, out), self.write(v, out)] for k, v in value.items()]}
        if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype != object:
            return self.write(value.tolist(), out)
        return {"object": Object().write(value, out)}

    def write_parts(self, values: Mapping[str, Any], out: ArrayWriter) -> dict[str, Any]:
        """Write a dict with names of parameters."""
        return {name: self.write(value, out) for name, value in values.items()}

    def read(self, plain: Any, at: Place) -> Any:
        """See `Kind`."""
        if plain is None or type(plain) in (bool, str):
            return plain
        if type(plain) is int:
            return Whole().read(plain, at)
        if type(plain) is float:
            return Real().read(plain, at)
        if isinstance(plain, list):
            return [self.read(part, at.inside(i)) for i, part in enumerate(plain)]
        if isinstance(plain, dict) and len(plain) == 1:
            [(name, part)] = plain.items()
            if name == "number":
                return Real().read(part, at)
            if name == "object":
                return Object().read(part, at)
            if name in ("tuple", "dict") and isinstance(part, list):
                inner = at.inside(name)
                if name == "tuple":
                    return tuple(self.read(part, inner))
                pairs = [Row((self, self)).read(p, inner.inside(i)) for i, p in enumerate(part)]
                if all(isinstance(key, bool | int | float | str | None) for key, _ in pairs):
                    return dict(pairs)
        at.refuse("a value of a parameter", shown(plain))


PLAIN = Plain()
SEED = Whole(0, 2**32 - 1)
WORKERS = Whole(-(2**12), 2**12)
NUMBERS = Array("int64", "_")
TRUE_FALSE = Flag()
