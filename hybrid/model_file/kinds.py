"""Kinds of values in a model file: how each is written to JSON, and what is checked when it is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from hybrid.model_file.arrays import DIFFERENT, DTYPES, ArrayWriter
from hybrid.model_file.place import Place, shown

LARGEST = 2**63 - 1
END = "\n"
WIDEST = 2**26  # characters of an array of strings that all take the room of the longest


class Kind(Protocol):
    """A kind of value."""

    def write(self, value: Any, out: ArrayWriter) -> Any:
        """What JSON holds; arrays go to `out`."""

    def read(self, plain: Any, at: Place) -> Any:
        """The value; a `RunError` where `plain` is something else."""


@dataclass(frozen=True)
class Whole:
    """A whole number in a range; it may be a named size of its object."""

    low: int = -LARGEST
    high: int = LARGEST
    size: str = ""

    def write(self, value: Any, out: ArrayWriter) -> int:
        """See `Kind`."""
        return int(value)

    def read(self, plain: Any, at: Place) -> int:
        """See `Kind`."""
        if type(plain) is not int or not self.low <= plain <= self.high:
            bounds = f" from {self.low}" if self.low > -LARGEST else ""
            bounds += f" to {self.high}" if self.high < LARGEST else ""
            at.refuse(f"a whole number{bounds}", shown(plain))
        if self.size:
            at.bind(self.size, plain)
        return plain


@dataclass(frozen=True)
class Real:
    """A float; what JSON cannot hold is a word."""

    def write(self, value: Any, out: ArrayWriter) -> Any:
        """See `Kind`."""
        return float(value) if math.isfinite(value) else str(float(value))

    def read(self, plain: Any, at: Place) -> float:
        """See `Kind`."""
        if type(plain) is str and plain in ("nan", "inf", "-inf"):
            return float(plain)
        if type(plain) not in (int, float) or not abs(plain) < 1e308:
            at.refuse("a number", shown(plain))
        return float(plain)


@dataclass(frozen=True)
class Flag:
    """A truth value."""

    def write(self, value: Any, out: ArrayWriter) -> bool:
        """See `Kind`."""
        return bool(value)

    def read(self, plain: Any, at: Place) -> bool:
        """See `Kind`."""
        if type(plain) is not bool:
            at.refuse("true or false", shown(plain))
        return plain


@dataclass(frozen=True)
class Word:
    """A string; one of those known, where there are some."""

    known: tuple[str, ...] = ()

    def write(self, value: Any, out: ArrayWriter) -> str:
        """See `Kind`."""
        return str(value)

    def read(self, plain: Any, at: Place) -> str:
        """See `Kind`."""
        if type(plain) is not str or (self.known and plain not in self.known):
            at.refuse(" or ".join(map(repr, self.known)) or "a string", shown(plain))
        return plain


@dataclass(frozen=True)
class Maybe:
    """None, or a value of a kind."""

    kind: Kind

    def write(self, value: Any, out: ArrayWriter) -> Any:
        """See `Kind`."""
        return None if value is None else self.kind.write(value, out)

    def read(self, plain: Any, at: Place) -> Any:
        """See `Kind`."""
        return None if plain is None else self.kind.read(plain, at)


@dataclass(frozen=True)
class Several:
    """A list or tuple of values of a kind; their number may be a named size."""

    kind: Kind
    size: str = ""

    def write(self, value: Any, out: ArrayWriter) -> Any:
        """See `Kind`."""
        parts = [self.kind.write(part, out) for part in value]
        return {"tuple": parts} if isinstance(value, tuple) else parts

    def read(self, plain: Any, at: Place) -> Any:
        """See `Kind`."""
        packed = isinstance(plain, dict) and set(plain) == {"tuple"}
        parts = plain["tuple"] if packed else plain
        if not isinstance(parts, list):
            at.refuse("a list", shown(plain))
        if self.size:
            at.bind(self.size, len(parts))
        found = [self.kind.read(part, at.inside(i)) for i, part in enumerate(parts)]
        return tuple(found) if packed else found


@dataclass(frozen=True)
class Row:
    """A tuple of values, each of a kind of its own."""

    kinds: tuple[Kind, ...]

    def write(self, value: Any, out: ArrayWriter) -> list[Any]:
        """See `Kind`."""
        return [kind.write(part, out) for kind, part in zip(self.kinds, value, strict=True)]

    def read(self, plain: Any, at: Place) -> tuple[Any, ...]:
        """See `Kind`."""
        if not isinstance(plain, list) or len(plain) != len(self.kinds):
            at.refuse(f"a list of {len(self.kinds)}", shown(plain))
        pairs = enumerate(zip(self.kinds, plain, strict=True))
        return tuple(kind.read(part, at.inside(i)) for i, (kind, part) in pairs)


@dataclass(frozen=True)
class Table:
    """A dict of strings to values of a kind."""

    kind: Kind

    def write(self, value: Mapping[str, Any], out: ArrayWriter) -> dict[str, Any]:
        """See `Kind`."""
        return {str(name): self.kind.write(part, out) for name, part in value.items()}

    def read(self, plain: Any, at: Place) -> dict[str, Any]:
        """See `Kind`."""
        if not isinstance(plain, dict):
            at.refuse("an object", shown(plain))
        return {name: self.kind.read(part, at.inside(name)) for name, part in plain.items()}


@dataclass(frozen=True)
class OneOf:
    """A value of one of several kinds, each of which has a name; `choose` names that of a value."""

    kinds: Mapping[str, Kind]
    choose: Callable[[Any], str]

    def write(self, value: Any, out: ArrayWriter) -> dict[str, Any]:
        """See `Kind`."""
        name = self.choose(value)
        return {name: self.kinds[name].write(value, out)}

    def read(self, plain: Any, at: Place) -> Any:
        """See `Kind`."""
        if not isinstance(plain, dict) or len(plain) != 1 or next(iter(plain)) not in self.kinds:
            at.refuse(f"an object with one of {', '.join(self.kinds)}", shown(plain))
        [(name, part)] = plain.items()
        return self.kinds[name].read(part, at.inside(name))


@dataclass(frozen=True)
class Array:
    """An array.

    Parameters
    ----------
    dtypes : str, default=""
        Those that it may have, as ``"float32 float64"``; any, if empty.
    shape : str, default=""
        A named size, or a number, for each dimension, as ``"L D"``; none for a scalar array. ``_`` is any.
    low : int, optional
        Least value.
    below : str, default=""
        Named size that its values are below; it must be known already.
    positive : bool, default=False
        Whether its values are finite and above 0, as what is divided by must be.
    """

    dtypes: str = ""
    shape: str = ""
    low: int | None = None
    below: str = ""
    positive: bool = False

    def write(self, value: Any, out: ArrayWriter) -> dict[str, Any]:
        """See `Kind`."""
        return out.add(np.asarray(value))

    def read(self, plain: Any, at: Place) -> Any:
        """See `Kind`."""
        array = self._take(plain, at)
        names = self.shape.split()
        if array.ndim != len(names):
            at.refuse(f"an array of {len(names)} dimensions", f"one of shape {array.shape}")
        for name, length in zip(names, array.shape, strict=True):
            if name.isdigit() and int(name) != length:
                at.refuse(f"an array of {name}", f"one of {length}")
            elif not name.isdigit() and name != "_":
                at.bind(name, length)
        if self.low is not None and array.size and int(array.min()) < self.low:
            at.refuse(f"values from {self.low}", f"{array.min()}")
        if self.below and array.size and int(array.max()) >= at.sizes[self.below]:
            at.refuse(f"values below {at.sizes[self.below]:,}", f"{array.max()}")
        if self.positive and not (np.isfinite(array) & (array > 0)).all():
            at.refuse("finite values above 0", f"{array.min()}")
        return array

    def _take(self, plain: Any, at: Place) -> Any:
        dtypes = self.dtypes.split() or DTYPES
        keys = set(plain) if isinstance(plain, dict) else set()
        if keys - {"order", "columns"} != {"dtype", "start", "shape"}:
            at.refuse("an array (dtype, start, shape)", shown(plain))
        dtype = Word(tuple(dtypes)).read(plain["dtype"], at.inside("dtype"))
        start = Whole(0).read(plain["start"], at.inside("start"))
        order = Word(("C", "F")).read(plain.get("order", "C"), at.inside("order"))
        shape = Several(Whole(0)).read(plain["shape"], at.inside("shape"))
        if "columns" in plain:
            return self._spread(plain["columns"], (dtype, start, shape), at)
        array = at.arrays.take(dtype, start, shape, order) if len(shape) < 9 else None
        if array is None:
            found = f"{dtype} of shape {shape} from {start:,} on"
            at.refuse(f"an array that {at.arrays.path.name} has", found)
        return array

    def _spread(self, plain: Any, place: tuple[str, int, Any], at: Place) -> Any:
        """A matrix of which the file has each different column once, and the number of each column."""
        dtype, start, shape = place
        inside = at.inside("columns")
        numbers = Array("int32", "_", low=0).read(plain, inside)
        different = int(numbers.max(initial=-1)) + 1
        # A number would take the memory of a column.
        if len(shape) != 2 or len(numbers) != shape[1] or different < DIFFERENT[0] * len(numbers):
            inside.refuse("the number of a column for each column, of many that differ", "others")
        columns = at.arrays.take(dtype, start, [shape[0], different])
        if columns is None:
            found = f"{dtype} of shape {[shape[0], different]} from {start:,} on"
            at.refuse(f"an array that {at.arrays.path.name} has", found)
        return columns.take(numbers, axis=1)


@dataclass(frozen=True)
class Texts:
    """An array of strings: one UTF-8 text, in which each string ends with a line break.

    Where a string has line breaks of its own, and in format 3, the length of each in characters instead.
    """

    size: str = ""

    def write(self, value: Any, out: ArrayWriter) -> dict[str, Any]:
        """See `Kind`."""
        strings = [str(text) for text in value]
        fixed = getattr(value, "dtype", np.dtype(object)).kind == "U"
        if any(END in text for text in strings):
            lengths = np.fromiter(map(len, strings), np.int32, len(strings))
            return {"text": self._add(strings, out), "lengths": out.add(lengths), "fixed": fixed}
        return {"lines": self._add([text + END for text in strings], out), "fixed": fixed}

    def _add(self, strings: list[str], out: ArrayWriter) -> dict[str, Any]:
        joined = "".join(strings).encode("utf-8", "surrogatepass")
        return out.add(np.frombuffer(joined, np.uint8))

    def read(self, plain: Any, at: Place) -> Any:
        """See `Kind`."""
        names = set(plain) if isinstance(plain, dict) else set()
        if names not in ({"lines", "fixed"}, {"text", "lengths", "fixed"}):
            at.refuse("strings (lines, fixed)", shown(plain))
        fixed = Flag().read(plain["fixed"], at.inside("fixed"))
        strings = self._of_lines(plain, at) if "lines" in plain else self._of_lengths(plain, at)
        if self.size:
            at.bind(self.size, len(strings))
        if fixed and len(strings) * max(map(len, strings), default=0) > WIDEST:
            at.refuse(f"strings that take {WIDEST:,} characters at most", "longer ones")
        found = np.empty(len(strings), dtype=object)
        found[:] = strings
        return found.astype(str) if fixed else found

    def _of_lines(self, plain: Any, at: Place) -> list[str]:
        *strings, rest = self._text(plain["lines"], at.inside("lines")).split(END)
        if rest:
            at.inside("lines").refuse("a line break after each string", shown(rest))
        return strings

    def _of_lengths(self, plain: Any, at: Place) -> list[str]:
        text = self._text(plain["text"], at.inside("text"))
        lengths = Array("int32", "_", low=0).read(plain["lengths"], at.inside("lengths"))
        ends = np.cumsum(lengths, dtype=np.int64)
        if (ends[-1] if len(ends) else 0) != len(text):
            at.refuse(f"lengths of {len(text):,} characters in sum", f"{int(lengths.sum()):,}")
        return [text[a:b] for a, b in pairwise([0, *ends.tolist()])]

    def _text(self, plain: Any, at: Place) -> str:
        encoded = Array("uint8", "_").read(plain, at)
        try:
            return str(encoded.tobytes().decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError as error:
            at.refuse("UTF-8", str(error))


@dataclass(frozen=True)
class Ragged:
    """A list of arrays of one dimension and one type, as one array and their lengths."""

    dtype: str
    size: str = ""

    def write(self, value: Sequence[Any], out: ArrayWriter) -> dict[str, Any]:
        """See `Kind`."""
        lengths = np.array([len(part) for part in value], dtype=np.int64)
        joined = np.concatenate([np.empty(0, self.dtype), *value]).astype(self.dtype, copy=False)
        return {"values": out.add(joined), "lengths": out.add(lengths)}

    def read(self, plain: Any, at: Place) -> list[Any]:
        """See `Kind`."""
        values, lengths = self.read_joined(plain, at)
        return np.split(values, np.cumsum(lengths)[:-1]) if len(lengths) else []

    def read_joined(self, plain: Any, at: Place) -> tuple[Any, Any]:
        """The arrays one after the other, and the length of each."""
        if not isinstance(plain, dict) or set(plain) != {"values", "lengths"}:
            at.refuse("arrays (values, lengths)", shown(plain))
        values = Array(self.dtype, "_").read(plain["values"], at.inside("values"))
        lengths = Array("int64", "_", low=0).read(plain["lengths"], at.inside("lengths"))
        if sum(lengths.tolist()) != len(values):
            at.refuse(f"lengths of {len(values):,} in sum", f"{sum(lengths.tolist()):,}")
        if self.size:
            at.bind(self.size, len(lengths))
        return values, lengths
