"""A place in the structure of a model file, so that a message says where something is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from hybrid.errors import RunError
from hybrid.model_file.arrays import ArrayReader

SHOWN = 60  # characters of a value in a message
DEEPEST = 40  # objects in each other


@dataclass(frozen=True)
class Place:
    """Where something is read.

    Parameters
    ----------
    file : Path
    arrays : ArrayReader
    path : str, default="model"
        As ``model.head_.coef_``.
    sizes : dict of str to int
        Named sizes of the object that is read, as far as they are known.
    depth : int, default=0
    fitted : bool, default=True
        Whether objects here have to be fitted: parameters are not.
    """

    file: Path
    arrays: ArrayReader
    path: str = "model"
    sizes: dict[str, int] = field(default_factory=dict)
    depth: int = 0
    fitted: bool = True

    def inside(self, name: str | int) -> Place:
        """The place of a part."""
        step = f"[{name}]" if isinstance(name, int) else f".{name[:SHOWN]}"
        # As replace() does, in a third of the time: there are thousands.
        return Place(self.file, self.arrays, self.path + step, self.sizes, self.depth, self.fitted)

    def of_object(self) -> Place:
        """The same place, with sizes of its own."""
        if self.depth >= DEEPEST:
            self.refuse("objects that are not so deep in each other", "more")
        return replace(self, sizes={}, depth=self.depth + 1)

    def bind(self, size: str, found: int) -> None:
        """Note a named size, or compare it with what it is elsewhere in the object."""
        known = self.sizes.setdefault(size, found)
        if known != found:
            self.refuse(f"{known:,} ({size})", f"{found:,}")

    def refuse(self, expected: str, found: str) -> NoReturn:
        """Raise a `RunError`."""
        raise RunError(
            f"{self.file}: expected {expected} at {self.path}, found {found}. The model is damaged, or not "
            "from this version of hybrid: fit the run again."
        )


def shown(value: Any) -> str:
    """A value, or what kind of value it is, in a message."""
    if isinstance(value, dict):
        return "an object with " + (", ".join(map(repr, list(value)[:5])) or "nothing")[:SHOWN]
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return repr(value)[:SHOWN] if value is not None else "null"
